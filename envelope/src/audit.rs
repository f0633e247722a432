//! The audit chain: every record carries the hash of the one before, and checkpoints sign where the chain stood.
//!
//! ```text
//! record     = 0x01 ‖ enc(cluster) ‖ enc(ring) ‖ u64be(seq) ‖ u64be(at) ‖ enc(actor) ‖ enc(action) ‖ enc(subject)
//!              ‖ enc(detail) ‖ previous[32]
//! hash       = SHA-256(enc("strongroom/audit/v1") ‖ record)            previous of record 1: 32 zero bytes
//! seed       = HMAC-SHA256(ledger key, enc("strongroom/audit-signing/v1") ‖ enc(cluster))
//! signature  = Ed25519(seed, enc("strongroom/audit-checkpoint/v1") ‖ enc(cluster) ‖ enc(ring) ‖ u64be(seq) ‖ u64be(at) ‖ hash[32])
//! ```
//!
//! The chain alone shows that nothing was changed in the middle; a signature, that nobody without the ledger key wrote it anew.

use ring::{
    digest,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use zeroize::Zeroizing;

use crate::{LedgerKey, OpenError, wire::Writer};

const FORMAT: u8 = 1;
const HASH_LABEL: &[u8] = b"strongroom/audit/v1";
const SEED_LABEL: &[u8] = b"strongroom/audit-signing/v1";
const CHECKPOINT_LABEL: &[u8] = b"strongroom/audit-checkpoint/v1";

/// Hash of a record, 32 bytes; what the next record carries.
pub type Hash = [u8; 32];

/// Hash before the first record.
pub const START: Hash = [0; 32];

/// One record: who did what to what, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Counts from 1 without a gap.
    pub seq: u64,
    /// Seconds since 1970, by the ledger's clock.
    pub at: u64,
    /// Who: an identity of the admin API, or a replica.
    pub actor: String,
    /// What was done, a word of docs/operations.md.
    pub action: String,
    /// To what.
    pub subject: String,
    /// The rest, for people.
    pub detail: String,
    /// Hash of the record before.
    pub previous: Hash,
}

impl Record {
    /// The hash that the next record of the chain of `ring` carries.
    #[must_use]
    pub fn hash(&self, cluster: &[u8; 16], ring: &str) -> Hash {
        let mut out = Writer::with_capacity(256);
        out.prefixed(HASH_LABEL);
        out.u8(FORMAT);
        out.prefixed(cluster);
        out.prefixed(ring.as_bytes());
        out.u64(self.seq);
        out.u64(self.at);
        for text in [&self.actor, &self.action, &self.subject, &self.detail] {
            out.prefixed(text.as_bytes());
        }
        out.bytes(&self.previous);
        sha256(&out.finish())
    }
}

/// SHA-256 (FIPS 180-4).
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash {
    let mut out = [0; 32];
    // SHA-256 gives 32 bytes.
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// Where a chain stood at a time, signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last record.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
    /// When it was signed, in seconds since 1970.
    pub at: u64,
    /// Ed25519 public key (RFC 8032), 32 bytes.
    pub public_key: [u8; 32],
    /// Ed25519 signature, 64 bytes.
    pub signature: [u8; 64],
}

impl Checkpoint {
    /// Signs that the chain of `ring` stood at `hash` after `seq` records.
    ///
    /// # Errors
    /// None that can happen: a seed has 32 bytes.
    pub fn sign(
        key: &LedgerKey,
        cluster: &[u8; 16],
        ring: &str,
        (seq, hash): (u64, Hash),
        at: u64,
    ) -> Result<Self, OpenError> {
        let signer = signer(key, cluster)?;
        let mut out = Self { seq, hash, at, public_key: [0; 32], signature: [0; 64] };
        out.public_key.copy_from_slice(signer.public_key().as_ref());
        let message = out.message(cluster, ring);
        out.signature.copy_from_slice(signer.sign(&message).as_ref());
        Ok(out)
    }

    /// The public key that signs for `cluster`: auditors keep it apart from the ledger.
    ///
    /// # Errors
    /// None that can happen: a seed has 32 bytes.
    pub fn public_key(key: &LedgerKey, cluster: &[u8; 16]) -> Result<[u8; 32], OpenError> {
        let mut out = [0; 32];
        out.copy_from_slice(signer(key, cluster)?.public_key().as_ref());
        Ok(out)
    }

    /// Whether the signature is that of `self.public_key` over this place. Whose key that is, is for the caller to know.
    #[must_use]
    pub fn verify(&self, cluster: &[u8; 16], ring: &str) -> bool {
        UnparsedPublicKey::new(&ED25519, self.public_key)
            .verify(&self.message(cluster, ring), &self.signature)
            .is_ok()
    }

    fn message(&self, cluster: &[u8; 16], ring: &str) -> Vec<u8> {
        let mut out = Writer::with_capacity(160);
        out.prefixed(CHECKPOINT_LABEL);
        out.prefixed(cluster);
        out.prefixed(ring.as_bytes());
        out.u64(self.seq);
        out.u64(self.at);
        out.bytes(&self.hash);
        out.finish()
    }
}

fn signer(key: &LedgerKey, cluster: &[u8; 16]) -> Result<Ed25519KeyPair, OpenError> {
    let mut place = Writer::with_capacity(20);
    place.prefixed(cluster);
    let seed = Zeroizing::new(key.mac(SEED_LABEL, &place.finish()));
    Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| OpenError)
}
