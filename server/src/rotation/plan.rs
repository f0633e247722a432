mod housekeeping;
mod run;

use envelope::RootId;

use super::{Policy, words::moment};
use crate::ledger::State;

pub use self::housekeeping::OBSERVE_EVERY;

/// What the plan is made on.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The verified ledger; its `now` is the time.
    pub state: &'a State,
    /// What each configured apiserver says of itself; empty where none is configured.
    pub apiservers: &'a [Apiserver],
    /// For how many seconds of monotonic time this leader has watched since the [`Step::Observe`]s of one of its plans were
    /// last committed, or since it began to lead; 0 where nobody leads. Counts towards the wait of what is to be destroyed.
    pub watched: u64,
    /// For how many seconds of monotonic time this leader has seen the open run's version active; absent where nobody leads,
    /// and the ledger's clock alone is asked. A clock that is set an hour ahead must not end the wait for apiservers.
    pub active_for: Option<u64>,
    /// A root key that its provider rotated since the active version was wrapped under it; absent also where nobody asked.
    pub provider_rotated: Option<RootId>,
}

/// What one apiserver says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apiserver {
    /// As the configuration names it.
    pub name: String,
    /// `sha256:` and hexadecimal digits of the key id that its Status named last (its own metric); the error where it cannot be read.
    pub key_id_hash: Result<String, String>,
    /// How many objects of the encrypted resources it stores, if it says so.
    pub objects: Option<u64>,
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// No run is open.
    Idle,
    /// The new version is to be made.
    Stage,
    /// Replicas are waited for.
    Propagate,
    /// The new version is to be made active.
    Activate,
    /// Replicas and apiservers are waited for.
    Converge,
    /// Objects are to be rewritten.
    Reencrypt,
    /// It is to be proved that none is left.
    Verify,
}

impl Phase {
    /// The word that people and machines read.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Stage => "stage",
            Self::Propagate => "propagate",
            Self::Activate => "activate",
            Self::Converge => "converge",
            Self::Reencrypt => "re-encrypt",
            Self::Verify => "verify",
        }
    }
}

/// One thing to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Begin a run, because the policy says so.
    Begin {
        /// `schedule`, `age` or `provider`.
        trigger: &'static str,
        /// Why.
        reason: String,
    },
    /// Make the next version and publish it as pre-active.
    Stage {
        /// Its number.
        version: u32,
    },
    /// Make the staged version active.
    Activate {
        /// Its number.
        version: u32,
    },
    /// Note that every replica and apiserver is on the new version.
    Converged,
    /// End the run.
    Finish {
        /// What is left for the operator.
        outcome: String,
    },
    /// Release a hold that ran out.
    ExpireHold {
        /// Which.
        id: u64,
    },
    /// Count time that was watched towards the wait of a version that is to be destroyed.
    Observe {
        /// Which.
        version: u32,
        /// Seconds that it has been watched in all.
        observed: u64,
    },
    /// Sign where the audit chain stands.
    Checkpoint,
}

/// What keeps the run from going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// On whom or what: `replica cp-2`, `replicas`, `apiserver cp-1`, `timer`, `operator`, `window`, `ledger`.
    pub on: String,
    /// What is missing.
    pub reason: String,
    /// The exact command that unblocks it, where one does.
    pub unblock: Option<String>,
}

/// What to do now, and what is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where the run is.
    pub phase: Phase,
    /// What to do now, in order, each with its reason. At most one of them concerns the run.
    pub steps: Vec<(Step, String)>,
    /// What is waited for.
    pub waits: Vec<Wait>,
    /// When the phase ends, in seconds since 1970, where nothing but time is waited for.
    pub eta: Option<u64>,
    /// When the policy will begin the next run, in seconds since 1970, if it ever will.
    pub next: Option<u64>,
}

/// Decides what is to be done on what is observed. Pure: the same arguments give the same plan, whoever leads.
#[must_use]
pub fn plan(observed: &Observed<'_>, policy: &Policy) -> Plan {
    let state = observed.state;
    let due = policy.due(state, observed.provider_rotated);
    let mut plan = Plan {
        phase: Phase::Idle,
        steps: housekeeping::steps(observed),
        waits: Vec::new(),
        eta: None,
        next: due.as_ref().map(|due| due.at),
    };
    let disputed = run::disputes(state);
    if let Some(run) = state.open_run() {
        run::plan(observed, policy, run, &mut plan);
    } else if let Some(due) = due {
        if due.at <= state.now {
            let (trigger, reason) = (due.trigger, due.reason);
            plan.steps.push((Step::Begin { trigger, reason: reason.clone() }, reason));
        } else if due.overdue {
            plan.waits.push(Wait {
                on: "window".into(),
                reason: format!(
                    "a rotation is due ({}), and begins in the next window, at {}",
                    due.reason,
                    moment(due.at)
                ),
                unblock: Some("strongroom rotate start".into()),
            });
        }
    }
    if !disputed.is_empty() {
        // What is known of the run is not to be relied on, so nothing is done to it.
        plan.steps.retain(|(step, _)| !step.concerns_a_run());
        plan.eta = None;
        plan.waits.splice(0..0, disputed);
    }
    plan
}

impl Step {
    fn concerns_a_run(&self) -> bool {
        match self {
            Self::Begin { .. }
            | Self::Stage { .. }
            | Self::Activate { .. }
            | Self::Converged
            | Self::Finish { .. } => true,
            Self::ExpireHold { .. } | Self::Observe { .. } | Self::Checkpoint => false,
        }
    }
}
