//! Rows as they lie in the database. Each that carries a decision has a MAC under the ledger key, over its place and every
//! other column. docs/format.md has the order of the fields.

use envelope::{
    Bundle, KeyId, LedgerKey, RingName, Row, WrappedKey,
    audit::{Checkpoint, Hash, Record, START},
    bundle::{State, UnverifiedBundle, Version, WrappedLedgerKey, encode_wraps},
};

use super::{Change, ClusterId, Entry, History, Lease, state::contents};

/// Length of a MAC in bytes.
type Mac = [u8; Row::MAC_LEN];

/// The place that every row is bound to.
pub(super) type Place<'a> = (&'a ClusterId, &'a RingName);

fn row(table: &str, (cluster, ring): Place<'_>) -> Row {
    Row::new(table, &cluster.0, ring.as_str())
}

/// One cluster, immutable but for its wraps. It needs no MAC: the wraps open only to the key that the id names, and everything else
/// hangs on that. Once the newest bundle was verified the wraps are those that it carries, under its MAC: others in this place would
/// otherwise come into the next bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRow {
    /// Its identity.
    pub id: ClusterId,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// The key that every MAC is made with, under each root.
    pub ledger_key: WrappedLedgerKey,
}

/// One for each ring: vouches for the set of all its rows. A change moves it first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadRow {
    /// Counts changes.
    pub revision: u64,
    /// Of the last bundle.
    pub generation: u64,
    /// Number of audit records.
    pub audit_seq: u64,
    /// Hash of the last one.
    pub audit_hash: Hash,
    /// How many versions, holds, runs and replicas there are.
    pub counts: [u64; 4],
    /// For each of these, SHA-256 over the MACs of its rows, ascending.
    pub contents: [Hash; 4],
    /// Over all of this.
    pub mac: Mac,
}

/// A key version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRow {
    /// Its id.
    pub id: KeyId,
    /// Its state.
    pub state: State,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// When it became active.
    pub activated: Option<u64>,
    /// When it came into its state.
    pub changed: u64,
    /// Who wants it destroyed; only in `destroy_scheduled` and `destroyed`.
    pub destruction: Option<Destruction>,
    /// The key under each root, ascending by root id; empty when destroyed.
    pub wraps: Vec<WrappedKey>,
    /// Over all of this.
    pub mac: Mac,
}

/// How far the destruction of a version is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destruction {
    /// Who asked for it.
    pub requested_by: String,
    /// How long it must be observed to wait, in seconds.
    pub wait: u64,
    /// For how long leaders have watched it wait, in seconds: a clock that jumps counts for nothing.
    pub observed: u64,
    /// Who else said yes; never the one who asked.
    pub approved_by: Option<String>,
}

/// Keeps versions from being archived or destroyed, until it is released. One that ran out is released by the leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRow {
    /// Counts from 1.
    pub id: u64,
    /// First version that is held.
    pub first: u32,
    /// Last version that is held.
    pub last: u32,
    /// Until when, in seconds since 1970.
    pub until: u64,
    /// Why, for example `etcd backup of 2026-11-01`.
    pub reason: String,
    /// Who.
    pub added_by: String,
    /// When.
    pub added_at: u64,
    /// Who let go of it, and when.
    pub released: Option<(String, u64)>,
    /// Over all of this.
    pub mac: Mac,
}

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunState {
    /// Under way. Its phase is derived from what is observed.
    Open,
    /// Under way, and told to wait.
    Paused,
    /// Given up before its version was activated.
    Cancelled,
    /// Finished.
    Done,
}

impl RunState {
    const ALL: [Self; 4] = [Self::Open, Self::Paused, Self::Cancelled, Self::Done];

    /// The word that people, machines and the database read.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
        }
    }

    /// The state that is written as `word`.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether there is still something to do.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Paused)
    }
}

