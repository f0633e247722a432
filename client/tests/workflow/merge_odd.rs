//! Merges in files, histories and layouts that are not the usual ones.

use crate::{
    merge::{decided, merge},
    sandbox::Sandbox,
};

#[test]
fn a_type_that_one_side_changed_leaves_no_value_behind_unsaid() {
    let sandbox = Sandbox::new(&["a"]);
    sandbox.branch("ours", |s| {
        // What `edit` does with a new type: every value anew.
        s.write("db.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\ntype: example.com/pair\nstringData:\n  a: clear text of a\n");
        s.strongroom(&["seal", "-i", "db.yaml"]);
    });
    sandbox.branch("theirs", |s| s.set("db.yaml", "b", "theirs"));
    let (done, said) = merge(&sandbox);
    assert!(!done, "{said}");
    assert!(
        said.contains("b does not open: one side sealed it, the other changed the scope or type"),
        "{said}"
    );
    // Set anew, as it says, and everything opens.
    sandbox.write("db.yaml", &decided(&sandbox.read("db.yaml"), true));
    sandbox.set("db.yaml", "b", "theirs");
    assert_eq!(sandbox.opened("db.yaml").len(), 2);
}

/// Each side by itself can be rendered; together nothing of the Secret would open.
#[test]
fn a_value_that_one_side_took_out_and_the_template_of_the_other_names_is_not_called_merged() {
    let sandbox = Sandbox::new(&["a", "b"]);
    sandbox.branch("ours", |s| {
        s.strongroom(&["unset", "db.yaml", "b"]);
    });
    sandbox.branch("theirs", |s| {
        let text = s.read("db.yaml");
        let template = "  template:\n    data: {app.conf: \"b={{ b }}\"}\n";
        s.write("db.yaml", &text.replacen("  template:\n", template, 1));
    });
    let (done, said) = merge(&sandbox);
    let expected = "template of app.conf, line 1: it names a key that is not among the values";
    assert!(!done && said.contains(expected), "{said}");
    assert!(sandbox.opened("db.yaml").contains_key("a"));
}

#[test]
fn items_of_a_list_merge_too() {
    let sandbox = Sandbox::new(&["a"]);
    sandbox.write(
        "list.yaml",
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: one, namespace: prod}\n  stringData: {a: clear text of a, b: clear text of b}\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: two}\n",
    );
    sandbox.strongroom(&["seal", "-i", "list.yaml"]);
    sandbox.commit("list");
    sandbox.branch("ours", |s| s.set("list.yaml", "a", "ours"));
    sandbox.branch("theirs", |s| {
        s.set("list.yaml", "b", "theirs");
        s.write("list.yaml", &s.read("list.yaml").replace("name: two", "name: three"));
    });
    let (done, said) = merge(&sandbox);
    assert!(done, "{said}");
    let opened = sandbox.opened("list.yaml");
    assert_eq!((&*opened["a"], &*opened["b"]), ("ours", "theirs"));
    assert!(sandbox.read("list.yaml").contains("name: three"));
}

#[test]
fn line_ends_of_dos_stay() {
    let sandbox = Sandbox::new(&["a", "b"]);
    sandbox.write("db.yaml", &sandbox.read("db.yaml").replace('\n', "\r\n"));
    sandbox.commit("dos");
    sandbox.branch("ours", |s| s.set("db.yaml", "a", "ours"));
    sandbox.branch("theirs", |s| s.set("db.yaml", "b", "theirs"));
    let (done, said) = merge(&sandbox);
    assert!(done, "{said}");
    assert_eq!(sandbox.opened("db.yaml")["b"], "theirs");
    let text = sandbox.read("db.yaml");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
}

#[test]
fn a_name_that_a_shell_would_take_apart() {
    let sandbox = Sandbox::new(&["z"]);
    let name = "it's $(a) \"name\" ;.yaml";
    sandbox.seal(name, "odd", &["a", "b"]);
    sandbox.commit("odd");
    sandbox.branch("ours", |s| s.set(name, "a", "ours"));
    sandbox.branch("theirs", |s| s.set(name, "b", "theirs"));
    assert!(merge(&sandbox).0);
    assert_eq!(sandbox.opened(name)["a"], "ours");
    assert!(
        sandbox.git(&["log", "-p", "-1", "ours^", "--", name]).contains("SealedSecret prod/odd")
    );
}

