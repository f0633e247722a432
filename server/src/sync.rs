//! Brings what the ledger says to this node's disk, and what this node serves to the ledger.
//!
//! ```text
//! ledger ──verified──► bundle file ──reload──► snapshot ──self-test──► report to the ledger
//! ```
//!
//! Invariant: nothing here is waited for by a call. A ledger that is away, old, changed by hand or another cluster's changes
//! nothing of what is served, and is named in `/readyz`.

use std::{convert::Infallible, sync::Arc, time::Duration};

use envelope::{KeyMaterial, SystemRandom};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use crate::{
    config::Database,
    health::Health,
    keyring::{Snapshot, Store},
    ledger::{self, ClusterId, LedgerError, ReportRow, State},
    metrics::{Metrics, Sync},
    rotation::{Act, Control as _, ControlError, Controller},
};

/// What makes the sync correct; everything else only wakes it.
const POLL: Duration = Duration::from_secs(15);
/// How soon what did not work is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// How long the reload of a new bundle is waited for before the report says what is served instead.
const RELOAD: Duration = Duration::from_secs(12);

/// Everything the sync needs.
#[derive(Debug)]
pub struct Syncer {
    /// The way to the ledger.
    pub controller: Arc<Controller>,
    /// Where the bundle lies.
    pub store: Store,
    /// Name of this replica.
    pub replica: String,
    /// Rung when a bundle was written.
    pub reload: Arc<Notify>,
    /// Where trouble goes.
    pub health: Arc<Health>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// Whether it was a member since this process began. One that is removed after that stays so until a restart.
    pub joined: bool,
    /// What the last pass met.
    pub trouble: Option<String>,
}

impl Syncer {
    /// Connects the controller with its ledger, however long that takes.
    pub async fn connect(&self, database: &Database, cluster: ClusterId) {
        loop {
            match ledger::connect(database, cluster).await {
                Ok(ledger) => return self.controller.connect(ledger),
                Err(error) => {
                    let error = error.to_string();
                    warn!(error, "there is no ledger; the keys loaded before go on serving");
                    self.metrics.synced(Sync::Failed);
                    self.health.set("ledger", Err(error.clone()));
                    self.controller.not_connected(error);
                    sleep(RETRY).await;
                }
            }
        }
    }

    /// Syncs for ever.
    pub async fn run(mut self) -> Infallible {
        loop {
            let outcome = self.pass().await;
            let pause = if outcome.is_ok() { POLL } else { RETRY };
            self.note(outcome);
            let woken = async {
                match self.controller.ledger() {
                    Ok(ledger) => ledger.changed().await,
                    Err(_) => std::future::pending().await,
                }
            };
            tokio::select! {
                () = woken => {}
                () = self.controller.keyring().changed() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Takes over a newer bundle, becomes a member, says what is served.
    ///
    /// # Errors
    /// [`ControlError`], and the file system's as text.
    async fn pass(&mut self) -> Result<(), String> {
        let state = match self.controller.state().await {
            // It says what it serves all the same: a leader that sees this does not go on with a ledger from a backup.
            Err(error @ ControlError::NoSuccessor(_)) => {
                if let Ok(state) = self.controller.stored().await {
                    let _ = self.report(&state).await;
                }
                return Err(error.to_string());
            }
            state => state.map_err(|error| error.to_string())?,
        };
        self.take_over(&state).await?;
        let own = state.replicas.iter().find(|row| row.name == self.replica);
        if let Some((by, _)) = own.and_then(|row| row.removed.as_ref())
            && self.joined
        {
            return Err(format!(
                "this replica was removed by {by} while it ran: rotations do not wait for it. To join again: restart strongroomd"
            ));
        }
        let member = own.is_some_and(|row| row.removed.is_none());
        self.joined = true;
        if !member {
            let join = Act::Join { replica: self.replica.clone() };
            let actor = format!("replica {}", self.replica);
            self.controller.act(&actor, join).await.map_err(|error| error.to_string())?;
            info!(replica = self.replica, "joined");
        }
        match self.report(&state).await {
            // Removed between the two: the next pass says so.
            Err(ControlError::Ledger(LedgerError::NotMember(_))) => Ok(()),
            outcome => outcome.map_err(|error| error.to_string()),
        }
    }

    async fn take_over(&self, state: &State) -> Result<(), String> {
        let served =
            || self.controller.keyring().snapshot().map_or(0, |served| served.generation());
        let generation = state.head.generation;
        if generation <= served() {
            return Ok(());
        }
        // One that no root of this node opens would be its last after a restart.
        self.controller.opens(state).await.map_err(|error| {
            format!(
                "{error}. This node keeps the keys that it has. Where the ledger was restored from an old backup: strongroom \
                 ledger adopt, on this node"
            )
        })?;
        let bytes = state.bundle.bytes.clone();
        let store = self.store.clone();
        store.replace(bytes).await.map_err(|error| error.to_string())?;
        info!(generation, "took over a bundle from the ledger");
        self.reload.notify_one();
        let reloaded = async {
            while served() < generation {
                self.controller.keyring().changed().await;
            }
        };
        // What keeps it from being served is told by the reload.
        timeout(RELOAD, reloaded).await.map_err(|_| {
            format!("bundle generation {generation} was taken over from the ledger, and is not served yet")
        })
    }

    async fn report(&self, state: &State) -> Result<(), ControlError> {
        let Some(served) = self.controller.keyring().snapshot() else { return Ok(()) };
        let key = self.controller.key(&state.cluster).await?;
        let report = ReportRow {
            replica: self.replica.clone(),
            at: 0,
            generation: served.generation(),
            bundle: *served.digest(),
            serving: served.active().id().version(),
            tested: self_test(&served)?,
            mac: [0; 32],
        };
        let report = report.sealed(&key, &state.cluster.id, self.controller.ring());
        Ok(self.controller.ledger()?.report(self.controller.ring(), &report).await?)
    }

    fn note(&mut self, outcome: Result<(), String>) {
        self.metrics.synced(if outcome.is_ok() { Sync::Done } else { Sync::Failed });
        if let Err(error) = &outcome
            && self.trouble.as_ref() != Some(error)
        {
            warn!(
                error,
                "no word from the ledger can be taken; the keys loaded before go on serving"
            );
        }
        if outcome.is_ok() && self.trouble.is_some() {
            info!("the ledger is back");
        }
        self.health.set("ledger", outcome.clone());
        self.trouble = outcome.err();
    }
}

/// The highest version that opens what it made, with all below it.
fn self_test(snapshot: &Snapshot) -> Result<u32, ControlError> {
    let seed = KeyMaterial::make(&SystemRandom)?;
    let mut tested = 0;
    for version in snapshot.bundle().versions() {
        let number = version.id.version();
        if let Some(key) = snapshot.open_version(number)
            // It opens the frame again before it gives it out.
            && key.wrap_seed(&seed, None, &SystemRandom).is_err()
        {
            warn!(key_id = %version.id, "the self-test of a key version failed");
            return Ok(tested);
        }
        tested = number;
    }
    Ok(tested)
}
