use std::fmt;

use envelope::{KeyMaterial, Random, RandomError};
use subtle::ConstantTimeEq;

use crate::{
    Kid, Place, Recipient, SealingKey,
    hazmat::{self, WRAP_LEN},
};

/// The name of a slot: `s` and 8 lower-case hexadecimal digits, random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId([u8; 4]);

impl SlotId {
    pub(crate) fn make(random: &dyn Random) -> Result<Self, RandomError> {
        let mut id = [0; 4];
        random.fill(&mut id)?;
        Ok(Self(id))
    }

    /// What is written as `text`, exactly.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('s')?;
        data_encoding::HEXLOWER.decode(digits.as_bytes()).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a DEK commits to, because neither AES-GCM nor ChaCha20-Poly1305 does: without it, two recipients could be shown two
/// plaintexts.
///
/// ```text
/// HKDF(DEK, "commit" ‖ ctx, 32)
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Commit(pub(crate) [u8; Self::LEN]);

impl Commit {
    /// Length in bytes.
    pub const LEN: usize = 32;

    pub(crate) fn derive(dek: &KeyMaterial, context: &[u8]) -> Self {
        let mut out = [0; Self::LEN];
        hazmat::derive(dek.expose_secret(), &[b"commit", context], &mut out);
        Self(out)
    }

    /// The bytes, public.
    #[must_use]
    pub fn bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// One DEK for one recipient: `kem_ct[1120] ‖ sealed DEK[48]`.
#[derive(Clone)]
pub struct Wrap {
    pub(crate) kid: Kid,
    pub(crate) bytes: Box<[u8; Self::LEN]>,
}

impl Wrap {
    /// Length in bytes.
    pub const LEN: usize = WRAP_LEN;

    /// Whom it is for.
    #[must_use]
    pub fn kid(&self) -> Kid {
        self.kid
    }

    /// The bytes, public.
    #[must_use]
    pub fn bytes(&self) -> &[u8; Self::LEN] {
        &self.bytes
    }

    /// Whether its X25519 share is of low order: nobody's honest wrap, and never opened.
    #[must_use]
    pub fn is_low_order(&self) -> bool {
        let (ciphertext, _) = self.bytes.split_at(Self::LEN - KeyMaterial::LEN - 16);
        ciphertext.last_chunk().is_some_and(hazmat::is_low_order)
    }
}

impl fmt::Debug for Wrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wrap({})", self.kid)
    }
}

/// One DEK, for all recipients; what was sealed at once.
#[derive(Debug, Clone)]
pub struct Slot {
    pub(crate) id: SlotId,
    pub(crate) commit: Commit,
    pub(crate) wraps: Vec<Wrap>,
}

impl Slot {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> SlotId {
        self.id
    }

    /// What its DEK commits to.
    #[must_use]
    pub fn commit(&self) -> &Commit {
        &self.commit
    }

    /// Its DEK, once for each recipient, in the order of the file.
    #[must_use]
    pub fn wraps(&self) -> &[Wrap] {
        &self.wraps
    }

    /// A new slot with a DEK of its own.
    pub(crate) fn make(
        id: SlotId,
        place: &Place,
        recipients: &[Recipient],
        random: &dyn Random,
    ) -> Result<(Self, Dek), RandomError> {
        let context = place.context(id);
        let dek = Dek { key: KeyMaterial::make(random)?, context };
        let mut slot =
            Self { id, commit: Commit::derive(&dek.key, &dek.context), wraps: Vec::new() };
        slot.wrap(&dek, recipients, random)?;
        Ok((slot, dek))
    }

    /// Wraps the DEK for exactly these recipients: what is there for one of them stays as it is and where it is.
    pub(crate) fn wrap(
        &mut self,
        dek: &Dek,
        recipients: &[Recipient],
        random: &dyn Random,
    ) -> Result<(), RandomError> {
        let info = self.info(&dek.context);
        self.wraps.retain(|wrap| recipients.iter().any(|recipient| recipient.kid() == wrap.kid));
        for recipient in recipients {
            if self.wraps.iter().all(|wrap| wrap.kid != recipient.kid()) {
                let bytes = recipient.wrap(&info, &dek.key, random)?;
                self.wraps.push(Wrap { kid: recipient.kid(), bytes });
            }
        }
        Ok(())
    }

    /// The DEK, through a wrap of this slot, if it opens and commits to what the slot says.
    pub(crate) fn unwrap(&self, wrap: &Wrap, key: &SealingKey, place: &Place) -> Option<Dek> {
        let context = place.context(self.id);
        let dek = key.unwrap(&self.info(&context), &wrap.bytes)?;
        let commits = Commit::derive(&dek, &context).0.ct_eq(&self.commit.0);
        bool::from(commits).then_some(Dek { key: dek, context })
    }

    fn info(&self, context: &[u8]) -> Vec<u8> {
        [b"wrap", context, &self.commit.0].concat()
    }
}

/// The DEK of a slot, and the place that everything under it is bound to.
pub(crate) struct Dek {
    pub(crate) key: KeyMaterial,
    pub(crate) context: Vec<u8>,
}
