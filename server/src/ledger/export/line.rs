//! One line of an export for each kind of row, both directions together.

use envelope::{
    KeyId, RingName, WrappedKey,
    audit::{self, Hash, Record},
    bundle::{State, WrappedLedgerKey},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ledger::{
    ActivationRow, BundleRow, ClusterId, Destruction, HeadRow, HoldRow, ReplicaRow, Rows, RunRow,
    RunState, VersionRow,
};

/// What the first line says that this is.
const FORMAT: &str = "strongroom.dev/ledger/v1";

type Wrong = &'static str;

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Line {
    Cluster(ClusterLine),
    Head(HeadLine),
    Version(VersionLine),
    Hold(HoldLine),
    Run(RunLine),
    Replica(ReplicaLine),
    Bundle(BundleLine),
    Activation(ActivationLine),
    Audit(AuditLine),
    Checkpoint(CheckpointLine),
    End {},
}

impl Line {
    /// Takes a line without its sum.
    pub(super) fn parse(body: &str) -> Result<Self, Wrong> {
        let line: Self = serde_json::from_str(body)
            .map_err(|_| "is not of a kind that this program knows, or has other fields")?;
        // One encoding a value: no spaces, no other order, no field that nobody reads.
        if line.encode() == body { Ok(line) } else { Err("is not written as an export is") }
    }

    pub(super) fn encode(&self) -> String {
        // Texts, numbers, and lists of them: nothing that JSON cannot say.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Its place among the kinds.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Cluster(_) => 0,
            Self::Head(_) => 1,
            Self::Version(_) => 2,
            Self::Hold(_) => 3,
            Self::Run(_) => 4,
            Self::Replica(_) => 5,
            Self::Bundle(_) => 6,
            Self::Activation(_) => 7,
            Self::Audit(_) => 8,
            Self::Checkpoint(_) => 9,
            Self::End {} => 10,
        }
    }
}

/// Bytes, written as lower-case hexadecimal digits.
#[derive(Debug)]
pub(super) struct Hex(Vec<u8>);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        decode(&text).map(Self).ok_or_else(|| de::Error::custom("hexadecimal digits"))
    }
}

impl Hex {
    fn array<const N: usize>(self) -> Result<[u8; N], Wrong> {
        self.0.try_into().map_err(|_| "has a value of another length")
    }
}

impl<const N: usize> From<[u8; N]> for Hex {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes.to_vec())
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().map_or('?', char::from);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

pub(super) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}

fn decode(text: &str) -> Option<Vec<u8>> {
    fn value(digit: u8) -> Option<u8> {
        match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        }
    }
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?)).collect()
}

fn wraps(keys: &[WrappedKey]) -> Vec<Hex> {
    keys.iter().map(|key| Hex(key.encode())).collect()
}

fn unwrap_wraps(wraps: Vec<Hex>) -> Result<Vec<WrappedKey>, Wrong> {
    let wraps = wraps.into_iter().map(|Hex(bytes)| WrappedKey::parse(&bytes));
    wraps.collect::<Result<_, _>>().map_err(|_| "has a wrapped key that is none")
}

