//! `seal` and `unseal`: what is taken, what is refused, and what stays byte for byte.

use std::fs;

use crate::repo::{Repo, secret};

#[test]
fn scopes_open_where_they_say_and_nowhere_else() {
    let repo = Repo::new();
    let keys = repo.keys("prod");
    for (scope, namespace_opens, name_opens) in
        [("strict", false, false), ("namespace", false, true), ("cluster", true, true)]
    {
        repo.write("plain.yaml", secret("db", &[("k", "value")]));
        repo.ok(&["seal", "plain.yaml", "--scope", scope, "-o", scope]);
        let sealed = repo.read(scope);
        for (from, to, opens) in [
            ("  namespace: prod\n", "  namespace: other\n", namespace_opens),
            ("  name: db\n", "  name: other\n", name_opens),
        ] {
            repo.write("moved.yaml", sealed.replacen(from, to, 1));
            let output = repo.run(&["unseal", "moved.yaml", "--key", &keys]);
            assert_eq!(output.status.success(), opens, "{scope}, {to}: {output:?}");
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(
                opens
                    || said.contains("it was sealed for name")
                    || said.contains("it was sealed for namespace"),
                "{said}"
            );
        }
    }
}

#[test]
fn whatever_is_no_secret_stays_byte_for_byte() {
    let repo = Repo::new();
    let before = "\u{feff}# head\r\napiVersion: v1\r\nkind: ConfigMap # stays\r\ndata: {a: \"b\" }\r\n---\r\n";
    let after = "---\r\nfoo:   [1,2 ,  3]   \r\n# the end, without a line end";
    let plain = secret("db", &[("k", "value")]).replace('\n', "\r\n");
    repo.write("all.yaml", format!("{before}# why it is there\r\n{plain}{after}"));
    repo.ok(&["seal", "-i", "all.yaml"]);
    let sealed = repo.read("all.yaml");
    assert!(
        sealed.starts_with(&format!("{before}# why it is there\r\napiVersion: strongroom.dev")),
        "{sealed}"
    );
    assert!(sealed.ends_with(after), "{sealed}");
    assert_eq!(sealed.matches('\n').count(), sealed.matches("\r\n").count());
    let opened = repo.ok(&["unseal", "all.yaml", "--key", &repo.keys("prod")]);
    assert!(opened.contains("k: dmFsdWU=\n"), "{opened}");
}

#[test]
fn items_of_lists_and_json_are_sealed_in_their_form() {
    let repo = Repo::new();
    let item = |name: &str| {
        format!(
            r#"{{"apiVersion": "v1", "kind": "Secret", "metadata": {{"name": "{name}", "namespace": "prod"}}, "data": {{"k": "dmFsdWU="}}}}"#
        )
    };
    repo.write("list.json", format!("{{\n  \"apiVersion\": \"v1\",\n  \"kind\": \"List\",\n  \"items\": [\n    {},\n    {}\n  ]\n}}\n", item("one"), item("two")));
    repo.ok(&["seal", "-i", "list.json"]);
    let sealed: serde_json::Value = serde_json::from_str(&repo.read("list.json")).unwrap();
    for (i, name) in ["one", "two"].iter().enumerate() {
        assert_eq!(sealed["items"][i]["kind"], "SealedSecret");
        assert_eq!(sealed["items"][i]["spec"]["binding"]["name"], *name);
    }
    repo.ok(&["unseal", "list.json", "--key", &repo.keys("prod")]);
    repo.ok_with(&["set", "list.json", "k", "--object", "two"], b"new");
    repo.ok(&["unset", "list.json", "k", "--object", "one"]);
    serde_json::from_str::<serde_json::Value>(&repo.read("list.json")).unwrap();

    repo.write("list.yaml", format!("apiVersion: v1\nkind: List\nitems:\n- {}\n# between\n- apiVersion: v1\n  kind: Service\n", item("three")));
    repo.ok(&["seal", "-i", "list.yaml"]);
    let sealed = repo.read("list.yaml");
    assert!(sealed.ends_with("# between\n- apiVersion: v1\n  kind: Service\n"), "{sealed}");
    repo.ok(&["unseal", "list.yaml", "--key", &repo.keys("prod")]);
}

