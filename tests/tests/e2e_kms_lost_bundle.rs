//! The bundle is lost and the root key is kept: what lies in etcd carries its key with it.

use anyhow::{Context as _, Result};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use testbed::cluster::secret_key;
use testbed::{Cluster, StoredValue, object};

#[test]
fn everything_opens_by_its_annotation_and_new_values_get_a_new_version() -> Result<()> {
    testbed::run(async {
        let mut cluster = Cluster::encrypting(1).await?;
        let node = cluster.node()?;
        let secrets = node.apiserver.secrets("default");
        let post = PostParams::default();
        for name in ["one", "two", "damaged"] {
            secrets.create(&post, &object::secret(name, name)).await?;
        }
        let lost = node.daemon.plugin()?.status().await?.key_id;

        node.apiserver.kill()?;
        node.daemon.terminate().await?;
        std::fs::remove_dir_all(node.daemon.bundle())?;
        let config = node.daemon.config().display().to_string();
        let plain = node.daemon.run(&["init", "--config", &config])?;
        let said = String::from_utf8(plain.stderr)?;
        assert!(!plain.status.success(), "init begins version 1 a second time");
        assert!(said.contains("--first-version"), "no word about what to do: {said}");
        let init = node.daemon.run(&["init", "--config", &config, "--first-version", "2"])?;
        assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
        node.daemon.start().await?;
        let new = node.daemon.plugin()?.status().await?.key_id;
        assert!(lost.starts_with("etcd/v1/") && new.starts_with("etcd/v2/"), "{lost}, {new}");

        // Here the annotation is needed, so a changed one must not be believed.
        let key = secret_key("damaged");
        let mut damaged = StoredValue::parse(&cluster.etcd.value(&key).await?)?;
        let annotation = damaged.object.annotations.values_mut().next().context("no annotation")?;
        *annotation.last_mut().context("an empty annotation")? ^= 1;
        // The apiserver could not start with it in place: its cache is filled before it is ready.
        let whole = cluster.etcd.value(&key).await?;
        cluster.node()?.apiserver.start().await?;
        cluster.etcd.write(&key, &damaged.encode()).await?;
        let node = cluster.node()?;
        let secrets = node.apiserver.secrets("default");
        let refused = secrets.get("damaged").await;
        assert!(matches!(&refused, Err(kube::Error::Api(s)) if s.code == 500), "{refused:?}");
        cluster.etcd.write(&key, &whole).await?;

        for name in ["one", "two", "damaged"] {
            assert_eq!(object::value_of(&secrets.get(name).await?), Some(name));
        }
        secrets.create(&post, &object::secret("three", "three")).await?;
        let change = json!({ "stringData": { "value": "two changed" } });
        secrets.patch("two", &PatchParams::default(), &Patch::Merge(change)).await?;
        for (name, key_id) in [("one", &lost), ("two", &new), ("three", &new)] {
            let stored = StoredValue::parse(&cluster.etcd.value(&secret_key(name)).await?)?;
            assert_eq!(&stored.object.key_id, key_id, "{name}");
        }
        assert_eq!(object::value_of(&secrets.get("two").await?), Some("two changed"));
        Ok(())
    })
}
