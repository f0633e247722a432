//! One etcd with any number of kube-apiservers over it, each with a daemon beside it or with none.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures::future::try_join_all;

use crate::certs::Certs;
use crate::encryption::Encryption;
use crate::folder::Folder;
use crate::{Apiserver, Daemon, Etcd};

/// Ends with everything that it started.
pub struct Cluster {
    // Dropped in this order: each after those that need it.
    /// The control plane nodes.
    pub nodes: Vec<Node>,
    /// What they share.
    pub etcd: Etcd,
    certs: Arc<Certs>,
    folder: Folder,
}

/// One control plane node.
pub struct Node {
    /// Its kube-apiserver.
    pub apiserver: Apiserver,
    /// The daemon beside it.
    pub daemon: Daemon,
}

impl Cluster {
    /// An etcd and nothing else.
    pub async fn empty() -> Result<Self> {
        let folder = Folder::make()?;
        let etcd = Etcd::start(&folder.part("etcd")?).await?;
        let certs = Arc::new(Certs::make(&folder.part("certs")?)?);
        Ok(Self { nodes: Vec::new(), etcd, certs, folder })
    }

    /// `count` nodes, all encrypting, all daemons on the same root and bundle, all ready.
    pub async fn encrypting(count: usize) -> Result<Self> {
        let mut cluster = Self::empty().await?;
        for _ in 0..count {
            cluster.add_node()?;
        }
        for node in &mut cluster.nodes {
            node.daemon.start().await?;
        }
        try_join_all(cluster.nodes.iter_mut().map(|node| node.apiserver.start())).await?;
        Ok(cluster)
    }

    /// Prepares a node that encrypts through its own daemon. Nothing of it runs yet.
    pub fn add_node(&mut self) -> Result<&mut Node> {
        self.make_node()?;
        let (node, others) = self.nodes.split_last().context("a node was just made")?;
        match others.first() {
            Some(first) => node.daemon.copy_keys(&first.daemon)?,
            None => node.daemon.init()?,
        }
        self.nodes.last_mut().context("a node was just made")
    }

    /// Prepares a node whose daemon has no keys yet.
    pub fn make_node(&mut self) -> Result<()> {
        let number = self.nodes.len();
        let mut apiserver = self.make_apiserver(&format!("kube-apiserver-{number}"))?;
        let daemon = Daemon::make(&self.folder.part(&format!("daemon-{number}"))?)?;
        apiserver.encrypt(&Encryption::through(&daemon.socket()))?;
        self.nodes.push(Node { apiserver, daemon });
        Ok(())
    }

    /// A folder of its own for something else of this cluster.
    pub fn part(&self, name: &str) -> Result<PathBuf> {
        self.folder.part(name)
    }

    /// Prepares a kube-apiserver that encrypts nothing, for the caller to start.
    pub fn make_apiserver(&self, name: &str) -> Result<Apiserver> {
        Apiserver::make(name, &self.folder.part(name)?, self.etcd.url(), Arc::clone(&self.certs))
    }

    /// Prepares a daemon without keys that belongs to no node.
    pub fn make_daemon(&self, name: &str) -> Result<Daemon> {
        Daemon::make(&self.folder.part(name)?)
    }

    /// The first node, which is all there is in most tests.
    pub fn node(&mut self) -> Result<&mut Node> {
        self.nodes.first_mut().context("the cluster has no node")
    }
}

/// Where a Secret of the namespace `default` lies in etcd.
pub fn secret_key(name: &str) -> String {
    format!("/registry/secrets/default/{name}")
}
