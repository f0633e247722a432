//! Any edit to any document: nothing else changes, an independent reader reads what was meant, and again is the same.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "support/grow.rs"]
mod grow;
#[path = "support/independent.rs"]
mod independent;

use std::cell::Cell;

use independent::{Said, libyaml};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use splice::{At, File, Kind, NodeId, Refusal, Splice, Value};

/// Texts that some reader takes for something else when they stand without quotes, or that cannot stand so.
const HARD: [&str; 36] = [
    "yes",
    "No",
    "ON",
    "y",
    "~",
    "null",
    "NULL",
    "",
    "0",
    "0644",
    "0x1F",
    "0o17",
    "1_000",
    "12e00045",
    "1e3",
    ".5",
    "-.inf",
    ".NaN",
    "12:30:45",
    "2001-01-01",
    "<<",
    "=",
    "- x",
    "? x",
    "a: b",
    "a #b",
    " lead",
    "trail ",
    "&a",
    "*a",
    "!t",
    "%d",
    "tab\tin",
    "nel\u{85}",
    "ls\u{2028}",
    "bom\u{feff}",
];
/// Texts of several lines, and easy ones.
const OTHER: [&str; 14] = [
    "plain",
    "s7f3a9c21.AbC+/=",
    "it's",
    "say \"x\"",
    "a, [b] {c}",
    "one\ntwo\n",
    "one\ntwo",
    "\n\none\n",
    "one\n\n",
    " a\nb\n",
    "a\n  \nb\n",
    "a\r\nb",
    "тайна 🔑",
    "---\na\n...\n",
];

#[derive(Debug, Clone)]
struct Edit {
    verb: u8,
    target: usize,
    text: usize,
    at: u8,
}

fn edits() -> impl Strategy<Value = Edit> {
    (any::<u8>(), any::<usize>(), any::<usize>(), any::<u8>())
        .prop_map(|(verb, target, text, at)| Edit { verb, target, text, at })
}

/// What libyaml reads, as a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Read {
    Scalar(String, bool),
    Alias(String),
    Mapping(Vec<Read>),
    Sequence(Vec<Read>),
}

fn reads(said: Vec<Said>) -> Vec<Read> {
    let mut stack: Vec<(Option<Said>, Vec<Read>)> = vec![(None, Vec::new())];
    for word in said {
        let done = match word {
            Said::Document | Said::Mapping | Said::Sequence => {
                stack.push((Some(word), Vec::new()));
                continue;
            }
            Said::Scalar(text, plain) => Read::Scalar(text, plain),
            Said::Alias(name) => Read::Alias(name),
            Said::End => match stack.pop().expect("an open one") {
                (Some(Said::Mapping), of) => Read::Mapping(of),
                (Some(Said::Sequence), of) => Read::Sequence(of),
                (_, mut of) => of.remove(0),
            },
        };
        stack.last_mut().expect("the outermost").1.push(done);
    }
    stack.pop().expect("the outermost").1
}

/// All nodes that are values, with the way to them from the document: positions among children.
fn values(file: &File<'_>) -> Vec<(NodeId, Vec<usize>)> {
    fn walk(file: &File<'_>, id: NodeId, way: &[usize], out: &mut Vec<(NodeId, Vec<usize>)>) {
        out.push((id, way.to_vec()));
        let node = file.node(id);
        for (at, (_, value)) in node.entries().enumerate() {
            walk(file, value, &[way, &[2 * at + 1]].concat(), out);
        }
        for (at, item) in node.items().enumerate() {
            walk(file, item, &[way, &[at]].concat(), out);
        }
    }
    let mut out = Vec::new();
    for (index, document) in file.documents().iter().enumerate() {
        if let Some(root) = document.root() {
            walk(file, root, &[index], &mut out);
        }
    }
    out
}

fn at<'r>(reads: &'r mut [Read], way: &[usize]) -> &'r mut Read {
    let (first, rest) = way.split_first().expect("a way");
    rest.iter().fold(&mut reads[*first], |read, step| match read {
        Read::Mapping(of) | Read::Sequence(of) => &mut of[*step],
        _ => panic!("the readers disagree about {way:?}"),
    })
}

