//! A sealed Secret in an editor.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _};

use crate::editing::Editing;

/// The lines of a file by what stands before the first colon.
fn lines(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.trim_start().split_once(": ")).collect()
}

fn changed_keys(before: &str, after: &str, keys: &[&str]) -> Vec<String> {
    let (before, after) = (lines(before), lines(after));
    let differs = |key: &&&str| before.get(**key) != after.get(**key);
    keys.iter().filter(differs).map(|key| (*key).to_owned()).collect()
}

#[test]
fn without_a_change_nothing_happens_and_nothing_is_left() {
    let editing = Editing::new(&["a", "b"]);
    let before = editing.sandbox.read("db.yaml");
    for script in
        ["true", "cp $1 $1.new; mv $1.new $1", "echo '# a thought' >> $1", "echo left > $1~"]
    {
        let edited = editing.edit(script, &["db.yaml"]);
        assert!(edited.ok && edited.said.contains("nothing was changed"), "{}", edited.said);
        assert_eq!(editing.sandbox.read("db.yaml"), before);
        assert_eq!(editing.kept(), 0);
    }
}

#[test]
fn only_what_was_changed_is_sealed_anew() {
    let editing = Editing::new(&["a", "b", "c"]);
    let before = editing.sandbox.read("db.yaml");
    let edited = editing.edit("sed -i 's/  b:.*/  b: edited text/' $1", &["db.yaml"]);
    assert!(edited.ok && edited.said.contains("prod/db: sealed b\n"), "{}", edited.said);
    let after = editing.sandbox.read("db.yaml");
    assert_eq!(changed_keys(&before, &after, &["a", "b", "c"]), ["b"]);
    assert!(after.starts_with("# who to ask"));
    let opened = editing.sandbox.opened("db.yaml");
    assert_eq!((&*opened["a"], &*opened["b"]), ("clear text of a", "edited text"));
    assert_eq!(editing.kept(), 0);
}

#[test]
fn keys_are_added_taken_out_and_renamed_and_labels_changed() {
    let editing = Editing::new(&["a", "b", "c"]);
    let before = editing.sandbox.read("db.yaml");
    let script = "sed -i -e 's/  a:/  renamed:/' -e '/  b:/d' -e 's/^stringData:/&\\n  more: edited text/' -e 's/app: db/app: other/' $1";
    let edited = editing.edit(script, &["db.yaml"]);
    assert!(edited.ok, "{}", edited.said);
    assert!(
        edited.said.contains("sealed more, renamed; took out a, b; changed what is not sealed"),
        "{}",
        edited.said
    );
    let opened = editing.sandbox.opened("db.yaml");
    assert_eq!(opened.keys().collect::<Vec<_>>(), ["c", "more", "renamed"]);
    assert_eq!(opened["renamed"], "clear text of a");
    let after = editing.sandbox.read("db.yaml");
    assert!(after.contains("app: other"));
    assert_eq!(lines(&before)["c"], lines(&after)["c"]);
}

#[test]
fn without_a_key_values_are_placeholders_that_stay_or_are_written_over() {
    let editing = Editing::new(&["a", "b"]);
    let before = editing.sandbox.read("db.yaml");
    let script = "cp $1 seen; sed -i 's/  b:.*/  b: edited text/' $1";
    let edited = editing.edit_without_key(script, &["db.yaml"]);
    assert!(edited.ok, "{}", edited.said);
    let seen = editing.sandbox.read("seen");
    assert!(seen.contains("<sealed: unchanged>") && !seen.contains("clear text of"), "{seen}");
    let after = editing.sandbox.read("db.yaml");
    assert_eq!(changed_keys(&before, &after, &["a", "b"]), ["b"]);
    assert_eq!(editing.sandbox.opened("db.yaml")["b"], "edited text");
}

#[test]
fn a_placeholder_cannot_be_renamed_and_the_draft_waits_for_a_better_idea() {
    let editing = Editing::new(&["a", "b"]);
    let before = editing.sandbox.read("db.yaml");
    let edited = editing.edit_without_key("sed -i 's/  b:/  other:/' $1", &["db.yaml"]);
    assert!(!edited.ok && edited.said.contains("no sealed value other"), "{}", edited.said);
    assert_eq!((editing.kept(), editing.sandbox.read("db.yaml")), (1, before));
    let edited =
        editing.edit_without_key("sed -i 's/  other:.*/  other: edited text/' $1", &["--resume"]);
    assert!(edited.ok && edited.said.contains("sealed other; took out b"), "{}", edited.said);
    assert_eq!(editing.kept(), 0);
}

