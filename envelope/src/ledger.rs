use std::fmt;

use crate::{Fingerprint, KeyId, KeyMaterial, OpenError, hazmat};

/// Authenticates bundles: whoever can write the file but not ask the root can forge none.
pub struct LedgerKey {
    id: KeyId,
    key: KeyMaterial,
}

impl LedgerKey {
    /// Name of the ring that the ledger key belongs to.
    pub const RING: &'static str = "state";

    /// Takes the key that `id` names.
    ///
    /// # Errors
    /// The fingerprint in `id` is not this key's.
    pub fn new(id: KeyId, key: KeyMaterial) -> Result<Self, OpenError> {
        if id.fingerprint() != Fingerprint::derive(&key) {
            return Err(OpenError);
        }
        Ok(Self { id, key })
    }

    /// The id that this key and no other has.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// HMAC-SHA256(key, enc(label) ‖ message), 32 bytes.
    pub(crate) fn mac(&self, label: &[u8], message: &[u8]) -> [u8; 32] {
        hazmat::mac(self.key.expose_secret(), &[&prefix(label), label, message])
    }

    /// Whether `tag` is what [`LedgerKey::mac`] gives, in constant time.
    pub(crate) fn verify(&self, label: &[u8], message: &[u8], tag: &[u8; 32]) -> bool {
        hazmat::verify(self.key.expose_secret(), &[&prefix(label), label, message], tag)
    }
}

/// The length in front of a label. Labels are constants of a few bytes.
fn prefix(label: &[u8]) -> [u8; 4] {
    (label.len() as u32).to_be_bytes()
}

impl fmt::Debug for LedgerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LedgerKey({})", self.id)
    }
}
