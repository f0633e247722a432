//! What git's own settings and odd names do to a look at what it has: nothing.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path};

use crate::repo::{Repo, secret};

#[test]
fn the_first_commit_of_an_empty_repository_is_looked_at() {
    let repo = Repo::new();
    assert_eq!(repo.lint(&["--staged"]), []);
    repo.write("a.yaml", secret("a"));
    repo.git(&["add", "."]);
    assert_eq!(repo.lint(&["--staged"]), [("SR101".to_owned(), "a.yaml:7".to_owned())]);
}

#[test]
fn what_is_staged_counts_and_not_what_lies_there() {
    let repo = Repo::new();
    repo.write("a.yaml", secret("a"));
    repo.git(&["add", "."]);
    repo.write("a.yaml", "clean: true\n");
    assert_eq!(repo.lint(&["--staged"]).len(), 1);
    repo.git(&["add", "."]);
    repo.write("a.yaml", secret("a"));
    assert_eq!(repo.lint(&["--staged"]), []);
}

#[test]
fn only_what_changed_is_looked_at() {
    let repo = Repo::new();
    repo.write("old.yaml", secret("old"));
    repo.commit("one");
    repo.write("new.yaml", "a: b\n");
    repo.git(&["add", "."]);
    assert_eq!(repo.lint(&["--staged"]), []);
    // Under another name it is new.
    repo.git(&["mv", "old.yaml", "renamed.yaml"]);
    assert_eq!(repo.lint(&["--staged"]), [("SR101".to_owned(), "renamed.yaml:7".to_owned())]);
}

#[test]
fn names_may_be_any_bytes() {
    let repo = Repo::new();
    let names = [
        &b"sp ace\ttab.yaml"[..],
        b"new\nline.yaml",
        b"latin-\xe9.yaml",
        "ü \"quoted\".yaml".as_bytes(),
        b":0:odd.yaml",
        b"-dash.yaml",
    ];
    for name in names {
        repo.write(Path::new(OsStr::from_bytes(name)), secret("a"));
    }
    assert_eq!(repo.lint(&[]).len(), names.len());
    repo.git(&["add", "--", "."]);
    assert_eq!(repo.lint(&["--staged"]).len(), names.len());
    repo.git(&["commit", "-q", "-m", "one"]);
    let range = format!("{}..HEAD", "0".repeat(40));
    assert_eq!(repo.lint(&["--range", &range]).len(), names.len());
    // On paper one finding stays on one line, and in SARIF every byte is told.
    let text = String::from_utf8(repo.run("strongroom", &["lint"]).stdout).unwrap();
    assert_eq!(text.lines().filter(|line| line.contains("SR101")).count(), names.len(), "{text}");
    let sarif =
        String::from_utf8(repo.run("strongroom", &["lint", "--output", "sarif"]).stdout).unwrap();
    assert!(sarif.contains("latin-%E9.yaml") && sarif.contains("new%0Aline.yaml"), "{sarif}");
}

#[test]
fn what_people_configure_changes_nothing() {
    let repo = Repo::new();
    repo.write("top.yaml", secret("top"));
    repo.write("sub/inner.yaml", secret("inner"));
    for (name, value) in [
        ("diff.relative", "true"),
        ("log.showRoot", "false"),
        ("log.showSignature", "true"),
        ("diff.renames", "copies"),
        ("core.quotePath", "true"),
        ("color.ui", "always"),
        ("format.pretty", "oneline"),
        ("diff.noprefix", "true"),
        ("diff.ignoreSubmodules", "all"),
    ] {
        repo.git(&["config", name, value]);
    }
    repo.git(&["add", "."]);
    assert_eq!(repo.lint(&["--staged"]).len(), 2);
    let lint = |arguments: &[&str]| {
        let output = repo
            .command("strongroom")
            .current_dir(repo.path("sub"))
            .arg("lint")
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .filter(|line| line.contains("SR101"))
            .count()
    };
    assert_eq!(lint(&["--staged"]), 2);
    repo.git(&["commit", "-q", "-m", "one"]);
    assert_eq!(lint(&["--range", &format!("{}..HEAD", "0".repeat(40))]), 2);
}

#[test]
fn links_and_submodules_are_no_files() {
    let repo = Repo::new();
    std::os::unix::fs::symlink("/etc/passwd", repo.path("link.yaml")).unwrap();
    repo.git(&["add", "."]);
    repo.git(&[
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("160000,{},module.yaml", "1".repeat(40)),
    ]);
    assert_eq!(repo.lint(&["--staged"]), []);
    assert_eq!(repo.lint(&[]), []);
}

#[test]
fn outside_of_a_repository_only_the_work_tree_can_be_looked_at() {
    let repo = Repo::new();
    std::fs::remove_dir_all(repo.path(".git")).unwrap();
    repo.write("a.yaml", secret("a"));
    assert_eq!(repo.lint(&[]).len(), 1);
    for arguments in [&["lint", "--staged"][..], &["lint", "--range", "a..b"]] {
        assert_eq!(repo.run("strongroom", arguments).status.code(), Some(2));
    }
}
