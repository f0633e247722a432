//! Where rotation is tracked: Postgres, or SQLite as the embedded default.
//!
//! ```text
//! rows       plain rows as they lie in the database, each with its MAC
//! state      rows that were verified: what plans are made on
//! draft      a change to them, sealed: MACs, audit records, the next bundle
//! export     all of it as JSON lines, and back
//! postgres, sqlite                  one trait, two implementations
//! ```
//!
//! Invariants:
//! - The serving path never waits for a ledger.
//! - Whoever owns the database can stop a rotation, never read or redirect one: keys are wrapped, decisions are MACed under the
//!   ledger key, and the head row vouches for the set of all of them.
//! - A change names the revision that it was planned on, and is refused when that has moved; a leader's change also names its
//!   epoch, in the same statement.
//! - No statement touches another cluster's rows.

mod connect;
mod draft;
pub mod export;
mod migrate;
mod postgres;
mod rows;
mod sql;
mod sqlite;
mod state;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use envelope::{RingName, Row, audit, bundle::WrappedLedgerKey};

pub use self::{
    connect::{cluster, connect, make_cluster, migrate},
    draft::{Draft, DraftError, Entry},
    postgres::{PostgresLedger, PostgresOptions},
    rows::{
        ActivationRow, BundleRow, ClusterRow, Destruction, Dump, HeadRow, HoldRow, ReplicaRow,
        ReportRow, Rows, RunRow, RunState, VersionRow,
    },
    sqlite::SqliteLedger,
    state::{State, Tampered},
};

/// Names a cluster in a ledger that may serve many: 16 random bytes made by `init`, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub [u8; 16]);

impl ClusterId {
    /// Takes an id as it is written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|number| Self(number.to_be_bytes()))
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterId({self})")
    }
}

/// How long a lease holds without being renewed, by the ledger's clock.
pub const LEASE: Duration = Duration::from_secs(15);

/// The ledger of one cluster.
///
/// The adversary owns the database: what [`Ledger::read`] gives is nothing until [`State::verify`] has looked at it. Every
/// time is the database's. An error means that nothing was changed, unless it is [`LedgerError::Away`], after which a change
/// may or may not have been made: read again.
#[async_trait]
pub trait Ledger: fmt::Debug + Send + Sync {
    /// Everything about `ring` but its history, of one moment; `None` where the cluster or the ring is not there.
    async fn read(&self, ring: &RingName) -> Result<Option<Rows>, LedgerError>;

    /// Makes `change` as one transaction: all of it or nothing.
    async fn commit(&self, change: &Change) -> Result<(), LedgerError>;

    /// Notes what a replica says of itself. The replica must be a member: [`LedgerError::NotMember`].
    async fn report(&self, ring: &RingName, report: &ReportRow) -> Result<(), LedgerError>;

    /// Takes the lease of the cluster for [`LEASE`], or renews it; returns the one that holds now, which may be another's.
    /// The epoch grows with every lease that is taken anew, also by its last holder after it ran out.
    async fn lease(&self, holder: &str) -> Result<Lease, LedgerError>;

    /// Lets go of the lease, if it is still `lease`.
    async fn release(&self, lease: &Lease) -> Result<(), LedgerError>;

    /// Up to `limit` records of the audit chain after record `after`, ascending, each with the hash that is stored beside it.
    async fn audit(
        &self,
        ring: &RingName,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(audit::Record, audit::Hash)>, LedgerError>;

    /// The history that nothing but an export needs: bundles, activations, checkpoints; ascending.
    async fn history(&self, ring: &RingName) -> Result<History, LedgerError>;

    /// Writes a whole cluster where there is none yet: [`LedgerError::Exists`].
    async fn create(&self, dump: &Dump) -> Result<(), LedgerError>;

    /// Returns when something may have changed; only a wake-up, so it may also come for nothing, late, or never.
    async fn changed(&self);
}

/// What was once so: append-only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Every bundle that was published.
    pub bundles: Vec<BundleRow>,
    /// Which version became active when.
    pub activations: Vec<ActivationRow>,
    /// Signed places of the audit chain.
    pub checkpoints: Vec<audit::Checkpoint>,
}

