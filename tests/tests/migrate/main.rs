//! From Bitnami's SealedSecrets to ours and back, with the real program, in a repository of git. Whatever comes from their side is made
//! and opened by a second implementation of their format.
#![expect(clippy::indexing_slicing, reason = "a field that is missing in JSON is to end a test")]

mod bitnami;
mod killed;
mod refused;
mod repo;
mod seal;

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{
    bitnami::{Controller, KEYS, Object},
    repo::{Repo, found_below},
};

/// One object in each scope, each sealed for another key.
pub(crate) const OBJECTS: [Object<'_>; 3] = [
    Object {
        key: "small",
        scope: "strict",
        namespace: "prod",
        name: "db",
        values: &[("password", "hunter2-hunter2"), ("user", "anna-of-accounting")],
    },
    Object {
        key: "usual",
        scope: "namespace",
        namespace: "prod",
        name: "any",
        values: &[("token", "of-the-namespace")],
    },
    Object {
        key: "brought",
        scope: "cluster",
        namespace: "dev",
        name: "everywhere",
        values: &[("token", "of-the-cluster")],
    },
];

const CONFIG: &str =
    "# not ours\r\nkind: ConfigMap   # stays\napiVersion: v1\nmetadata: {name: x}\n";

#[test]
fn all_scopes_and_keys_are_migrated_under_their_names() -> Result<()> {
    let (repo, controller) = (Repo::new()?, Controller::get()?);
    let [db, any, everywhere] = three(controller)?;
    repo.write("a.yaml", &format!("{CONFIG}---\n{db}---\n{any}"))?;
    repo.write("b/c.json", &json(&everywhere)?)?;
    let backup = repo.private("backup.yaml", &controller.backup(&KEYS)?)?;
    let keys = repo.keys();
    let report =
        repo.ok(&["migrate", ".", "--bitnami-keys", &backup, "--key", &keys, "--output", "json"])?;
    let report: Value = serde_json::from_str(&report)?;
    assert_eq!(report["written"], true);
    let rows: Vec<_> = report["objects"]
        .as_array()
        .context("no objects")?
        .iter()
        .map(|row| {
            [&row["object"], &row["scope"], &row["result"]]
                .map(|field| field.as_str().unwrap_or("-").to_owned())
        })
        .collect();
    assert_eq!(
        rows,
        [
            ["prod/db", "strict", "migrated"],
            ["prod/any", "namespace", "migrated"],
            ["dev/everywhere", "cluster", "migrated"]
        ]
    );
    let triple =
        |name: &str, key: &str, value: &str| (name.to_owned(), key.to_owned(), value.to_owned());
    assert_eq!(
        repo.values("a.yaml")?,
        [
            triple("db", "password", "hunter2-hunter2"),
            triple("db", "user", "anna-of-accounting"),
            triple("any", "token", "of-the-namespace")
        ]
    );
    assert_eq!(repo.values("b/c.json")?, [triple("everywhere", "token", "of-the-cluster")]);
    // What it opens in is what it opened in: each scope is taken over.
    let text = repo.read("a.yaml")?;
    assert!(text.starts_with(&format!("{CONFIG}---\n")), "{text}");
    assert!(
        text.contains("binding: {scope: strict, namespace: prod, name: db, type: Opaque}"),
        "{text}"
    );
    assert!(text.contains("binding: {scope: namespace, namespace: prod, type: Opaque}"), "{text}");
    assert!(!text.contains("bitnami") && !repo.read("b/c.json")?.contains("bitnami"));
    // A second run finds nothing, and nothing in clear text was left anywhere.
    let again = repo.ok(&["migrate", ".", "--bitnami-keys", &backup])?;
    assert_eq!(again, "no SealedSecret of Bitnami's is here\n");
    for (_, value) in OBJECTS.iter().flat_map(|object| object.values) {
        assert_eq!(
            found_below(&repo.beside(""), value.as_bytes())?,
            Vec::<std::path::PathBuf>::new()
        );
    }
    Ok(())
}

