//! `strongroom seal --format bitnami`: their controller opens it, for which a second implementation of their format stands here.

use anyhow::{Context as _, Result, ensure};

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
    for scope in ["strict", "namespace", "cluster"] {
        repo.write("db.yaml", &format!("kind: ConfigMap # stays\n---\n{SECRET}"))?;
        let certificate = controller.certificate("usual");
        let arguments = ["--format", "bitnami", "--cert", &certificate, "--scope", scope];
        repo.ok(&[&["seal", "-i", "db.yaml"], &arguments[..]].concat())?;
        let text = repo.read("db.yaml")?;
        let (password, empty) = (value(&text, "password")?, value(&text, "empty")?);
        let said = format!("sealedsecrets.bitnami.com/{scope}-wide: \"true\"\n");
        let (own, inner) = match scope {
            "strict" => (String::new(), String::new()),
            _ => (format!("  annotations:\n    {said}"), format!("        {said}")),
        };
        assert_eq!(
            text.replace(&password, "…").replace(&empty, "…"),
            format!(
                "kind: ConfigMap # stays\n---\n# of the payroll\napiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n{own}  name: db\n  namespace: prod\nspec:\n  encryptedData:\n    empty: …\n    password: …\n  template:\n    immutable: true\n    metadata:\n      annotations:\n        note: for whom\n{inner}      labels:\n        app: db\n      name: db\n      namespace: prod\n    type: example.com/db\n"
            )
        );
        let place = label(scope, "prod", "db");
        let opened =
            controller.opened(&[("usual", place.clone(), password), ("usual", place, empty)])?;
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
    let password = value(&repo.ok(&seal)?, "password")?;
    controller.opened(&[("small", String::new(), password)])?;
    let strict = repo.ok(&[&seal[..], &["--scope", "strict"]].concat())?;
    assert!(!strict.contains("sealedsecrets.bitnami.com"), "{strict}");
    Ok(())
}

/// What is sealed under a data key.
fn value(text: &str, key: &str) -> Result<String> {
    let start = format!("    {key}: ");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    line.map(str::to_owned).with_context(|| format!("no {key} in {text}"))
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