fn text_of(edit: &Edit) -> &'static str {
    let all = HARD.len() + OTHER.len();
    let at = edit.text % all;
    if at < HARD.len() { HARD[at] } else { OTHER[at - HARD.len()] }
}

fn scalar(text: &str) -> Read {
    Read::Scalar(text.to_owned(), false)
}

/// Makes the edit, and does the same to what libyaml read before. `None` if there is nothing of the kind to edit.
fn perform(
    file: &File<'_>,
    edit: &Edit,
    reads: &mut [Read],
) -> Option<(Result<String, splice::SpliceError>, std::ops::Range<usize>)> {
    let values = values(file);
    let pick = |kind: fn(&splice::Node<'_>) -> bool| {
        let fit: Vec<_> = values.iter().filter(|(id, _)| kind(&file.node(*id))).collect();
        (!fit.is_empty()).then(|| fit[edit.target % fit.len()].clone())
    };
    let text = text_of(edit);
    let mut splice = Splice::new(file);
    let mapping = |node: &splice::Node<'_>| node.kind() == Kind::Mapping || node.is_null();
    let sequence = |node: &splice::Node<'_>| node.kind() == Kind::Sequence || node.is_null();
    let (done, touched) = match edit.verb % 8 {
        0 | 1 => {
            let (id, way) = pick(|node| matches!(node.kind(), Kind::Scalar | Kind::Alias))?;
            *at(reads, &way) = scalar(text);
            (splice.set(id, text), around(file, id))
        }
        2 => {
            let (id, way) = pick(mapping)?;
            let node = file.node(id);
            let keys: Vec<_> =
                node.entries().map(|(key, _)| file.node(key).text().into_owned()).collect();
            if keys.iter().any(|key| key == text) {
                return None;
            }
            let (place, position) =
                match (edit.at % 3, keys.get(usize::from(edit.at) % keys.len().max(1))) {
                    (0, _) => (At::Start, 0),
                    (1, Some(key)) => (At::After(key), usize::from(edit.at) % keys.len() * 2 + 2),
                    _ => (At::End, keys.len() * 2),
                };
            let read = at(reads, &way);
            if let Read::Scalar(..) = read {
                *read = Read::Mapping(Vec::new());
            }
            let Read::Mapping(of) = read else { panic!("no mapping at {way:?}") };
            of.splice(position..position, [scalar(text), scalar("value\nof lines\n")]);
            (
                splice.insert(id, text, "value\nof lines\n".into(), place),
                node.span().start.saturating_sub(3)..usize::MAX,
            )
        }
        3 => {
            let (id, way) =
                pick(|node| node.kind() == Kind::Mapping && node.entries().next().is_some())?;
            let keys: Vec<_> = file.node(id).entries().collect();
            let index = edit.text % keys.len();
            let key = file.node(keys[index].0).text().into_owned();
            let Read::Mapping(of) = at(reads, &way) else { panic!("no mapping at {way:?}") };
            of.drain(2 * index..2 * index + 2);
            (splice.remove(id, &key), around(file, id))
        }
        4 => {
            let (id, way) =
                pick(|node| node.kind() == Kind::Mapping && node.entries().next().is_some())?;
            let keys: Vec<_> = file.node(id).entries().collect();
            let index = usize::from(edit.at) % keys.len();
            let key = file.node(keys[index].0).text().into_owned();
            let Read::Mapping(of) = at(reads, &way) else { panic!("no mapping at {way:?}") };
            of[2 * index] = scalar(text);
            (splice.rename(id, &key, text), file.node(keys[index].0).span())
        }
        5 => {
            let (id, way) = pick(sequence)?;
            let read = at(reads, &way);
            if let Read::Scalar(..) = read {
                *read = Read::Sequence(Vec::new());
            }
            let Read::Sequence(of) = read else { panic!("no sequence at {way:?}") };
            of.push(Read::Mapping(vec![scalar("kid"), scalar(text), scalar("ct"), scalar("AA==")]));
            let value = Value::Mapping(vec![
                ("kid".to_owned(), text.into()),
                ("ct".to_owned(), "AA==".into()),
            ]);
            let value = if edit.at.is_multiple_of(2) { value.flow() } else { value };
            (splice.push(id, value), file.node(id).span().start.saturating_sub(3)..usize::MAX)
        }
        6 => {
            let (id, way) =
                pick(|node| node.kind() == Kind::Sequence && node.items().next().is_some())?;
            let index = edit.text % file.node(id).items().count();
            let Read::Sequence(of) = at(reads, &way) else { panic!("no sequence at {way:?}") };
            of.remove(index);
            (splice.remove_item(id, index), around(file, id))
        }
        _ => {
            let (id, way) = pick(|_| true)?;
            *at(reads, &way) = Read::Mapping(vec![scalar("a"), Read::Sequence(vec![scalar(text)])]);
            let value = Value::Mapping(vec![("a".to_owned(), Value::Sequence(vec![text.into()]))]);
            let value = if edit.at.is_multiple_of(2) { value.flow() } else { value };
            (splice.replace(id, value), around(file, id))
        }
    };
    Some((done.and_then(|()| splice.finish()), touched))
}

