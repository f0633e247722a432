//! Keeps the snapshot in memory as new as the bundle on disk.
//!
//! Invariant: a bundle that is refused changes nothing; the last good snapshot goes on serving.

use std::{convert::Infallible, fs, os::unix::fs::MetadataExt, sync::Arc, time::Duration};

use tokio::{
    signal::unix::Signal,
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tracing::{debug, error, info, warn};

use crate::{
    health::Health,
    keyring::{Keyring, LoadError, Store},
    metrics::{Load, Metrics},
    root::Roots,
};

/// How often the file is looked at; SIGHUP looks at once.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How soon what did not work is tried again: the trouble may be a root's, and the file stay as it is.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// A load that takes longer has met a root, or a disk, that hangs.
const DEADLINE: Duration = Duration::from_secs(10);

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
    /// Rung by whoever wrote a new bundle.
    pub now: Arc<Notify>,
    /// What the last load met.
    pub last: Last,
}

/// What the last load met.
#[derive(Debug, Default)]
pub struct Last {
    seen: Option<Seen>,
    trouble: Option<(String, Instant)>,
}

/// Which content of the file was looked at: whatever writes to it changes one of these.
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
    pub async fn load(&mut self) -> Result<(), LoadError> {
        // Before it is read: what comes in between is seen by the next look.
        self.last.seen = self.look();
        let loaded = timeout(DEADLINE, self.store.load(&self.roots))
            .await
            .unwrap_or(Err(LoadError::Slow(DEADLINE.as_secs())))
            .and_then(|snapshot| self.keyring.publish(snapshot, self.store.bundle_path()));
        if let Err(error) = loaded {
            self.metrics.load(Load::Refused);
            self.trouble(&error);
            return Err(error);
        }
        self.metrics.load(Load::Accepted);
        if let Some(served) = self.keyring.snapshot() {
            let key_id = served.active().id();
            self.metrics.serving(served.generation(), key_id);
            info!(generation = served.generation(), %key_id, "serving");
            self.accept(served.generation()).await;
        }
        Ok(())
    }

    /// Loads the bundle again whenever it changed, `hangup` or [`Reloader::now`] came, or the last load failed; for ever.
    pub async fn run(mut self, mut hangup: Signal) -> Infallible {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = hangup.recv() => true,
                () = self.now.notified() => true,
                _ = ticks.tick() => false,
            };
            let again =
                matches!(&self.last.trouble, Some((_, since)) if since.elapsed() >= RETRY_AFTER);
            if asked || again || self.look() != self.last.seen {
                // Told by `trouble`; the keys loaded before go on serving.
                let _ = self.load().await;
            }
        }
    }

    /// Remembers on disk what was accepted. That this fails is trouble, but no reason not to serve.
    async fn accept(&mut self, generation: u64) {
        match self.store.accept(generation).await {
            Ok(()) => {
                self.last.trouble = None;
                self.health.set("bundle", Ok(()));
            }
            Err(error) => self.trouble(&error),
        }
    }

    fn trouble(&mut self, error: &LoadError) {
        let message = error.to_string();
        let known = matches!(&self.last.trouble, Some((before, _)) if *before == message);
        match error {
            // At the start it is the reason to stop, and printed as such.
            _ if known || self.keyring.snapshot().is_none() => debug!(%error, "not loaded"),
            LoadError::Accept { .. } => {
                warn!(%error, "an older bundle would not be noticed after a restart");
            }
            _ => error!(%error, "the bundle was refused; the keys loaded before go on serving"),
        }
        self.health.set("bundle", Err(message.clone()));
        self.last.trouble = Some((message, Instant::now()));
    }

    fn look(&self) -> Option<Seen> {
        let metadata = fs::metadata(self.store.bundle_path()).ok()?;
        Some(Seen {
            inode: metadata.ino(),
            len: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}
