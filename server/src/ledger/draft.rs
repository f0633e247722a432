use std::collections::BTreeMap;

use envelope::{
    Bundle, FormatError, LedgerKey, WrappedKey,
    audit::{Checkpoint, Record},
    bundle::WrappedLedgerKey,
};

use super::{
    ActivationRow, BundleRow, Change, HoldRow, Lease, ReplicaRow, RunRow, State, VersionRow,
    rows::HeadRow,
    state::{bundled, contents},
};

/// What an audit record says beside its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who.
    pub actor: String,
    /// Did what.
    pub action: &'static str,
    /// To what.
    pub subject: String,
    /// The rest, for people.
    pub detail: String,
}

/// A change in the making, on a state that was verified. No row of it changes without an audit record.
#[derive(Debug, Clone)]
pub struct Draft {
    state: State,
    lease: Option<Lease>,
    versions: BTreeMap<u32, VersionRow>,
    holds: BTreeMap<u64, HoldRow>,
    runs: BTreeMap<u64, RunRow>,
    replicas: BTreeMap<u64, ReplicaRow>,
    entries: Vec<Entry>,
    activation: Option<u32>,
    checkpoint: bool,
    above: u64,
    ledger_wraps: Option<Vec<WrappedKey>>,
    lets_go: bool,
}

impl Draft {
    /// Nothing is changed yet.
    #[must_use]
    pub fn new(state: &State, lease: Option<&Lease>) -> Self {
        Self {
            state: state.clone(),
            lease: lease.cloned(),
            versions: BTreeMap::new(),
            holds: BTreeMap::new(),
            runs: BTreeMap::new(),
            replicas: BTreeMap::new(),
            entries: Vec::new(),
            activation: None,
            checkpoint: false,
            above: 0,
            ledger_wraps: None,
            lets_go: false,
        }
    }

    /// Whether there is nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
            && self.holds.is_empty()
            && self.runs.is_empty()
            && self.replicas.is_empty()
            && self.entries.is_empty()
            && !self.checkpoint
            && self.above == 0
            && self.ledger_wraps.is_none()
    }

    /// The state that it changes, as it was.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Seconds since 1970, by the ledger's clock when the state was read.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.state.now
    }

    /// Writes a version. One that becomes active is noted for ever.
    pub fn put_version(&mut self, row: VersionRow, entry: Entry) {
        self.observe_version(row);
        self.entries.push(entry);
    }

    /// Writes how long a version was watched, which is no act of anybody.
    pub fn observe_version(&mut self, row: VersionRow) {
        let number = row.id.version();
        let was_active = self.state.active().is_some_and(|active| active.id.version() == number);
        if row.state == envelope::bundle::State::Active && !was_active {
            self.activation = Some(number);
        }
        self.versions.insert(number, row);
    }

    /// Writes a hold.
    pub fn put_hold(&mut self, row: HoldRow, entry: Entry) {
        self.holds.insert(row.id, row);
        self.entries.push(entry);
    }

    /// Writes a run.
    pub fn put_run(&mut self, row: RunRow, entry: Entry) {
        self.runs.insert(row.id, row);
        self.entries.push(entry);
    }

    /// Writes a member.
    pub fn put_replica(&mut self, row: ReplicaRow, entry: Entry) {
        self.replicas.insert(row.id, row);
        self.entries.push(entry);
    }

    /// Writes under which roots the ledger key lies, ascending by root id.
    pub fn put_ledger_key(&mut self, wraps: Vec<WrappedKey>, entry: Entry) {
        self.ledger_wraps = Some(wraps);
        self.entries.push(entry);
    }

    /// Lets go of the bundles before the next: they carry, wrapped, what this change takes away.
    pub fn let_go(&mut self) {
        self.lets_go = true;
    }

    /// Writes a record about what changes no row.
    pub fn record(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Publishes a bundle in any case, above `generation`, which some node has accepted already.
    pub fn publish_above(&mut self, generation: u64) {
        self.above = self.above.max(generation);
    }

    /// Signs where the audit chain stands.
    pub fn checkpoint(&mut self) {
        self.checkpoint = true;
    }

    /// Makes the change: MACs, audit records, and where a version changed the next bundle.
    ///
    /// # Errors
    /// [`DraftError`]; nothing was written.
    pub fn seal(self, key: &LedgerKey) -> Result<Change, DraftError> {
        let published = self.state.newest_bundle().clone();
        let mut rows = self.state.into_rows();
        let cluster = rows.cluster.id;
        let ring = rows.ring.clone();
        macro_rules! seal {
            ($of:expr) => {
                $of.into_values().map(|row| row.sealed(key, &cluster, &ring)).collect::<Vec<_>>()
            };
        }
        let (versions, holds) = (seal!(self.versions), seal!(self.holds));
        let (runs, replicas) = (seal!(self.runs), seal!(self.replicas));
        rows.put(&versions, &holds, &runs, &replicas);

        let all: Vec<_> = rows.versions.iter().map(bundled).collect();
        let ledger_key =
            self.ledger_wraps.map(|wraps| WrappedLedgerKey { id: key.id().clone(), wraps });
        let ledger = ledger_key.clone().unwrap_or_else(|| rows.cluster.ledger_key.clone());
        let is_published = all == published.versions() && ledger == *published.ledger();
        let bundle = if is_published && self.above == 0 {
            None
        } else {
            let generation = rows.head.generation.max(self.above);
            let generation = generation.checked_add(1).ok_or(DraftError::Generation)?;
            let bundle = Bundle::new(ring.clone(), generation, ledger, all)?;
            Some(BundleRow { generation, bytes: bundle.encode(key)? })
        };
        let generation = bundle.as_ref().map_or(rows.head.generation, |bundle| bundle.generation);
        let activation =
            self.activation.map(|version| ActivationRow { version, at: rows.now, generation });

        let (mut seq, mut previous) = (rows.head.audit_seq, rows.head.audit_hash);
        let begun = rows.last_audit.as_ref().map_or(0, |(record, _)| record.at);
        let at = rows.now.max(begun);
        let mut audit = Vec::with_capacity(self.entries.len());
        for Entry { actor, action, subject, detail } in self.entries {
            seq += 1;
            let record =
                Record { seq, at, actor, action: action.into(), subject, detail, previous };
            previous = record.hash(&cluster.0, ring.as_str());
            audit.push((record, previous));
        }
        let checkpoint = if self.checkpoint {
            let signed = Checkpoint::sign(key, &cluster.0, ring.as_str(), (seq, previous), at);
            Some(signed.map_err(|_| DraftError::Sign)?)
        } else {
            None
        };

        let (planned_on, planned_on_mac) = (rows.head.revision, rows.head.mac);
        let (counts, contents) = contents(&rows);
        let head = HeadRow {
            revision: planned_on + 1,
            generation,
            audit_seq: seq,
            audit_hash: previous,
            counts,
            contents,
            mac: [0; 32],
        }
        .sealed(key, &cluster, &ring);
        Ok(Change {
            ring,
            planned_on,
            planned_on_mac,
            lease: self.lease,
            head,
            versions,
            holds,
            runs,
            replicas,
            activation,
            bundle,
            audit,
            checkpoint,
            ledger_key,
            lets_go: self.lets_go,
        })
    }
}

/// A change cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DraftError {
    /// The next bundle would not be one.
    #[error("the next bundle would not be one: {0}")]
    Bundle(#[from] FormatError),
    /// There is no higher number.
    #[error("there is no generation after the last one")]
    Generation,
    /// The checkpoint was not signed.
    #[error("the audit checkpoint could not be signed")]
    Sign,
}
