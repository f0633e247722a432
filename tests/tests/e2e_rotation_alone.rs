//! One node with the embedded ledger: a whole rotation, under a real kube-apiserver.

use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::api::PostParams;
use serde_json::Value;
use testbed::cluster::secret_key;
use testbed::wait::{Look, until};
use testbed::{Cluster, Daemon, StoredValue, object};

const ROTATES: Duration = Duration::from_secs(60);

#[test]
fn a_rotation_of_one_node_ends_by_itself_and_old_secrets_still_open() -> Result<()> {
    testbed::run(async {
        let mut cluster = Cluster::empty().await?;
        let node = cluster.add_node()?;
        node.daemon.rotate_alone("2s")?;
        // The ring was begun before there was a ledger: init enters it.
        node.daemon.init()?;
        node.daemon.start().await?;
        node.apiserver.start().await?;
        let secrets = node.apiserver.secrets("default");
        secrets.create(&PostParams::default(), &object::secret("before", "before")).await?;

        let begun = node.daemon.strongroom(&["rotate", "start", "--reason", "a test"])?;
        assert!(begun.status.success(), "{}", String::from_utf8_lossy(&begun.stderr));
        finished(&node.daemon, 1).await?;

        let status = node.daemon.plugin()?.status().await?;
        assert!(status.key_id.starts_with("etcd/v2/"), "{}", status.key_id);
        // A new process, because kube-apiserver polls Status once a minute.
        node.apiserver.restart().await?;
        let secrets = node.apiserver.secrets("default");
        secrets.create(&PostParams::default(), &object::secret("after", "after")).await?;
        for (name, version) in [("before", "etcd/v1/"), ("after", "etcd/v2/")] {
            assert_eq!(object::value_of(&secrets.get(name).await?), Some(name));
            let stored = cluster.etcd.value(&secret_key(name)).await?;
            let key_id = StoredValue::parse(&stored)?.object.key_id;
            assert!(key_id.starts_with(version), "{name} lies under {key_id}");
        }
        Ok(())
    })
}

async fn finished(daemon: &Daemon, run: u64) -> Result<()> {
    until("the run ends", ROTATES, async || {
        let status = daemon.ask(&["rotate", "status"])?;
        let state = text(&status, "/run/state")?;
        let id = status.pointer("/run/id").and_then(Value::as_u64).context("no id")?;
        Ok(if id == run && state == "done" {
            Look::Done(())
        } else {
            Look::NotYet(status.to_string())
        })
    })
    .await
}

fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .with_context(|| format!("no {pointer} in {value}"))
}
