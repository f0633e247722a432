use envelope::{Random, RandomError};
use zeroize::Zeroizing;

use crate::{
    DataKey, MAX_VALUE, Plaintext, SlotId,
    context::prefixed,
    hazmat::{self, open_in_place, seal_in_place},
    slot::Dek,
};

const SALT: usize = 16;
const TAG: usize = 16;
/// Plaintexts are padded to multiples of this, so that a length says little.
const BLOCK: usize = 32;
/// The length that stands before the plaintext.
const PREFIX: usize = 4;

/// A sealed value: the slot that it is sealed in, and
///
/// ```text
/// salt[16] ‖ AES-256-GCM(K, N, pad(plaintext)) ‖ tag[16]
/// K[32] ‖ N[12] = HKDF(DEK, "value" ‖ ctx ‖ enc(data key) ‖ salt)
/// pad(x)        = u32be(len(x)) ‖ x ‖ zeros, the smallest multiple of 32
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    pub(crate) slot: SlotId,
    pub(crate) bytes: Vec<u8>,
}

impl Value {
    /// Length of the longest in bytes.
    pub const MAX: usize = SALT + padded_len(MAX_VALUE) + TAG;

    /// The slot that it is sealed in.
    #[must_use]
    pub fn slot(&self) -> SlotId {
        self.slot
    }

    /// Salt, ciphertext and tag.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// As it is written.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = self.slot.to_string();
        out.push('.');
        data_encoding::BASE64.encode_append(&self.bytes, &mut out);
        out
    }

    /// The most bytes that its plaintext can have.
    #[must_use]
    pub fn plaintext_at_most(&self) -> usize {
        self.bytes.len().saturating_sub(SALT + TAG + PREFIX)
    }

    /// Whether `len` is one that a sealed value can have.
    pub(crate) fn has_length(len: usize) -> bool {
        len.checked_sub(SALT + TAG)
            .is_some_and(|padded| padded >= BLOCK && padded % BLOCK == 0 && len <= Self::MAX)
    }

    pub(crate) fn seal(
        slot: SlotId,
        dek: &Dek,
        key: &DataKey,
        plaintext: &Plaintext,
        random: &dyn Random,
    ) -> Result<Self, RandomError> {
        let plaintext = plaintext.expose_secret();
        let mut salt = [0; SALT];
        random.fill(&mut salt)?;
        let mut bytes = Vec::with_capacity(SALT + padded_len(plaintext.len()) + TAG);
        bytes.extend_from_slice(&salt);
        prefixed(&mut bytes, plaintext);
        bytes.resize(SALT + padded_len(plaintext.len()), 0);
        let (_, padded) = bytes.split_at_mut(SALT);
        let tag = seal_in_place(&key_and_nonce(dek, key, &salt), padded);
        bytes.extend_from_slice(&tag);
        Ok(Self { slot, bytes })
    }

    /// The plaintext, or `None`. Padding that is not as it must be counts as not authentic.
    pub(crate) fn open(&self, dek: &Dek, key: &DataKey) -> Option<Plaintext> {
        let (salt, rest) = self.bytes.split_first_chunk::<SALT>()?;
        let (sealed, tag) = rest.split_last_chunk::<TAG>()?;
        let mut buffer = Zeroizing::new(sealed.to_vec());
        if !open_in_place(&key_and_nonce(dek, key, salt), &mut buffer, tag) {
            return None;
        }
        let (len, rest) = buffer.split_first_chunk::<PREFIX>()?;
        let len = u32::from_be_bytes(*len) as usize;
        let (plaintext, zeros) = rest.split_at_checked(len)?;
        let canonical = padded_len(len) == buffer.len()
            && zeros.iter().all(|byte| *byte == 0)
            && len <= MAX_VALUE;
        // A buffer of the right size, so that nothing is left behind by one that grows.
        canonical.then(|| Plaintext::new(plaintext.to_vec()))
    }
}

const fn padded_len(len: usize) -> usize {
    (PREFIX + len).next_multiple_of(BLOCK)
}

fn key_and_nonce(dek: &Dek, key: &DataKey, salt: &[u8; SALT]) -> Zeroizing<[u8; 44]> {
    let mut name = Vec::with_capacity(PREFIX + DataKey::MAX);
    prefixed(&mut name, key.as_str().as_bytes());
    let mut out = Zeroizing::new([0; 44]);
    let info: [&[u8]; 4] = [b"value", &dek.context, &name, salt];
    hazmat::derive(dek.key.expose_secret(), &info, out.as_mut_slice());
    out
}
