//! `strongroom seal --format bitnami`: their controller opens it, for which a second implementation of their format stands here.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{
    bitnami::{Controller, label},
    repo::Repo,
};

const SECRET: &str = "\
# of the payroll
apiVersion: v1
kind: Secret
metadata:
  name: db
  namespace: prod
  labels: {app: db}
  annotations: {note: for whom}
type: example.com/db
immutable: true
stringData:
  password: hunter2-hunter2
  empty: \"\"
";

#[test]
fn what_it_writes_is_opened_in_its_scope() -> Result<()> {
    let (repo, controller) = (Repo::new()?, Controller::get()?);
    for (scope, annotation) in [
        ("strict", Value::Null),
        ("namespace", json!({ "sealedsecrets.bitnami.com/namespace-wide": "true" })),
        ("cluster", json!({ "sealedsecrets.bitnami.com/cluster-wide": "true" })),
    ] {
        repo.write("db.yaml", &format!("kind: ConfigMap # stays\n---\n{SECRET}"))?;
        let certificate = controller.certificate("usual");
        repo.ok(&[
            "seal",
            "-i",
            "db.yaml",
            "--format",
            "bitnami",
            "--cert",
            &certificate,
            "--scope",
            scope,
        ])?;
        let text = repo.read("db.yaml")?;
        let rest = text.strip_prefix("kind: ConfigMap # stays\n---\n# of the payroll\n");
        let mut object: Value = serde_norway::from_str(rest.with_context(|| text.clone())?)?;
        let values = object["spec"]["encryptedData"].take();
        let mut inner = json!({ "note": "for whom" });
        let mut metadata = json!({ "name": "db", "namespace": "prod" });
        if let Some((name, yes)) = annotation.as_object().and_then(|map| map.iter().next()) {
            inner[name] = yes.clone();
            metadata["annotations"] = annotation.clone();
        }
        assert_eq!(
            object,
            json!({
                "apiVersion": "bitnami.com/v1alpha1",
                "kind": "SealedSecret",
                "metadata": metadata,
                "spec": {
                    "encryptedData": null,
                    "template": {
                        "type": "example.com/db",
                        "immutable": true,
                        "metadata": { "name": "db", "namespace": "prod", "labels": { "app": "db" }, "annotations": inner }
                    }
                }
            })
        );
        let value = |key: &str| values[key].as_str().map(str::to_owned).context("no value");
        let place = label(scope, "prod", "db");
        let opened = controller.opened(&[
            ("usual", place.clone(), value("password")?),
            ("usual", place, value("empty")?),
        ])?;
        assert_eq!(opened, ["68756e746572322d68756e74657232", ""]);
        // And back again.
        let backup = repo.private("backup.yaml", &controller.backup(&["usual"])?)?;
        repo.ok(&["migrate", "db.yaml", "--bitnami-keys", &backup, "--key", &repo.keys()])?;
        assert_eq!(repo.values("db.yaml")?.len(), 2);
        assert!(repo.read("db.yaml")?.contains(&format!("binding: {{scope: {scope}, ")));
    }
    Ok(())
}

#[test]
fn annotations_of_the_secret_say_the_scope_where_nobody_else_does() -> Result<()> {
    let (repo, controller) = (Repo::new()?, Controller::get()?);
    let wide =
        SECRET.replace("{note: for whom}", "{sealedsecrets.bitnami.com/cluster-wide: \"true\"}");
    repo.write("db.yaml", &wide)?;
    let certificate = controller.certificate("small");
    let seal = ["seal", "db.yaml", "--format", "bitnami", "--cert", &certificate];
    let object: Value = serde_norway::from_str(&repo.ok(&seal)?)?;
    let value = object["spec"]["encryptedData"]["password"].as_str().context("no value")?;
    controller.opened(&[("small", String::new(), value.to_owned())])?;
    let strict = repo.ok(&[&seal[..], &["--scope", "strict"]].concat())?;
    assert!(!strict.contains("sealedsecrets.bitnami.com"), "{strict}");
    Ok(())
}

#[test]
fn certificates_that_are_none_or_expired_are_refused() -> Result<()> {
    let (repo, controller) = (Repo::new()?, Controller::get()?);
    repo.write("db.yaml", SECRET)?;
    let seal = |certificate: &str| {
        repo.ends(1, &["seal", "-i", "db.yaml", "--format", "bitnami", "--cert", certificate])
    };
    let (_, said) = seal("/nonexistent/cert.pem")?;
    assert!(said.contains("kubeseal --fetch-cert"), "{said}");
    let key = repo.private("key.pem", &controller.read("small.key")?)?;
    let (_, said) = seal(&key)?;
    assert!(said.contains("is no certificate to seal with"), "{said}");
    let (_, said) = seal(&controller.certificate("expired"))?;
    assert!(said.contains("expired on 2026-01-03T03:04:05Z"), "{said}");
    for wrong in [
        &["seal", "db.yaml", "--format", "bitnami"][..],
        &["seal", "db.yaml", "--cert", &key],
        &["seal", "db.yaml", "--format", "bitnami", "--cert", &key, "--all-clusters"],
    ] {
        repo.ends(2, wrong)?;
    }
    ensure!(repo.read("db.yaml")? == SECRET, "it was changed");
    Ok(())
}
