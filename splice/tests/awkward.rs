//! Hundreds of small awkward files, each with edits and what must come of them.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "support/case.rs"]
mod case;
#[path = "support/independent.rs"]
mod independent;

use std::{fs, path::PathBuf};

use case::{Case, Outcome};
use independent::ended;

fn cases() -> Vec<(PathBuf, Case)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/awkward");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let case = Case::parse(&fs::read_to_string(&path).expect("UTF-8"));
        (path, case)
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn every_case_comes_out_as_it_says() {
    let mut wrong = Vec::new();
    for (path, case) in cases() {
        let outcome = case.run();
        if Some(&outcome) != case.expected.as_ref() {
            wrong.push(format!("{}: {outcome:?}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_are_hundreds_of_cases_of_each_outcome() {
    let outcomes: Vec<_> = cases().into_iter().filter_map(|(_, case)| case.expected).collect();
    let count = |is: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| is(outcome)).count();
    assert!(count(|outcome| matches!(outcome, Outcome::Text(_))) > 200);
    assert!(count(|outcome| matches!(outcome, Outcome::Refused(_))) > 40);
    assert!(count(|outcome| matches!(outcome, Outcome::Unread(_))) > 50);
}

/// libyaml does not read some constructs of YAML 1.2. Those files stay few, so that the test keeps its point.
#[test]
fn an_independent_reader_reads_the_same_before_and_after() {
    let (mut same, mut unread) = (0, Vec::new());
    for (path, case) in cases() {
        let Some(Outcome::Text(after)) = &case.expected else { continue };
        for text in [&case.before, after] {
            let text = &ended(text);
            let file = splice::parse(text.as_bytes()).expect("a case that reads");
            match independent::libyaml(text) {
                Some(said) => assert_eq!(said, independent::ours(&file), "{}", path.display()),
                None => unread.push(path.clone()),
            }
            same += 1;
        }
        let readable = |text| independent::libyaml(&ended(text)).is_some();
        assert!(!readable(&case.before) || readable(after), "{}", path.display());
    }
    assert!(unread.len() * 50 < same, "of {same} texts libyaml refuses {unread:?}");
}

/// A second run of the same edits finds nothing to do, or refuses because it is done.
#[test]
fn setting_the_same_text_again_changes_nothing() {
    for (path, case) in cases() {
        let Some(Outcome::Text(after)) = &case.expected else { continue };
        if case.edits.is_empty() || !case.edits.iter().all(|edit| edit.starts_with("set ")) {
            continue;
        }
        let again = Case { before: after.clone(), reads: Vec::new(), ..case };
        assert_eq!(again.run(), Outcome::Text(again.before.clone()), "{}", path.display());
    }
}

#[test]
fn what_an_error_says_holds_nothing_of_the_file() {
    let secret = "hunter2hunter2";
    let texts = [
        format!("a: @{secret}"),
        format!("a: \"\\q{secret}"),
        format!("{secret}\n: {secret}: x"),
        format!("a: *{secret}"),
        format!("a: !{secret}!x y"),
        format!("%{secret}\n%YAML 1.2\n%YAML 1.2\n---\n"),
    ];
    for text in texts {
        let error = splice::parse(text.as_bytes()).expect_err("not YAML");
        assert!(!error.to_string().contains("hunter") && !format!("{error:?}").contains("hunter"));
    }
}
