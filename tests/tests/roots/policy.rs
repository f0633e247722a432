//! deploy/aws-kms-policy.json allows what a daemon asks AWS for, and nothing that it does not ask for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;
use testbed::{Daemon, Endpoint, Moto, endpoint::Asked, folder::Folder, moto::CREDENTIALS};

#[test]
fn iam_policy_allows_what_is_asked_and_nothing_else() -> Result<()> {
    testbed::run(async {
        let asked = everything_that_is_asked().await?;
        let policy: Value = serde_json::from_str(&deploy("aws-kms-policy.json")?)?;
        let statements = policy["Statement"].as_array().context("no statements")?;

        let actions: BTreeSet<String> =
            asked.iter().map(|asked| format!("kms:{}", asked.operation)).collect();
        let allowed = statements.iter().flat_map(|it| texts(&it["Action"]));
        assert_eq!(allowed.collect::<BTreeSet<_>>(), actions);
        for asked in &asked {
            assert!(allows(statements, asked), "{asked:?}");
            if let Some(context) = asked.body.get("EncryptionContext") {
                let names: Vec<_> = context.as_object().context("no pairs")?.keys().collect();
                for name in names {
                    let mut bare = asked.clone();
                    bare.body["EncryptionContext"].as_object_mut().unwrap().remove(name);
                    assert!(!allows(statements, &bare), "without {name}");
                }
            }
        }
        // One key, in both statements.
        let resources = statements.iter().flat_map(|it| texts(&it["Resource"]));
        assert_eq!(resources.collect::<BTreeSet<_>>().len(), 1);
        Ok(())
    })
}

/// Without `sub` every pod of the cluster could take the role, without `aud` a token that was meant for somebody else.
#[test]
fn trust_policy_lets_one_service_account_in() -> Result<()> {
    let policy: Value = serde_json::from_str(&deploy("aws-irsa-trust-policy.json")?)?;
    let [statement] = &policy["Statement"].as_array().context("no statements")?[..] else {
        anyhow::bail!("one statement")
    };
    assert_eq!(statement["Action"], "sts:AssumeRoleWithWebIdentity");
    let condition = statement["Condition"].as_object().context("no condition")?;
    assert_eq!(condition.keys().collect::<Vec<_>>(), ["StringEquals"], "no wildcard");
    let equal = condition["StringEquals"].as_object().context("no pairs")?;
    let value = |end: &str| equal.iter().find_map(|(name, it)| name.ends_with(end).then_some(it));
    assert_eq!(value(":aud").context("no aud")?, "sts.amazonaws.com");
    assert_eq!(
        value(":sub").context("no sub")?,
        "system:serviceaccount:control-planes:strongroomd"
    );
    Ok(())
}

fn deploy(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name);
    fs::read_to_string(&path).with_context(|| format!("{}", path.display()))
}

/// A whole life: an alias is looked up, a ring is begun, served, probed and rotated.
async fn everything_that_is_asked() -> Result<Vec<Asked>> {
    let folder = Folder::make()?;
    let moto = Moto::start(&folder.part("moto")?).await?;
    let arn = moto.make_key("eu-central-1").await?;
    let alias = serde_json::json!({ "AliasName": "alias/strongroom", "TargetKeyId": arn });
    moto.ask("eu-central-1", "CreateAlias", &alias).await?;
    let endpoint = Endpoint::before(moto.port()).await?;
    let mut daemon = Daemon::make(&folder.part("daemon")?)?;
    for (name, value) in CREDENTIALS {
        daemon.environment(name, value);
    }
    daemon.root_in_aws("alias/strongroom\"\nregion = \"eu-central-1", &endpoint)?;
    let config = daemon.config().display().to_string();
    let made = daemon.run(&["init", "--config", &config, "--first-version", "1"])?;
    anyhow::ensure!(made.status.success(), "{made:?}");
    daemon.start().await?;
    daemon.plugin()?.encrypt(&[7; 32]).await?;
    testbed::wait::until("a probe", std::time::Duration::from_secs(20), async || {
        let up = daemon.metrics().await?.sum("strongroom_root_up", &[]);
        Ok(if up == Some(1.0) {
            testbed::wait::Look::Done(())
        } else {
            testbed::wait::Look::NotYet(format!("{up:?}"))
        })
    })
    .await?;
    assert!(daemon.terminate().await?.success());
    Ok(endpoint.take_asked())
}

/// As IAM decides: an action, and every condition on the encryption context.
fn allows(statements: &[Value], asked: &Asked) -> bool {
    statements.iter().any(|statement| {
        let fits = |operator: &str, matches: fn(&str, &str) -> bool| {
            let conditions = statement["Condition"][operator].as_object();
            conditions.into_iter().flatten().all(|(name, values)| {
                let name = name.strip_prefix("kms:EncryptionContext:").unwrap();
                let value = asked.body["EncryptionContext"][name].as_str();
                value.is_some_and(|value| texts(values).iter().any(|it| matches(it, value)))
            })
        };
        texts(&statement["Action"]).contains(&format!("kms:{}", asked.operation))
            && fits("StringEquals", |pattern, value| pattern == value)
            && fits("StringLike", |pattern, value| {
                let parts: Vec<&str> = pattern.split('*').collect();
                let mut rest = value;
                parts.iter().all(|part| match rest.split_once(part) {
                    Some((_, after)) => {
                        rest = after;
                        true
                    }
                    None => false,
                })
            })
    })
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).map(Into::into).collect(),
        _ => Vec::new(),
    }
}
