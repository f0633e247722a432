//! Whom a repository seals for, and who says so.

use std::fs;

use crate::repo::Repo;

fn rules(found: &[(String, String)]) -> Vec<&str> {
    found.iter().map(|(rule, _)| rule.as_str()).collect()
}

fn identity(repo: &Repo, cluster: &str) -> String {
    let list = fs::read_to_string(repo.beside(&format!("{cluster}/{cluster}.yaml"))).unwrap();
    let line = list.lines().find(|line| line.trim_start().starts_with("identity:")).unwrap();
    line.split_once(':').unwrap().1.trim().trim_matches('"').to_owned()
}

#[test]
fn a_new_identity_must_be_accepted() {
    let repo = Repo::new();
    repo.write("a.yaml", "a: b\n");
    repo.commit("base");
    repo.new_cluster("prod");
    repo.git(&["add", "."]);
    let wanted = [("SR302".to_owned(), ".strongroom/clusters/prod.yaml:1".to_owned())];
    assert_eq!(repo.lint(&["--staged"]), wanted);
    let accept = identity(&repo, "prod");
    assert_eq!(repo.lint(&["--staged", "--accept", &accept]), []);
    repo.git(&["config", "--add", "strongroom.accept", &accept]);
    assert_eq!(repo.lint(&["--staged"]), []);
    repo.commit("pin");
    // What a clone is configured to accept, CI does not.
    assert_eq!(repo.lint(&["--range", "HEAD~1..HEAD"]), wanted);
    assert_eq!(repo.lint(&["--range", "HEAD~1..HEAD", "--accept", &accept]), []);
    // In the work tree there is nothing to compare with.
    assert_eq!(repo.lint(&[]), []);
}

#[test]
fn another_identity_and_an_older_list_are_found() {
    let repo = Repo::new();
    repo.new_cluster("prod");
    let first = repo.read(".strongroom/clusters/prod.yaml");
    repo.commit("one");
    repo.ok(&["sealing-keys", "rotate", "--dir", repo.beside("prod").to_str().unwrap()]);
    repo.fetch("prod");
    repo.git(&["add", "."]);
    assert_eq!(repo.lint(&["--staged"]), []);
    let second = repo.commit("two");
    repo.write(".strongroom/clusters/prod.yaml", &first);
    repo.git(&["add", "."]);
    assert_eq!(rules(&repo.lint(&["--staged"])), ["SR304"]);
    // Somebody else's list under the cluster's name.
    let other = Repo::new();
    other.new_cluster("prod");
    repo.write(".strongroom/clusters/prod.yaml", other.read(".strongroom/clusters/prod.yaml"));
    repo.git(&["add", "."]);
    assert_eq!(rules(&repo.lint(&["--staged"])), ["SR302"]);
    repo.commit("three");
    assert_eq!(rules(&repo.lint(&["--range", &format!("{second}..HEAD")])), ["SR302"]);
}

#[test]
fn a_branch_that_is_behind_is_no_step_back() {
    let repo = Repo::new();
    repo.new_cluster("prod");
    repo.commit("one");
    repo.git(&["checkout", "-q", "-b", "feature"]);
    repo.write("a.yaml", "a: b\n");
    repo.commit("feature");
    repo.git(&["checkout", "-q", "main"]);
    repo.ok(&["sealing-keys", "rotate", "--dir", repo.beside("prod").to_str().unwrap()]);
    repo.fetch("prod");
    repo.commit("two");
    assert_eq!(repo.lint(&["--range", "main..feature"]), []);
}

#[test]
fn an_escrow_key_that_is_new_or_another_or_gone_is_found() {
    let repo = Repo::new();
    repo.new_cluster("prod");
    repo.commit("one");
    repo.ok(&["escrow", "new"]);
    repo.git(&["add", "."]);
    let findings = repo.findings(&["--staged"]);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0]["rule"], "SR303");
    assert_eq!(findings[0]["file"], ".strongroom/escrow.yaml");
    let kid = findings[0]["message"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(repo.lint(&["--staged", "--accept", &kid]), []);
    repo.commit("two");
    fs::remove_file(repo.path(".strongroom/escrow.yaml")).unwrap();
    repo.git(&["add", "-A"]);
    assert_eq!(rules(&repo.lint(&["--staged"])), ["SR303"]);
    repo.commit("three");
    assert_eq!(rules(&repo.lint(&["--range", "HEAD~1..HEAD"])), ["SR303"]);
}

#[test]
fn a_list_that_its_cluster_did_not_sign_is_found_wherever_it_is_looked_at() {
    let repo = Repo::new();
    repo.new_cluster("prod");
    repo.seal("db.yaml", &[]);
    repo.commit("one");
    let path = ".strongroom/clusters/prod.yaml";
    let text = repo.read(path);
    repo.write(path, text.replacen("active", "retired", 1));
    // Once, and not also each file that is sealed for it.
    assert_eq!(repo.lint(&[]), [("SR301".to_owned(), format!("{path}:1"))]);
    repo.git(&["add", "."]);
    assert_eq!(rules(&repo.lint(&["--staged"])), ["SR301"]);
    repo.commit("two");
    assert_eq!(rules(&repo.lint(&["--range", "HEAD~1..HEAD"])), ["SR301"]);
}

