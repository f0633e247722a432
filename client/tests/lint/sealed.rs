//! Rules for sealed Secrets, on what the program seals and somebody changes.

use std::fs;

use crate::repo::Repo;

fn one_cluster() -> Repo {
    let repo = Repo::new();
    repo.new_cluster("prod");
    repo.seal("db.yaml", &[]);
    repo
}

/// What lint finds after the sealed file was changed so.
fn after(repo: &Repo, from: &str, to: &str) -> Vec<String> {
    let text = repo.read("db.yaml");
    assert!(text.contains(from), "{from:?} is not in {text}");
    repo.rules("changed.yaml", text.replacen(from, to, 1))
}

#[test]
fn what_was_sealed_and_not_touched_is_clean() {
    let repo = one_cluster();
    assert_eq!(repo.lint(&[]), []);
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "one"]);
    assert_eq!(repo.lint(&[]), []);
    let text = repo.read("db.yaml");
    // Sealed for every name, its name may change.
    repo.seal("wide.yaml", &["--scope", "cluster"]);
    let wide = repo.read("wide.yaml");
    assert_eq!(repo.rules("moved.yaml", wide.replace("name: db", "name: other")), [""; 0]);
    assert_eq!(repo.rules("commented.yaml", format!("# a comment\n{text}")), [""; 0]);
}

#[test]
fn what_was_moved_is_found_at_the_field() {
    let repo = one_cluster();
    let text = repo.read("db.yaml");
    assert_eq!(after(&repo, "metadata:\n  name: db", "metadata:\n  name: other"), ["SR202"]);
    assert_eq!(after(&repo, "  namespace: prod\n", "  namespace: test\n"), ["SR202"]);
    assert_eq!(after(&repo, "  namespace: prod\n", ""), ["SR202"]);
    repo.write("moved.yaml", text.replacen("  namespace: prod\n", "  namespace: test\n", 1));
    let findings = repo.findings(&["moved.yaml"]);
    let line = text.lines().position(|line| line == "  namespace: prod").unwrap() + 1;
    assert_eq!(findings[0]["line"], line);
    assert_eq!(findings[0]["message"], "sealed for namespace \"prod\", and now has \"test\"");
}

#[test]
fn a_scope_that_somebody_changed_is_found() {
    let repo = one_cluster();
    assert_eq!(after(&repo, "scope: strict", "scope: namespace"), ["SR210"]);
    assert_eq!(after(&repo, "scope: strict", "scope: cluster"), ["SR210"]);
    repo.seal("wide.yaml", &["--scope", "cluster"]);
    let wide = repo.read("wide.yaml").replacen("scope: cluster", "scope: strict", 1);
    assert_eq!(repo.rules("narrowed.yaml", wide), ["SR210"]);
}

#[test]
fn what_no_cluster_takes_is_found() {
    let repo = one_cluster();
    assert_eq!(after(&repo, "suite: 1", "suite: 2"), ["SR201"]);
    assert_eq!(after(&repo, "  suite: 1", "  suite: 1\n  more: 1"), ["SR201"]);
    assert_eq!(after(&repo, "  suite: 1", "  suite: 1\n  suite: 1"), ["SR201"]);
    let commit = "template:\n    data:\n      app.conf: \"pw={{ missing }}\"\n  slots:";
    assert_eq!(after(&repo, "slots:", commit), ["SR203"]);
    // Bitnami's kind of the same name is theirs.
    let theirs = "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: a}\nspec: {encryptedData: {a: AgB}}\n";
    assert_eq!(repo.rules("theirs.yaml", theirs), [""; 0]);
}

#[test]
fn a_wrap_of_low_order_is_found() {
    let repo = one_cluster();
    let text = repo.read("db.yaml");
    let at = text.find("ct: ").unwrap() + "ct: ".len();
    let old = text[at..].trim_start_matches('"').split(['"', '\n', '}', ',']).next().unwrap();
    let mut bytes = data_encoding::BASE64.decode(old.as_bytes()).unwrap();
    // The X25519 share: the last 32 bytes before the sealed key.
    let end = bytes.len() - 48;
    bytes[end - 32..end].fill(0);
    let new = data_encoding::BASE64.encode(&bytes);
    assert_eq!(after(&repo, old, &new), ["SR208"]);
}