/// One rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Counts from 1.
    pub id: u64,
    /// What started it: `schedule`, `age`, `provider`, `manual`, `compromise`.
    pub trigger: String,
    /// Why, for people.
    pub reason: String,
    /// Who.
    pub requested_by: String,
    /// When it was begun, in seconds since 1970.
    pub begun: u64,
    /// The version that was active.
    pub from: u32,
    /// The version that is made; absent until it is staged.
    pub to: Option<u32>,
    /// When the new version became active.
    pub activated: Option<u64>,
    /// When every replica and apiserver was seen on it.
    pub converged: Option<u64>,
    /// Where it is.
    pub state: RunState,
    /// When it came there.
    pub ended: Option<u64>,
    /// What is left for the operator, in the end.
    pub outcome: String,
    /// Over all of this.
    pub mac: Mac,
}

/// A member: a daemon that must acknowledge before a version is activated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaRow {
    /// Counts from 1.
    pub id: u64,
    /// Its name, unique in the cluster.
    pub name: String,
    /// When it joined, in seconds since 1970.
    pub joined: u64,
    /// Who removed it, and when. It may join again under the same name.
    pub removed: Option<(String, u64)>,
    /// Over all of this.
    pub mac: Mac,
}

/// The last that a member said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    /// The member.
    pub replica: String,
    /// When, in seconds since 1970 by the ledger's clock. Set by the ledger, and not under the MAC.
    pub at: u64,
    /// Generation that it serves.
    pub generation: u64,
    /// SHA-256 of the bundle that it serves. A ledger that was restored from an old backup gives the same numbers to other
    /// bundles and versions: only this tells that a member acknowledges what lies in the ledger now.
    pub bundle: Hash,
    /// Version that its Status names.
    pub serving: u32,
    /// Highest version under which it wrapped and opened a self-test.
    pub tested: u32,
    /// Over all of this but `at`.
    pub mac: Mac,
}

/// A bundle as it was published; authenticates itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleRow {
    /// Its generation.
    pub generation: u64,
    /// The encoding (docs/format.md, "Bundle").
    pub bytes: Vec<u8>,
}

/// That a version became active: once for each, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivationRow {
    /// The version.
    pub version: u32,
    /// When, in seconds since 1970.
    pub at: u64,
    /// In which generation.
    pub generation: u64,
}

/// Everything about a ring but its history, of one moment, as the database says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// The database's clock, in seconds since 1970.
    pub now: u64,
    /// The cluster.
    pub cluster: ClusterRow,
    /// The ring.
    pub ring: RingName,
    /// Its head.
    pub head: HeadRow,
    /// Ascending.
    pub versions: Vec<VersionRow>,
    /// Ascending by id.
    pub holds: Vec<HoldRow>,
    /// Ascending by id.
    pub runs: Vec<RunRow>,
    /// Ascending by id.
    pub replicas: Vec<ReplicaRow>,
    /// Ascending by name.
    pub reports: Vec<ReportRow>,
    /// The lease, if one was ever taken.
    pub lease: Option<Lease>,
    /// The newest bundle.
    pub bundle: BundleRow,
    /// The newest audit record with the hash that is stored beside it.
    pub last_audit: Option<(Record, Hash)>,
    /// The newest checkpoint.
    pub last_checkpoint: Option<Checkpoint>,
}

/// A whole cluster, for `init`, export and import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    /// Everything but the history. `lease` and `reports` are not taken over.
    pub rows: Rows,
    /// The history.
    pub history: History,
    /// The whole audit chain.
    pub audit: Vec<(Record, Hash)>,
}

impl Rows {
    /// The ledger key as the newest bundle carries it: a MAC will tell whether that is ours, and none stands over what `clusters`
    /// says.
    #[must_use]
    pub fn ledger_key(&self) -> WrappedLedgerKey {
        match UnverifiedBundle::parse(&self.bundle.bytes) {
            Ok(bundle) if bundle.ledger().id == self.cluster.ledger_key.id => {
                bundle.ledger().clone()
            }
            _ => self.cluster.ledger_key.clone(),
        }
    }

