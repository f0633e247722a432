//! What cannot be carried over is refused with its place, and one refusal keeps everything as it is.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{
    bitnami::{Controller, KEYS},
    repo::Repo,
    three,
};

/// What makes an object one that is refused: a text in it, what stands there instead, the line, and a part of the reason.
const CASES: [(&str, &str, usize, &str); 13] = [
    (
        "    type: Opaque\n",
        "    type: Opaque\n    data:\n      a: \"{{ .password }}\"\n",
        18,
        "is a template of Go",
    ),
    (
        "    type: Opaque\n",
        "    type: Opaque\n    data:\n      user: plain\n",
        18,
        "stands in encryptedData too",
    ),
    (
        "    type: Opaque\n",
        "    type: kubernetes.io/service-account-token\n",
        16,
        "belongs to Kubernetes",
    ),
    (
        "  name: db\n",
        "  name: other\n",
        9,
        "opens with none of the 3 keys given, as prod/other in strict scope",
    ),
    (
        "  namespace: prod\n",
        "  namespace: test\n",
        9,
        "opens with none of the 3 keys given, as test/db in strict scope",
    ),
    ("  namespace: prod\n", "", 3, "is missing, and the values are bound to it"),
    (
        "  name: db\n",
        "  name: db\n  annotations: {sealedsecrets.bitnami.com/cluster-wide: true}\n",
        6,
        "is read as a number or a boolean",
    ),
    (
        "  name: db\n",
        "  name: db\n  annotations: {sealedsecrets.bitnami.com/cluster-wide: \"true\"}\n",
        10,
        "as any name in the cluster",
    ),
    ("  encryptedData:\n", "  data: AAAA\n  encryptedData:\n", 8, "is the oldest form"),
    (
        "  encryptedData:\n",
        "  immutable: true\n  encryptedData:\n",
        8,
        "has no counterpart in Strongroom",
    ),
    ("    password: ", "    password: A", 9, "opens with none of the 3 keys"),
    ("    password: ", "    password: 1\n    other: ", 9, "is no text"),
    (
        "  encryptedData:\n",
        "  encryptedData:\n    one: &x AAAA\n    other: *x\n",
        10,
        "this is an alias",
    ),
];

#[test]
fn a_refusal_has_its_place_and_leaves_everything_byte_for_byte() -> Result<()> {
    let (repo, controller) = (Repo::new()?, Controller::get()?);
    let [db, any, everywhere] = three(controller)?;
    repo.write("good.yaml", &everywhere)?;
    let backup = repo.private("backup.yaml", &controller.backup(&KEYS)?)?;
    for (from, to, line, why) in CASES {
        let text = format!("{}---\n{any}", db.replacen(from, to, 1));
        repo.write("bad.yaml", &text)?;
        let arguments = ["migrate", ".", "--bitnami-keys", &backup, "--output", "json"];
        let (report, said) = repo.ends(1, &arguments)?;
        let report: Value = serde_json::from_str(&report)?;
        let row = &report["objects"][0];
        assert_eq!(row["result"], "refused", "{report}");
        assert_eq!(row["line"], line, "{why}: {report}");
        let reason = row["why"].as_str().context("no reason")?;
        assert!(reason.contains(why), "{reason}");
        assert_eq!(report["objects"][1]["result"], "ready", "{report}");
        assert_eq!((&report["written"], &report["journal"]), (&false.into(), &Value::Null));
        assert!(said.contains("nothing was written, because 1 of 3 are refused"), "{said}");
        assert_eq!((repo.read("bad.yaml")?, repo.read("good.yaml")?), (text, everywhere.clone()));
        assert!(!repo.has_journal(1));
    }
    Ok(())
}

#[test]
fn with_keep_going_only_what_is_refused_stays() -> Result<()> {
    let (repo, controller) = (Repo::new()?, Controller::get()?);
    let [db, any, everywhere] = three(controller)?;
    let moved = db.replace("  name: db\n", "  name: other\n");
    repo.write("some.yaml", &format!("{moved}---\n{any}"))?;
    repo.write("all.yaml", &everywhere)?;
    // What Helm renders later is no YAML yet.
    let helm = "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {{ include \"x\" . }}\n  name: x\n";
    repo.write("chart.yaml", helm)?;
    let backup = repo.private("backup.yaml", &controller.backup(&KEYS)?)?;
    let (table, said) =
        repo.ends(1, &["migrate", ".", "--bitnami-keys", &backup, "--keep-going"])?;
    assert!(table.contains("./chart.yaml:") && table.contains("Helm"), "{table}");
    assert!(
        said.contains("2 migrated (not opened again: no --key was given), 2 refused"),
        "{said}"
    );
    assert_eq!(repo.read("chart.yaml")?, helm);
    let some = repo.read("some.yaml")?;
    assert!(
        some.starts_with(&format!("{moved}---\napiVersion: strongroom.dev/v1alpha1\n")),
        "{some}"
    );
    // Commands for sealed Secrets of ours leave theirs alone.
    assert_eq!(repo.values("some.yaml")?.len(), 1);
    repo.ok(&["reseal", "some.yaml", "--check"])?;
    Ok(())
}