#[test]
fn whom_it_is_sealed_for_is_compared_with_the_pins() {
    let repo = one_cluster();
    let sealed = repo.read("db.yaml");
    let rules = || repo.rules("again.yaml", &sealed);
    fs::remove_file(repo.path("db.yaml")).unwrap();
    // Retiring, then retired.
    let dir = repo.beside("prod");
    repo.ok(&["sealing-keys", "rotate", "--dir", dir.to_str().unwrap()]);
    repo.fetch("prod");
    assert_eq!(rules(), ["SR206"]);
    let list = fs::read_to_string(dir.join("prod.yaml")).unwrap();
    let retiring = list
        .split("kid: ")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .trim_matches(['"', ',']);
    repo.ok(&["sealing-keys", "retire", "--dir", dir.to_str().unwrap(), retiring]);
    repo.fetch("prod");
    assert_eq!(rules(), ["SR205"]);
    // Another cluster's.
    fs::remove_file(repo.path(".strongroom/clusters/prod.yaml")).unwrap();
    repo.new_cluster("test");
    assert_eq!(rules(), ["SR204"]);
    // Nobody's that is known: there is nothing to compare with.
    fs::remove_dir_all(repo.path(".strongroom")).unwrap();
    assert_eq!(rules(), [""; 0]);
}

#[test]
fn a_slot_without_the_escrow_or_without_a_cluster_of_others_is_found() {
    let repo = one_cluster();
    repo.ok(&["escrow", "new"]);
    assert_eq!(repo.lint(&["db.yaml"])[0].0, "SR207");
    repo.seal("db2.yaml", &[]);
    assert_eq!(repo.lint(&["db2.yaml"]), []);
    // Somebody took one cluster out of a value's slot.
    repo.new_cluster("test");
    repo.seal("both.yaml", &["--all-clusters"]);
    assert_eq!(repo.lint(&["both.yaml"]), []);
    repo.ok(&["set", "both.yaml", "more", "--generate"]);
    let keys: serde_json::Value =
        serde_json::from_str(&repo.ok(&["sealing-keys", "list", "--output", "json"])).unwrap();
    let test = keys.as_array().unwrap().iter().find(|key| key["cluster"] == "test").unwrap();
    let mut text = repo.read("both.yaml");
    let at = text.rfind(test["kid"].as_str().unwrap()).unwrap();
    let line = text[..at].rfind('\n').unwrap()..at + text[at..].find('\n').unwrap();
    text.replace_range(line, "");
    assert_eq!(repo.rules("copy.yaml", text), ["SR209"]);
    // After a rotation slots have keys of different times: that is even.
    repo.seal("aged.yaml", &["--all-clusters"]);
    repo.ok(&["sealing-keys", "rotate", "--dir", repo.beside("test").to_str().unwrap()]);
    repo.fetch("test");
    repo.ok(&["set", "aged.yaml", "more", "--generate"]);
    assert_eq!(repo.rules("copy.yaml", repo.read("aged.yaml")), ["SR206"]);
}

#[test]
fn the_past_is_judged_for_clear_text_only() {
    let repo = one_cluster();
    repo.write("README", "x");
    repo.git(&["add", "README"]);
    repo.git(&["commit", "-q", "-m", "base"]);
    repo.commit("sealed");
    repo.write("db.yaml", repo.read("db.yaml").replacen("name: db", "name: other", 1));
    repo.commit("moved");
    let identity = repo.findings(&["--range", "HEAD~2..HEAD"]);
    let rules: Vec<_> = identity.iter().map(|finding| finding["rule"].as_str().unwrap()).collect();
    assert!(rules.contains(&"SR202"), "{rules:?}");
    repo.git(&["revert", "--no-edit", "HEAD"]);
    assert!(!repo.lint(&["--range", "HEAD~3..HEAD"]).iter().any(|(rule, _)| rule == "SR202"));
}
