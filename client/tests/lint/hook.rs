//! What is staged is looked at before each commit, beside whatever was there.

use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _, process::Stdio, time::Instant};

use crate::repo::{Repo, secret};

fn installed() -> Repo {
    let repo = Repo::new();
    repo.write("a.yaml", "a: b\n");
    repo.commit("base");
    repo.ok(&["hook", "install"]);
    repo
}

/// Git, and the hook stops it; what was said.
fn stopped(repo: &Repo, arguments: &[&str]) -> String {
    let head = repo.git(&["rev-parse", "HEAD"]);
    let output = repo.run("git", arguments);
    assert!(!output.status.success(), "git {arguments:?} went through: {output:?}");
    assert_eq!(repo.git(&["rev-parse", "HEAD"]), head);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("SR101"), "git {arguments:?}: {said}");
    said
}

#[test]
fn a_commit_is_stopped() {
    let repo = installed();
    repo.write("b.yaml", secret("b"));
    repo.git(&["add", "."]);
    stopped(&repo, &["commit", "-m", "x"]);
    // Out of the index it is no matter.
    repo.git(&["reset", "-q"]);
    repo.write("c.yaml", "a: b\n");
    repo.git(&["add", "c.yaml"]);
    repo.git(&["commit", "-q", "-m", "x"]);
    // All of these make an index of their own for the hook.
    repo.write("c.yaml", secret("c"));
    stopped(&repo, &["commit", "-a", "-m", "x"]);
    stopped(&repo, &["commit", "-m", "x", "--", "c.yaml"]);
    stopped(&repo, &["commit", "--include", "-m", "x", "--", "c.yaml"]);
    repo.git(&["commit", "-q", "-a", "-m", "x", "--no-verify"]);
}

#[test]
fn a_commit_of_some_lines_is_judged_by_these() {
    let repo = installed();
    let clean = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n# one\n# two\n# three\n# four\n# five\n# six\n# seven\n# eight\n";
    repo.write("a.yaml", clean);
    repo.git(&["commit", "-q", "-a", "-m", "clean"]);
    let dirty =
        clean.replace("# one", "stringData: {a: b}\n# one").replace("# eight", "# eight\n# nine");
    repo.write("a.yaml", &dirty);
    let patch = |answers: &str| {
        let mut child = repo
            .command("git")
            .args(["commit", "-p", "-m", "x"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    // The first hunk has the value, the second one has not.
    let output = patch("y\nn\n");
    assert!(!output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("SR101"), "{output:?}");
    let output = patch("n\ny\n");
    assert!(output.status.success(), "{output:?}");
    assert!(!repo.git(&["show", "HEAD:a.yaml"]).contains("stringData"));
}

#[test]
fn a_merge_is_stopped() {
    let repo = installed();
    repo.git(&["checkout", "-q", "-b", "other"]);
    repo.write("b.yaml", secret("b"));
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "--no-verify", "-m", "other"]);
    repo.git(&["checkout", "-q", "main"]);
    repo.write("c.yaml", "a: b\n");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "main"]);
    // One that needs no help runs another hook than one that does.
    stopped(&repo, &["merge", "--no-edit", "other"]);
    repo.git(&["merge", "--abort"]);
    assert!(repo.run("git", &["merge", "--no-edit", "--no-commit", "other"]).status.success());
    stopped(&repo, &["commit", "--no-edit"]);
}

#[test]
fn a_rename_of_what_was_there_is_stopped() {
    let repo = installed();
    repo.write("b.yaml", secret("b"));
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "--no-verify", "-m", "before the hook"]);
    repo.git(&["mv", "b.yaml", "c.yaml"]);
    stopped(&repo, &["commit", "-m", "x"]);
}

#[test]
fn the_first_commit_is_stopped() {
    let repo = Repo::new();
    repo.ok(&["hook", "install"]);
    repo.write("b.yaml", secret("b"));
    repo.git(&["add", "."]);
    let output = repo.run("git", &["commit", "-m", "x"]);
    assert!(
        !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("SR101"),
        "{output:?}"
    );
}

#[test]
fn a_hook_that_was_there_runs_first_and_comes_back() {
    let repo = Repo::new();
    repo.write("a.yaml", "a: b\n");
    repo.commit("base");
    let hook = repo.path(".git/hooks/pre-commit");
    let theirs = "#!/bin/sh\necho ran >> ran\nexit $(cat code)\n";
    repo.script(&hook, theirs);
    repo.write("code", "0");
    for _ in 0..3 {
        repo.ok(&["hook", "install"]);
    }
    repo.git(&["commit", "-q", "--allow-empty", "-m", "x"]);
    assert_eq!(repo.read("ran"), "ran\n");
    repo.write("b.yaml", secret("b"));
    repo.git(&["add", "b.yaml"]);
    stopped(&repo, &["commit", "-m", "x"]);
    // What it refuses stays refused.
    repo.git(&["reset", "-q"]);
    repo.write("code", "7");
    assert!(!repo.run("git", &["commit", "--allow-empty", "-m", "x"]).status.success());
    repo.ok(&["hook", "uninstall"]);
    assert_eq!(fs::read_to_string(&hook).unwrap(), theirs);
    assert!(!repo.path(".git/hooks/pre-merge-commit").exists());
    assert!(!repo.path(".git/hooks/pre-commit.before-strongroom").exists());
    assert_eq!(repo.run("strongroom", &["hook", "uninstall"]).status.code(), Some(1));
}

