//! A ledger in memory, with the rules of the real ones and the faults that a database has.

use std::{
    collections::BTreeSet,
    future::ready,
    sync::{Mutex, MutexGuard},
};

use async_trait::async_trait;
use envelope::{
    RingName,
    audit::{Hash, Record, START},
    bundle::State,
};
use strongroomd::ledger::{
    Change, Dump, History, LEASE, Lease, Ledger, LedgerError, ReportRow, Rows, RunState,
};

/// Everything that lies in the database; a dump is a clone.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) rows: Rows,
    pub(crate) history: History,
    pub(crate) audit: Vec<(Record, Hash)>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) database: Database,
    /// Seconds since 1970, by the database's own clock.
    pub(crate) now: u64,
    pub(crate) away: bool,
    /// The next commit is made, and nobody is told.
    pub(crate) loses_an_answer: bool,
    /// The highest epoch that wrote since the database was last replaced.
    pub(crate) wrote: u64,
    pub(crate) fenced: u64,
    pub(crate) moved: u64,
    pub(crate) commits: u64,
}

#[derive(Debug)]
pub(crate) struct Model(Mutex<Inner>);

impl Model {
    pub(crate) fn new(dump: Dump) -> Self {
        let now = dump.rows.now;
        Self(Mutex::new(Inner {
            database: Database { rows: dump.rows, history: dump.history, audit: dump.audit },
            now,
            away: false,
            loses_an_answer: false,
            wrote: 0,
            fenced: 0,
            moved: 0,
            commits: 0,
        }))
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    fn answering(&self) -> Result<MutexGuard<'_, Inner>, LedgerError> {
        let inner = self.inner();
        if inner.away { Err(LedgerError::Away("connection refused".into())) } else { Ok(inner) }
    }
}

fn refused<T>(why: impl Into<String>) -> Result<T, LedgerError> {
    Err(LedgerError::Refused(why.into()))
}

/// What the schema allows, whoever writes.
fn is_transition(from: State, to: State) -> bool {
    use State::{
        Active, Archived, Compromised, Deactivated, DestroyScheduled, Destroyed, PreActive,
    };
    matches!(
        (from, to),
        (PreActive, Active | Deactivated | Destroyed)
            | (Active, Deactivated)
            | (Deactivated, Archived)
            | (Archived, Deactivated | DestroyScheduled)
            | (Compromised, Deactivated | Archived)
            | (DestroyScheduled, Archived | Destroyed)
    ) || (to == Compromised && from != Destroyed)
}

