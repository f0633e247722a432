//! Three kube-apiservers over one etcd, each with a daemon of its own on the same root and bundle.

use std::collections::HashSet;

use anyhow::Result;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use testbed::cluster::secret_key;
use testbed::{Cluster, StoredValue, object};
use tokio::sync::OnceCell;

#[test]
fn each_apiserver_reads_what_another_wrote() -> Result<()> {
    testbed::run(async {
        let cluster = three().await?;
        for (number, writer) in cluster.nodes.iter().enumerate() {
            let secret = object::secret(&format!("from-{number}"), &format!("value {number}"));
            writer.apiserver.secrets("default").create(&PostParams::default(), &secret).await?;
        }

        let mut key_ids = HashSet::new();
        let mut sources = HashSet::new();
        for number in 0..3 {
            let value = cluster.etcd.value(&secret_key(&format!("from-{number}"))).await?;
            let object = StoredValue::parse(&value)?.object;
            key_ids.insert(object.key_id);
            sources.insert(object.encrypted_dek_source);
        }
        assert_eq!(key_ids.len(), 1, "one key for all: {key_ids:?}");
        assert_eq!(sources.len(), 3, "a seed for each, so that reading means calling a daemon");

        for reader in &cluster.nodes {
            for number in 0..3 {
                let secrets = reader.apiserver.secrets("default");
                let read = secrets.get(&format!("from-{number}")).await?;
                assert_eq!(object::value_of(&read), Some(format!("value {number}").as_str()));
            }
        }
        Ok(())
    })
}

#[test]
fn each_apiserver_changes_what_another_wrote() -> Result<()> {
    testbed::run(async {
        let cluster = three().await?;
        let [first, ..] = cluster.nodes.as_slice() else { anyhow::bail!("no nodes") };
        let secret = object::secret("shared", "at first");
        first.apiserver.secrets("default").create(&PostParams::default(), &secret).await?;
        for (number, writer) in cluster.nodes.iter().enumerate() {
            let change = json!({ "stringData": { "value": format!("changed by {number}") } });
            let secrets = writer.apiserver.secrets("default");
            secrets.patch("shared", &PatchParams::default(), &Patch::Merge(change)).await?;
            for reader in &cluster.nodes {
                let read = reader.apiserver.secrets("default").get("shared").await?;
                let wanted = format!("changed by {number}");
                assert_eq!(object::value_of(&read), Some(wanted.as_str()));
            }
        }
        Ok(())
    })
}

/// One cluster for all tests here: they write Secrets of their own and end nothing.
async fn three() -> Result<&'static Cluster> {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER.get_or_try_init(|| Cluster::encrypting(3)).await
}