/// A node with the blanks and line breaks beside it, and the rest of its last line.
fn around(file: &File<'_>, id: NodeId) -> std::ops::Range<usize> {
    let span = file.node(id).span();
    let before = &file.text()[..span.start];
    let comment = before.rfind("\n").map_or(0, |at| at);
    let blanks = before.trim_end_matches([' ', '\n', '\r']).len();
    let end = file.text()[span.end..].find('\n').map_or(file.text().len(), |at| span.end + at + 1);
    let key_line = before[..comment].rfind('\n').map_or(0, |at| at);
    blanks.min(key_line)..end
}

/// Whether all that is outside `touched` is in `after` as it was.
fn only_within(before: &str, after: &str, touched: &std::ops::Range<usize>) -> bool {
    let (head, tail) = (&before.as_bytes()[..touched.start], before.as_bytes().get(touched.end..));
    let tail = tail.unwrap_or_default();
    after.len() >= head.len() + tail.len()
        && after.as_bytes().starts_with(head)
        && after.as_bytes().ends_with(tail)
}

/// Equal but for quotes, which the new texts may have or not; hard ones must have them.
fn same(is: &Read, meant: &Read) -> bool {
    match (is, meant) {
        (Read::Scalar(is, plain), Read::Scalar(meant, was_plain)) => {
            is == meant && (plain == was_plain || !plain || !HARD.contains(&is.as_str()))
        }
        (Read::Alias(is), Read::Alias(meant)) => is == meant,
        (Read::Mapping(is), Read::Mapping(meant)) | (Read::Sequence(is), Read::Sequence(meant)) => {
            is.len() == meant.len() && is.iter().zip(meant).all(|(is, meant)| same(is, meant))
        }
        _ => false,
    }
}