impl Database {
    fn apply(&mut self, change: &Change) -> Result<(), LedgerError> {
        let rows = &mut self.rows;
        for hold in &change.holds {
            let id = hold.id;
            match rows.holds.iter_mut().find(|row| row.id == id) {
                Some(row) if row.released.is_some() => return refused("hold is immutable"),
                Some(row) => *row = hold.clone(),
                None => rows.holds.push(hold.clone()),
            }
        }
        for version in &change.versions {
            let number = version.id.version();
            let Some(row) = rows.versions.iter_mut().find(|row| row.id.version() == number) else {
                rows.versions.push(version.clone());
                rows.versions.sort_by_key(|row| row.id.version());
                continue;
            };
            let held = rows.holds.iter().any(|hold| hold.holds(number));
            if row.id != version.id || row.created != version.created {
                return refused(format!("{} is immutable", row.id));
            }
            if row.activated.is_some() && row.activated != version.activated {
                return refused(format!("{} was activated once", row.id));
            }
            if row.state != version.state {
                if !is_transition(row.state, version.state) {
                    return refused(format!("{:?} to {:?}", row.state, version.state));
                }
                let keeps = [State::Archived, State::DestroyScheduled, State::Destroyed];
                let closes = keeps.contains(&version.state) && row.state != State::DestroyScheduled
                    || version.state == State::Destroyed;
                if held && closes {
                    return refused(format!("{} is held", row.id));
                }
            }
            let has = version.destruction.is_some();
            if has != matches!(version.state, State::DestroyScheduled | State::Destroyed) {
                return refused(format!("{} and its destruction do not fit", row.id));
            }
            if version.state == State::Destroyed {
                let two = version.destruction.as_ref().is_some_and(|destruction| {
                    destruction
                        .approved_by
                        .as_ref()
                        .is_some_and(|by| *by != destruction.requested_by)
                });
                if !two || !version.wraps.is_empty() {
                    return refused(format!("{} is not destroyed by two", row.id));
                }
            }
            *row = version.clone();
            // One active version at each moment, as the partial unique index has it.
            if rows.versions.iter().filter(|row| row.state == State::Active).count() > 1 {
                return refused("two active versions");
            }
        }
        if rows.versions.iter().filter(|row| row.state == State::Active).count() != 1 {
            return refused("not one active version");
        }
        for run in &change.runs {
            match rows.runs.iter_mut().find(|row| row.id == run.id) {
                Some(row) if matches!(row.state, RunState::Done | RunState::Cancelled) => {
                    return refused("a run that has ended is immutable");
                }
                Some(row) => *row = run.clone(),
                None => rows.runs.push(run.clone()),
            }
            if rows.runs.iter().filter(|run| run.state.is_open()).count() > 1 {
                return refused("two open runs");
            }
        }
        for replica in &change.replicas {
            match rows.replicas.iter_mut().find(|row| row.id == replica.id) {
                Some(row) => *row = replica.clone(),
                None => rows.replicas.push(replica.clone()),
            }
            // What it said before it was removed is no acknowledgement after it has joined again.
            rows.reports.retain(|row| row.replica != replica.name || replica.removed.is_none());
        }
        let names: BTreeSet<&str> = rows.replicas.iter().map(|row| row.name.as_str()).collect();
        if names.len() != rows.replicas.len() {
            return refused("two replicas of one name");
        }
        if let Some(activation) = change.activation {
            if self.history.activations.iter().any(|row| row.version == activation.version) {
                return refused("a version is activated once");
            }
            self.history.activations.push(activation);
        }
        if let Some(bundle) = &change.bundle {
            if bundle.generation <= rows.bundle.generation {
                return refused("the generation does not grow");
            }
            rows.bundle = bundle.clone();
            self.history.bundles.push(bundle.clone());
        }
        for (record, hash) in &change.audit {
            if record.seq != self.audit.len() as u64 + 1 {
                return refused("the audit chain has a gap");
            }
            self.audit.push((record.clone(), *hash));
            rows.last_audit = Some((record.clone(), *hash));
        }
        if let Some(checkpoint) = &change.checkpoint {
            rows.last_checkpoint = Some(checkpoint.clone());
            self.history.checkpoints.push(checkpoint.clone());
        }
        if let Some(ledger_key) = &change.ledger_key {
            rows.cluster.ledger_key = ledger_key.clone();
        }
        rows.head = change.head.clone();
        Ok(())
    }

