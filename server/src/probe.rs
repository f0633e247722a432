//! Probes roots and keys in the background, so that Status never has to ask.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use envelope::{Context, KeyId, KeyMaterial, Purpose, RingName, RootId, SystemRandom};
use futures_util::future::join_all;
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tracing::{error, info, warn};

use crate::{
    health::Health,
    keyring::Keyring,
    metrics::Metrics,
    root::{Checked, RootError, RootErrorKind, RootKey, Roots, Warning},
};

/// A shallow probe asks whether the root would answer.
const SHALLOW: Duration = Duration::from_secs(30);
/// Every tenth probe wraps and unwraps: every 5 minutes.
const DEEP_EVERY: u64 = 10;
/// One that did not answer is looked at more often: as long as it hangs, nobody else asks it.
const AGAIN: Duration = Duration::from_secs(5);
/// A root that takes longer than this does not answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// How roots are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Whether they would answer.
    Shallow,
    /// Whether they wrap and unwrap.
    Deep,
    /// Deeply, those that did not answer.
    Again,
}

/// What the last probe of each root met.
#[derive(Debug, Default)]
struct Known {
    failed: BTreeMap<RootId, RootErrorKind>,
    told: BTreeMap<RootId, String>,
    material: BTreeMap<RootId, String>,
}

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
    /// Probes for ever, and opens roots that were away.
    pub async fn run(self) -> Infallible {
        let mut ticks = interval(SHALLOW);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut count = 0_u64;
        let mut known = Known::default();
        loop {
            let unavailable = known.failed.values().any(|kind| *kind == RootErrorKind::Unavailable);
            let look = tokio::select! {
                () = self.now.notified() => Look::Deep,
                () = self.roots.one_hangs() => Look::Again,
                () = sleep(AGAIN), if unavailable => Look::Again,
                _ = ticks.tick() => {
                    count += 1;
                    if (count - 1).is_multiple_of(DEEP_EVERY) { Look::Deep } else { Look::Shallow }
                }
            };
            if look != Look::Again {
                self.look_for_those_away().await;
            }
            self.probe(look, &mut known).await;
            if look == Look::Deep {
                self.test_keys();
            }
        }
    }

    async fn look_for_those_away(&self) {
        self.roots.reopen().await;
        let away = self.roots.away();
        self.metrics.roots_away(away.len());
        let state = if away.is_empty() { Ok(()) } else { Err(away.join("; ")) };
        self.health.set("roots", state);
    }

    /// Probes all at once. One that failed last is looked at deeply until it does everything again: who may see a key need not
    /// be allowed to use it.
    async fn probe(&self, look: Look, known: &mut Known) {
        let hanging = self.roots.hanging();
        let probes = self.roots.iter().filter_map(|root| {
            let id = root.id();
            let again = known.failed.contains_key(&id) || hanging.contains(&id);
            let deep = again || look == Look::Deep;
            (again || look != Look::Again).then(|| self.probe_root(&**root, deep))
        });
        for (root, outcome) in join_all(probes).await {
            self.note(root, outcome, known);
        }
    }

    async fn probe_root(
        &self,
        root: &dyn RootKey,
        deep: bool,
    ) -> (RootId, Result<Checked, RootError>) {
        let began = Instant::now();
        let outcome = timeout(DEADLINE, look_at(root, deep)).await.unwrap_or_else(|_| {
            Err(RootError {
                name: root.id().to_string(),
                kind: RootErrorKind::Unavailable,
                message: format!("no answer within {} seconds", DEADLINE.as_secs()),
            })
        });
        self.roots.probed(root.id(), &outcome, began.elapsed());
        (root.id(), outcome)
    }

    fn note(&self, root: RootId, outcome: Result<Checked, RootError>, known: &mut Known) {
        if let Ok(Checked { material: Some(material), .. }) = &outcome {
            let before = known.material.insert(root, material.clone());
            if before.is_some_and(|before| before != *material) {
                info!(%root, material, "the provider rotated this root key; that re-encrypts nothing: strongroom rotate start does");
            }
        }
        let (kind, trouble) = match outcome {
            Ok(Checked { warning: None, .. }) => {
                self.metrics.root_ends(root, None);
                (None, None)
            }
            Ok(Checked { warning: Some(Warning { message, works, ends }), .. }) => {
                self.metrics.root_ends(root, ends);
                ((!works).then_some(RootErrorKind::Denied), Some(message))
            }
            Err(error) => (Some(error.kind), Some(error.to_string())),
        };
        self.metrics.probe(root, kind.map_or(Ok(&()), Err));
        match kind {
            None => known.failed.remove(&root),
            Some(kind) => known.failed.insert(root, kind),
        };
        if kind == Some(RootErrorKind::Throttled) {
            // It answered, only not now.
            info!(%root, "a root key asks for fewer calls");
            return;
        }
        // Said once, however often it is seen.
        let told = known.told.get(&root);
        match &trouble {
            Some(trouble) if told != Some(trouble) => {
                warn!(%root, trouble, "a root key is in trouble; keys in memory go on serving");
            }
            None if told.is_some() => info!(%root, "a root key is well again"),
            _ => {}
        }
        match &trouble {
            None => known.told.remove(&root),
            Some(trouble) => known.told.insert(root, trouble.clone()),
        };
        self.health.set(&format!("root {root}"), trouble.map_or(Ok(()), Err));
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

/// What the root says of its key; and, where that works and the look is deep, whether it does what it says.
async fn look_at(root: &dyn RootKey, deep: bool) -> Result<Checked, RootError> {
    let checked = root.check().await?;
    let works = checked.warning.as_ref().is_none_or(|warning| warning.works);
    if deep && works {
        round_trip(root).await?;
    }
    Ok(checked)
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
