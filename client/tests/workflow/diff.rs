//! What `git diff`, `git log -p` and `git show` tell of sealed Secrets.

use crate::sandbox::Sandbox;

fn longest_word(text: &str) -> usize {
    text.split_whitespace().map(str::len).max().unwrap_or(0)
}

#[test]
fn a_value_that_changed_is_a_line_that_changed_and_no_value_is_shown() {
    let sandbox = Sandbox::new(&["password", "token"]);
    sandbox.set("db.yaml", "password", "another value");
    let diff = sandbox.git(&["diff"]);
    for sign in ["-", "+"] {
        let changed = |key: &str| {
            diff.lines().filter(|l| l.starts_with(&format!("{sign}    {key}: "))).count()
        };
        assert_eq!((changed("password"), changed("token")), (1, 0), "{diff}");
    }
    sandbox.commit("change");
    for text in [
        diff,
        sandbox.git(&["log", "-p", "--", "db.yaml"]),
        sandbox.git(&["show", "--", "db.yaml"]),
    ] {
        assert!(text.contains("password"), "{text}");
        assert!(!text.contains("clear text of") && !text.contains("another value"), "{text}");
        assert!(longest_word(&text) < 60, "something sealed is shown in full: {text}");
    }
}

#[test]
fn the_hunk_is_named_after_its_object() {
    let sandbox = Sandbox::new(&["password"]);
    sandbox.seal("two.yaml", "second", &["a", "b", "c", "d", "e", "f", "g", "h"]);
    sandbox.commit("two");
    sandbox.set("two.yaml", "h", "new");
    let diff = sandbox.git(&["diff", "-U0"]);
    let heads: Vec<_> = diff.lines().filter(|line| line.starts_with("@@")).collect();
    assert!(heads.last().unwrap().contains("SealedSecret prod/second"), "{diff}");
}

#[test]
fn what_is_printed_depends_on_the_content_alone() {
    let sandbox = Sandbox::new(&["password"]);
    let inside = sandbox.strongroom(&["diff", "db.yaml"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("blob");
    std::fs::copy(sandbox.root().join("db.yaml"), &copy).unwrap();
    assert_eq!(inside, sandbox.strongroom(&["diff", copy.to_str().unwrap()]));
    assert!(inside.starts_with("# who to ask: the database team\n"), "{inside}");
}

#[test]
fn nothing_that_changes_is_hidden() {
    let sandbox = Sandbox::new(&["password"]);
    let text = sandbox.read("db.yaml");
    let shown = sandbox.strongroom(&["diff", "db.yaml"]);
    // One digit of each long text in turn: commit, wrap, value.
    let long: Vec<_> = text.split([' ', '\n', '}', '.']).filter(|word| word.len() > 40).collect();
    assert_eq!(long.len(), 3);
    for word in long {
        let other = if word.starts_with('A') { "B" } else { "A" };
        sandbox.write("db.yaml", &text.replace(word, &format!("{other}{}", &word[1..])));
        assert_ne!(shown, sandbox.strongroom(&["diff", "db.yaml"]), "{word}");
    }
}

#[test]
fn what_is_not_understood_is_printed_as_it_is() {
    let sandbox = Sandbox::new(&["password"]);
    let sealed = sandbox.read("db.yaml");
    let texts = [
        String::new(),
        "kind: SealedSecret\n  broken: [".to_owned(),
        "SealedSecret\0\u{1}".to_owned(),
        format!("<<<<<<< ours\n{sealed}=======\n>>>>>>> theirs\n"),
        sealed.replace("suite: 1", "suite: 2"),
        "kind: SealedSecret\napiVersion: strongroom.dev/v1alpha1\n".to_owned(),
        "a: 1\r\nb: 2".to_owned(),
    ];
    for text in texts {
        sandbox.write("odd.yaml", &text);
        assert_eq!(sandbox.strongroom(&["diff", "odd.yaml"]), text);
    }
}

#[test]
fn other_documents_stay_as_they_are() {
    let sandbox = Sandbox::new(&["password"]);
    let other = "---\nkind: ConfigMap # SealedSecret\ndata:   {a:  b}\n";
    let sealed = sandbox.read("db.yaml");
    sandbox.write("all.yaml", &format!("{sealed}{other}"));
    let shown = sandbox.strongroom(&["diff", "all.yaml"]);
    assert!(shown.ends_with(other), "{shown}");
    assert!(
        shown.contains("kind: \"SealedSecret prod/db")
            || shown.contains("kind: SealedSecret prod/db")
    );
}

#[test]
fn to_install_it_twice_is_to_install_it_once() {
    let sandbox = Sandbox::new(&["password"]);
    let (attributes, config) = (sandbox.read(".gitattributes"), sandbox.read(".git/config"));
    for command in ["diff", "merge"] {
        let output = sandbox.run(env!("CARGO_BIN_EXE_strongroom"), &[command, "--install"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.success() && said.contains("already") && !said.contains("added"),
            "{said}"
        );
    }
    assert_eq!(attributes, sandbox.read(".gitattributes"));
    assert_eq!(config, sandbox.read(".git/config"));
    assert_eq!(attributes.lines().count(), 4);
    // What others wrote there stays.
    sandbox.write(".gitattributes", "*.png binary");
    sandbox.strongroom(&["diff", "--install", "--pattern", "secrets/**"]);
    assert_eq!(sandbox.read(".gitattributes"), "*.png binary\nsecrets/** diff=strongroom\n");
}