#[test]
fn histories_that_cross() {
    // Both sides merge each other, then change again: git makes a base of its own of the two.
    let sandbox = Sandbox::new(&["a", "b", "c"]);
    sandbox.branch("ours", |s| s.set("db.yaml", "a", "ours"));
    sandbox.branch("theirs", |s| s.set("db.yaml", "b", "theirs"));
    sandbox.git(&["branch", "first", "ours"]);
    assert!(merge(&sandbox).0);
    sandbox.set("db.yaml", "a", "ours again");
    sandbox.commit("again");
    sandbox.git(&["checkout", "-q", "theirs"]);
    sandbox.git(&["merge", "-q", "-m", "cross", "first"]);
    sandbox.set("db.yaml", "c", "theirs again");
    sandbox.commit("again");
    let (done, said) = merge(&sandbox);
    assert!(done, "{said}");
    let opened = sandbox.opened("db.yaml");
    assert_eq!(
        (&*opened["a"], &*opened["b"], &*opened["c"]),
        ("ours again", "theirs", "theirs again")
    );
}

#[test]
fn several_objects_of_a_file_each_by_itself() {
    let sandbox = Sandbox::new(&["a"]);
    for name in ["one", "two", "three"] {
        sandbox.seal(&format!("{name}.yaml"), name, &["k"]);
    }
    let all = ["one", "two", "three"].map(|name| sandbox.read(&format!("{name}.yaml")));
    sandbox.write("all.yaml", &all[..2].join("---\n"));
    sandbox.commit("all");
    let set = |s: &Sandbox, object: &str, value: &str| {
        s.write("../value", value);
        s.strongroom(&["set", "all.yaml", "k", "--object", object, "--from-file", "../value"]);
    };
    sandbox.branch("ours", |s| {
        set(s, "one", "ours");
        s.write("all.yaml", &(s.read("all.yaml") + "---\n" + &all[2]));
    });
    sandbox.branch("theirs", |s| set(s, "two", "theirs"));
    let (done, said) = merge(&sandbox);
    assert!(done, "{said}");
    let shown = sandbox.strongroom(&["diff", "all.yaml"]);
    assert_eq!(shown.matches("SealedSecret prod/").count(), 3);
    sandbox.strongroom(&["unseal", "all.yaml", "--key", &sandbox.key()]);
}

#[test]
fn what_stands_between_markers_of_git_is_not_called_merged() {
    // Text beside a sealed Secret in conflict, the sealed Secret not.
    let sandbox = Sandbox::new(&["a", "b"]);
    sandbox.branch("ours", |s| {
        s.set("db.yaml", "a", "ours");
        s.write("db.yaml", &s.read("db.yaml").replace("the database team", "us"));
    });
    sandbox.branch("theirs", |s| {
        s.set("db.yaml", "b", "theirs");
        s.write("db.yaml", &s.read("db.yaml").replace("the database team", "them"));
    });
    let (done, _) = merge(&sandbox);
    assert!(!done);
    let text = sandbox.read("db.yaml");
    assert_eq!(text.matches("<<<<<<<").count(), 1);
    sandbox.write("db.yaml", &decided(&text, false));
    let opened = sandbox.opened("db.yaml");
    assert_eq!((&*opened["a"], &*opened["b"]), ("ours", "theirs"));
}

#[test]
fn a_merge_is_the_same_file_or_the_merged_one_and_nothing_lies_about() {
    let sandbox = Sandbox::new(&["a", "b"]);
    for file in ["base", "ours", "theirs"] {
        sandbox.write(file, &sandbox.read("db.yaml"));
    }
    sandbox.set("ours", "a", "ours");
    sandbox.set("theirs", "b", "theirs");
    let before = sandbox.read("ours");
    let folder = sandbox.root();
    let count = || std::fs::read_dir(&folder).unwrap().count();
    let there = count();
    // Where it cannot be written, it is as it was.
    let missing =
        sandbox.run(env!("CARGO_BIN_EXE_strongroom"), &["merge", "base", "ours", "missing"]);
    assert!(!missing.status.success());
    assert_eq!((sandbox.read("ours"), count()), (before, there));
    sandbox.strongroom(&["merge", "base", "ours", "theirs"]);
    assert_eq!(count(), there);
    assert_eq!(sandbox.opened("ours")["b"], "theirs");
}
