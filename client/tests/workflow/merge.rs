//! Branches with changes to one sealed Secret, merged by git.

use crate::sandbox::Sandbox;

/// Merges `theirs` into `ours`; whether it went by itself, and what was said.
pub(crate) fn merge(sandbox: &Sandbox) -> (bool, String) {
    sandbox.git(&["checkout", "-q", "ours"]);
    let output = sandbox.run("git", &["merge", "-q", "-m", "merge", "theirs"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(!said.contains("clear text of"), "a value was said: {said}");
    (output.status.success(), said)
}

/// The file with each conflict decided for one side.
pub(crate) fn decided(text: &str, ours: bool) -> String {
    let mut side = None;
    let mut out = String::new();
    for line in text.lines() {
        match line {
            "<<<<<<< ours" => side = Some(true),
            "=======" => side = Some(false),
            ">>>>>>> theirs" => side = None,
            _ if side.is_none_or(|side| side == ours) => out += &format!("{line}\n"),
            _ => {}
        }
    }
    out
}

#[test]
fn different_keys_merge_by_themselves() {
    let sandbox = Sandbox::new(&["a", "b", "c"]);
    sandbox.branch("ours", |s| s.set("db.yaml", "a", "ours"));
    sandbox.branch("theirs", |s| {
        s.set("db.yaml", "b", "theirs");
        s.set("db.yaml", "d", "new");
        s.write("db.yaml", &s.read("db.yaml").replace("the database team", "the other team"));
    });
    assert!(merge(&sandbox).0);
    let opened = sandbox.opened("db.yaml");
    let wanted = [("a", "ours"), ("b", "theirs"), ("c", "clear text of c"), ("d", "new")];
    assert_eq!(opened.len(), wanted.len());
    for (key, value) in wanted {
        assert_eq!(opened[key], value);
    }
    assert!(sandbox.read("db.yaml").starts_with("# who to ask: the other team\n"));
}

#[test]
fn the_same_key_is_a_conflict_for_that_key_only() {
    let sandbox = Sandbox::new(&["a", "b", "c"]);
    sandbox.branch("ours", |s| {
        s.set("db.yaml", "a", "ours");
        s.set("db.yaml", "b", "ours too");
    });
    sandbox.branch("theirs", |s| {
        s.set("db.yaml", "b", "theirs");
        s.set("db.yaml", "c", "theirs too");
    });
    let (done, said) = merge(&sandbox);
    assert!(!done);
    assert!(said.contains("prod/db: both sides changed the value of b"), "{said}");
    let text = sandbox.read("db.yaml");
    assert_eq!(text.lines().filter(|line| line.starts_with("<<<<<<<")).count(), 1);
    for (ours, b) in [(true, "ours too"), (false, "theirs")] {
        sandbox.write("db.yaml", &decided(&text, ours));
        let opened = sandbox.opened("db.yaml");
        assert_eq!((&*opened["a"], &*opened["b"], &*opened["c"]), ("ours", b, "theirs too"));
    }
}

#[test]
fn what_one_side_took_out_and_the_other_changed_is_a_conflict() {
    let sandbox = Sandbox::new(&["a", "b"]);
    sandbox.branch("ours", |s| drop(s.strongroom(&["unset", "db.yaml", "a"])));
    sandbox.branch("theirs", |s| s.set("db.yaml", "a", "theirs"));
    let (done, said) = merge(&sandbox);
    assert!(!done && said.contains("changed the value of a"), "{said}");
    let text = sandbox.read("db.yaml");
    sandbox.write("db.yaml", &decided(&text, true));
    assert_eq!(sandbox.opened("db.yaml").keys().collect::<Vec<_>>(), ["b"]);
    sandbox.write("db.yaml", &decided(&text, false));
    assert_eq!(sandbox.opened("db.yaml")["a"], "theirs");
}

#[test]
fn one_adds_and_the_other_removes() {
    let sandbox = Sandbox::new(&["a", "b"]);
    sandbox.branch("ours", |s| s.set("db.yaml", "c", "ours"));
    sandbox.branch("theirs", |s| drop(s.strongroom(&["unset", "db.yaml", "b"])));
    assert!(merge(&sandbox).0);
    let opened = sandbox.opened("db.yaml");
    assert_eq!(opened.keys().collect::<Vec<_>>(), ["a", "c"]);
}

#[test]
fn all_values_taken_out_on_one_side_and_one_added_on_the_other() {
    let sandbox = Sandbox::new(&["a"]);
    sandbox.branch("ours", |s| drop(s.strongroom(&["unset", "db.yaml", "a"])));
    sandbox.branch("theirs", |s| s.set("db.yaml", "b", "theirs"));
    assert!(merge(&sandbox).0);
    assert_eq!(
        sandbox.opened("db.yaml").into_iter().collect::<Vec<_>>(),
        [("b".into(), "theirs".into())]
    );
}

#[test]
fn both_sides_add_values_in_any_order() {
    let sandbox = Sandbox::new(&["m"]);
    sandbox.branch("ours", |s| {
        ["z", "b", "n"].map(|key| s.set("db.yaml", key, "ours")).into_iter().collect()
    });
    sandbox.branch("theirs", |s| {
        ["y", "a", "o"].map(|key| s.set("db.yaml", key, "theirs")).into_iter().collect()
    });
    let (done, said) = merge(&sandbox);
    assert!(done, "{said}");
    assert_eq!(sandbox.opened("db.yaml").len(), 7);
}

#[test]
fn a_conflict_beside_values_that_both_sides_added_is_one_conflict() {
    // A merge of lines would have `b` twice.
    let sandbox = Sandbox::new(&["a"]);
    sandbox
        .branch("ours", |s| ["a", "b"].into_iter().for_each(|key| s.set("db.yaml", key, "ours")));
    sandbox.branch("theirs", |s| {
        ["a", "c"].into_iter().for_each(|key| s.set("db.yaml", key, "theirs"));
        s.write(
            "db.yaml",
            &s.read("db.yaml").replace("  namespace: prod\n", "  namespace: prod\n  labels: {}\n"),
        );
    });
    let (done, said) = merge(&sandbox);
    assert!(
        !done
            && said.contains("as our side has it")
            && said.contains("their side changed other lines of it too"),
        "{said}"
    );
    sandbox.git(&["merge", "--abort"]);
    sandbox.git(&["checkout", "-q", "theirs"]);
    sandbox.write("db.yaml", &sandbox.read("db.yaml").replace("  labels: {}\n", ""));
    sandbox.commit("without labels");
    let (done, said) = merge(&sandbox);
    assert!(!done && said.contains("both sides changed the value of a"), "{said}");
    let text = sandbox.read("db.yaml");
    assert_eq!(text.lines().filter(|line| line.starts_with("<<<<<<<")).count(), 1);
    for (ours, a) in [(true, "ours"), (false, "theirs")] {
        sandbox.write("db.yaml", &decided(&text, ours));
        let opened = sandbox.opened("db.yaml");
        assert_eq!((&*opened["a"], &*opened["b"], &*opened["c"]), (a, "ours", "theirs"));
    }
}

#[test]
fn a_file_that_was_renamed_gets_the_new_value() {
    let sandbox = Sandbox::new(&["a", "b", "c"]);
    sandbox.branch("ours", |s| drop(s.git(&["mv", "db.yaml", "database.yaml"])));
    sandbox.branch("theirs", |s| s.set("db.yaml", "b", "theirs"));
    assert!(merge(&sandbox).0);
    assert_eq!(sandbox.opened("database.yaml")["b"], "theirs");
    assert!(!sandbox.root().join("db.yaml").exists());
}

#[test]
fn both_sides_add_the_same_secret() {
    let sandbox = Sandbox::new(&["a"]);
    sandbox.branch("ours", |s| s.seal("new.yaml", "new", &["d", "e"]));
    sandbox.branch("theirs", |s| s.seal("new.yaml", "new", &["e", "f"]));
    let (done, said) = merge(&sandbox);
    assert!(!done && said.contains("both sides changed the value of e"), "{said}");
    let text = sandbox.read("new.yaml");
    for ours in [true, false] {
        sandbox.write("new.yaml", &decided(&text, ours));
        assert_eq!(sandbox.opened("new.yaml").len(), 3);
    }
}

#[test]
fn an_object_that_one_side_took_out_and_the_other_changed_is_a_conflict() {
    let sandbox = Sandbox::new(&["a"]);
    let one = sandbox.read("db.yaml");
    sandbox.seal("two.yaml", "two", &["a"]);
    let two = sandbox.read("two.yaml");
    sandbox.write("db.yaml", &format!("{one}---\n{two}"));
    sandbox.commit("two in a file");
    sandbox.branch("ours", |s| s.write("db.yaml", &one));
    sandbox.branch("theirs", |s| {
        s.write("../value", "theirs");
        s.strongroom(&["set", "db.yaml", "a", "--object", "two", "--from-file", "../value"]);
    });
    let (done, said) = merge(&sandbox);
    assert!(
        !done && said.contains("prod/two: our side took it out, and their side changed it"),
        "{said}"
    );
}

#[test]
fn labels_side_by_side_and_texts_of_the_template_merge() {
    let sandbox = Sandbox::new(&["a"]);
    sandbox.branch("ours", |s| {
        s.write(
            "db.yaml",
            &s.read("db.yaml").replace("        app: db\n", "        app: db\n        tier: one\n"),
        );
    });
    sandbox.branch("theirs", |s| {
        s.write(
            "db.yaml",
            &s.read("db.yaml").replace("        app: db\n", "        app: database\n"),
        );
    });
    assert!(merge(&sandbox).0);
    let text = sandbox.read("db.yaml");
    assert!(text.contains("        app: database\n        tier: one\n"), "{text}");
}

#[test]
fn labels_of_the_object_itself_merge_one_by_one() {
    let sandbox = Sandbox::new(&["a", "b"]);
    let labels = "  namespace: prod\n  labels:\n    one: x\n    two: x\n    three: x # why\n";
    sandbox.write("db.yaml", &sandbox.read("db.yaml").replace("  namespace: prod\n", labels));
    sandbox.commit("labels");
    let replace = |s: &Sandbox, old: &str, new: &str| {
        s.write("db.yaml", &s.read("db.yaml").replace(old, new));
    };
    sandbox.branch("ours", |s| {
        replace(s, "    one: x\n", "    one: ours\n");
        s.set("db.yaml", "a", "ours");
    });
    sandbox.branch("theirs", |s| {
        replace(s, "    two: x\n", "    new: theirs\n");
        s.set("db.yaml", "b", "theirs");
    });
    let (done, said) = merge(&sandbox);
    assert!(done, "{said}");
    let text = sandbox.read("db.yaml");
    assert!(text.contains("    one: ours\n") && text.contains("    new: theirs\n"), "{text}");
    assert!(!text.contains("    two:") && text.contains("    three: x # why\n"), "{text}");
    sandbox.git(&["checkout", "-q", "-B", "ours", "main"]);
    replace(&sandbox, "    two: x\n", "    two: ours\n");
    sandbox.commit("ours");
    let (done, said) = merge(&sandbox);
    assert!(!done && said.contains("prod/db: both sides changed metadata.labels.two"), "{said}");
    sandbox.write("db.yaml", &decided(&sandbox.read("db.yaml"), true));
    assert_eq!(sandbox.opened("db.yaml")["b"], "theirs");
}

#[test]
fn what_cannot_be_read_is_merged_as_text_and_said_to_be() {
    let sandbox = Sandbox::new(&["a", "b"]);
    sandbox.branch("ours", |s| s.write("db.yaml", &(s.read("db.yaml") + "---\n{{ if }}: [\n")));
    sandbox.branch("theirs", |s| {
        s.write("db.yaml", &s.read("db.yaml").replace("the database team", "us"))
    });
    let (done, said) = merge(&sandbox);
    assert!(!done && said.contains("was merged as text only"), "{said}");
    let text = sandbox.read("db.yaml");
    assert!(text.contains("{{ if }}") && text.starts_with("# who to ask: us\n"), "{text}");
}

#[test]
fn a_file_without_anything_sealed_is_merged_as_git_does() {
    let sandbox = Sandbox::new(&["a"]);
    sandbox.write("values.yaml", "a: 1\nb: 2\nc: 3\nd: {{ 4 }}\n");
    sandbox.commit("values");
    sandbox.branch("ours", |s| s.write("values.yaml", "a: 9\nb: 2\nc: 3\nd: {{ 4 }}\n"));
    sandbox.branch("theirs", |s| s.write("values.yaml", "a: 1\nb: 2\nc: 3\nd: {{ 9 }}\n"));
    assert!(merge(&sandbox).0);
    assert_eq!(sandbox.read("values.yaml"), "a: 9\nb: 2\nc: 3\nd: {{ 9 }}\n");
}

#[test]
fn a_rebase_uses_it_too() {
    let sandbox = Sandbox::new(&["a", "b"]);
    sandbox.branch("ours", |s| s.set("db.yaml", "a", "ours"));
    sandbox.branch("theirs", |s| s.set("db.yaml", "b", "theirs"));
    sandbox.git(&["rebase", "-q", "ours"]);
    let opened = sandbox.opened("db.yaml");
    assert_eq!((&*opened["a"], &*opened["b"]), ("ours", "theirs"));
}

#[test]
fn a_new_value_on_one_side_and_other_recipients_on_the_other() {
    let sandbox = Sandbox::new(&["a", "b"]);
    sandbox.branch("ours", |s| s.rewrap("db.yaml", true));
    sandbox.branch("theirs", |s| s.set("db.yaml", "b", "theirs"));
    let (done, said) = merge(&sandbox);
    assert!(done, "{said}");
    // The old slot has both recipients, the new one is as it was sealed: that is worth a word.
    assert!(said.contains("prod/db: its values are sealed for different keys now"), "{said}");
    let opened = sandbox.opened("db.yaml");
    assert_eq!((&*opened["a"], &*opened["b"]), ("clear text of a", "theirs"));
    let shown = sandbox.strongroom(&["diff", "db.yaml"]);
    let recipients = |key: &str| {
        let line = shown.lines().find(|line| line.starts_with(&format!("    {key}: "))).unwrap();
        line.split(" for ").nth(1).unwrap().split(' ').count()
    };
    assert_eq!((recipients("a"), recipients("b")), (2, 1));
}

#[test]
fn a_recipient_taken_out_on_one_side_and_a_new_value_on_the_other() {
    let sandbox = Sandbox::new(&["a", "b"]);
    sandbox.rewrap("db.yaml", true);
    sandbox.commit("for two");
    sandbox.branch("ours", |s| s.rewrap("db.yaml", false));
    sandbox.branch("theirs", |s| s.set("db.yaml", "b", "theirs"));
    let (done, said) = merge(&sandbox);
    assert!(done, "{said}");
    assert_eq!(sandbox.opened("db.yaml")["b"], "theirs");
    assert_eq!(sandbox.read("db.yaml").matches("kid: ").count(), 2);
}

#[test]
fn both_sides_wrap_for_the_same_recipients() {
    let sandbox = Sandbox::new(&["a", "b"]);
    sandbox.branch("ours", |s| s.rewrap("db.yaml", true));
    sandbox.branch("theirs", |s| s.rewrap("db.yaml", true));
    let (done, said) = merge(&sandbox);
    assert!(done, "{said}");
    assert_eq!(sandbox.opened("db.yaml").len(), 2);
}
