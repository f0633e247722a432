//! A LIST of 2,000 Secrets by a kube-apiserver that has just started and knows no seed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use kube::api::{ListParams, PostParams};
use testbed::cluster::secret_key;
use testbed::{Apiserver, Cluster, Etcd, Plugin, StoredValue, object};

const COUNT: usize = 2_000;
/// In flight at once: enough to keep two cores busy.
const WIDTH: usize = 16;

#[test]
fn a_list_of_2000_secrets_after_a_restart_is_right() -> Result<()> {
    testbed::run(async {
        let mut cluster = Cluster::encrypting(1).await?;
        let node = cluster.node()?;
        let written = write_secrets(&node.apiserver).await?;
        node.apiserver.restart().await?;
        assert_eq!(differences(&written, &list(&node.apiserver).await?), Vec::<String>::new());
        Ok(())
    })
}

/// Each restart of a kube-apiserver makes a seed; years of them leave many, and each needs a Decrypt of its own.
#[test]
fn a_list_of_2000_secrets_under_2000_seeds_after_a_restart_is_right() -> Result<()> {
    testbed::run(async {
        let mut cluster = Cluster::encrypting(1).await?;
        let written = write_secrets(&cluster.node()?.apiserver).await?;
        let plugin = cluster.node()?.daemon.plugin()?;
        // The apiserver is down meanwhile: it would learn the new seeds by watching.
        cluster.node()?.apiserver.kill()?;
        let names = stream::iter(written.keys());
        names
            .map(|name| give_own_seed(&cluster.etcd, &plugin, name))
            .buffer_unordered(WIDTH)
            .try_collect::<()>()
            .await?;
        let sources = stored_sources(&cluster.etcd).await?;
        assert_eq!(sources.len(), COUNT, "seeds in etcd");

        let node = cluster.node()?;
        let start = Instant::now();
        node.apiserver.start().await?;
        let ready = start.elapsed();
        assert_eq!(differences(&written, &list(&node.apiserver).await?), Vec::<String>::new());
        assert!(ready < Duration::from_secs(30), "ready after {ready:?}");
        let misses = node.apiserver.metrics().await?;
        let misses =
            misses.sum("apiserver_storage_envelope_transformation_cache_misses_total", &[]);
        assert!(misses.unwrap_or_default() >= 2_000.0, "the list was not cold: {misses:?} misses");
        Ok(())
    })
}

/// Names and values of what was written.
async fn write_secrets(apiserver: &Apiserver) -> Result<BTreeMap<String, String>> {
    let secrets = apiserver.secrets("default");
    let written: BTreeMap<String, String> = (0..COUNT)
        .map(|number| (format!("secret-{number:04}"), format!("value {number}")))
        .collect();
    let post = PostParams::default();
    stream::iter(&written)
        .map(async |(name, value)| secrets.create(&post, &object::secret(name, value)).await)
        .buffer_unordered(WIDTH)
        .try_for_each(async |_| Ok(()))
        .await?;
    Ok(written)
}

async fn give_own_seed(etcd: &Etcd, plugin: &Plugin, name: &str) -> Result<()> {
    let key = secret_key(name);
    let stored = StoredValue::parse(&etcd.value(&key).await?)?;
    let plaintext = stored.open(&plugin.unwrap_seed(&stored.object).await?, &key)?;
    let (seed, wrapped) = plugin.make_seed().await?;
    etcd.write(&key, &stored.seal(wrapped, &seed, &key, &plaintext)?.encode()).await
}

async fn stored_sources(etcd: &Etcd) -> Result<HashSet<Vec<u8>>> {
    let values = etcd.list("/registry/secrets/default/").await?;
    values
        .iter()
        .map(|(_, value)| Ok(StoredValue::parse(value)?.object.encrypted_dek_source))
        .collect()
}

async fn list(apiserver: &Apiserver) -> Result<BTreeMap<String, String>> {
    let list = apiserver.secrets("default").list(&ListParams::default()).await?;
    let pair = |secret: &_| {
        let value = object::value_of(secret).context("a Secret without its value")?;
        let name = secret.metadata.name.clone().context("a Secret without a name")?;
        Ok((name, value.to_owned()))
    };
    list.items.iter().map(pair).collect()
}

/// Names whose values are not the same on both sides, so that a failure does not print 2,000 of them.
fn differences(
    written: &BTreeMap<String, String>,
    listed: &BTreeMap<String, String>,
) -> Vec<String> {
    let names: BTreeSet<&String> = written.keys().chain(listed.keys()).collect();
    names
        .into_iter()
        .filter(|name| written.get(*name) != listed.get(*name))
        .map(|name| format!("{name}: {:?} became {:?}", written.get(name), listed.get(name)))
        .collect()
}