    /// Invariant 7, from record `after` on.
    pub(crate) fn audit_verifies(&self, after: usize) -> Result<(), String> {
        if self.audit.len() == after {
            return Ok(());
        }
        let (cluster, ring) = (&self.rows.cluster.id.0, self.rows.ring.as_str());
        let mut previous = match after.checked_sub(1) {
            Some(last) => self.audit[last].1,
            None => START,
        };
        for (record, hash) in &self.audit[after..] {
            if record.previous != previous || record.hash(cluster, ring) != *hash {
                return Err(format!("audit record {} does not follow", record.seq));
            }
            previous = *hash;
        }
        // Those before are of records that were looked at before.
        let new = self
            .history
            .checkpoints
            .iter()
            .rev()
            .take_while(|checkpoint| checkpoint.seq as usize >= after);
        let unsigned = new.into_iter().find(|checkpoint| {
            !checkpoint.verify(cluster, ring)
                || self.audit[checkpoint.seq as usize - 1].1 != checkpoint.hash
        });
        match unsigned {
            Some(checkpoint) => Err(format!("checkpoint {} does not verify", checkpoint.seq)),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Ledger for Model {
    async fn read(&self, _: &RingName) -> Result<Option<Rows>, LedgerError> {
        let inner = self.answering()?;
        Ok(Some(Rows { now: inner.now, ..inner.database.rows.clone() }))
    }

    async fn commit(&self, change: &Change) -> Result<(), LedgerError> {
        let mut inner = self.answering()?;
        let now = inner.now;
        if let Some(lease) = &change.lease {
            let holds = inner.database.rows.lease.as_ref().is_some_and(|row| {
                row.holder == lease.holder && row.epoch == lease.epoch && row.until > now
            });
            if !holds {
                inner.fenced += 1;
                return Err(LedgerError::Fenced { epoch: lease.epoch });
            }
        }
        let head = &inner.database.rows.head;
        if head.revision != change.planned_on || head.mac != change.planned_on_mac {
            inner.moved += 1;
            return Err(LedgerError::Moved { planned_on: change.planned_on });
        }
        let mut after = inner.database.clone();
        after.apply(change)?;
        inner.database = after;
        inner.commits += 1;
        if let Some(lease) = &change.lease {
            // Invariant 5, apart from the check above.
            assert!(
                lease.epoch >= inner.wrote,
                "epoch {} wrote after {}",
                lease.epoch,
                inner.wrote
            );
            inner.wrote = lease.epoch;
        }
        if std::mem::take(&mut inner.loses_an_answer) {
            return Err(LedgerError::Away("connection reset".into()));
        }
        Ok(())
    }

    async fn report(&self, _: &RingName, report: &ReportRow) -> Result<(), LedgerError> {
        let mut inner = self.answering()?;
        let now = inner.now;
        let rows = &mut inner.database.rows;
        let is_member =
            rows.replicas.iter().any(|row| row.name == report.replica && row.removed.is_none());
        if !is_member {
            return Err(LedgerError::NotMember(report.replica.clone()));
        }
        rows.reports.retain(|row| row.replica != report.replica);
        rows.reports.push(ReportRow { at: now, ..report.clone() });
        rows.reports.sort_by(|a, b| a.replica.cmp(&b.replica));
        Ok(())
    }

    async fn lease(&self, holder: &str) -> Result<Lease, LedgerError> {
        let mut inner = self.answering()?;
        let now = inner.now;
        let until = now + LEASE.as_secs();
        let row = &mut inner.database.rows.lease;
        let lease = match row.take() {
            Some(lease) if lease.until > now && lease.holder == holder => Lease { until, ..lease },
            // One that ends later than any can was taken before the clock was set back, and its holder may be dead for an hour.
            Some(lease) if lease.until > now && lease.until <= until => lease,
            other => Lease {
                holder: holder.into(),
                epoch: other.map_or(1, |lease| lease.epoch + 1),
                until,
            },
        };
        *row = Some(lease.clone());
        Ok(lease)
    }

    async fn release(&self, lease: &Lease) -> Result<(), LedgerError> {
        let mut inner = self.answering()?;
        let now = inner.now;
        if let Some(row) = &mut inner.database.rows.lease
            && row.holder == lease.holder
            && row.epoch == lease.epoch
        {
            row.until = now;
        }
        Ok(())
    }

    async fn audit(
        &self,
        _: &RingName,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(Record, Hash)>, LedgerError> {
        let inner = self.answering()?;
        let records = inner.database.audit.iter().skip(after as usize).take(limit as usize);
        Ok(records.cloned().collect())
    }

    async fn history(&self, _: &RingName) -> Result<History, LedgerError> {
        Ok(self.answering()?.database.history.clone())
    }

    async fn create(&self, dump: &Dump) -> Result<(), LedgerError> {
        let mut inner = self.answering()?;
        if inner.database.rows.cluster.id == dump.rows.cluster.id {
            return Err(LedgerError::Exists(dump.rows.cluster.id));
        }
        inner.database = Database {
            rows: dump.rows.clone(),
            history: dump.history.clone(),
            audit: dump.audit.clone(),
        };
        inner.wrote = 0;
        Ok(())
    }

    async fn changed(&self) {
        ready(()).await;
    }
}