    /// Makes of these rows, on which `change` was planned, those that it leaves. Reports, the lease and the clock stay as they
    /// were read.
    pub fn apply(&mut self, change: &Change) {
        self.put(&change.versions, &change.holds, &change.runs, &change.replicas);
        self.head = change.head.clone();
        if let Some(ledger_key) = &change.ledger_key {
            self.cluster.ledger_key = ledger_key.clone();
        }
        if let Some(bundle) = &change.bundle {
            self.bundle = bundle.clone();
        }
        if let Some(last) = change.audit.last() {
            self.last_audit = Some(last.clone());
        }
        if let Some(checkpoint) = &change.checkpoint {
            self.last_checkpoint = Some(checkpoint.clone());
        }
    }

    /// Puts rows in the place of those with the same key, and keeps the order.
    pub(super) fn put(
        &mut self,
        versions: &[VersionRow],
        holds: &[HoldRow],
        runs: &[RunRow],
        replicas: &[ReplicaRow],
    ) {
        replace(&mut self.versions, versions, |row| row.id.version());
        replace(&mut self.holds, holds, |row| row.id);
        replace(&mut self.runs, runs, |row| row.id);
        replace(&mut self.replicas, replicas, |row| row.id);
    }
}

fn replace<R: Clone, K: Ord>(rows: &mut Vec<R>, new: &[R], key: impl Fn(&R) -> K) {
    for row in new {
        match rows.binary_search_by_key(&key(row), &key) {
            Ok(at) => {
                if let Some(old) = rows.get_mut(at) {
                    *old = row.clone();
                }
            }
            Err(at) => rows.insert(at, row.clone()),
        }
    }
}

impl Dump {
    /// A ring as it begins in a ledger: the versions of `bundle`, and one audit record about where they come from.
    #[must_use]
    pub fn genesis(
        cluster: ClusterId,
        bundle: (&Bundle, Vec<u8>),
        key: &LedgerKey,
        now: u64,
        entry: Entry,
    ) -> Self {
        let (bundle, bytes) = bundle;
        let ring = bundle.ring().clone();
        let record = Record {
            seq: 1,
            at: now,
            actor: entry.actor,
            action: entry.action.into(),
            subject: entry.subject,
            detail: entry.detail,
            previous: START,
        };
        let hash = record.hash(&cluster.0, ring.as_str());
        let version = |version: &Version| VersionRow {
            id: version.id.clone(),
            state: version.state,
            created: version.created,
            activated: version.activated,
            changed: now,
            // The schema asks for two people. Who they were, only another ledger knew.
            destruction: (version.state == State::Destroyed).then(|| Destruction {
                requested_by: "before this ledger".into(),
                wait: 0,
                observed: 0,
                approved_by: Some(record.actor.clone()),
            }),
            wraps: version.wraps.clone(),
            mac: [0; 32],
        };
        let generation = bundle.generation();
        let activations = bundle.versions().iter().filter_map(|version| {
            Some(ActivationRow {
                version: version.id.version(),
                at: version.activated?,
                generation,
            })
        });
        let activations = activations.collect();
        let mut rows = Rows {
            now,
            cluster: ClusterRow { id: cluster, created: now, ledger_key: bundle.ledger().clone() },
            ring: ring.clone(),
            head: HeadRow {
                revision: 1,
                generation,
                audit_seq: 1,
                audit_hash: hash,
                counts: [0; 4],
                contents: [[0; 32]; 4],
                mac: [0; 32],
            },
            versions: bundle
                .versions()
                .iter()
                .map(|row| version(row).sealed(key, &cluster, &ring))
                .collect(),
            holds: Vec::new(),
            runs: Vec::new(),
            replicas: Vec::new(),
            reports: Vec::new(),
            lease: None,
            bundle: BundleRow { generation, bytes },
            last_audit: Some((record.clone(), hash)),
            last_checkpoint: None,
        };
        (rows.head.counts, rows.head.contents) = contents(&rows);
        rows.head = rows.head.sealed(key, &cluster, &ring);
        let history =
            History { bundles: vec![rows.bundle.clone()], activations, checkpoints: Vec::new() };
        Self { rows, history, audit: vec![(record, hash)] }
    }
}

