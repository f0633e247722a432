//! Whatever comes between: nothing that was typed is lost, and nothing that somebody else wrote.

use std::{
    fs,
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use crate::editing::{Editing, done};

const CHANGE: &str = "sed -i 's/  a:.*/  a: edited text/' $1";

fn signal(name: &str, child: &Child) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Until a file is there. Looked for, because there is nobody to tell of it.
fn wait_for(path: &Path) {
    let began = Instant::now();
    while !path.exists() {
        assert!(began.elapsed() < Duration::from_secs(20), "{} never came", path.display());
        std::thread::yield_now();
    }
}

#[test]
fn an_editor_that_fails_or_is_killed_leaves_its_draft() {
    for end in ["exit 3", "kill -9 $$", "kill -TERM $$"] {
        let editing = Editing::new(&["a", "b"]);
        let before = editing.sandbox.read("db.yaml");
        let edited = editing.edit(&format!("{CHANGE}; {end}"), &["db.yaml"]);
        assert!(!edited.ok && edited.said.contains("your draft is kept"), "{}", edited.said);
        assert_eq!((editing.kept(), editing.sandbox.read("db.yaml")), (1, before));
        let edited = editing.edit("true", &["--resume"]);
        assert!(edited.ok && edited.said.contains("prod/db: sealed a\n"), "{}", edited.said);
        assert_eq!(editing.kept(), 0);
    }
}

#[test]
fn an_editor_that_cannot_be_run_leaves_nothing() {
    let editing = Editing::new(&["a"]);
    for editor in ["/nonexistent/editor", "false"] {
        let mut command = editing.command("", &["db.yaml", "--key", &editing.sandbox.key()]);
        let edited = done(&command.env("EDITOR", editor).output().unwrap());
        assert!(!edited.ok && !edited.said.contains("draft"), "{}", edited.said);
        assert_eq!(editing.kept(), 0);
    }
}

#[test]
fn what_an_editor_saves_as_it_crashes_is_kept_beside_an_untouched_draft() {
    let editing = Editing::new(&["a"]);
    let edited = editing.edit("cp $1 $1.save; kill -9 $$", &["db.yaml"]);
    assert!(!edited.ok && edited.said.contains("your draft is kept"), "{}", edited.said);
    assert_eq!(editing.kept(), 1);
    assert!(editing.edit("true", &["--resume"]).ok);
    assert_eq!(editing.kept(), 0);
}

#[test]
fn strongroom_killed_beside_its_editor_leaves_the_draft() {
    let editing = Editing::new(&["a", "b"]);
    let before = editing.sandbox.read("db.yaml");
    let script = format!("{CHANGE}; mkfifo wait; touch saved; cat wait");
    let mut child = editing.start(&script, &["db.yaml"]);
    wait_for(&editing.sandbox.root().join("saved"));
    // Nobody else gets at the draft meanwhile.
    let edited = editing.edit("true", &["--resume"]);
    assert!(!edited.ok && edited.said.contains("is being edited"), "{}", edited.said);
    let edited = editing.edit("true", &["db.yaml"]);
    assert!(!edited.ok && edited.said.contains("is being edited"), "{}", edited.said);
    signal("-9", &child);
    child.wait().unwrap();
    fs::write(editing.sandbox.root().join("wait"), "").unwrap();
    assert_eq!((editing.kept(), editing.sandbox.read("db.yaml")), (1, before));
    let edited = editing.edit("true", &["db.yaml"]);
    assert!(
        !edited.ok && edited.said.contains("there is a draft of prod/db already"),
        "{}",
        edited.said
    );
    let edited = editing.edit("true", &["--resume", "db.yaml"]);
    assert!(edited.ok && edited.said.contains("prod/db: sealed a\n"), "{}", edited.said);
    assert_eq!(editing.sandbox.opened("db.yaml")["a"], "edited text");
}

#[test]
fn an_interrupt_is_for_the_editor_and_a_termination_ends_both_with_the_draft_kept() {
    // A terminal that is closed sends HUP.
    for end in ["-TERM", "-HUP"] {
        let editing = Editing::new(&["a"]);
        let script = format!("{CHANGE}; touch saved; exec sleep 60");
        let child = editing.start(&script, &["db.yaml"]);
        wait_for(&editing.sandbox.root().join("saved"));
        signal("-INT", &child);
        signal("-QUIT", &child);
        signal(end, &child);
        let edited = done(&child.wait_with_output().unwrap());
        assert!(!edited.ok && edited.said.contains("your draft is kept"), "{}", edited.said);
        assert!(editing.edit("true", &["--resume"]).ok);
        assert_eq!(editing.sandbox.opened("db.yaml")["a"], "edited text");
    }
}

#[test]
fn what_somebody_else_wrote_meanwhile_is_kept_and_told() {
    let editing = Editing::new(&["a", "b"]);
    let script = format!("{CHANGE}; echo of somebody else | strongroom set db.yaml b");
    let edited = editing.edit(&script, &["db.yaml"]);
    assert!(!edited.ok && edited.said.contains("db.yaml was changed meanwhile"), "{}", edited.said);
    assert_eq!(editing.sandbox.opened("db.yaml")["b"], "of somebody else");
    let edited = editing.edit("true", &["--resume"]);
    assert!(edited.ok && edited.said.contains("prod/db: sealed a\n"), "{}", edited.said);
    let opened = editing.sandbox.opened("db.yaml");
    assert_eq!((&*opened["a"], &*opened["b"]), ("edited text", "of somebody else"));
}

#[test]
fn the_same_value_changed_by_both_is_decided_by_a_person() {
    let script = format!("{CHANGE}; echo of somebody else | strongroom set db.yaml a");
    let refused = || {
        let editing = Editing::new(&["a", "b"]);
        assert!(!editing.edit(&script, &["db.yaml"]).ok);
        let edited = editing.edit("true", &["--resume"]);
        assert!(
            !edited.ok && edited.said.contains("a of prod/db changed in the file too"),
            "{}",
            edited.said
        );
        assert_eq!(editing.sandbox.opened("db.yaml")["a"], "of somebody else");
        editing
    };
    let editing = refused();
    let edited = editing.edit("sed -i 's/  a:.*/  a: \"<sealed: unchanged>\"/' $1", &["--resume"]);
    assert!(edited.ok && edited.said.contains("nothing was changed"), "{}", edited.said);
    assert_eq!(editing.sandbox.opened("db.yaml")["a"], "of somebody else");
    let editing = refused();
    let edited = editing.edit("true", &["--resume", "--overwrite"]);
    assert!(edited.ok, "{}", edited.said);
    assert_eq!(editing.sandbox.opened("db.yaml")["a"], "edited text");
}

#[test]
fn a_file_that_was_moved_is_found_by_its_new_name() {
    let editing = Editing::new(&["a"]);
    let edited = editing.edit(&format!("{CHANGE}; mv db.yaml moved.yaml"), &["db.yaml"]);
    assert!(!edited.ok && edited.said.contains("your draft is kept"), "{}", edited.said);
    let edited = editing.edit("true", &["--resume", "moved.yaml"]);
    assert!(edited.ok, "{}", edited.said);
    assert_eq!(editing.sandbox.opened("moved.yaml")["a"], "edited text");
    assert!(!editing.sandbox.root().join("db.yaml").exists());
}

#[test]
fn a_draft_made_with_a_key_is_not_resumed_without() {
    let editing = Editing::new(&["a", "b"]);
    assert!(!editing.edit(&format!("{CHANGE}; false"), &["db.yaml"]).ok);
    let edited = editing.edit_without_key("true", &["--resume"]);
    assert!(!edited.ok && edited.said.contains("was made with other keys"), "{}", edited.said);
    assert_eq!(editing.kept(), 1);
}

#[test]
fn of_several_drafts_the_one_that_is_meant_is_named() {
    let editing = Editing::new(&["a"]);
    editing.sandbox.seal("two.yaml", "two", &["a"]);
    for file in ["db.yaml", "two.yaml"] {
        assert!(!editing.edit(&format!("{CHANGE}; false"), &[file]).ok);
    }
    let edited = editing.edit("true", &["--resume"]);
    assert!(!edited.ok && edited.said.contains("there are several drafts"), "{}", edited.said);
    assert!(editing.edit("true", &["--resume", "two.yaml"]).ok);
    assert_eq!(editing.sandbox.opened("two.yaml")["a"], "edited text");
    assert_eq!(editing.sandbox.opened("db.yaml")["a"], "clear text of a");
    assert!(editing.edit_without_key("true", &["--discard"]).ok);
    let edited = editing.edit_without_key("true", &["--discard"]);
    assert!(!edited.ok && edited.said.contains("there is no draft"), "{}", edited.said);
}
