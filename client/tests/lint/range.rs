//! Everything that the commits of a range brought.

use crate::repo::{Repo, secret};

fn found(rule: &str, place: &str) -> (String, String) {
    (rule.to_owned(), place.to_owned())
}

#[test]
fn what_was_added_and_removed_again_is_found_with_its_commit() {
    let repo = Repo::new();
    repo.write("a.yaml", "a: b\n");
    let base = repo.commit("base");
    repo.write("b/secret.yaml", secret("db"));
    let added = repo.commit("add");
    std::fs::remove_file(repo.path("b/secret.yaml")).unwrap();
    repo.commit("remove");
    let range = format!("{base}..HEAD");
    let findings = repo.findings(&["--range", &range]);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0]["file"], "b/secret.yaml");
    assert_eq!(findings[0]["commit"], added.as_str());
    assert_eq!(repo.lint(&[]), []);
    // What was there before the range is not of it.
    assert_eq!(repo.lint(&["--range", "HEAD~1..HEAD"]), []);
    assert_eq!(repo.lint(&["--range", "HEAD..HEAD"]), []);
}

#[test]
fn the_first_commit_and_a_new_branch_are_looked_at_whole() {
    let repo = Repo::new();
    repo.write("a.yaml", secret("a"));
    repo.commit("one");
    repo.write("b.yaml", secret("b"));
    repo.commit("two");
    let all = [found("SR101", "a.yaml:7"), found("SR101", "b.yaml:7")];
    assert_eq!(repo.lint(&["--range", &format!("{}..HEAD", "0".repeat(40))]), all);
    assert_eq!(repo.lint(&["--range", "HEAD~1.."]), all[1..]);
}

#[test]
fn of_a_merge_only_what_it_brings_itself_is_looked_at() {
    let repo = Repo::new();
    repo.write("a.yaml", "a: 1\n");
    repo.write("old.yaml", secret("old"));
    repo.commit("base");
    repo.git(&["checkout", "-q", "-b", "feature"]);
    repo.write("a.yaml", "a: 2\n");
    repo.commit("feature");
    repo.git(&["checkout", "-q", "main"]);
    repo.write("a.yaml", "a: 3\n");
    repo.write("late.yaml", secret("late"));
    repo.commit("main");
    repo.git(&["checkout", "-q", "feature"]);
    assert!(!repo.run("git", &["merge", "-q", "main"]).status.success());
    // An evil merge: what neither side had.
    repo.write("a.yaml", secret("merged"));
    repo.write("new.yaml", secret("new"));
    repo.commit("merge");
    // late.yaml came with main, and is not of this branch.
    let brought = [found("SR101", "a.yaml:7"), found("SR101", "new.yaml:7")];
    assert_eq!(repo.lint(&["--range", "main..feature"]), brought);
}

#[test]
fn a_content_is_found_once_however_often_it_comes() {
    let repo = Repo::new();
    repo.write("z.yaml", "a: b\n");
    let base = repo.commit("base");
    for _ in 0..3 {
        repo.write("a.yaml", secret("a"));
        repo.commit("add");
        std::fs::remove_file(repo.path("a.yaml")).unwrap();
        repo.commit("remove");
    }
    assert_eq!(repo.lint(&["--range", &format!("{base}..HEAD")]).len(), 1);
}

#[test]
fn what_is_no_range_is_refused_with_what_to_write() {
    let repo = Repo::new();
    repo.write("a.yaml", "a: b\n");
    repo.commit("one");
    for range in
        ["HEAD", "nowhere..HEAD", "HEAD..nowhere", "HEAD...HEAD", "--all..HEAD", "..--all", ""]
    {
        let range = format!("--range={range}");
        let output = repo.run("strongroom", &["lint", &range]);
        assert_eq!(output.status.code(), Some(2), "{range}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("A..B"), "{range}: {output:?}");
    }
}

#[test]
fn a_shallow_clone_says_what_it_lacks() {
    let repo = Repo::new();
    for name in ["a", "b", "c"] {
        repo.write(format!("{name}.yaml"), "a: b\n");
        repo.commit(name);
    }
    let base = repo.git(&["rev-parse", "HEAD~2"]);
    let clone = repo.beside("clone");
    repo.git(&[
        "clone",
        "-q",
        "--depth=1",
        &format!("file://{}", repo.path("").display()),
        clone.to_str().unwrap(),
    ]);
    let output = repo
        .command("strongroom")
        .current_dir(&clone)
        .args(["lint", "--range", &format!("{base}..HEAD")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("fetch enough history"), "{output:?}");
}
