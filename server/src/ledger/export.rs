//! An export of a whole ledger: JSON lines, for disaster recovery and for moving from one database to another.
//!
//! ```text
//! line  = {"kind":…, the fields of the row…, "sum":"16 hexadecimal digits"} ‖ LF
//! sum   = first 8 bytes of SHA-256(sum of the line before as 8 bytes ‖ the line without its sum); before the first: zeros
//! order = cluster, head, version…, hold…, run…, replica…, bundle…, activation…, audit…, checkpoint…, end
//! ```
//!
//! Keys stay as the roots wrapped them. The sums find the line that was damaged; whether the whole is ours, the MACs and the
//! audit chain tell ([`verify`]). What replicas reported and who held the lease is not taken along.
//!
//! Invariant: one encoding a value. What is read encodes to the same bytes; anything else is refused, naming the line.

mod line;

use std::str;

use envelope::{
    LedgerKey,
    audit::{Checkpoint, START, sha256},
    bundle::UnverifiedBundle,
};

use self::line::Line;
use super::{BundleRow, ClusterRow, Dump, HeadRow, History, Rows, State, Tampered};

/// Longest line in bytes: a bundle of full size in hexadecimal digits, and its fields.
const MAX_LINE: usize = 9 << 20;
/// Largest export in bytes. It is held in memory while it is verified.
const MAX_EXPORT: usize = 512 << 20;

type Sum = [u8; 8];

/// The lines of `dump`, each with its end.
///
/// # Errors
/// [`ExportError::Inconsistent`] where the newest rows are not the last of the history: it was not read at one moment.
pub fn lines(dump: &Dump) -> Result<impl Iterator<Item = String> + '_, ExportError> {
    let Dump { rows, history, audit } = dump;
    let whole = history.bundles.last() == Some(&rows.bundle)
        && audit.last() == rows.last_audit.as_ref()
        && history.checkpoints.last() == rows.last_checkpoint.as_ref();
    if !whole {
        return Err(ExportError::Inconsistent);
    }
    let body = std::iter::once(Line::cluster(rows))
        .chain(std::iter::once(Line::head(&rows.head)))
        .chain(rows.versions.iter().map(Line::version))
        .chain(rows.holds.iter().map(Line::hold))
        .chain(rows.runs.iter().map(Line::run))
        .chain(rows.replicas.iter().map(Line::replica))
        .chain(history.bundles.iter().map(Line::bundle))
        .chain(history.activations.iter().map(Line::activation))
        .chain(audit.iter().map(Line::audit))
        .chain(history.checkpoints.iter().map(Line::checkpoint))
        .chain(std::iter::once(Line::End {}));
    Ok(body.scan(Sum::default(), |sum, line| {
        let body = line.encode();
        *sum = next_sum(*sum, &body);
        let open = body.strip_suffix('}').unwrap_or(&body);
        Some(format!("{open},\"sum\":\"{}\"}}\n", line::hex(sum)))
    }))
}

fn next_sum(before: Sum, body: &str) -> Sum {
    let hash = sha256(&[&before, body.as_bytes()].concat());
    let mut sum = Sum::default();
    for (to, from) in sum.iter_mut().zip(hash) {
        *to = from;
    }
    sum
}

/// Takes an export apart, in pieces of any size.
#[derive(Debug, Default)]
pub struct Reader {
    /// What came after the last end of a line.
    rest: Vec<u8>,
    /// Bytes in all.
    len: usize,
    /// Lines in all.
    count: usize,
    sum: Sum,
    rank: u8,
    cluster: Option<line::Cluster>,
    head: Option<HeadRow>,
    dump: Parts,
    ended: bool,
}

/// Rows that may stand any number of times.
#[derive(Debug, Default)]
struct Parts {
    versions: Vec<super::VersionRow>,
    holds: Vec<super::HoldRow>,
    runs: Vec<super::RunRow>,
    replicas: Vec<super::ReplicaRow>,
    history: History,
    audit: Vec<(envelope::audit::Record, envelope::audit::Hash)>,
}

