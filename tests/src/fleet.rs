//! Control-plane nodes whose daemons rotate together over one Postgres, and what watches them meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join_all;
use kube::api::PostParams;
use serde_json::Value;

use crate::wait::{Look, until};
use crate::{Apiserver, Cluster, Daemon, Postgres, object};

/// kube-apiserver asks for Status once a minute, and at each `/readyz`, at most every 20 seconds.
const ROTATES: Duration = Duration::from_secs(180);

/// A cluster, each daemon of which may lead.
pub struct Fleet {
    /// The nodes.
    pub cluster: Cluster,
    /// Where their rotations are tracked.
    pub postgres: Postgres,
}

impl Fleet {
    /// `count` nodes, all serving, all members, all apiservers ready.
    pub async fn start(count: usize) -> Result<Self> {
        let mut cluster = Cluster::empty().await?;
        let postgres = Postgres::start(&cluster.part("postgres")?).await?;
        for number in 0..count {
            cluster.make_node()?;
            let node = cluster.nodes.last().context("a node was just made")?;
            node.daemon.rotate_with(&postgres, &format!("cp-{number}"))?;
        }
        let (first, others) = cluster.nodes.split_first().context("no nodes")?;
        first.daemon.migrate(&postgres)?;
        postgres.grant()?;
        first.daemon.init()?;
        for node in others {
            // What an operator copies: the root key and the identity of the cluster. The bundle comes from the ledger.
            node.daemon.copy_root(&first.daemon)?;
            node.daemon.copy_cluster(&first.daemon)?;
        }
        // Each reads the metrics of all apiservers, as whoever leads must.
        for node in &cluster.nodes {
            for other in &cluster.nodes {
                node.daemon.watch_apiserver(&other.apiserver)?;
            }
        }
        for node in &mut cluster.nodes {
            node.daemon.start().await?;
        }
        try_join_all(cluster.nodes.iter_mut().map(|node| node.apiserver.start())).await?;
        let fleet = Self { cluster, postgres };
        fleet.members(count).await?;
        Ok(fleet)
    }

    /// Waits until so many replicas are members.
    pub async fn members(&self, count: usize) -> Result<()> {
        until("every daemon is a member", ROTATES, async || {
            let replicas = self.any()?.ask(&["replicas", "list"])?;
            let seen = replicas.pointer("/replicas").and_then(Value::as_array).map_or(0, Vec::len);
            Ok(if seen == count { Look::Done(()) } else { Look::NotYet(replicas.to_string()) })
        })
        .await
    }

    /// Begins a rotation and waits until it is done. Returns the key id that it made active.
    pub async fn rotate(&self, reason: &str) -> Result<String> {
        let run = self.begin(reason)?;
        self.finished(run).await
    }

    /// Begins a rotation. Returns the number of the run.
    pub fn begin(&self, reason: &str) -> Result<u64> {
        let daemon = self.any()?;
        let begun = daemon.strongroom(&["rotate", "start", "--reason", reason])?;
        ensure!(begun.status.success(), "{}", String::from_utf8_lossy(&begun.stderr));
        let status = daemon.ask(&["rotate", "status"])?;
        status.pointer("/run/id").and_then(Value::as_u64).context("no run was begun")
    }

    /// Waits until a run is done. Returns the key id that it made active.
    pub async fn finished(&self, run: u64) -> Result<String> {
        until(&format!("run {run} ends"), ROTATES, async || {
            self.poke().await;
            let Ok(status) = self.any()?.ask(&["rotate", "status"]) else {
                return Ok(Look::NotYet("no status".to_owned()));
            };
            let id = status.pointer("/run/id").and_then(Value::as_u64);
            let state = status.pointer("/run/state").and_then(Value::as_str);
            Ok(match (id, state) {
                (Some(id), Some("done")) if id == run => Look::Done(()),
                _ => Look::NotYet(status.to_string()),
            })
        })
        .await?;
        let status = self.any()?.ask(&["rotate", "status"])?;
        let active = status.pointer("/active").and_then(Value::as_str);
        Ok(active.context("no key is active")?.to_owned())
    }

    /// Has every apiserver ask its plugin for Status soon, which it would do by itself within a minute.
    pub async fn poke(&self) {
        for node in &self.cluster.nodes {
            // One that is down is asked again next time.
            let _ = node.apiserver.unready().await;
        }
    }

    /// A daemon that runs.
    pub fn any(&self) -> Result<&Daemon> {
        let mut daemons = self.cluster.nodes.iter().map(|node| &node.daemon);
        daemons.find(|daemon| daemon.id().is_some()).context("no daemon runs")
    }
}

/// What goes on while keys rotate: writes and reads through every apiserver, and a look at what every daemon names.
#[derive(Default)]
pub struct Traffic {
    stop: AtomicBool,
    written: AtomicUsize,
    read: AtomicUsize,
}

impl Traffic {
    /// Ends [`Traffic::flow`].
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// How many Secrets were written and read so far.
    pub fn seen(&self) -> (usize, usize) {
        (self.written.load(Ordering::SeqCst), self.read.load(Ordering::SeqCst))
    }

    /// Writes a Secret through one apiserver after the other and reads it, and an old one, through each of them. Fails with the first
    /// answer that is not right.
    pub async fn flow(&self, apiservers: &[&Apiserver]) -> Result<()> {
        for number in 0.. {
            if self.stop.load(Ordering::SeqCst) {
                break;
            }
            let name = format!("traffic-{number}");
            let value = format!("value {number}");
            let writer = apiservers.get(number % apiservers.len()).context("no apiserver")?;
            let secret = object::secret(&name, &value);
            let written = writer.secrets("default").create(&PostParams::default(), &secret).await;
            written.with_context(|| format!("writing {name}"))?;
            self.written.fetch_add(1, Ordering::SeqCst);
            for reader in apiservers {
                for number in [number, number / 2] {
                    let name = format!("traffic-{number}");
                    let read = reader.secrets("default").get(&name).await;
                    let read = read.with_context(|| format!("reading {name}"))?;
                    let expected = format!("value {number}");
                    ensure!(
                        object::value_of(&read) == Some(expected.as_str()),
                        "{name} is not what was written"
                    );
                    self.read.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        Ok(())
    }

    /// Asks a daemon again and again which key it names, and fails where it goes back. A daemon that does not answer is asked again.
    pub async fn names(&self, daemon: &crate::Plugin) -> Result<Vec<String>> {
        let mut named: Vec<String> = Vec::new();
        let mut version = BTreeMap::new();
        while !self.stop.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
            let Ok(status) = daemon.status().await else { continue };
            if named.last() == Some(&status.key_id) {
                continue;
            }
            if let Some(at) = version.insert(status.key_id.clone(), named.len()) {
                bail!("{} was named again, after {:?}", status.key_id, named.get(at..));
            }
            named.push(status.key_id);
        }
        Ok(named)
    }
}
