//! Random histories of one sealed Secret on two sides, merged as texts, against a model of each key.

use std::{collections::BTreeMap, fs};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use crate::sandbox::Sandbox;

/// One of them is in quotes, because YAML 1.1 takes it for a boolean.
const KEYS: [&str; 4] = ["a", "b", "y", "c"];

#[derive(Debug, Clone, Copy)]
enum Step {
    Set(usize),
    Unset(usize),
    /// Whether for somebody else too.
    Rewrap(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0..KEYS.len()).prop_map(Step::Set),
        2 => (0..KEYS.len()).prop_map(Step::Unset),
        2 => any::<bool>().prop_map(Step::Rewrap),
    ];
    prop::collection::vec(step, 0..4)
}

/// Does the steps on a file and in the model, which has the plaintext of each key: every `set` has another one.
fn walk(
    sandbox: &Sandbox,
    file: &str,
    model: &mut BTreeMap<usize, String>,
    steps: &[Step],
    name: &str,
) {
    for (i, step) in steps.iter().enumerate() {
        match *step {
            Step::Set(key) => {
                let value = format!("{name} {i} of {}", KEYS[key]);
                sandbox.set(file, KEYS[key], &value);
                model.insert(key, value);
            }
            Step::Unset(key) => {
                if model.remove(&key).is_some() {
                    sandbox.strongroom(&["unset", file, KEYS[key]]);
                }
            }
            Step::Rewrap(other_too) => sandbox.rewrap(file, other_too),
        }
    }
}

/// The lines between markers that only one side has.
fn one_sided(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    for conflict in text.split("<<<<<<< ours\n").skip(1) {
        let (ours, rest) = conflict.split_once("=======\n").unwrap();
        let theirs = rest.split(">>>>>>> theirs\n").next().unwrap();
        out.extend(ours.lines().filter(|line| !theirs.contains(line)));
        out.extend(theirs.lines().filter(|line| !ours.contains(line)));
    }
    out
}

#[test]
fn a_merge_of_texts_is_what_the_model_says_or_names_the_keys_in_conflict() {
    let sandbox = Sandbox::new(&KEYS[..2]);
    let start = sandbox.read("db.yaml");
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let outcome =
        TestRunner::new(config).run(&(steps(), steps(), steps()), |(before, ours, theirs)| {
            sandbox.write("base", &start);
            let mut base: BTreeMap<usize, String> =
                (0..2).map(|key| (key, format!("clear text of {}", KEYS[key]))).collect();
            walk(&sandbox, "base", &mut base, &before, "base");
            let (mut a, mut b) = (base.clone(), base.clone());
            for (file, model, steps) in [("ours", &mut a, &ours), ("theirs", &mut b, &theirs)] {
                fs::copy(sandbox.root().join("base"), sandbox.root().join(file)).unwrap();
                walk(&sandbox, file, model, steps, file);
            }
            let output =
                sandbox.run(env!("CARGO_BIN_EXE_strongroom"), &["merge", "base", "ours", "theirs"]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let mut wanted = BTreeMap::new();
            let mut conflicts = Vec::new();
            for (i, key) in KEYS.iter().enumerate() {
                let (base, a, b) = (base.get(&i), a.get(&i), b.get(&i));
                match () {
                    () if a == b || b == base => {
                        wanted.extend(a.map(|value| ((*key).to_owned(), value.clone())))
                    }
                    () if a == base => {
                        wanted.extend(b.map(|value| ((*key).to_owned(), value.clone())))
                    }
                    () => conflicts.push(*key),
                }
            }
            for key in KEYS {
                let line = format!("both sides changed the value of {key}\n");
                prop_assert_eq!(
                    said.contains(&line),
                    conflicts.contains(&key),
                    "{}: {}",
                    key,
                    said
                );
            }
            prop_assert_eq!(output.status.success(), conflicts.is_empty(), "{}", said);
            let text = sandbox.read("ours");
            let markers = text.lines().filter(|line| line.starts_with("<<<<<<<")).count();
            prop_assert_eq!(markers > 0, !conflicts.is_empty());
            // What differs between the sides of a conflict is the line of a key in conflict, and no other but `values`, empty on one side.
            for line in one_sided(&text) {
                let key = line.trim_start().split(':').next().unwrap().trim_matches('"');
                prop_assert!(
                    conflicts.contains(&key) || key == "values",
                    "{} is between markers: {}",
                    key,
                    text
                );
            }
            for ours in [true, false] {
                sandbox.write("decided", &crate::merge::decided(&text, ours));
                let mut wanted = wanted.clone();
                for key in &conflicts {
                    let i = KEYS.iter().position(|other| other == key).unwrap();
                    let side = if ours { &a } else { &b };
                    wanted.extend(side.get(&i).map(|value| ((*key).to_owned(), value.clone())));
                }
                prop_assert_eq!(sandbox.opened("decided"), wanted);
            }
            Ok(())
        });
    outcome.unwrap();
}
