//! Probes roots and keys in the background, so that Status never has to ask.

use std::{convert::Infallible, sync::Arc, time::Duration};

use envelope::{Context, KeyId, KeyMaterial, Purpose, RingName, SystemRandom};
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval},
};
use tracing::{error, info, warn};

use crate::{
    health::Health,
    keyring::Keyring,
    metrics::Metrics,
    root::{RootError, RootErrorKind, RootKey, Roots},
};

/// A shallow probe asks whether the root would answer.
const SHALLOW: Duration = Duration::from_secs(30);
/// Every tenth probe wraps and unwraps: every 5 minutes.
const DEEP_EVERY: u64 = 10;
/// A root that takes longer than this does not answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Everything a probe needs.
#[derive(Debug)]
pub struct Prober {
    /// What is probed.
    pub roots: Roots,
    /// Keys that must open what they made.
    pub keyring: Arc<Keyring>,
    /// Where the outcome goes.
    pub health: Arc<Health>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// Rung by whoever saw a root fail.
    pub now: Arc<Notify>,
}

impl Prober {
    /// Probes for ever.
    pub async fn run(self) -> Infallible {
        let mut ticks = interval(SHALLOW);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut count = 0_u64;
        loop {
            let deep = tokio::select! {
                () = self.now.notified() => true,
                _ = ticks.tick() => count.is_multiple_of(DEEP_EVERY),
            };
            count += 1;
            self.probe(deep).await;
        }
    }

    async fn probe(&self, deep: bool) {
        for root in self.roots.iter() {
            let probe = async { if deep { round_trip(&**root).await } else { root.check().await } };
            let outcome = tokio::time::timeout(DEADLINE, probe).await.unwrap_or_else(|_| {
                Err(RootError {
                    name: root.id().to_string(),
                    kind: RootErrorKind::Unavailable,
                    message: format!("no answer within {} seconds", DEADLINE.as_secs()),
                })
            });
            self.note(&**root, outcome);
        }
        if deep {
            self.test_keys();
        }
    }

    fn note(&self, root: &dyn RootKey, outcome: Result<(), RootError>) {
        self.metrics.probe(root.id(), outcome.as_ref().map_err(|error| error.kind));
        let part = format!("root {}", root.id());
        match outcome {
            Ok(()) => self.health.set(&part, Ok(())),
            // It answered, only not now.
            Err(error) if error.kind == RootErrorKind::Throttled => info!(%error, "probe"),
            Err(error) => {
                warn!(%error, "a root key does not work; keys in memory go on serving");
                self.health.set(&part, Err(error.to_string()));
            }
        }
    }

    /// Whether the key in memory opens what it made.
    fn test_keys(&self) {
        let Some(snapshot) = self.keyring.snapshot() else { return };
        let Ok(seed) = KeyMaterial::make(&SystemRandom) else { return };
        let outcome = snapshot.active().wrap_seed(&seed, None, &SystemRandom);
        if let Err(error) = &outcome {
            error!(%error, "the self-test of the active key version failed");
        }
        self.health.set_keys(outcome.is_ok());
    }
}

/// Wraps 32 throw-away bytes and opens them again.
async fn round_trip(root: &dyn RootKey) -> Result<(), RootError> {
    let failed = |kind, message: &str| RootError {
        name: root.id().to_string(),
        kind,
        message: message.into(),
    };
    let key = KeyMaterial::make(&SystemRandom)
        .map_err(|error| failed(RootErrorKind::Unavailable, &error.to_string()))?;
    let id = RingName::parse("probe")
        .and_then(|ring| KeyId::derive(ring, 1, &key))
        .map_err(|error| failed(RootErrorKind::Corrupt, &error.to_string()))?;
    let context = Context { purpose: Purpose::Probe, key_id: &id };
    let wrapped = root.wrap(&key, context).await?;
    let opened = root.unwrap(&wrapped, context).await?;
    if opened.ct_eq(&key) {
        Ok(())
    } else {
        Err(failed(RootErrorKind::Corrupt, "what it wrapped opens to something else"))
    }
}
