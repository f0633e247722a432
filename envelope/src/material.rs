use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{Random, RandomError};

/// 32 secret bytes: a key version, a DEK seed of kube-apiserver, the key in a root file.
///
/// Boxed, so that moving it copies no bytes; wiped when dropped; built in place.
pub struct KeyMaterial(Box<Zeroizing<[u8; Self::LEN]>>);

impl KeyMaterial {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Fresh random material.
    ///
    /// # Errors
    /// The generator gave no bytes.
    pub fn make(random: &dyn Random) -> Result<Self, RandomError> {
        Self::try_build(|bytes| random.fill(bytes))
    }

    /// A copy of `bytes`, or `None` where they are not 32. The original stays the caller's to wipe.
    #[must_use]
    pub fn copy_from(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        Some(Self::build(|out| out.copy_from_slice(bytes)))
    }

    /// Material that `fill` writes into its final place, for what reads a key from outside.
    ///
    /// # Errors
    /// Those of `fill`; what it had written is wiped.
    pub fn try_build<E>(
        fill: impl FnOnce(&mut [u8; Self::LEN]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut out = Self(Box::new(Zeroizing::new([0; Self::LEN])));
        fill(&mut out.0)?;
        Ok(out)
    }

    pub(crate) fn build(fill: impl FnOnce(&mut [u8; Self::LEN])) -> Self {
        let mut out = Self(Box::new(Zeroizing::new([0; Self::LEN])));
        fill(&mut out.0);
        out
    }

    /// The bytes themselves. Every call is a place to review: what it copies must be wiped too.
    #[must_use]
    pub fn expose_secret(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Whether both hold the same bytes, in constant time.
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyMaterial(redacted)")
    }
}
