use std::{convert::Infallible, sync::Arc, time::Duration};

use envelope::{Context, KeyId, KeyMaterial, Purpose, SystemRandom, bundle::State as VersionState};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{ControlError, Controller, Observed, Plan, Step, plan::plan, step};
use crate::{
    health::Health,
    ledger::{Draft, Lease, LedgerError, State, VersionRow},
    metrics::Metrics,
};

/// The lease is renewed this often: three times in its life.
const RENEW: Duration = Duration::from_secs(5);
/// How often a run is looked at while one is open.
const TICK: Duration = Duration::from_secs(1);
/// How long the ledger may take to let go of a lease when we stop.
const RELEASE: Duration = Duration::from_secs(2);

/// Holds the lease and takes the steps that [`plan`] decides, one transaction each.
#[derive(Debug)]
pub struct Runner {
    /// The way to the ledger.
    pub controller: Arc<Controller>,
    /// This process: `<replica>/<random>`.
    pub holder: String,
    /// Where trouble goes.
    pub health: Arc<Health>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
}

/// What a leader remembers from turn to turn.
#[derive(Debug, Default)]
struct Leading {
    lease: Option<Lease>,
    /// Since when it has watched without a break, by a clock that nobody sets.
    since: Option<Instant>,
    /// The version that it sees active, and since when.
    active: Option<(u32, Instant)>,
}

impl Runner {
    /// Leads whenever nobody else does, until `stop`; then lets go of the lease, so that the next leader need not wait for its end.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Infallible> {
        let mut leading = Leading::default();
        let turns = async {
            loop {
                let pause = self.take_turn(&mut leading).await;
                sleep(pause).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = turns => {}
        }
        if let (Some(lease), Ok(ledger)) = (&leading.lease, self.controller.ledger()) {
            // Where it fails, the lease runs out by itself.
            let _ = timeout(RELEASE, ledger.release(lease)).await;
        }
        Ok(())
    }

    /// One turn, with its trouble told. Returns when to come again.
    async fn take_turn(&self, leading: &mut Leading) -> Duration {
        match self.turn(leading).await {
            Ok(pause) => {
                self.health.set("rotation", Ok(()));
                pause
            }
            Err(ControlError::Ledger(LedgerError::Moved { .. })) => Duration::ZERO,
            Err(ControlError::Ledger(error @ LedgerError::Fenced { .. })) => {
                *leading = Leading::default();
                self.metrics.fenced();
                warn!(%error, "another leader is at work");
                RENEW
            }
            // Who connects says what keeps it.
            Err(_) if self.controller.ledger().is_err() => TICK,
            Err(error) => {
                leading.since = None;
                debug!(%error, "rotation waits");
                self.health.set("rotation", Err(format!("rotation waits: {error}")));
                RENEW
            }
        }
    }

    /// Renews the lease and takes what steps there are. Returns when to come again.
    async fn turn(&self, leading: &mut Leading) -> Result<Duration, ControlError> {
        let lease = self.controller.ledger()?.lease(&self.holder).await?;
        let leads = lease.holder == self.holder;
        self.metrics.leads(leads);
        if !leads {
            *leading = Leading::default();
            return Ok(RENEW);
        }
        let state = self.controller.state().await?;
        if leading.lease.as_ref().is_none_or(|before| before.epoch != lease.epoch) {
            self.controller.verify_chain(&state).await?;
            info!(epoch = lease.epoch, "leading");
            leading.since = None;
        }
        leading.lease = Some(lease.clone());
        let since = *leading.since.get_or_insert_with(Instant::now);

        let runs = state.open_run().is_some();
        let apiservers = if runs { self.controller.scraper().look().await } else { Vec::new() };
        let active = state.active().map(|row| row.id.version());
        let seen = match (leading.active, active) {
            (Some((before, seen)), Some(now)) if before == now => seen,
            _ => Instant::now(),
        };
        leading.active = active.map(|version| (version, seen));
        let observed = Observed {
            state: &state,
            apiservers: &apiservers,
            watched: since.elapsed().as_secs(),
            active_for: Some(seen.elapsed().as_secs()),
            provider_rotated: self.controller.provider_rotated(&state).await,
        };
        let Plan { phase, steps, waits, .. } = plan(&observed, self.controller.policy());
        self.metrics.rotation(phase, waits.len());
        let Some((first, reason)) = steps.into_iter().next() else {
            return Ok(if runs { TICK } else { RENEW });
        };
        if first == Step::Checkpoint {
            // What is signed was looked at.
            self.controller.verify_chain(&state).await?;
        }
        info!(step = ?first, reason, "rotation");
        let draft = self.take(&first, &state, &lease).await?;
        self.controller.commit(draft).await?;
        if matches!(first, Step::Observe { .. }) {
            leading.since = None;
        }
        Ok(Duration::ZERO)
    }

    /// What needs a root is done here, outside any transaction; the rest is pure.
    async fn take(
        &self,
        first: &Step,
        state: &State,
        lease: &Lease,
    ) -> Result<Draft, ControlError> {
        let mut draft = Draft::new(state, Some(lease));
        let staged = match first {
            Step::Stage { version } => Some(self.make_version(*version, state).await?),
            _ => None,
        };
        step::take(first, &mut draft, &format!("leader {}", self.holder), staged)?;
        Ok(draft)
    }

    async fn make_version(&self, number: u32, state: &State) -> Result<VersionRow, ControlError> {
        let roots = self.controller.roots();
        if let Some(away) = roots.away().first() {
            return Err(ControlError::RootAway(away.to_string()));
        }
        let key = KeyMaterial::make(&SystemRandom)?;
        let id = KeyId::derive(self.controller.ring().clone(), number, &key)
            .map_err(|error| ControlError::Draft(error.into()))?;
        let wraps = roots.wrap(&key, Context { purpose: Purpose::Key, key_id: &id }).await?;
        Ok(VersionRow {
            id,
            state: VersionState::PreActive,
            created: state.now,
            activated: None,
            changed: state.now,
            destruction: None,
            wraps,
            mac: [0; 32],
        })
    }
}