/// A change, ready to be written. Rows replace those of the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The ring.
    pub ring: RingName,
    /// Revision of the head that it was planned on.
    pub planned_on: u64,
    /// MAC of that head. A ledger that was restored from a backup comes to the same revision again by another way, and
    /// a change that was planned before must not be made there: [`LedgerError::Moved`] unless both are the same.
    pub planned_on_mac: [u8; Row::MAC_LEN],
    /// The lease under which it was planned; absent for what an operator or a joining replica does.
    pub lease: Option<Lease>,
    /// The head afterwards; its revision is `planned_on + 1`.
    pub head: HeadRow,
    /// Versions that are new or changed.
    pub versions: Vec<VersionRow>,
    /// Holds that are new or changed.
    pub holds: Vec<HoldRow>,
    /// Runs that are new or changed.
    pub runs: Vec<RunRow>,
    /// Members that are new or changed.
    pub replicas: Vec<ReplicaRow>,
    /// The version that becomes active.
    pub activation: Option<ActivationRow>,
    /// The bundle that is published.
    pub bundle: Option<BundleRow>,
    /// Records to append, with their hashes.
    pub audit: Vec<(audit::Record, audit::Hash)>,
    /// A checkpoint to append.
    pub checkpoint: Option<audit::Checkpoint>,
    /// The ledger key, where other roots wrap it now.
    pub ledger_key: Option<WrappedLedgerKey>,
    /// Whether bundles before the one of the head go: they carry, wrapped, what this change lets go of.
    pub lets_go: bool,
}

impl Change {
    /// Whether records are appended to the audit chain and nothing else changes, by nobody who leads.
    pub(crate) fn only_records(&self) -> bool {
        let Self { versions, holds, runs, replicas, activation, bundle, .. } = self;
        let Self { audit, checkpoint, lease, ledger_key, .. } = self;
        !audit.is_empty()
            && versions.is_empty()
            && holds.is_empty()
            && runs.is_empty()
            && replicas.is_empty()
            && activation.is_none()
            && bundle.is_none()
            && checkpoint.is_none()
            && lease.is_none()
            && ledger_key.is_none()
    }
}

/// Who may write as the leader, until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// A process: `<replica>/<random>`.
    pub holder: String,
    /// Grows with every lease that is taken anew.
    pub epoch: u64,
    /// When it runs out, in seconds since 1970 by the ledger's clock.
    pub until: u64,
}

/// The ledger did not do it. The message says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// It does not answer. Whether a change was made is not known.
    #[error("the ledger does not answer: {0}")]
    Away(String),
    /// Somebody else changed the ring meanwhile.
    #[error("the ledger has changed meanwhile (planned on revision {planned_on}): read it again")]
    Moved {
        /// The revision that the change was planned on.
        planned_on: u64,
    },
    /// The lease under which it was planned is over, and another leader may be at work.
    #[error("refused: the lease of epoch {epoch} is over")]
    Fenced {
        /// The epoch of the change.
        epoch: u64,
    },
    /// There is nothing of the cluster in it.
    #[error(
        "the ledger does not have this cluster: run strongroomd init --config FILE on one node, or strongroom ledger import FILE"
    )]
    NoCluster,
    /// The replica was removed, or never joined.
    #[error("replica {0} is no member: it was removed")]
    NotMember(String),
    /// A constraint or trigger of the schema refused it: a bug of ours, or a rule that holds whoever writes.
    #[error("the ledger refused the change: {0}")]
    Refused(String),
    /// The cluster is there already.
    #[error("the ledger has cluster {0} already; nothing was changed")]
    Exists(ClusterId),
    /// What lies in it is not what we write.
    #[error("the ledger holds something that is not ours, in {table}: {what}")]
    Malformed {
        /// Where.
        table: &'static str,
        /// What.
        what: String,
    },
    /// The schema is older than this program.
    #[error(
        "the schema of the ledger is at version {found} and this program needs {needed}: run strongroomd migrate --config FILE"
    )]
    SchemaOlder {
        /// What was found; 0 is an empty database.
        found: i64,
        /// What is needed.
        needed: i64,
    },
    /// The schema is newer than this program.
    #[error(
        "the schema of the ledger is at version {found} and this program knows {needed}: update strongroomd on this node"
    )]
    SchemaNewer {
        /// What was found.
        found: i64,
        /// What is known.
        needed: i64,
    },
}