#[test]
fn a_folder_with_pins_of_its_own_is_judged_by_them() {
    let repo = Repo::new();
    repo.new_cluster("prod");
    repo.seal("db.yaml", &[]);
    fs::create_dir_all(repo.path("team")).unwrap();
    fs::rename(repo.path(".strongroom"), repo.path("team/.strongroom")).unwrap();
    fs::rename(repo.path("db.yaml"), repo.path("team/db.yaml")).unwrap();
    repo.new_cluster("test");
    repo.write("db.yaml", repo.read("team/db.yaml"));
    assert_eq!(
        repo.lint(&[])
            .iter()
            .map(|(rule, file)| (rule.as_str(), file.split(':').next().unwrap()))
            .collect::<Vec<_>>(),
        [("SR204", "db.yaml")]
    );
    repo.git(&["add", "."]);
    let staged = repo.lint(&["--staged"]);
    assert!(staged.iter().all(|(rule, file)| rule == "SR302" || (rule == "SR204" && file.starts_with("db.yaml"))), "{staged:?}");
    assert_eq!(staged.len(), 3, "{staged:?}");
}

/// What lies further up, or the escrow alone, is sealed for in its place.
#[test]
fn a_cluster_that_is_gone_is_found() {
    let repo = Repo::new();
    repo.new_cluster("prod");
    repo.write("inner/.strongroom/clusters/prod.yaml", repo.read(".strongroom/clusters/prod.yaml"));
    let (gone, accept) = ("inner/.strongroom/clusters/prod.yaml", identity(&repo, "prod"));
    repo.commit("one");
    fs::remove_file(repo.path(gone)).unwrap();
    repo.git(&["add", "-A"]);
    let wanted = [("SR302".to_owned(), format!("{gone}:1"))];
    assert_eq!(repo.lint(&["--staged"]), wanted);
    assert_eq!(repo.lint(&["--staged", "--accept", &accept]), []);
    repo.commit("two");
    assert_eq!(repo.lint(&["--range", "HEAD~1..HEAD"]), wanted);
}

/// What stands in place of the pins is read by whoever seals, and was compared with nothing.
#[test]
fn a_link_in_place_of_pins_is_found() {
    let other = Repo::new();
    other.new_cluster("prod");
    let theirs = other.read(".strongroom/clusters/prod.yaml");
    for (link, target) in [
        (".strongroom/clusters/prod.yaml", "../../notes/clusters/prod.yaml"),
        (".strongroom/clusters", "../notes/clusters"),
        (".strongroom", "notes"),
    ] {
        let repo = Repo::new();
        repo.new_cluster("prod");
        repo.commit("one");
        repo.write("notes/clusters/prod.yaml", &theirs);
        let path = repo.path(link);
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.unwrap();
        std::os::unix::fs::symlink(target, &path).unwrap();
        repo.git(&["add", "-A"]);
        let found = ("SR301".to_owned(), format!("{link}:1"));
        assert!(repo.lint(&["--staged"]).contains(&found));
        repo.commit("two");
        assert!(repo.lint(&["--range", "HEAD~1..HEAD"]).contains(&found));
        assert_eq!(
            repo.lint(&["--range", &format!("{:040}..HEAD", 0)]),
            std::slice::from_ref(&found)
        );
        // Nor does what it leads to change later.
        repo.write("notes/other.yaml", "a: b\n");
        repo.git(&["add", "-A"]);
        assert_eq!(repo.lint(&["--staged"]), [found]);
    }
}

/// Where file names have no case, it becomes the file that was there.
#[test]
fn pins_in_another_spelling_are_found() {
    let other = Repo::new();
    other.new_cluster("prod");
    other.ok(&["escrow", "new"]);
    for (path, from) in [
        (".Strongroom/clusters/prod.yaml", ".strongroom/clusters/prod.yaml"),
        (".strongroom/Clusters/prod.yaml", ".strongroom/clusters/prod.yaml"),
        (".strongroom/clusters/prod.YAML", ".strongroom/clusters/prod.yaml"),
        (".strongroom/Escrow.yaml", ".strongroom/escrow.yaml"),
    ] {
        let repo = Repo::new();
        repo.new_cluster("prod");
        repo.commit("one");
        repo.write(path, other.read(from));
        repo.git(&["add", "-A"]);
        let wanted = [("SR301".to_owned(), format!("{path}:1"))];
        assert_eq!(repo.lint(&["--staged"]), wanted);
        repo.commit("two");
        assert_eq!(repo.lint(&["--range", "HEAD~1..HEAD"]), wanted);
    }
}