#[test]
fn the_keys_that_are_missing_are_asked_for() -> Result<()> {
    let (repo, controller) = (Repo::new()?, Controller::get()?);
    let texts = three(controller)?;
    repo.write("all.yaml", &texts.join("---\n"))?;
    let backup = repo.private("backup.yaml", &controller.backup(&["small"])?)?;
    let (table, _) = repo.ends(1, &["migrate", "all.yaml", "--bitnami-keys", &backup])?;
    assert_eq!(table.matches("refused").count(), 2, "{table}");
    let other = repo.private(
        "other.pem",
        &(controller.read("usual.key")? + &controller.read("brought.key")?),
    )?;
    repo.ok(&["migrate", "all.yaml", "--bitnami-keys", &backup, "--bitnami-keys", &other])?;
    let nothing = repo.private("nothing.yaml", "kind: List\nitems: []\n")?;
    let (_, said) = repo.ends(1, &["migrate", "all.yaml", "--bitnami-keys", &nothing])?;
    assert!(said.contains("has no sealing key in it"), "{said}");
    let broken = repo.private(
        "broken.yaml",
        &controller.backup(&["small"])?.replace("tls.key: LS0t", "tls.key: LS0u"),
    )?;
    let (_, said) = repo.ends(1, &["migrate", "all.yaml", "--bitnami-keys", &broken])?;
    assert!(said.contains("broken.yaml:6:14: data.tls.key") && !said.contains("LS0u"), "{said}");
    Ok(())
}

#[test]
fn what_does_not_open_with_the_key_given_is_not_written() -> Result<()> {
    let (repo, controller) = (Repo::new()?, Controller::get()?);
    let [db, ..] = three(controller)?;
    repo.write("db.yaml", &db)?;
    let backup = repo.private("backup.yaml", &controller.backup(&["small"])?)?;
    let other = repo.beside("other").display().to_string();
    repo.ok(&["sealing-keys", "new", "--cluster", "other", "--dir", &other])?;
    let key = format!("{other}/sealing.keys");
    let (_, said) =
        repo.ends(1, &["migrate", "db.yaml", "--bitnami-keys", &backup, "--key", &key])?;
    assert!(said.contains("could not be verified, so nothing was written"), "{said}");
    assert_eq!(repo.read("db.yaml")?, db);
    assert!(!repo.has_journal(1));
    Ok(())
}

#[test]
fn an_object_that_cannot_be_changed_safely_keeps_no_other_back() -> Result<()> {
    let (repo, controller) = (Repo::new()?, Controller::get()?);
    let [db, any, _] = three(controller)?;
    let item = |text: &str| format!("- {}\n", text.trim_end().replace('\n', "\n  "));
    let anchored = item(&db).replace("  spec:", "  spec: &spec");
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n{}{anchored}- {{kind: Other, spec: *spec}}\n",
        item(&any)
    );
    repo.write("list.yaml", &list)?;
    let backup = repo.private("backup.yaml", &controller.backup(&KEYS)?)?;
    let (report, _) = repo.ends(
        1,
        &["migrate", ".", "--bitnami-keys", &backup, "--keep-going", "--output", "json"],
    )?;
    let report: Value = serde_json::from_str(&report)?;
    let results: Vec<_> = (0..2).map(|i| &report["objects"][i]["result"]).collect();
    assert_eq!(results, ["migrated", "refused"], "{report}");
    let why = report["objects"][1]["why"].as_str().context("no reason")?;
    assert!(why.contains("an alias is in the way"), "{why}");
    assert!(
        repo.read("list.yaml")?.ends_with(&format!("{anchored}- {{kind: Other, spec: *spec}}\n"))
    );
    Ok(())
}
