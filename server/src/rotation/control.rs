use std::{fmt, sync::Arc};

use async_trait::async_trait;
use envelope::{
    KeyId, RootId,
    audit::{Checkpoint, Hash, Record},
};

use super::{Act, Apiserver, Custody, NoSuccessor, Plan, Refused, Rewrapped, Tried};
use crate::{
    ledger::{DraftError, Dump, LedgerError, State, Tampered},
    root::{RootError, UnwrapError},
};

/// What the admin API asks of the ring.
///
/// The caller has passed the gate; `actor` is the identity that it passed as, and goes into the audit record of what it does.
/// An error means that nothing was changed, unless it is [`LedgerError::Away`]: then read again.
#[async_trait]
pub trait Control: fmt::Debug + Send + Sync {
    /// The ledger as it is, verified.
    async fn state(&self) -> Result<State, ControlError>;

    /// What would be done now. Changes nothing.
    async fn plan(&self) -> Result<Planned, ControlError>;

    /// Does `act`, with its audit record in the same transaction; gives the ledger as it is afterwards.
    async fn act(&self, actor: &str, act: Act) -> Result<State, ControlError>;

    /// Records that `actor` was refused `action`, and `more` refusals that were not recorded by themselves.
    async fn deny(&self, actor: &str, action: &'static str, more: u64) -> Result<(), ControlError>;

    /// Up to `limit` records of the audit chain after record `after`, ascending, each with the hash that is stored beside it.
    async fn audit(&self, after: u64, limit: u32) -> Result<Vec<(Record, Hash)>, ControlError>;

    /// Every checkpoint of the audit chain, ascending.
    async fn checkpoints(&self) -> Result<Vec<Checkpoint>, ControlError>;

    /// The key that signs checkpoints, which an auditor keeps apart from the ledger.
    fn public_key(&self) -> [u8; 32];

    /// The whole ledger, for an export; records first that it was given out.
    async fn dump(&self, actor: &str) -> Result<Dump, ControlError>;

    /// Writes `dump` where there is no cluster yet, once [`verify`](crate::ledger::export::verify) has looked at it.
    async fn import(&self, actor: &str, dump: Dump) -> Result<State, ControlError>;

    /// Publishes the bundle of this node into a ledger that was restored from an older backup.
    async fn adopt(&self, actor: &str) -> Result<State, ControlError>;

    /// The roots of this node, and which keys lie under which.
    async fn roots(&self) -> Result<Custody, ControlError>;

    /// Has every root that is open unwrap every key that names it.
    async fn check_roots(&self) -> Result<(Custody, Vec<Tried>), ControlError>;

    /// Wraps every key under every root that is open and lacks it, or says what that would be.
    async fn rewrap(&self, actor: &str, dry_run: bool) -> Result<Rewrapped, ControlError>;

    /// Gives up every wrap of `root`, where another root opens each key.
    async fn remove_root(
        &self,
        actor: &str,
        root: RootId,
        reason: String,
    ) -> Result<Custody, ControlError>;

    /// Returns when something may have changed; only a wake-up, so it may also come for nothing, late, or never.
    async fn changed(&self);
}

/// What [`Control::plan`] found.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What it is planned on.
    pub state: State,
    /// What to do, and what is waited for.
    pub plan: Plan,
    /// What the apiservers say of themselves.
    pub apiservers: Vec<Apiserver>,
}

/// It was not done. Each case has somebody else to act, and says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// A rule says no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The ledger did not do it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The ledger was changed by hand.
    #[error(transparent)]
    Tampered(#[from] Tampered),
    /// It has no such ring.
    #[error(
        "the ledger does not have this ring: run strongroomd init --config FILE on one node, or strongroom ledger import FILE"
    )]
    NoRing,
    /// It does not follow from what this node has served.
    #[error(transparent)]
    NoSuccessor(#[from] NoSuccessor),
    /// It is another cluster's.
    #[error(
        "the ledger belongs to another cluster: its ledger key is {found}, and this node serves under {served}. Check [ledger] in the configuration"
    )]
    OtherCluster {
        /// Its ledger key.
        found: KeyId,
        /// Ours.
        served: KeyId,
    },
    /// A root key does not open what lies there.
    #[error(transparent)]
    Unwrap(#[from] UnwrapError),
    /// A node could not start with the next bundle.
    #[error(
        "generation {generation} of the ledger has {key}, which this node does not open: {source}"
    )]
    Closed {
        /// Of the bundle.
        generation: u64,
        /// The first key that does not open.
        key: KeyId,
        /// What the roots of this node say.
        source: UnwrapError,
    },
    /// A root key does not wrap.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A version is wrapped under all roots, and one is away.
    #[error("a new key version is wrapped under every root key, and one is away: {0}")]
    RootAway(String),
    /// An import or a bundle is not what it should be.
    #[error("{0}")]
    Unfit(String),
    /// The daemon has not read its keys and its ledger yet.
    #[error("the daemon is starting: {0}")]
    Starting(String),
    /// A change could not be put together.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] envelope::RandomError),
    /// What was written together failed together.
    #[error(transparent)]
    Shared(Arc<Self>),
}
