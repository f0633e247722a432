//! An export of the audit chain: JSON lines. The header first, then every record, then every checkpoint.

use proto::admin as api;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What the first line says that this is.
pub(crate) const FORMAT: &str = "strongroom.dev/audit/v1";

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Line {
    Header(Header),
    Record(Record),
    Checkpoint(Checkpoint),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) format: String,
    pub(crate) cluster: Bytes<16>,
    pub(crate) ring: String,
    pub(crate) public_key: Key,
    pub(crate) records: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) seq: u64,
    pub(crate) at: u64,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) subject: String,
    pub(crate) detail: String,
    pub(crate) previous: Bytes<32>,
    pub(crate) hash: Bytes<32>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Checkpoint {
    pub(crate) seq: u64,
    pub(crate) hash: Bytes<32>,
    pub(crate) at: u64,
    pub(crate) public_key: Key,
    pub(crate) signature: Bytes<64>,
}

/// Bytes, written as lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes<const N: usize>(pub(crate) [u8; N]);

/// An Ed25519 public key.
pub(crate) type Key = Bytes<32>;

impl Line {
    /// The header as the daemon sends it, if it is one.
    pub(crate) fn header(header: api::AuditHeader) -> Option<Self> {
        Some(Self::Header(Header {
            format: FORMAT.into(),
            cluster: Bytes::parse(&header.cluster)?,
            ring: header.ring,
            public_key: Bytes(header.public_key.try_into().ok()?),
            records: header.records,
        }))
    }

    pub(crate) fn record(record: api::AuditRecord) -> Option<Self> {
        let api::AuditRecord { seq, at, actor, action, subject, detail, previous, hash } = record;
        let (previous, hash) = (Bytes(previous.try_into().ok()?), Bytes(hash.try_into().ok()?));
        Some(Self::Record(Record { seq, at, actor, action, subject, detail, previous, hash }))
    }

    pub(crate) fn checkpoint(checkpoint: api::AuditCheckpoint) -> Option<Self> {
        Some(Self::Checkpoint(Checkpoint {
            seq: checkpoint.seq,
            hash: Bytes(checkpoint.hash.try_into().ok()?),
            at: checkpoint.at,
            public_key: Bytes(checkpoint.public_key.try_into().ok()?),
            signature: Bytes(checkpoint.signature.try_into().ok()?),
        }))
    }
}

/// Takes a public key from the command line.
pub(crate) fn key(text: &str) -> Result<Key, String> {
    Bytes::parse(text).ok_or_else(|| "expected 64 hexadecimal digits, in lower case".to_owned())
}

impl<const N: usize> Bytes<N> {
    fn parse(text: &str) -> Option<Self> {
        fn value(digit: u8) -> Option<u8> {
            match digit {
                b'0'..=b'9' => Some(digit - b'0'),
                b'a'..=b'f' => Some(digit - b'a' + 10),
                _ => None,
            }
        }
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
        let bytes: Option<Vec<u8>> =
            pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?)).collect();
        bytes?.try_into().ok().map(Self)
    }

    pub(crate) fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl<const N: usize> Serialize for Bytes<N> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.hex())
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes<N> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text)
            .ok_or_else(|| de::Error::custom(format!("expected {} hexadecimal digits", 2 * N)))
    }
}