#[test]
fn what_both_forms_have_stays_as_it_is_written() -> Result<()> {
    let (repo, controller) = (Repo::new()?, Controller::get()?);
    let [db, ..] = three(controller)?;
    let text = db
        .replace("kind: SealedSecret\n", "kind: SealedSecret   # of the payroll\n")
        .replace("  encryptedData:\n", "  encryptedData:\n    # rotated in March\n")
        .replace("  creationTimestamp: null\n  name: db\n", "  name: 'db'   # the name\n  labels: {team: payroll}\n  annotations:\n    # first of all\n    argocd.argoproj.io/sync-wave: \"-1\"\n")
        .replace("    type: Opaque\n", "    immutable: true # yes\n    type: \"example.com/db\"\n    data:\n      motd: |\n        plain text } with }} braces\n")
        .replace("      name: db\n", "      name: db\n      labels:\n        app: db   # of the pod\n      annotations: {note: \"for whom\"}\n");
    repo.write("db.yaml", &format!("{text}status: {{observedGeneration: 1}}\n"))?;
    let backup = repo.private("backup.yaml", &controller.backup(&["small"])?)?;
    repo.ok(&["migrate", "db.yaml", "--bitnami-keys", &backup, "--key", &repo.keys()])?;
    let new = repo.read("db.yaml")?;
    // Without what is sealed, which differs each time.
    let shown: String = new
        .lines()
        .map(|line| match line.find("s").filter(|_| line.contains("==") || line.contains("{kid")) {
            Some(_) => format!("{}…\n", line.split_once(':').map_or("", |(key, _)| key)),
            None => format!("{line}\n"),
        })
        .filter(|line| !line.contains("- id: s") && !line.contains("commit"))
        .collect();
    assert_eq!(
        shown,
        "\
apiVersion: strongroom.dev/v1alpha1
kind: SealedSecret   # of the payroll
metadata:
  name: 'db'   # the name
  labels: {team: payroll}
  annotations:
    # first of all
    argocd.argoproj.io/sync-wave: \"-1\"
  namespace: prod
spec:
  suite: 1
  binding: {scope: strict, namespace: prod, name: db, type: example.com/db}
  slots:
    wraps:
    - {kid…
  values:
    # rotated in March
    password…
    user…
  template:
    metadata:
      labels:
        app: db   # of the pod
      annotations: {note: \"for whom\"}
    immutable: true # yes
    type: \"example.com/db\"
    data:
      motd: |
        plain text } with }} braces
"
    );
    let opened = repo.ok(&["unseal", "db.yaml", "--key", &repo.keys(), "--output", "json"])?;
    let opened: Value = serde_json::from_str(&opened)?;
    let secret = &opened["items"][0];
    assert_eq!(secret["type"], "example.com/db");
    assert_eq!(secret["immutable"], true);
    assert_eq!(secret["metadata"]["labels"]["app"], "db");
    assert_eq!(secret["metadata"]["annotations"]["note"], "for whom");
    assert_eq!(repo.values("db.yaml")?[0].2, "plain text } with }} braces\n");
    Ok(())
}

#[test]
fn keys_are_taken_in_every_form_that_a_backup_has() -> Result<()> {
    let (repo, controller) = (Repo::new()?, Controller::get()?);
    let [db, any, everywhere] = three(controller)?;
    let list = controller.backup(&KEYS)?;
    let documents: Vec<String> =
        KEYS.iter().map(|key| controller.backup(&[key])).collect::<Result<_>>()?;
    let pem: String = KEYS
        .iter()
        .map(|key| {
            Ok(controller.read(&format!("{key}.crt"))? + &controller.read(&format!("{key}.key"))?)
        })
        .collect::<Result<_>>()?;
    let forms = [list.clone(), documents.join("---\n"), controller.backup_json(&KEYS)?, pem];
    for (i, form) in forms.iter().enumerate() {
        let file = repo.private("keys-of-theirs", form)?;
        repo.write("all.yaml", &[db.as_str(), &any, &everywhere].join("---\n"))?;
        repo.ok(&["migrate", "all.yaml", "--bitnami-keys", &file])
            .with_context(|| format!("form {i}"))?;
        assert_eq!(repo.values("all.yaml")?.len(), 4, "form {i}");
    }
    // From a pipe, so that the keys never are in a file.
    repo.write("all.yaml", &db)?;
    let output = repo.run_with(&["migrate", "all.yaml", "--bitnami-keys", "-"], &list)?;
    ensure!(output.status.success(), "{output:?}");
    // What others may read is no place for keys.
    let file = repo.private("keys-of-theirs", &list)?;
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    let (_, said) = repo.ends(1, &["migrate", "all.yaml", "--bitnami-keys", &file])?;
    assert!(said.contains("chmod 600"), "{said}");
    Ok(())
}

