//! Somebody changes what lies in etcd. Readers get an error or the value that was written, never another one, and
//! nothing but the changed Secret suffers.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::api::{ListParams, PostParams};
use testbed::cluster::secret_key;
use testbed::stored_value::Region;
use testbed::wait::{Look, until};
use testbed::{Apiserver, Cluster, StoredValue, object};

/// What a reader gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Refused,
    AsWritten,
    Wrong,
}

#[test]
fn a_changed_byte_is_refused_wherever_it_lies() -> Result<()> {
    testbed::run(async {
        let cluster = with_secrets(&["target", "other"]).await?;
        let key = secret_key("target");
        let whole = cluster.etcd.value(&key).await?;
        let regions = StoredValue::regions(&whole)?;

        let mut seen = BTreeMap::<(Region, Outcome), Vec<usize>>::new();
        for offset in 0..whole.len() {
            let mut changed = whole.clone();
            *changed.get_mut(offset).context("offset")? ^= 1 << (offset % 8);
            let region = regions.iter().find(|(_, range)| range.contains(&offset));
            let region = region.map_or(Region::Framing, |(region, _)| *region);
            let outcome = read_changed(&cluster, &changed).await?;
            seen.entry((region, outcome)).or_default().push(offset);
        }
        for (region, _) in &regions {
            assert!(
                seen.keys().any(|(reached, _)| reached == region),
                "{region:?} was not reached"
            );
        }
        seen.retain(|(_, outcome), _| *outcome != Outcome::Refused);
        assert!(seen.is_empty(), "a changed byte was not refused: {seen:?}");

        unharmed(cluster, &whole).await
    })
}

#[test]
fn a_value_that_is_cut_or_continued_is_refused() -> Result<()> {
    testbed::run(async {
        let cluster = with_secrets(&["target", "other"]).await?;
        let whole = cluster.etcd.value(&secret_key("target")).await?;
        for length in 0..whole.len() {
            let cut = whole.get(..length).context("length")?;
            assert_eq!(read_changed(&cluster, cut).await?, Outcome::Refused, "cut at {length}");
        }
        let continued = [whole.as_slice(), b"\0"].concat();
        assert_eq!(read_changed(&cluster, &continued).await?, Outcome::Refused, "continued");
        unharmed(cluster, &whole).await
    })
}

#[test]
fn a_value_that_was_moved_from_another_secret_is_refused() -> Result<()> {
    testbed::run(async {
        let cluster = with_secrets(&["target", "other"]).await?;
        let whole = cluster.etcd.value(&secret_key("target")).await?;
        let moved = cluster.etcd.value(&secret_key("other")).await?;
        assert_eq!(read_changed(&cluster, &moved).await?, Outcome::Refused);
        unharmed(cluster, &whole).await
    })
}

/// A cluster with Secrets whose value is their name.
async fn with_secrets(names: &[&str]) -> Result<Cluster> {
    let mut cluster = Cluster::encrypting(1).await?;
    let secrets = cluster.node()?.apiserver.secrets("default");
    for name in names {
        secrets.create(&PostParams::default(), &object::secret(name, name)).await?;
    }
    Ok(cluster)
}

/// Puts these bytes in the place of the Secret `target` and reads it. The Secret `other` must be read all the time.
async fn read_changed(cluster: &Cluster, bytes: &[u8]) -> Result<Outcome> {
    cluster.etcd.write(&secret_key("target"), bytes).await?;
    let node = cluster.nodes.first().context("no node")?;
    let outcome = read(&node.apiserver, "target").await?;
    let other = read(&node.apiserver, "other").await?;
    ensure!(other == Outcome::AsWritten, "the other Secret: {other:?}");
    Ok(outcome)
}

async fn read(apiserver: &Apiserver, name: &str) -> Result<Outcome> {
    match apiserver.secrets("default").get(name).await {
        Ok(secret) if object::value_of(&secret) == Some(name) => Ok(Outcome::AsWritten),
        Ok(_) => Ok(Outcome::Wrong),
        Err(kube::Error::Api(status)) => {
            ensure!(status.code == 500, "an answer of another kind: {status:?}");
            Ok(Outcome::Refused)
        }
        Err(error) => Err(error).context("the apiserver does not answer"),
    }
}

/// Nothing crashed or turned unhealthy; with the old bytes back in place everything is as before.
async fn unharmed(mut cluster: Cluster, whole: &[u8]) -> Result<()> {
    cluster.etcd.write(&secret_key("target"), whole).await?;
    let node = cluster.node()?;
    node.daemon.still_runs()?;
    assert_eq!(node.daemon.plugin()?.status().await?.healthz, "ok");
    node.apiserver.wait_ready().await?;
    for name in ["target", "other"] {
        assert_eq!(read(&node.apiserver, name).await?, Outcome::AsWritten, "{name}");
    }
    // While a value was broken, the apiserver could not fill its watch cache; it tries again every few seconds.
    let secrets = node.apiserver.secrets("default");
    until("a LIST", Duration::from_secs(30), async || {
        Ok(match secrets.list(&ListParams::default()).await {
            Ok(list) if list.items.len() == 2 => Look::Done(()),
            Ok(list) => Look::NotYet(format!("{} Secrets", list.items.len())),
            Err(error) => Look::NotYet(error.to_string()),
        })
    })
    .await
}
