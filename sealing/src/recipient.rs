use std::{collections::BTreeMap, fmt};

use envelope::{KeyMaterial, Random, RandomError};
use ring::digest::{Context, SHA256};

use crate::{
    SUITE,
    hazmat::{PrivateKey, PublicKey, WRAP_LEN, is_low_order, unwrap, wrap},
};

/// The name of a public key: `k` and 16 lower-case hexadecimal digits.
///
/// ```text
/// first 8 bytes of SHA-256("strongroom/kid" ‖ u8(suite) ‖ public key[1216])
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid([u8; 8]);

impl Kid {
    fn of(public: &[u8; Recipient::LEN]) -> Self {
        let mut hash = Context::new(&SHA256);
        hash.update(b"strongroom/kid");
        hash.update(&[SUITE]);
        hash.update(public);
        let mut out = [0; 8];
        for (to, from) in out.iter_mut().zip(hash.finish().as_ref()) {
            *to = *from;
        }
        Self(out)
    }

    /// What is written as `text`, exactly.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('k')?;
        let bytes = data_encoding::HEXLOWER.decode(digits.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{}", data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why bytes are not a public key that anything may be sealed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipientError {
    /// Not 1216 bytes.
    #[error("a public key has 1216 bytes")]
    Length,
    /// Its X25519 half gives everybody the same secret.
    #[error(
        "the X25519 half of the public key is of low order: whoever made it wanted others to read along"
    )]
    LowOrder,
    /// Its ML-KEM half has a coefficient of q or more (FIPS 203, section 7.2).
    #[error("the ML-KEM half of the public key is not canonical")]
    NotCanonical,
}

/// A public key that values are sealed for: X-Wing, 1216 bytes, ML-KEM-768 then X25519
/// (draft-connolly-cfrg-xwing-kem-10).
#[derive(Clone)]
pub struct Recipient {
    kid: Kid,
    key: PublicKey,
}

impl Recipient {
    /// Length of the public key in bytes.
    pub const LEN: usize = PublicKey::LEN;

    /// Takes a public key in.
    ///
    /// # Errors
    /// [`RecipientError`] says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecipientError> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().map_err(|_| RecipientError::Length)?;
        if bytes.last_chunk().is_some_and(is_low_order) {
            return Err(RecipientError::LowOrder);
        }
        let key = PublicKey::parse(bytes).ok_or(RecipientError::NotCanonical)?;
        Ok(Self { kid: Kid::of(bytes), key })
    }

    /// Its name.
    #[must_use]
    pub fn kid(&self) -> Kid {
        self.kid
    }

    /// The public key.
    #[must_use]
    pub fn bytes(&self) -> &[u8; Self::LEN] {
        self.key.bytes()
    }

    pub(crate) fn wrap(
        &self,
        info: &[u8],
        dek: &KeyMaterial,
        random: &dyn Random,
    ) -> Result<Box<[u8; WRAP_LEN]>, RandomError> {
        wrap(&self.key, info, dek, random)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.kid)
    }
}

/// A private key that opens: the seed of an X-Wing key, 32 bytes, and what it expands to.
pub struct SealingKey {
    seed: KeyMaterial,
    key: PrivateKey,
    recipient: Recipient,
}

impl SealingKey {
    /// A new key.
    ///
    /// # Errors
    /// The generator gave no bytes.
    pub fn make(random: &dyn Random) -> Result<Self, RandomError> {
        KeyMaterial::make(random).map(Self::from_seed)
    }

    /// The key of a seed.
    #[must_use]
    pub fn from_seed(seed: KeyMaterial) -> Self {
        let key = PrivateKey::from_seed(&seed);
        let public = key.public();
        let recipient = Recipient { kid: Kid::of(public.bytes()), key: public };
        Self { seed, key, recipient }
    }

    /// Its public half.
    #[must_use]
    pub fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    /// Its name.
    #[must_use]
    pub fn kid(&self) -> Kid {
        self.recipient.kid
    }

    /// The seed, to be written where it is kept.
    #[must_use]
    pub fn seed(&self) -> &KeyMaterial {
        &self.seed
    }

    pub(crate) fn unwrap(&self, info: &[u8], bytes: &[u8; WRAP_LEN]) -> Option<KeyMaterial> {
        unwrap(&self.key, info, bytes)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.kid())
    }
}

/// The private keys that a reader holds, found by name.
#[derive(Debug, Default)]
pub struct KeyRing(BTreeMap<Kid, SealingKey>);

impl KeyRing {
    /// The key of this name.
    #[must_use]
    pub fn find(&self, kid: Kid) -> Option<&SealingKey> {
        self.0.get(&kid)
    }

    /// Adds a key; the same key twice is one.
    pub fn add(&mut self, key: SealingKey) {
        self.0.insert(key.kid(), key);
    }

    /// The names, in order.
    pub fn kids(&self) -> impl Iterator<Item = Kid> {
        self.0.keys().copied()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<SealingKey> for KeyRing {
    fn from_iter<I: IntoIterator<Item = SealingKey>>(keys: I) -> Self {
        Self(keys.into_iter().map(|key| (key.kid(), key)).collect())
    }
}