#[test]
fn undo_puts_back_what_nobody_changed_since() -> Result<()> {
    let (repo, controller) = (Repo::new()?, Controller::get()?);
    let texts = three(controller)?;
    for (name, text) in ["a.yaml", "b.yaml", "c.yaml"].iter().zip(&texts) {
        repo.write(name, text)?;
    }
    let backup = repo.private("backup.yaml", &controller.backup(&KEYS)?)?;
    repo.ok(&["migrate", ".", "--bitnami-keys", &backup])?;
    let changed = repo.read("b.yaml")? + "# looked at\n";
    repo.write("b.yaml", &changed)?;
    let journal = ".git/strongroom-migrate-1";
    let (table, _) = repo.ends(1, &["migrate", "--undo", journal, "--dry-run"])?;
    assert_eq!(table.matches("migrated").count(), 2, "{table}");
    assert_ne!(repo.read("a.yaml")?, texts[0]);
    let (table, said) = repo.ends(1, &["migrate", "--undo", journal])?;
    assert!(table.contains("b.yaml  changed since"), "{table}");
    assert!(said.contains("put back: 2; kept because they were changed since: 1"), "{said}");
    assert_eq!((repo.read("a.yaml")?, repo.read("c.yaml")?), (texts[0].clone(), texts[2].clone()));
    assert_eq!(repo.read("b.yaml")?, changed);
    // Again it does nothing; and the other two can be migrated again, into a journal of their own.
    repo.ends(1, &["migrate", "--undo", journal])?;
    repo.ok(&["migrate", ".", "--bitnami-keys", &backup])?;
    assert!(repo.has_journal(2) && repo.values("a.yaml").is_ok());
    Ok(())
}

#[test]
fn without_git_the_place_of_the_journal_is_named() -> Result<()> {
    let (repo, controller) = (Repo::new()?, Controller::get()?);
    let [db, ..] = three(controller)?;
    repo.write("db.yaml", &db)?;
    fs::remove_dir_all(repo.path(".git"))?;
    let backup = repo.private("backup.yaml", &controller.backup(&["small"])?)?;
    let (_, said) = repo.ends(2, &["migrate", "db.yaml", "--bitnami-keys", &backup])?;
    assert!(said.contains("--undo-dir"), "{said}");
    assert_eq!(repo.read("db.yaml")?, db);
    let place = repo.beside("undo").display().to_string();
    repo.ok(&["migrate", "db.yaml", "--bitnami-keys", &backup, "--undo-dir", &place])?;
    repo.ok(&["migrate", "--undo", &place])?;
    assert_eq!(repo.read("db.yaml")?, db);
    let (_, said) =
        repo.ends(1, &["migrate", "db.yaml", "--bitnami-keys", &backup, "--undo-dir", &place])?;
    assert!(said.contains("nothing was migrated"), "{said}");
    assert_eq!(repo.read("db.yaml")?, db);
    Ok(())
}

pub(crate) fn three(controller: &Controller) -> Result<[String; 3]> {
    controller.sealed(&OBJECTS)?.try_into().ok().context("not three objects")
}

/// The cluster-wide object as `kubeseal` writes it without `--format yaml`.
fn json(everywhere: &str) -> Result<String> {
    let token = everywhere.lines().find_map(|line| line.strip_prefix("    token: "));
    let annotations = json!({ "sealedsecrets.bitnami.com/cluster-wide": "true" });
    let metadata = json!({ "name": "everywhere", "namespace": "dev", "creationTimestamp": null, "annotations": annotations });
    let object = json!({
        "kind": "SealedSecret",
        "apiVersion": "bitnami.com/v1alpha1",
        "metadata": metadata,
        "spec": {
            "template": { "metadata": metadata, "type": "Opaque" },
            "encryptedData": { "token": token.context("no token")? }
        }
    });
    Ok(serde_json::to_string_pretty(&object)? + "\n")
}