impl Reader {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`ExportError`] names the first line that is wrong.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.len = self.len.saturating_add(bytes.len());
        if self.len > MAX_EXPORT {
            return Err(ExportError::TooLarge { limit: MAX_EXPORT >> 20 });
        }
        let mut pieces = bytes.split_inclusive(|byte| *byte == b'\n');
        pieces.try_for_each(|piece| {
            self.rest.extend_from_slice(piece);
            match self.rest.strip_suffix(b"\n") {
                Some(_) => {
                    let mut line = std::mem::take(&mut self.rest);
                    line.pop();
                    self.take(&line)
                }
                None if self.rest.len() > MAX_LINE => {
                    self.count += 1;
                    Err(self.wrong("is longer than a line of an export can be"))
                }
                None => Ok(()),
            }
        })
    }

    /// What the export says. Nothing of it is verified yet.
    ///
    /// # Errors
    /// [`ExportError`]: it ends too early.
    pub fn finish(mut self) -> Result<Dump, ExportError> {
        self.count += 1;
        if !self.rest.is_empty() {
            return Err(self.wrong("has no end: the export was cut off"));
        }
        if !self.ended {
            return Err(self.wrong("is missing: the export was cut off"));
        }
        let missing = |what| ExportError::Line { line: 1, what };
        let cluster = self.cluster.take().ok_or_else(|| missing("is not the cluster's"))?;
        let head = self.head.take().ok_or_else(|| missing("is not followed by the head's"))?;
        let bundle: BundleRow =
            self.dump.history.bundles.last().cloned().ok_or_else(|| missing("has no bundle"))?;
        let Parts { versions, holds, runs, replicas, history, audit } = self.dump;
        let row =
            ClusterRow { id: cluster.id, created: cluster.created, ledger_key: cluster.ledger_key };
        let rows = Rows {
            now: cluster.exported,
            cluster: row,
            ring: cluster.ring,
            head,
            versions,
            holds,
            runs,
            replicas,
            reports: Vec::new(),
            lease: None,
            bundle,
            last_audit: audit.last().cloned(),
            last_checkpoint: history.checkpoints.last().cloned(),
        };
        Ok(Dump { rows, history, audit })
    }

    fn wrong(&self, what: &'static str) -> ExportError {
        ExportError::Line { line: self.count, what }
    }

    fn take(&mut self, line: &[u8]) -> Result<(), ExportError> {
        self.count += 1;
        if line.len() > MAX_LINE {
            return Err(self.wrong("is longer than a line of an export can be"));
        }
        if self.ended {
            return Err(self.wrong("stands after the end"));
        }
        let text = str::from_utf8(line).map_err(|_| self.wrong("is not UTF-8"))?;
        let not_ours = || self.wrong("is not a line of an export of strongroom");
        let (open, sum) = text.rsplit_once(",\"sum\":\"").ok_or_else(not_ours)?;
        let sum = sum.strip_suffix("\"}").and_then(line::parse_hex::<8>).ok_or_else(not_ours)?;
        let body = format!("{open}}}");
        if next_sum(self.sum, &body) != sum {
            return Err(self.wrong("was changed or damaged, or the line before it is missing"));
        }
        self.sum = sum;
        let parsed = Line::parse(&body).map_err(|what| self.wrong(what))?;
        let rank = parsed.rank();
        // The first two kinds and the last stand once, each at its place; the others in their order.
        let in_order = match rank {
            0 | 1 => self.count == usize::from(rank) + 1,
            _ => self.count > 2 && rank >= self.rank,
        };
        if !in_order {
            return Err(self.wrong("does not stand where its kind does"));
        }
        self.rank = rank;
        self.keep(parsed)
    }

    fn keep(&mut self, line: Line) -> Result<(), ExportError> {
        let cluster = self.cluster.as_ref().map(|cluster| cluster.ring.clone());
        let refused = |what| ExportError::Line { line: self.count, what };
        let parts = &mut self.dump;
        match line {
            Line::Cluster(fields) => {
                self.cluster = Some(fields.row().map_err(refused)?);
            }
            Line::Head(fields) => self.head = Some(fields.row().map_err(refused)?),
            Line::Version(fields) => {
                let ring = cluster.ok_or_else(|| refused("stands before the cluster's"))?;
                parts.versions.push(fields.row(&ring).map_err(refused)?);
            }
            Line::Hold(fields) => parts.holds.push(fields.row().map_err(refused)?),
            Line::Run(fields) => parts.runs.push(fields.row().map_err(refused)?),
            Line::Replica(fields) => parts.replicas.push(fields.row().map_err(refused)?),
            Line::Bundle(fields) => parts.history.bundles.push(fields.row().map_err(refused)?),
            Line::Activation(fields) => parts.history.activations.push(fields.row()),
            Line::Audit(fields) => parts.audit.push(fields.row().map_err(refused)?),
            Line::Checkpoint(fields) => {
                parts.history.checkpoints.push(fields.row().map_err(refused)?);
            }
            Line::End {} => self.ended = true,
        }
        Ok(())
    }
}