#[test]
fn every_value_comes_through_the_editor_as_it_was() {
    let editing = Editing::new(&["zz"]);
    let values: [&[u8]; 24] = [
        b"",
        b" ",
        b"true",
        b"null",
        b"1e3",
        b"0x1f",
        b"a: b",
        b"# x",
        b"x # y",
        b"- a",
        b"{a}",
        b" leading",
        b"trailing ",
        b"tab\there",
        b"two\nlines",
        b"ends\n",
        b"\n\nbegins",
        b"ends twice\n\n",
        b"  indented\nless\n",
        b"'\"\\",
        b"dos\r\n",
        b"\xff\x00\x01",
        "\u{85}\u{2028}\u{feff}ü🔑".as_bytes(),
        b"<sealed: unchanged>",
    ];
    for (i, value) in values.iter().enumerate() {
        fs::write(editing.sandbox.path("value"), value).unwrap();
        editing.sandbox.strongroom(&[
            "set",
            "db.yaml",
            &format!("v{i}"),
            "--from-file",
            "../value",
        ]);
    }
    let before = editing.sandbox.read("db.yaml");
    let edited = editing.edit("true", &["db.yaml"]);
    assert!(edited.ok && edited.said.contains("nothing was changed"), "{}", edited.said);
    let edited = editing.edit("cp $1 seen; sed -i 's/  zz:.*/  zz: edited text/' $1", &["db.yaml"]);
    assert!(edited.ok && edited.said.contains("prod/db: sealed zz\n"), "{}", edited.said);
    let keys: Vec<_> = (0..values.len()).map(|i| format!("v{i}")).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    assert!(changed_keys(&before, &editing.sandbox.read("db.yaml"), &keys).is_empty());
    // Text is shown as text.
    assert!(editing.sandbox.read("seen").contains("two\n"));
}

#[test]
fn a_new_type_seals_everything_anew_or_is_refused_where_something_stays_sealed() {
    let editing = Editing::new(&["a", "b"]);
    let script = "sed -i 's/^kind: Secret/&\\ntype: example.com\\/pair/' $1";
    let edited = editing.edit_without_key(script, &["db.yaml"]);
    assert!(
        !edited.ok && edited.said.contains("the type cannot be changed while a is sealed"),
        "{}",
        edited.said
    );
    editing.edit_without_key("true", &["--discard"]);
    let edited = editing.edit(script, &["db.yaml"]);
    assert!(edited.ok && edited.said.contains("sealed a, b"), "{}", edited.said);
    assert_eq!(editing.sandbox.opened("db.yaml")["b"], "clear text of b");
    assert!(editing.sandbox.read("db.yaml").contains("example.com/pair"));
}

#[test]
fn another_name_or_namespace_is_refused() {
    let editing = Editing::new(&["a"]);
    for script in ["sed -i 's/name: db/name: other/' $1", "sed -i '/namespace:/d' $1"] {
        let edited = editing.edit(script, &["db.yaml"]);
        assert!(!edited.ok && edited.said.contains("another name or namespace"), "{}", edited.said);
        assert!(editing.edit_without_key("true", &["--discard"]).ok);
        assert_eq!(editing.kept(), 0);
    }
}

#[test]
fn clear_text_is_not_written_where_it_could_reach_a_disk() {
    let editing = Editing::new(&["a"]);
    let disk = editing.sandbox.path("home");
    let edited = editing.edit("touch ran", &["db.yaml", "--private-dir", disk.to_str().unwrap()]);
    assert!(!edited.ok && edited.said.contains("no place in memory"), "{}", edited.said);
    assert!(!editing.sandbox.root().join("ran").exists());
}