impl HeadRow {
    fn row(&self, place: Place<'_>) -> Row {
        let head = row("heads", place)
            .number(self.revision)
            .number(self.generation)
            .number(self.audit_seq)
            .bytes(&self.audit_hash);
        let head = self.counts.iter().fold(head, |row, count| row.number(*count));
        head.bytes(self.contents.as_flattened())
    }
}

impl VersionRow {
    fn row(&self, place: Place<'_>) -> Row {
        let mut row = row("versions", place)
            .text(self.id.as_str())
            .text(self.state.as_str())
            .number(self.created)
            .maybe(self.activated)
            .number(self.changed)
            .number(self.destruction.is_some().into());
        if let Some(destruction) = &self.destruction {
            row = row
                .text(&destruction.requested_by)
                .number(destruction.wait)
                .number(destruction.observed)
                .text(destruction.approved_by.as_deref().unwrap_or(""));
        }
        row.bytes(&encode_wraps(&self.wraps))
    }
}

impl HoldRow {
    /// Whether it still holds.
    #[must_use]
    pub fn holds(&self, version: u32) -> bool {
        self.released.is_none() && (self.first..=self.last).contains(&version)
    }

    fn row(&self, place: Place<'_>) -> Row {
        let (by, at) =
            self.released.as_ref().map_or(("", None), |(by, at)| (by.as_str(), Some(*at)));
        row("holds", place)
            .number(self.id)
            .number(self.first.into())
            .number(self.last.into())
            .number(self.until)
            .text(&self.reason)
            .text(&self.added_by)
            .number(self.added_at)
            .text(by)
            .maybe(at)
    }
}

impl RunRow {
    fn row(&self, place: Place<'_>) -> Row {
        row("runs", place)
            .number(self.id)
            .text(&self.trigger)
            .text(&self.reason)
            .text(&self.requested_by)
            .number(self.begun)
            .number(self.from.into())
            .maybe(self.to.map(Into::into))
            .maybe(self.activated)
            .maybe(self.converged)
            .text(self.state.as_str())
            .maybe(self.ended)
            .text(&self.outcome)
    }
}

impl ReplicaRow {
    fn row(&self, place: Place<'_>) -> Row {
        let (by, at) =
            self.removed.as_ref().map_or(("", None), |(by, at)| (by.as_str(), Some(*at)));
        row("replicas", place)
            .number(self.id)
            .text(&self.name)
            .number(self.joined)
            .text(by)
            .maybe(at)
    }
}

impl ReportRow {
    fn row(&self, place: Place<'_>) -> Row {
        row("reports", place)
            .text(&self.replica)
            .number(self.generation)
            .bytes(&self.bundle)
            .number(self.serving.into())
            .number(self.tested.into())
    }
}

/// Gives every kind of row the two directions of its MAC.
macro_rules! sealed {
    ($($row:ty),*) => {$(
        impl $row {
            /// The same row with the MAC of its place and columns.
            #[must_use]
            pub fn sealed(mut self, key: &LedgerKey, cluster: &ClusterId, ring: &RingName) -> Self {
                self.mac = self.row((cluster, ring)).mac(key);
                self
            }

            pub(super) fn is_ours(&self, key: &LedgerKey, place: Place<'_>) -> bool {
                self.row(place).verify(key, &self.mac)
            }
        }
    )*};
}

sealed!(HeadRow, VersionRow, HoldRow, RunRow, ReplicaRow, ReportRow);