/// Whether an export is what we wrote: every MAC, every bundle, and the audit chain from its first record to the head.
///
/// # Errors
/// [`Tampered`] names the first row that is not.
pub fn verify(dump: &Dump, key: &LedgerKey) -> Result<State, Tampered> {
    let Dump { rows, history, audit } = dump;
    let state = State::verify(rows.clone(), key)?;
    let (cluster, ring) = (&rows.cluster.id.0, rows.ring.as_str());
    let tampered = |table, row: u64, what| Tampered { table, row: row.to_string(), what };

    let mut generation = 0;
    for bundle in &history.bundles {
        let wrong = |what| tampered("bundles", bundle.generation, what);
        if bundle.generation <= generation {
            return Err(wrong("does not come after the one before it"));
        }
        generation = bundle.generation;
        let read = UnverifiedBundle::parse(&bundle.bytes).map_err(|_| wrong("is damaged"))?;
        let read = read.verify(key).map_err(|_| wrong("was changed by hand"))?;
        if read.generation() != bundle.generation || read.ring() != &rows.ring {
            return Err(wrong("is another one"));
        }
    }
    for activation in &history.activations {
        let version = state.version(activation.version);
        if version.is_none_or(|version| version.activated != Some(activation.at)) {
            let what = "is not what its version says";
            return Err(tampered("activations", activation.version.into(), what));
        }
    }

    let mut previous = START;
    for (seq, (record, hash)) in (1..).zip(audit) {
        let wrong = |what| tampered("audit", seq, what);
        if record.seq != seq {
            return Err(wrong("is missing"));
        }
        if record.previous != previous {
            return Err(wrong("does not follow the record before it"));
        }
        previous = record.hash(cluster, ring);
        if previous != *hash {
            return Err(wrong("was changed by hand"));
        }
    }
    if audit.len() as u64 != rows.head.audit_seq || previous != rows.head.audit_hash {
        return Err(tampered("audit", audit.len() as u64, "is not the last one"));
    }

    let public_key = Checkpoint::public_key(key, cluster)
        .map_err(|_| tampered("checkpoints", 0, "cannot be verified"))?;
    for checkpoint in &history.checkpoints {
        let wrong = |what| tampered("checkpoints", checkpoint.seq, what);
        if checkpoint.public_key != public_key || !checkpoint.verify(cluster, ring) {
            return Err(wrong("was not signed by this cluster"));
        }
        let signed = checkpoint.seq.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        let signed = signed.and_then(|at| audit.get(at));
        if signed.is_none_or(|(_, hash)| *hash != checkpoint.hash) {
            return Err(wrong("signs another history"));
        }
    }
    Ok(state)
}

/// It is no export, or not a whole one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A line is wrong.
    #[error(
        "line {line} of the export {what}: nothing was written. Take another copy of the export"
    )]
    Line {
        /// Counts from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It is too large.
    #[error("the export is larger than {limit} MiB: nothing was written")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The ledger changed while it was read.
    #[error("the ledger changed while it was read: export it again")]
    Inconsistent,
}
