//! Keeps the snapshot in memory as new as the bundle on disk.
//!
//! Invariant: a bundle that is refused changes nothing; the last good snapshot goes on serving.

use std::{convert::Infallible, fs, os::unix::fs::MetadataExt, sync::Arc, time::Duration};

use tokio::{
    signal::unix::Signal,
    time::{MissedTickBehavior, interval},
};
use tracing::{error, info, warn};

use crate::{
    health::Health,
    keyring::{Keyring, LoadError, Store},
    metrics::{Load, Metrics},
    root::Roots,
};

/// How often the file is looked at; SIGHUP looks at once.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Everything a reload needs.
#[derive(Debug)]
pub struct Reloader {
    /// Where the bundle lies.
    pub store: Store,
    /// What opens it.
    pub roots: Roots,
    /// Where the snapshot goes.
    pub keyring: Arc<Keyring>,
    /// Where trouble goes.
    pub health: Arc<Health>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
}

/// Which content of the file was looked at last: a replaced file has another inode.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    inode: u64,
    len: u64,
    changed: (i64, i64),
}

impl Reloader {
    /// Loads the bundle and serves it.
    ///
    /// # Errors
    /// [`LoadError`]; what was served before goes on being served.
    pub async fn load(&self) -> Result<(), LoadError> {
        let snapshot = self.store.load(&self.roots).await.inspect_err(|error| {
            self.metrics.load(Load::Refused);
            self.health.set("bundle", Err(error.to_string()));
        })?;
        let (generation, active) = (snapshot.generation(), snapshot.active().key.id().clone());
        self.keyring.publish(snapshot);
        self.metrics.load(Load::Accepted);
        self.metrics.serving(generation, &active);
        info!(generation, key_id = %active, "serving");
        let accepted = self.store.accept(generation);
        if let Err(error) = &accepted {
            warn!(%error, "an older bundle would not be noticed after a restart");
        }
        self.health.set("bundle", accepted.map_err(|error| error.to_string()));
        Ok(())
    }

    /// Loads the bundle again whenever it changed or `hangup` came, for ever.
    pub async fn run(self, mut hangup: Signal) -> Infallible {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = self.look();
        loop {
            let asked = tokio::select! {
                _ = hangup.recv() => true,
                _ = ticks.tick() => false,
            };
            let seen = self.look();
            if asked || seen != last {
                last = seen;
                if let Err(error) = self.load().await {
                    error!(%error, "the bundle was refused; the keys loaded before go on serving");
                }
            }
        }
    }

    fn look(&self) -> Option<Seen> {
        let metadata = fs::metadata(self.store.bundle_path()).ok()?;
        Some(Seen {
            inode: metadata.ino(),
            len: metadata.len(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}