#[test]
fn a_folder_that_others_may_enter_is_not_used() {
    let editing = Editing::new(&["a"]);
    assert!(editing.edit("true", &["db.yaml"]).ok);
    let drafts = editing.drafts();
    fs::set_permissions(&drafts, fs::Permissions::from_mode(0o755)).unwrap();
    let edited = editing.edit("touch ran", &["db.yaml"]);
    assert!(!edited.ok && edited.said.contains("only you may enter"), "{}", edited.said);
    // Nor is a link to one that is in order.
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    fs::remove_dir(&drafts).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), &drafts).unwrap();
    let edited = editing.edit("touch ran", &["db.yaml"]);
    assert!(!edited.ok && edited.said.contains("only you may enter"), "{}", edited.said);
    assert!(!editing.sandbox.root().join("ran").exists());
}

#[test]
fn the_draft_is_for_its_owner_only() {
    let editing = Editing::new(&["a"]);
    let edited = editing
        .edit("stat -c '%a %U' $1 $(dirname $1) $(dirname $(dirname $1)) > modes", &["db.yaml"]);
    assert!(edited.ok, "{}", edited.said);
    let modes = editing.sandbox.read("modes");
    let modes: Vec<_> = modes.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(modes, ["600", "700", "700"]);
}

#[test]
fn an_editor_may_have_options_and_be_a_shell_command() {
    let editing = Editing::new(&["a"]);
    for editor in ["sed -i s/clear/edited/", "sed -i 's/edited text/clear text/'"] {
        let mut command = editing.command("false", &["db.yaml", "--key", &editing.sandbox.key()]);
        let output = command.env("VISUAL", editor).output().unwrap();
        let edited = crate::editing::done(&output);
        assert!(edited.ok && edited.said.contains("sealed a"), "{}", edited.said);
    }
}

#[test]
fn vim_by_any_name_is_told_to_write_nothing_beside_the_draft() {
    let editing = Editing::new(&["a"]);
    let folder = editing.sandbox.path("home");
    let vim = folder.join("vim.basic");
    let link = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let vi = link("vi");
    std::os::unix::fs::symlink(&vim, &vi).unwrap();
    for (editor, told) in [
        (vi.clone(), true),
        (format!("{vi} -c 'set textwidth=72'"), true),
        (format!("'{vi}' '+set textwidth=72'"), true),
        (format!("env TERM=dumb {vi}"), true),
        (format!("TERM=dumb exec {vi} -n"), true),
        (link("ed"), false),
        (format!("{} 'vi'", link("ed")), false),
    ] {
        let key = editing.sandbox.key();
        let mut command = editing.command("echo \"$@\" > told", &["db.yaml", "--key", &key]);
        fs::copy(folder.join("editor"), &vim).unwrap();
        fs::copy(folder.join("editor"), link("ed")).unwrap();
        let edited = crate::editing::done(&command.env("EDITOR", &editor).output().unwrap());
        assert!(edited.ok, "{}", edited.said);
        let told_so = editing.sandbox.read("told").starts_with("-i NONE -n -c set nobackup");
        assert_eq!(told_so, told, "{editor}");
    }
}

#[test]
fn a_draft_that_is_no_yaml_is_kept_without_a_terminal() {
    let editing = Editing::new(&["a"]);
    for script in [
        "echo '  - [' >> $1",
        ": > $1",
        "sed -i 's/kind: Secret/kind: Pod/' $1",
        "sed -i 's/  a:.*/  a: 5/' $1",
    ] {
        let edited = editing.edit(script, &["db.yaml"]);
        assert!(!edited.ok && edited.said.contains("your draft is kept"), "{}", edited.said);
        assert!(editing.edit_without_key("true", &["--discard", "db.yaml"]).ok);
    }
}

#[test]
fn on_a_terminal_a_draft_that_is_no_yaml_is_edited_again() {
    let editing = Editing::new(&["a"]);
    // The first time it breaks the draft, the second time it mends it.
    let script = "if test -e broken; then sed -i 's/  a:.*/  a: edited text/' $1; else touch broken; sed -i 's/  a:/  a: [/' $1; fi";
    let command = editing.command(script, &[]);
    let inner = format!(
        "{} edit db.yaml --key {}",
        env!("CARGO_BIN_EXE_strongroom"),
        editing.sandbox.key()
    );
    let mut terminal = editing.sandbox.command("script", &["-qec", &inner, "/dev/null"]);
    for (name, value) in command.get_envs() {
        terminal.env(name, value.unwrap());
    }
    let mut child = terminal
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"y\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("Edit again?") && said.contains("prod/db: sealed a"), "{said}");
    assert_eq!(editing.sandbox.opened("db.yaml")["a"], "edited text");
}
