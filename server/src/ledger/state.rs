use std::{collections::BTreeMap, ops::Deref};

use envelope::{
    Bundle, LedgerKey,
    audit::{Checkpoint, Hash, sha256},
    bundle::{State as VersionState, UnverifiedBundle, Version},
};

use super::{
    Change,
    rows::{HoldRow, Place, ReplicaRow, ReportRow, Rows, RunRow, VersionRow},
};

/// Rows that were verified: every MAC, that none is missing and none is an old copy, that the newest bundle says what the
/// rows say, and where the audit chain ends. What plans are made on.
#[derive(Debug, Clone)]
pub struct State {
    rows: Rows,
    bundle: Bundle,
    digest: Hash,
}

impl Deref for State {
    type Target = Rows;

    fn deref(&self) -> &Rows {
        &self.rows
    }
}

impl State {
    /// Looks at every row.
    ///
    /// # Errors
    /// [`Tampered`] names the first row that is not as we wrote it.
    pub fn verify(mut rows: Rows, key: &LedgerKey) -> Result<Self, Tampered> {
        let place: Place<'_> = (&rows.cluster.id, &rows.ring);
        let changed =
            |table: &'static str, row: String| Tampered { table, row, what: "was changed by hand" };
        if rows.cluster.ledger_key.id != *key.id() {
            return Err(changed("clusters", rows.cluster.id.to_string()));
        }
        if !rows.head.is_ours(key, place) {
            return Err(changed("heads", rows.ring.to_string()));
        }
        for row in &rows.versions {
            ensure(row.is_ours(key, place), || changed("versions", row.id.to_string()))?;
        }
        for row in &rows.holds {
            ensure(row.is_ours(key, place), || changed("holds", row.id.to_string()))?;
        }
        for row in &rows.runs {
            ensure(row.is_ours(key, place), || changed("runs", row.id.to_string()))?;
        }
        for row in &rows.replicas {
            ensure(row.is_ours(key, place), || changed("replicas", row.name.clone()))?;
        }
        for row in &rows.reports {
            ensure(row.is_ours(key, place), || changed("reports", row.replica.clone()))?;
        }
        let bundle = bundle(&rows, key)?;
        versions_are_the_bundles(&rows.versions, &bundle)?;
        nothing_is_missing(&rows)?;
        audit_ends_where_the_head_says(&rows)?;
        checkpoint_is_ours(&rows, key)?;
        // No MAC stands over the wraps in `clusters`, and one does over these.
        rows.cluster.ledger_key = bundle.ledger().clone();
        let digest = sha256(&rows.bundle.bytes);
        Ok(Self { rows, bundle, digest })
    }

    /// What `change`, which was planned on this state and committed, makes of it, without reading it again.
    ///
    /// # Errors
    /// [`Tampered`], where it was planned on another state.
    pub fn after(self, change: &Change, key: &LedgerKey) -> Result<Self, Tampered> {
        let mut rows = self.rows;
        rows.apply(change);
        Self::verify(rows, key)
    }

    /// The same, `seconds` later by the ledger's clock.
    #[must_use]
    pub fn later(mut self, seconds: u64) -> Self {
        self.rows.now = self.rows.now.saturating_add(seconds);
        self
    }

    /// The newest bundle.
    #[must_use]
    pub fn newest_bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// SHA-256 of the newest bundle as it lies in the ledger: what a member reports that serves it.
    #[must_use]
    pub fn newest_digest(&self) -> &Hash {
        &self.digest
    }

    /// The rows, to be changed.
    #[must_use]
    pub fn into_rows(self) -> Rows {
        self.rows
    }

    /// The version that is active. There is exactly one.
    #[must_use]
    pub fn active(&self) -> Option<&VersionRow> {
        self.versions.iter().find(|row| row.state == VersionState::Active)
    }

    /// The version with this number.
    #[must_use]
    pub fn version(&self, number: u32) -> Option<&VersionRow> {
        self.versions.iter().find(|row| row.id.version() == number)
    }

    /// The run that is under way.
    #[must_use]
    pub fn open_run(&self) -> Option<&RunRow> {
        self.runs.iter().rev().find(|run| run.state.is_open())
    }

    /// The replicas that must acknowledge, each with what it said last.
    pub fn members(&self) -> impl Iterator<Item = (&ReplicaRow, Option<&ReportRow>)> {
        let reports: BTreeMap<&str, &ReportRow> =
            self.reports.iter().map(|report| (report.replica.as_str(), report)).collect();
        let members = self.replicas.iter().filter(|replica| replica.removed.is_none());
        members.map(move |replica| (replica, reports.get(replica.name.as_str()).copied()))
    }

    /// The hold that keeps `version`, if any does.
    #[must_use]
    pub fn held(&self, version: u32) -> Option<&HoldRow> {
        self.holds.iter().find(|hold| hold.holds(version))
    }
}

/// SHA-256 over the MACs of each kind of row, and how many there are, as the head has them.
pub(super) fn contents(rows: &Rows) -> ([u64; 4], [Hash; 4]) {
    fn of<'a>(macs: impl Iterator<Item = &'a [u8; 32]>) -> (u64, Hash) {
        let macs: Vec<u8> = macs.flatten().copied().collect();
        (macs.len() as u64 / 32, sha256(&macs))
    }
    let all = [
        of(rows.versions.iter().map(|row| &row.mac)),
        of(rows.holds.iter().map(|row| &row.mac)),
        of(rows.runs.iter().map(|row| &row.mac)),
        of(rows.replicas.iter().map(|row| &row.mac)),
    ];
    (all.map(|(count, _)| count), all.map(|(_, hash)| hash))
}