#[test]
fn an_edit_changes_what_was_meant_and_nothing_else() {
    let (made, refused) = (Cell::new(0), Cell::new(0));
    let mut runner =
        TestRunner::new(Config { cases: 4000, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(grow::files(), edits()), |(grown, edit)| {
        let before = grown.text();
        let file = splice::parse(before.as_bytes())
            .map_err(|error| TestCaseError::fail(format!("{error}\n{before}")))?;
        // libyaml-safer panics where a block text ends with the file.
        let Some(said) = ended(&before).then(|| libyaml(&before)).flatten() else { return Ok(()) };
        prop_assert_eq!(&said, &independent::ours(&file), "{}", before);
        let mut meant = reads(said);
        let Some((done, touched)) = perform(&file, &edit, &mut meant) else { return Ok(()) };
        let after = match done {
            Ok(after) => after,
            Err(error) => {
                prop_assert_ne!(
                    error.refusal,
                    Refusal::Unproven,
                    "{:?} {}\n{}",
                    edit,
                    error,
                    before
                );
                refused.set(refused.get() + 1);
                return Ok(());
            }
        };
        made.set(made.get() + 1);
        prop_assert!(
            only_within(&before, &after, &touched),
            "{edit:?}, not in {touched:?}\n{before}\n=>\n{after}"
        );
        prop_assert_eq!(before.ends_with(['\n', '\r']), after.ends_with(['\n', '\r']));
        let crlf = before.contains("\r\n");
        prop_assert!(
            !crlf || after.matches('\n').count() == after.matches("\r\n").count(),
            "{after:?}"
        );
        if ended(&after) {
            let said = libyaml(&after);
            prop_assert!(said.is_some(), "libyaml refuses\n{}\n=>\n{}", before, after);
            let is = reads(said.unwrap_or_default());
            let good =
                is.len() == meant.len() && is.iter().zip(&meant).all(|(is, meant)| same(is, meant));
            prop_assert!(good, "{edit:?}\n{before}\n=>\n{after}\n{is:?}\n{meant:?}");
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert!(made.get() > 4 * refused.get(), "{} made, {} refused", made.get(), refused.get());
}

fn ended(text: &str) -> bool {
    text.ends_with(['\n', '\r'])
}

proptest! {
    #![proptest_config(Config { cases: 1000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn setting_twice_is_setting_once(grown in grow::files(), edit in edits()) {
        let before = grown.text();
        let file = splice::parse(before.as_bytes()).expect("a grown file");
        let scalars: Vec<_> =
            values(&file).into_iter().filter(|(id, _)| file.node(*id).kind() == Kind::Scalar).collect();
        prop_assume!(!scalars.is_empty());
        let at = edit.target % scalars.len();
        let once = |text: &str| {
            let file = splice::parse(text.as_bytes()).expect("a file that reads");
            let mut splice = Splice::new(&file);
            let id = values(&file)
                .into_iter()
                .filter(|(id, _)| file.node(*id).kind() == Kind::Scalar)
                .nth(at)
                .expect("the same scalars")
                .0;
            splice.set(id, text_of(&edit)).and_then(|()| splice.finish())
        };
        if let Ok(after) = once(&before) {
            prop_assert_eq!(once(&after), Ok(after));
        }
    }

    #[test]
    fn a_rendered_value_reads_as_it_was_meant(texts in prop::collection::vec(any::<usize>(), 1..8), odd in ".{0,12}") {
        let text = |at: usize| text_of(&Edit { verb: 0, target: 0, text: at, at: 0 }).to_owned();
        let mut entries: Vec<_> = texts.iter().enumerate().map(|(number, at)| {
            (format!("k{number}"), Value::Text(text(*at)))
        }).collect();
        entries.push(("odd".to_owned(), Value::Text(odd.clone())));
        entries.push(("list".to_owned(), Value::Sequence(vec![Value::Mapping(entries.clone()), Value::Bool(true)])));
        let value = Value::Mapping(entries);
        for written in [splice::render(&value), splice::render_json(&value)] {
            let file = splice::parse(written.as_bytes()).expect("our own writing");
            let root = file.node(file.documents()[0].root().expect("a value"));
            for (number, at) in texts.iter().enumerate() {
                let node = file.node(root.get(&format!("k{number}")).expect("the key"));
                prop_assert!(node.is_text() && node.text() == text(*at), "{}", written);
            }
            let node = file.node(root.get("odd").expect("the key"));
            prop_assert!(node.is_text() && node.text() == odd, "{}", written);
            if libyaml(&written).is_some() {
                prop_assert_eq!(libyaml(&written), Some(independent::ours(&file)));
            } else {
                prop_assert!(false, "libyaml refuses {}", written);
            }
        }
        prop_assert!(serde_json::from_str::<serde_json::Value>(&splice::render_json(&value)).is_ok());
    }
}