/// A text that was written together with when, or neither.
fn both(by: Option<String>, at: Option<u64>) -> Result<Option<(String, u64)>, Wrong> {
    match (by, at) {
        (Some(by), Some(at)) => Ok(Some((by, at))),
        (None, None) => Ok(None),
        _ => Err("says by whom and not when, or when and not by whom"),
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterLine {
    format: String,
    exported: u64,
    cluster: String,
    ring: String,
    created: u64,
    ledger_key: String,
    wraps: Vec<Hex>,
}

/// What the first line says.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) id: ClusterId,
    pub(super) ring: RingName,
    pub(super) created: u64,
    pub(super) exported: u64,
    pub(super) ledger_key: WrappedLedgerKey,
}

impl Line {
    pub(super) fn cluster(rows: &Rows) -> Self {
        let key = &rows.cluster.ledger_key;
        Self::Cluster(ClusterLine {
            format: FORMAT.into(),
            exported: rows.now,
            cluster: rows.cluster.id.to_string(),
            ring: rows.ring.as_str().into(),
            created: rows.cluster.created,
            ledger_key: key.id.as_str().into(),
            wraps: wraps(&key.wraps),
        })
    }
}

impl ClusterLine {
    pub(super) fn row(self) -> Result<Cluster, Wrong> {
        if self.format != FORMAT {
            return Err("is of another format: update strongroomd");
        }
        Ok(Cluster {
            id: ClusterId::parse(&self.cluster).ok_or("names no cluster")?,
            ring: RingName::parse(&self.ring).map_err(|_| "names no ring")?,
            created: self.created,
            exported: self.exported,
            ledger_key: WrappedLedgerKey {
                id: KeyId::parse(&self.ledger_key).map_err(|_| "names no ledger key")?,
                wraps: unwrap_wraps(self.wraps)?,
            },
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeadLine {
    revision: u64,
    generation: u64,
    audit_seq: u64,
    audit_hash: Hex,
    counts: [u64; 4],
    contents: [Hex; 4],
    mac: Hex,
}

impl Line {
    pub(super) fn head(row: &HeadRow) -> Self {
        Self::Head(HeadLine {
            revision: row.revision,
            generation: row.generation,
            audit_seq: row.audit_seq,
            audit_hash: row.audit_hash.into(),
            counts: row.counts,
            contents: row.contents.map(Hex::from),
            mac: row.mac.into(),
        })
    }
}

impl HeadLine {
    pub(super) fn row(self) -> Result<HeadRow, Wrong> {
        let [versions, holds, runs, replicas] = self.contents;
        Ok(HeadRow {
            revision: self.revision,
            generation: self.generation,
            audit_seq: self.audit_seq,
            audit_hash: self.audit_hash.array()?,
            counts: self.counts,
            contents: [versions.array()?, holds.array()?, runs.array()?, replicas.array()?],
            mac: self.mac.array()?,
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VersionLine {
    id: String,
    state: String,
    created: u64,
    activated: Option<u64>,
    changed: u64,
    destruction: Option<DestructionLine>,
    wraps: Vec<Hex>,
    mac: Hex,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DestructionLine {
    requested_by: String,
    wait: u64,
    observed: u64,
    approved_by: Option<String>,
}

impl Line {
    pub(super) fn version(row: &VersionRow) -> Self {
        Self::Version(VersionLine {
            id: row.id.as_str().into(),
            state: row.state.as_str().into(),
            created: row.created,
            activated: row.activated,
            changed: row.changed,
            destruction: row.destruction.as_ref().map(|destruction| DestructionLine {
                requested_by: destruction.requested_by.clone(),
                wait: destruction.wait,
                observed: destruction.observed,
                approved_by: destruction.approved_by.clone(),
            }),
            wraps: wraps(&row.wraps),
            mac: row.mac.into(),
        })
    }
}

impl VersionLine {
    pub(super) fn row(self, ring: &RingName) -> Result<VersionRow, Wrong> {
        let id = KeyId::parse(&self.id).map_err(|_| "names no key version")?;
        if id.ring() != ring {
            return Err("is of another ring");
        }
        Ok(VersionRow {
            id,
            state: State::of_word(&self.state).ok_or("has a state that is none")?,
            created: self.created,
            activated: self.activated,
            changed: self.changed,
            destruction: self.destruction.map(|destruction| Destruction {
                requested_by: destruction.requested_by,
                wait: destruction.wait,
                observed: destruction.observed,
                approved_by: destruction.approved_by,
            }),
            wraps: unwrap_wraps(self.wraps)?,
            mac: self.mac.array()?,
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldLine {
    id: u64,
    first: u32,
    last: u32,
    until: u64,
    reason: String,
    added_by: String,
    added_at: u64,
    released_by: Option<String>,
    released_at: Option<u64>,
    mac: Hex,
}

impl Line {
    pub(super) fn hold(row: &HoldRow) -> Self {
        let (released_by, released_at) = row.released.clone().unzip();
        Self::Hold(HoldLine {
            id: row.id,
            first: row.first,
            last: row.last,
            until: row.until,
            reason: row.reason.clone(),
            added_by: row.added_by.clone(),
            added_at: row.added_at,
            released_by,
            released_at,
            mac: row.mac.into(),
        })
    }
}

impl HoldLine {
    pub(super) fn row(self) -> Result<HoldRow, Wrong> {
        Ok(HoldRow {
            id: self.id,
            first: self.first,
            last: self.last,
            until: self.until,
            reason: self.reason,
            added_by: self.added_by,
            added_at: self.added_at,
            released: both(self.released_by, self.released_at)?,
            mac: self.mac.array()?,
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunLine {
    id: u64,
    trigger: String,
    reason: String,
    requested_by: String,
    begun: u64,
    from: u32,
    to: Option<u32>,
    activated: Option<u64>,
    converged: Option<u64>,
    state: String,
    ended: Option<u64>,
    outcome: String,
    mac: Hex,
}

impl Line {
    pub(super) fn run(row: &RunRow) -> Self {
        Self::Run(RunLine {
            id: row.id,
            trigger: row.trigger.clone(),
            reason: row.reason.clone(),
            requested_by: row.requested_by.clone(),
            begun: row.begun,
            from: row.from,
            to: row.to,
            activated: row.activated,
            converged: row.converged,
            state: row.state.as_str().into(),
            ended: row.ended,
            outcome: row.outcome.clone(),
            mac: row.mac.into(),
        })
    }
}

impl RunLine {
    pub(super) fn row(self) -> Result<RunRow, Wrong> {
        Ok(RunRow {
            id: self.id,
            trigger: self.trigger,
            reason: self.reason,
            requested_by: self.requested_by,
            begun: self.begun,
            from: self.from,
            to: self.to,
            activated: self.activated,
            converged: self.converged,
            state: RunState::of_word(&self.state).ok_or("has a state that is none")?,
            ended: self.ended,
            outcome: self.outcome,
            mac: self.mac.array()?,
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplicaLine {
    id: u64,
    name: String,
    joined: u64,
    removed_by: Option<String>,
    removed_at: Option<u64>,
    mac: Hex,
}

impl Line {
    pub(super) fn replica(row: &ReplicaRow) -> Self {
        let (removed_by, removed_at) = row.removed.clone().unzip();
        Self::Replica(ReplicaLine {
            id: row.id,
            name: row.name.clone(),
            joined: row.joined,
            removed_by,
            removed_at,
            mac: row.mac.into(),
        })
    }
}

impl ReplicaLine {
    pub(super) fn row(self) -> Result<ReplicaRow, Wrong> {
        Ok(ReplicaRow {
            id: self.id,
            name: self.name,
            joined: self.joined,
            removed: both(self.removed_by, self.removed_at)?,
            mac: self.mac.array()?,
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BundleLine {
    generation: u64,
    bytes: Hex,
}

impl Line {
    pub(super) fn bundle(row: &BundleRow) -> Self {
        Self::Bundle(BundleLine { generation: row.generation, bytes: Hex(row.bytes.clone()) })
    }
}

impl BundleLine {
    pub(super) fn row(self) -> Result<BundleRow, Wrong> {
        if self.bytes.0.len() > envelope::Bundle::MAX_LEN {
            return Err("has a bundle that is too long");
        }
        Ok(BundleRow { generation: self.generation, bytes: self.bytes.0 })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActivationLine {
    version: u32,
    at: u64,
    generation: u64,
}

impl Line {
    pub(super) fn activation(row: &ActivationRow) -> Self {
        let ActivationRow { version, at, generation } = *row;
        Self::Activation(ActivationLine { version, at, generation })
    }
}

impl ActivationLine {
    pub(super) fn row(self) -> ActivationRow {
        ActivationRow { version: self.version, at: self.at, generation: self.generation }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditLine {
    seq: u64,
    at: u64,
    actor: String,
    action: String,
    subject: String,
    detail: String,
    previous: Hex,
    hash: Hex,
}

impl Line {
    pub(super) fn audit((record, hash): &(Record, Hash)) -> Self {
        Self::Audit(AuditLine {
            seq: record.seq,
            at: record.at,
            actor: record.actor.clone(),
            action: record.action.clone(),
            subject: record.subject.clone(),
            detail: record.detail.clone(),
            previous: record.previous.into(),
            hash: (*hash).into(),
        })
    }
}

impl AuditLine {
    pub(super) fn row(self) -> Result<(Record, Hash), Wrong> {
        let record = Record {
            seq: self.seq,
            at: self.at,
            actor: self.actor,
            action: self.action,
            subject: self.subject,
            detail: self.detail,
            previous: self.previous.array()?,
        };
        Ok((record, self.hash.array()?))
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckpointLine {
    seq: u64,
    hash: Hex,
    at: u64,
    public_key: Hex,
    signature: Hex,
}

impl Line {
    pub(super) fn checkpoint(row: &audit::Checkpoint) -> Self {
        Self::Checkpoint(CheckpointLine {
            seq: row.seq,
            hash: row.hash.into(),
            at: row.at,
            public_key: row.public_key.into(),
            signature: row.signature.into(),
        })
    }
}

impl CheckpointLine {
    pub(super) fn row(self) -> Result<audit::Checkpoint, Wrong> {
        Ok(audit::Checkpoint {
            seq: self.seq,
            hash: self.hash.array()?,
            at: self.at,
            public_key: self.public_key.array()?,
            signature: self.signature.array()?,
        })
    }
}
