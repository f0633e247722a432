//! The daemon dies, again and again, and comes late. kube-apiserver carries on and recovers by itself.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use kube::api::{ListParams, PostParams};
use testbed::cluster::secret_key;
use testbed::wait::{Look, until};
use testbed::{Apiserver, Cluster, Daemon, Etcd, Plugin, StoredValue, object, random};

const KILLS: usize = 20;
const RECOVERS: Duration = Duration::from_secs(30);

#[test]
fn killed_20_times_under_load_no_answer_is_wrong_and_the_apiserver_recovers() -> Result<()> {
    testbed::run(async {
        let mut cluster = Cluster::encrypting(1).await?;
        let post = PostParams::default();
        let apiserver = &cluster.node()?.apiserver;
        apiserver.secrets("default").create(&post, &object::secret("cold", "cold")).await?;

        let Cluster { nodes, etcd, .. } = &mut cluster;
        let node = nodes.first_mut().context("no node")?;
        let load = Load::default();
        let plugin = node.daemon.plugin()?;
        tokio::select! {
            outcome = kill_again_and_again(&mut node.daemon, &load) => outcome?,
            outcome = call_the_plugin(&plugin, &load) => outcome?,
            outcome = write_secrets(&node.apiserver, &load) => outcome?,
            outcome = read_under_new_seeds(&node.apiserver, etcd, &plugin, &load) => outcome?,
        }

        node.apiserver.wait_ready().await?;
        let list = node.apiserver.secrets("default").list(&ListParams::default()).await?;
        let values: BTreeMap<_, _> = list
            .iter()
            .map(|secret| {
                (secret.metadata.name.clone().unwrap_or_default(), object::value_of(secret))
            })
            .collect();
        for number in 0..load.written.get() {
            let value = format!("value {number}");
            let found = values.get(&format!("secret-{number}")).copied().flatten();
            assert_eq!(found, Some(value.as_str()));
        }
        Ok(())
    })
}

#[test]
fn a_daemon_that_starts_after_the_apiserver_makes_it_ready() -> Result<()> {
    testbed::run(async {
        let mut cluster = Cluster::empty().await?;
        let node = cluster.add_node()?;
        node.apiserver.launch()?;
        until("the apiserver says what it lacks", RECOVERS, async || {
            node.apiserver.still_runs()?;
            Ok(match node.apiserver.unready().await {
                Ok(checks) if checks.contains("kms-provider") => Look::Done(()),
                Ok(checks) => Look::NotYet(format!("failing checks: {checks:?}")),
                Err(error) => Look::NotYet(format!("{error:#}")),
            })
        })
        .await?;

        node.daemon.start().await?;
        node.apiserver.wait_ready().await?;
        let secrets = node.apiserver.secrets("default");
        secrets.create(&PostParams::default(), &object::secret("late", "late")).await?;
        assert_eq!(object::value_of(&secrets.get("late").await?), Some("late"));
        Ok(())
    })
}

/// What the load has done so far.
#[derive(Default)]
struct Load {
    /// Encrypt and Decrypt pairs with the right answer, straight to the daemon.
    called: Cell<usize>,
    /// The same, unanswered.
    unanswered: Cell<usize>,
    /// Secrets written through the apiserver and read back.
    written: Cell<usize>,
    /// Values under a seed that the apiserver did not know, read right through it.
    opened: Cell<usize>,
}

async fn kill_again_and_again(daemon: &mut Daemon, load: &Load) -> Result<()> {
    for kill in 0..KILLS {
        let Load { called, unanswered, written, opened } = load;
        // Each time at another point of the load, and only when all of it has moved on since the last time.
        reach("calls", called, called.get() + 20 + 13 * kill).await?;
        reach("writes", written, written.get() + 1).await?;
        reach("reads that need the daemon", opened, opened.get() + 1).await?;
        daemon.kill()?;
        reach("calls that nobody answers", unanswered, unanswered.get() + 1).await?;
        daemon.start().await?;
    }
    reach("reads after the last start", &load.opened, load.opened.get() + 1).await
}

async fn reach(what: &str, counter: &Cell<usize>, target: usize) -> Result<()> {
    until(what, RECOVERS, async || {
        Ok(match counter.get() {
            count if count >= target => Look::Done(()),
            count => Look::NotYet(format!("{count} of {target}")),
        })
    })
    .await
}

/// Ends only with an error, like the other loads.
async fn call_the_plugin(plugin: &Plugin, load: &Load) -> Result<()> {
    loop {
        let answer = async {
            let (seed, wrapped) = plugin.make_seed().await?;
            Ok::<_, anyhow::Error>((seed, plugin.unwrap_seed(&wrapped).await?))
        };
        match answer.await {
            Ok((seed, unwrapped)) => {
                ensure!(seed == unwrapped, "Decrypt gives another seed than Encrypt was given");
                count(&load.called);
            }
            Err(_) => {
                count(&load.unanswered);
                serves_again(plugin).await?;
            }
        }
    }
}

/// A daemon that is gone for a moment is no reason for a write to fail: the apiserver has its seed.
async fn write_secrets(apiserver: &Apiserver, load: &Load) -> Result<()> {
    let secrets = apiserver.secrets("default");
    loop {
        let name = format!("secret-{}", load.written.get());
        let value = format!("value {}", load.written.get());
        secrets.create(&PostParams::default(), &object::secret(&name, &value)).await?;
        let read = secrets.get(&name).await?;
        ensure!(object::value_of(&read) == Some(&value), "another value than was written");
        count(&load.written);
    }
}

async fn read_under_new_seeds(
    apiserver: &Apiserver,
    etcd: &Etcd,
    plugin: &Plugin,
    load: &Load,
) -> Result<()> {
    let key = secret_key("cold");
    let stored = StoredValue::parse(&etcd.value(&key).await?)?;
    let plaintext = stored.open(&plugin.unwrap_seed(&stored.object).await?, &key)?;
    let secrets = apiserver.secrets("default");
    loop {
        let Ok((seed, wrapped)) = plugin.make_seed().await else {
            serves_again(plugin).await?;
            continue;
        };
        etcd.write(&key, &stored.seal(wrapped, &seed, &key, &plaintext)?.encode()).await?;
        until("a read under a new seed", RECOVERS, async || match secrets.get("cold").await {
            Ok(read) => {
                ensure!(object::value_of(&read) == Some("cold"), "another value than was written");
                Ok(Look::Done(()))
            }
            Err(kube::Error::Api(status)) if status.code == 500 => Ok(Look::NotYet(status.message)),
            Err(error) => bail!("the apiserver does not answer: {error}"),
        })
        .await?;
        count(&load.opened);
    }
}

async fn serves_again(plugin: &Plugin) -> Result<()> {
    until("the daemon serves again", RECOVERS, async || {
        Ok(match plugin.encrypt(&random::bytes::<32>()?).await {
            Ok(_) => Look::Done(()),
            Err(status) => Look::NotYet(status.to_string()),
        })
    })
    .await
}

fn count(counter: &Cell<usize>) {
    counter.set(counter.get() + 1);
}