#[test]
fn two_hooks_that_run_each_other_come_to_an_end() {
    let repo = installed();
    // As pre-commit.com does it: what is there moves away, and is run from there.
    let hook = repo.path(".git/hooks/pre-commit");
    fs::rename(&hook, repo.path(".git/hooks/pre-commit.legacy")).unwrap();
    repo.script(&hook, "#!/bin/sh\nexec \"$(dirname \"$0\")/pre-commit.legacy\" \"$@\"\n");
    repo.ok(&["hook", "install"]);
    assert!(fs::read_to_string(&hook).unwrap().contains("legacy"));
    repo.write("b.yaml", secret("b"));
    repo.git(&["add", "b.yaml"]);
    stopped(&repo, &["commit", "-m", "x"]);
    // Even where somebody made a circle of them.
    fs::copy(&hook, repo.path(".git/hooks/pre-commit.before-strongroom")).unwrap();
    stopped(&repo, &["commit", "-m", "x"]);
}

#[test]
fn hooks_go_where_git_looks_for_them() {
    let repo = Repo::new();
    repo.write("a.yaml", "a: b\n");
    repo.commit("base");
    // From a folder below, in a work tree of its own.
    let tree = repo.beside("tree");
    repo.git(&["worktree", "add", "-q", tree.to_str().unwrap()]);
    fs::create_dir(tree.join("sub")).unwrap();
    let output = repo
        .command("strongroom")
        .current_dir(tree.join("sub"))
        .args(["hook", "install"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(repo.path(".git/hooks/pre-commit").exists());
    fs::write(tree.join("b.yaml"), secret("b")).unwrap();
    let git = |arguments: &[&str]| {
        repo.command("git").current_dir(&tree).args(arguments).output().unwrap()
    };
    assert!(git(&["add", "."]).status.success());
    assert!(!git(&["commit", "-m", "x"]).status.success());
    // A folder of the repository.
    repo.git(&["config", "core.hooksPath", ".githooks"]);
    repo.ok(&["hook", "install"]);
    assert!(repo.path(".githooks/pre-commit").exists());
    repo.write("b.yaml", secret("b"));
    repo.git(&["add", "b.yaml"]);
    stopped(&repo, &["commit", "-m", "x"]);
    // One that all repositories share, and one that its owner writes anew.
    let shared = repo.beside("home/hooks");
    repo.git(&["config", "core.hooksPath", shared.to_str().unwrap()]);
    assert_eq!(repo.run("strongroom", &["hook", "install"]).status.code(), Some(1));
    assert!(!shared.exists());
    repo.ok(&["hook", "install", "--force"]);
    assert!(shared.join("pre-commit").exists());
    repo.git(&["config", "core.hooksPath", ".husky/_"]);
    let output = repo.run("strongroom", &["hook", "install", "--force"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains(".husky/pre-commit"), "{output:?}");
}

#[test]
fn a_hook_without_its_program_stops_the_commit() {
    let repo = installed();
    let output = repo
        .command("git")
        .env("PATH", "/usr/bin:/bin")
        .args(["commit", "--allow-empty", "-m", "x"])
        .output()
        .unwrap();
    assert!(!output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("not installed"), "{output:?}");
}

#[test]
fn neither_of_two_hooks_is_lost() {
    let repo = installed();
    repo.script(&repo.path(".git/hooks/pre-commit"), "#!/bin/sh\n# second\n");
    repo.script(&repo.path(".git/hooks/pre-commit.before-strongroom"), "#!/bin/sh\n# first\n");
    let output = repo.run("strongroom", &["hook", "install"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(repo.read(".git/hooks/pre-commit").contains("second"));
    assert!(repo.read(".git/hooks/pre-commit.before-strongroom").contains("first"));
}

#[test]
fn a_hook_is_there_whenever_an_installation_ends() {
    let repo = Repo::new();
    let hook = repo.path(".git/hooks/pre-commit");
    let kept = repo.path(".git/hooks/pre-commit.before-strongroom");
    let theirs = "#!/bin/sh\n# theirs\n";
    // As it is between the two steps.
    repo.script(&hook, theirs);
    fs::hard_link(&hook, &kept).unwrap();
    repo.ok(&["hook", "install"]);
    assert_eq!(fs::read_to_string(&kept).unwrap(), theirs);
    assert!(fs::read_to_string(&hook).unwrap().contains("strongroom lint --staged"));

    let begun = Instant::now();
    repo.ok(&["hook", "install"]);
    let whole = begun.elapsed();
    for moment in 0..40 {
        let _ = fs::remove_file(&kept);
        fs::remove_file(&hook).unwrap();
        repo.script(&hook, theirs);
        let mut child = repo.command("strongroom").args(["hook", "install"]).spawn().unwrap();
        let until = Instant::now() + whole.mul_f64(f64::from(moment) / 32.0);
        while Instant::now() < until && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let now = fs::read_to_string(&hook).unwrap();
        let is_ours = now.contains("strongroom lint --staged");
        assert!(is_ours || now == theirs, "killed at {moment}: {now}");
        assert!(!is_ours || fs::read_to_string(&kept).unwrap() == theirs, "killed at {moment}");
        assert_ne!(hook.metadata().unwrap().permissions().mode() & 0o100, 0, "it can be run");
        repo.ok(&["hook", "install"]);
        assert_eq!(fs::read_to_string(&kept).unwrap(), theirs);
    }
}

#[test]
fn the_manifest_for_pre_commit_com_names_our_command() {
    let text = include_str!("../../../.pre-commit-hooks.yaml");
    assert!(
        text.contains("id: strongroom\n") && text.contains("entry: strongroom lint --staged\n"),
        "{text}"
    );
}