/// A version as a bundle has it.
pub(super) fn bundled(row: &VersionRow) -> Version {
    Version {
        id: row.id.clone(),
        state: row.state,
        created: row.created,
        activated: row.activated,
        wraps: row.wraps.clone(),
    }
}

fn bundle(rows: &Rows, key: &LedgerKey) -> Result<Bundle, Tampered> {
    let generation = rows.bundle.generation;
    let refused = |what| Tampered { table: "bundles", row: generation.to_string(), what };
    if generation != rows.head.generation {
        return Err(Tampered {
            table: "bundles",
            row: rows.head.generation.to_string(),
            what: "is missing, or an older one stands in its place",
        });
    }
    let bundle = UnverifiedBundle::parse(&rows.bundle.bytes)
        .map_err(|_| refused("is damaged"))?
        .verify(key)
        .map_err(|_| refused("was changed by hand"))?;
    if bundle.generation() != generation || bundle.ring() != &rows.ring {
        return Err(refused("is another one"));
    }
    Ok(bundle)
}

fn versions_are_the_bundles(rows: &[VersionRow], bundle: &Bundle) -> Result<(), Tampered> {
    // By number, because a ring may have thousands of versions and is looked at every few seconds.
    let rows_of: BTreeMap<u32, &VersionRow> =
        rows.iter().map(|row| (row.id.version(), row)).collect();
    for version in bundle.versions() {
        let tampered = |what| Tampered { table: "versions", row: version.id.to_string(), what };
        let row = rows_of.get(&version.id.version()).ok_or_else(|| tampered("is missing"))?;
        ensure(bundled(row) == *version, || {
            tampered("is an old copy: the newest bundle says otherwise")
        })?;
    }
    let published = |row: &&VersionRow| {
        let versions = bundle.versions();
        versions.binary_search_by_key(&row.id.version(), |version| version.id.version()).is_ok()
    };
    match rows.iter().find(|row| !published(row)) {
        Some(row) => Err(Tampered {
            table: "versions",
            row: row.id.to_string(),
            what: "is not in the newest bundle",
        }),
        None => Ok(()),
    }
}

fn nothing_is_missing(rows: &Rows) -> Result<(), Tampered> {
    let ids: [(&'static str, Vec<u64>); 3] = [
        ("holds", rows.holds.iter().map(|row| row.id).collect()),
        ("runs", rows.runs.iter().map(|row| row.id).collect()),
        ("replicas", rows.replicas.iter().map(|row| row.id).collect()),
    ];
    let [_, counts @ ..] = rows.head.counts;
    for ((table, ids), count) in ids.into_iter().zip(counts) {
        for (id, expected) in ids.iter().map(Some).chain([None]).zip(1..=count) {
            ensure(id == Some(&expected), || Tampered {
                table,
                row: expected.to_string(),
                what: "is missing",
            })?;
        }
    }
    let (counts, hashes) = contents(rows);
    let tables = ["versions", "holds", "runs", "replicas"];
    let same = counts.iter().zip(&rows.head.counts).zip(hashes.iter().zip(&rows.head.contents));
    for (table, ((count, expected), (hash, sealed))) in tables.into_iter().zip(same) {
        ensure(count == expected && hash == sealed, || Tampered {
            table,
            row: "a row".into(),
            what: "is an old copy, or one too many: the head knows of another",
        })?;
    }
    Ok(())
}

fn audit_ends_where_the_head_says(rows: &Rows) -> Result<(), Tampered> {
    let tampered = |what| Tampered { table: "audit", row: rows.head.audit_seq.to_string(), what };
    let (record, hash) = rows.last_audit.as_ref().ok_or_else(|| tampered("is missing"))?;
    ensure(record.seq == rows.head.audit_seq, || tampered("is not the last one"))?;
    let computed = record.hash(&rows.cluster.id.0, rows.ring.as_str());
    ensure(computed == *hash && computed == rows.head.audit_hash, || {
        tampered("was changed by hand")
    })
}

/// Signed with the key of this cluster, and not with one that somebody put beside it.
fn checkpoint_is_ours(rows: &Rows, key: &LedgerKey) -> Result<(), Tampered> {
    let Some(checkpoint) = &rows.last_checkpoint else { return Ok(()) };
    let cluster = &rows.cluster.id.0;
    let ours = Checkpoint::public_key(key, cluster).is_ok_and(|ours| ours == checkpoint.public_key);
    let signed =
        checkpoint.verify(cluster, rows.ring.as_str()) && checkpoint.seq <= rows.head.audit_seq;
    ensure(ours && signed, || Tampered {
        table: "checkpoints",
        row: checkpoint.seq.to_string(),
        what: "is not signed by this cluster",
    })
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> Tampered) -> Result<(), Tampered> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Somebody changed the database by hand, or it was damaged. Nothing that is in it is believed; the last good bundle serves on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the ledger is not as Strongroom wrote it: {table} {row} {what}. Rotation stops; serving goes on. Find out who can write there, then restore the ledger"
)]
pub struct Tampered {
    /// The table.
    pub table: &'static str,
    /// The row.
    pub row: String,
    /// What is wrong with it.
    pub what: &'static str,
}