#[test]
fn labels_annotations_type_and_immutable_are_kept() {
    let repo = Repo::new();
    let plain = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  namespace: prod\n  labels: {app: db, tier: \"1\"}\n  annotations: {note: \"two\\nlines\"}\ntype: kubernetes.io/basic-auth\nimmutable: true\ndata:\n  username: YW5uYQ==\nstringData:\n  password: wins\n";
    repo.write(
        "db.yaml",
        plain.replace("data:\n  username", "data:\n  password: bG9zZXM=\n  username"),
    );
    repo.ok(&["seal", "-i", "db.yaml"]);
    let opened = repo.ok(&["unseal", "db.yaml", "--key", &repo.keys("prod"), "--output", "json"]);
    let opened: serde_json::Value = serde_json::from_str(&opened).unwrap();
    let secret = &opened["items"][0];
    assert_eq!(secret["type"], "kubernetes.io/basic-auth");
    assert_eq!(secret["immutable"], true);
    assert_eq!(secret["metadata"]["labels"]["tier"], "1");
    assert_eq!(secret["metadata"]["annotations"]["note"], "two\nlines");
    assert_eq!(secret["data"]["password"], data_encoding::BASE64.encode(b"wins"));
    assert_eq!(secret["data"]["username"], "YW5uYQ==");
}

/// What `echo` and `base64` make of a password is one that no server takes.
#[test]
fn a_line_break_behind_one_line_is_told() {
    let repo = Repo::new();
    let data =
        "data:\n  echoed: aHVudGVyMi1odW50ZXIyCg==\n  file: YQpiCg==\n  word: aHVudGVyMg==\n";
    repo.write(
        "db.yaml",
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: db, namespace: prod}}\n{data}"),
    );
    let output = repo.run(&["seal", "db.yaml", "-o", "sealed.yaml"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("db.yaml: Secret db: echoed is one line and ends"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    // Once: what is sealed and did not change is not told again.
    let output = repo.run(&["seal", "db.yaml", "-o", "sealed.yaml"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn stdout_may_be_named() {
    let repo = Repo::new();
    let plain = secret("db", &[("k", "a-long-value")]);
    let output = repo.run_with(&["seal", "-", "-o", "-"], plain.as_bytes());
    assert!(output.status.success() && output.stdout.starts_with(b"apiVersion: "), "{output:?}");
    assert!(!repo.path("-").exists());
}

#[test]
fn comments_are_kept_with_what_they_are_about() {
    let repo = Repo::new();
    let plain = "\
# who to ask: the database team
apiVersion: v1
kind: Secret
metadata:
  # as the service is called
  name: db
  namespace: prod
  labels:
    app: shop # for the dashboards
immutable: true # until the next release
stringData: # of the role
  # rotated each month

  password: hunter2 # by the job
  cert: | # from the CA
    # one
    two
data:
  # in base64
  user: c2hvcA== # the role
# below
---
# another
kind: ConfigMap
";
    repo.write("db.yaml", plain);
    repo.ok(&["seal", "-i", "db.yaml"]);
    let sealed = repo.read("db.yaml");
    // Each value is one long word.
    let shape: Vec<_> = sealed
        .lines()
        .filter(|line| !line.contains("commit:") && !line.contains("kid:"))
        .map(|line| line.split(": s").next().unwrap_or_default())
        .collect();
    let expected = "\
# who to ask: the database team
apiVersion
kind: SealedSecret
metadata:
  # as the service is called
  name: db
  namespace: prod
spec:
  suite: 1
  binding: {scope
  template:
    # until the next release
    immutable: true
    metadata:
      labels:
        # for the dashboards
        app
  slots:
  - id
    wraps:
  # of the role
  values:
    # from the CA
    cert
    # rotated each month
    # by the job
    password
    # in base64
    # the role
    user
# below
---
# another
kind: ConfigMap";
    assert_eq!(shape.join("\n"), expected, "{sealed}");
    assert_eq!(repo.value("db.yaml", &repo.keys("prod"), "cert").unwrap(), b"# one\ntwo\n");
    // Again is not what it was asked for: it says why, and what is.
    let said = repo.refused(1, &["seal", "-i", "db.yaml"]);
    assert!(said.contains("prod/db is sealed already"), "{said}");
}

#[test]
fn values_that_were_commented_out_are_refused() {
    let repo = Repo::new();
    for comment in [
        "# password: hunter1",
        "#password: 'hunter1'",
        "# old.password:hunter1",
        "# aHVudGVyMmh1bnRlcjI=",
    ] {
        let plain = secret("db", &[("user", "shop")]);
        repo.write("db.yaml", plain.replace("  user:", &format!("  {comment}\n  user:")));
        let said = repo.refused(1, &["seal", "-i", "db.yaml"]);
        assert!(said.contains("db.yaml:7:3: a comment looks like a value"), "{comment}: {said}");
        assert!(!said.contains("hunter1") && !said.contains("aHVudGVy"), "{comment}: {said}");
        repo.ok(&["seal", "-i", "db.yaml", "--accept-leftovers"]);
        assert!(repo.read("db.yaml").contains(&format!("    {comment}\n    user: s")));
    }
    for comment in ["# for the shop: see the wiki", "# rotated: each month", "# by hand", "#"] {
        let plain = secret("db", &[("user", "shop")]);
        repo.write("db.yaml", plain.replace("  user:", &format!("  {comment}\n  user:")));
        repo.ok(&["seal", "-i", "db.yaml"]);
    }
}

/// Each refused Secret: what is wrong with it, where, and that no value is told.
#[test]
fn what_is_refused_is_told_with_its_place_and_without_its_value() {
    let repo = Repo::new();
    let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\n";
    for (text, place, why) in [
        (format!("{head}stringData:\n  port: 54321\n"), "5:9", "put it in quotes"),
        (format!("{head}stringData:\n  on: verysecretvalue\n"), "5:3", "put it in quotes"),
        (format!("{head}data:\n  k: verysecretvalue!\n"), "5:6", "is not base64"),
        (format!("{head}stringData:\n  a b: verysecretvalue\n"), "5:8", "is no data key"),
        (format!("{head}stringData:\n  k: verysecretvalue\n  k: two\n"), "6:3", "stands twice"),
        (format!("{head}stringData: &x\n  k: verysecretvalue\nother: *x\n"), "6:8", "this is an alias"),
        (format!("{head}stringdata:\n  k: verysecretvalue\n"), "4:1", "is no field of a Secret"),
        (format!("{head}stringData:\n  k: ENC[verysecretvalue]\nsops:\n  mac: x\n"), "6:1", "sops decrypt FILE"),
        (format!("{head}stringData:\n\tk: verysecretvalue\n"), "5:2", "a tab indents"),
        (format!("{head}data:\n  k: {{{{ .Values.x }}}}-verysecretvalue\n"), "5:", "a template is no YAML"),
        (format!("<<<<<<< a\n{head}=======\nx: verysecretvalue\n>>>>>>> b\n"), "1:1", "two sides of a conflict"),
        (format!("{head}stringData:\n  k: verysecretvalue\n---\nkind: ConfigMap\ndata:\n  x: verysecretvalue\n"), "9:6", "--accept-leftovers"),
        (format!("{head}type: kubernetes.io/service-account-token\n"), "4:7", "TokenRequest"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {namespace: prod}\n".to_owned(), "3:11", "name the Secret"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {k: verysecretvalue}\n".to_owned(), "1:1", "--namespace"),
        (
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  namespace: prod\n  annotations:\n    kubectl.kubernetes.io/last-applied-configuration: verysecretvalue\n".to_owned(),
            "7:55",
            "take the annotation out",
        ),
        (format!("{head}stringData: {{k: verysecretvalue\n"), "4:13", "cannot be read as YAML"),
        // A line of a value, one blank out of place.
        (format!("{head}stringData:\n  k: |\n    a\n   verysecretvalue: b\n"), "7:4", "cannot be read as YAML"),
    ] {
        repo.write("bad.yaml", &text);
        let said = repo.refused(1, &["seal", "-i", "bad.yaml"]);
        assert!(said.contains(&format!("bad.yaml:{place}")) && said.contains(why), "{text}\n{said}");
        assert!(!said.contains("verysecretvalue") && !said.contains("54321"), "{said}");
        assert_eq!(repo.read("bad.yaml"), text);
    }
}

#[test]
fn value_that_still_stands_in_the_output_is_refused() {
    let repo = Repo::new();
    let plain = format!(
        "# the password is correct-horse\n{}",
        secret("db", &[("password", "correct-horse")])
    );
    repo.write("db.yaml", &plain);
    let said = repo.refused(1, &["seal", "-i", "db.yaml"]);
    assert!(said.contains("the value of password would still stand in the output"), "{said}");
    assert!(!said.contains("correct-horse"), "{said}");
    assert_eq!(repo.read("db.yaml"), plain);
    repo.ok(&["seal", "-i", "db.yaml", "--accept-leftovers"]);
}

#[test]
fn several_clusters_are_named_and_each_opens() {
    let repo = Repo::new();
    repo.new_cluster("dev");
    repo.write("plain.yaml", secret("db", &[("k", "value")]));
    let said = repo.refused(2, &["seal", "plain.yaml"]);
    assert!(said.contains("there are dev, prod") && said.contains("--cluster NAME"), "{said}");
    repo.ok(&["seal", "plain.yaml", "--all-clusters", "-o", "both.yaml"]);
    for cluster in ["dev", "prod"] {
        assert_eq!(repo.value("both.yaml", &repo.keys(cluster), "k").unwrap(), b"value");
    }
    repo.ok(&["seal", "plain.yaml", "--cluster", "dev", "-o", "dev.yaml"]);
    let said = repo.refused(1, &["unseal", "dev.yaml", "--key", &repo.keys("prod")]);
    assert!(said.contains(", dev (active); none of these keys was given"), "{said}");
    // A change keeps whom it is for.
    repo.ok_with(&["set", "dev.yaml", "l"], b"more");
    assert_eq!(repo.read("dev.yaml").matches("{kid: ").count(), 2);
    assert_eq!(repo.value("dev.yaml", &repo.keys("dev"), "l").unwrap(), b"more");
    let said = repo.refused(2, &["seal", "plain.yaml", "--cluster", "staging"]);
    assert!(said.contains("cluster staging is not pinned here"), "{said}");
}

#[test]
fn without_anybody_to_seal_for_it_says_how_to_begin() {
    let repo = Repo::without_keys();
    repo.write("db.yaml", secret("db", &[("k", "value")]));
    let said = repo.refused(1, &["seal", "db.yaml"]);
    assert!(
        said.contains("nobody to seal for")
            && said.contains("sealing-keys fetch")
            && said.contains("escrow new"),
        "{said}"
    );
}

#[test]
fn a_file_that_is_named_twice_is_one() {
    let repo = Repo::new();
    std::os::unix::fs::symlink("db.yaml", repo.path("link.yaml")).unwrap();
    for _ in 0..4 {
        repo.write("db.yaml", secret("db", &[("k", "value")]));
        repo.ok(&["seal", "-i", "db.yaml", "./db.yaml", "link.yaml"]);
        repo.ok(&["sealing-keys", "rotate", "--dir", repo.beside("prod").to_str().unwrap()]);
        repo.fetch("prod");
        let keys = repo.keys("prod");
        repo.ok(&["reseal", "db.yaml", "link.yaml", ".", "--key", &keys]);
        assert_eq!(repo.value("db.yaml", &keys, "k").unwrap(), b"value");
    }
}

/// A link may lead out of the repository that it lies in.
#[test]
fn what_a_link_leads_to_is_sealed_for_whom_it_belongs_to() {
    let repo = Repo::new();
    repo.write("other/.strongroom/clusters/none", "");
    let there = repo.path(".strongroom/clusters/prod.yaml");
    fs::rename(there, repo.path("other/.strongroom/clusters/prod.yaml")).unwrap();
    repo.new_cluster("dev");
    repo.write("other/db.yaml", secret("db", &[("k", "value")]));
    std::os::unix::fs::symlink("other/db.yaml", repo.path("link.yaml")).unwrap();
    repo.ok(&["seal", "-i", "link.yaml"]);
    assert_eq!(repo.value("other/db.yaml", &repo.keys("prod"), "k").unwrap(), b"value");
    repo.ok(&["reseal", "link.yaml", "--check"]);
}

#[test]
fn lists_in_lists_are_sealed_too() {
    let repo = Repo::new();
    let item = |indent: &str, name: &str| {
        let lines = secret(name, &[("k", &format!("value of {name}"))]);
        let lines: Vec<_> = lines.lines().map(|line| format!("{indent}  {line}\n")).collect();
        format!("{indent}-{}", &lines.concat()[indent.len() + 1..])
    };
    let head = "apiVersion: v1\nkind: List\nitems:\n";
    let inner = format!("- apiVersion: v1\n  kind: List\n  items:\n{}", item("  ", "inner"));
    repo.write("all.yaml", format!("{head}{}{inner}", item("", "outer")));
    repo.ok(&["seal", "-i", "all.yaml"]);
    assert!(!repo.read("all.yaml").contains("value of"), "{}", repo.read("all.yaml"));
    let opened = repo.ok(&["unseal", "all.yaml", "--key", &repo.keys("prod")]);
    assert_eq!(opened.matches("kind: Secret").count(), 2);
}

/// What is replaced is a name of the file, not the file.
#[test]
fn another_name_of_the_file_in_clear_text_is_told_of() {
    let repo = Repo::new();
    repo.write("db.yaml", secret("db", &[("k", "value")]));
    fs::hard_link(repo.path("db.yaml"), repo.path("other.yaml")).unwrap();
    let output = repo.run(&["seal", "-i", "db.yaml"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("db.yaml had another name (hard link)"), "{said}");
    assert!(said.contains("clear text"), "{said}");
}
