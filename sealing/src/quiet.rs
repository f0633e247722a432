use envelope::{KeyMaterial, Random, RandomError};
use ring::{
    digest::{SHA256, digest},
    hmac::{Context, HMAC_SHA256, Key},
};

use crate::{DataKey, Place, Plaintext, Value, context::prefixed};

/// The key of a cache that knows which plaintext a sealed value was made of, so that sealing the same again changes nothing. Local to
/// one user: whoever has it can test guesses against the cache, as whoever reads that user's files can anyway.
pub struct QuietKey(KeyMaterial);

impl QuietKey {
    /// Length in bytes.
    pub const LEN: usize = KeyMaterial::LEN;

    /// A new key.
    ///
    /// # Errors
    /// The generator gave no bytes.
    pub fn make(random: &dyn Random) -> Result<Self, RandomError> {
        KeyMaterial::make(random).map(Self)
    }

    /// The key of these bytes.
    #[must_use]
    pub fn from_material(key: KeyMaterial) -> Self {
        Self(key)
    }

    /// The bytes, to be kept.
    #[must_use]
    pub fn expose_secret(&self) -> &[u8; Self::LEN] {
        self.0.expose_secret()
    }

    /// What the cache remembers of a plaintext in its place.
    ///
    /// ```text
    /// HMAC-SHA256(key, ctx without slot ‖ enc(data key) ‖ enc(plaintext))
    /// ```
    #[must_use]
    pub fn tag(&self, place: &Place, key: &DataKey, plaintext: &Plaintext) -> [u8; 32] {
        let mut head = place.without_slot();
        prefixed(&mut head, key.as_str().as_bytes());
        head.extend_from_slice(&(plaintext.expose_secret().len() as u32).to_be_bytes());
        let mut mac = Context::with_key(&Key::new(HMAC_SHA256, self.expose_secret()));
        mac.update(&head);
        mac.update(plaintext.expose_secret());
        array(mac.sign().as_ref())
    }
}

impl Value {
    /// SHA-256 of what is written, so that a cache knows whether it is still the same.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        array(digest(&SHA256, self.encode().as_bytes()).as_ref())
    }
}

fn array(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}
