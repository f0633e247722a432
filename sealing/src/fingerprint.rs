use std::fmt;

use ring::digest::{SHA256, digest};

use crate::{Commit, Value, Wrap};

/// Stands for public bytes where a person compares them: the first 8 bytes of their SHA-256, in hexadecimal digits.
///
/// Different bytes do not meet in it by chance, and to find other bytes for a given fingerprint takes 2^64 attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 8]);

impl Fingerprint {
    fn of(bytes: &[u8]) -> Self {
        let mut out = [0; 8];
        for (to, from) in out.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
            *to = *from;
        }
        Self(out)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl Value {
    /// Of salt, ciphertext and tag.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.bytes)
    }
}

impl Wrap {
    /// Of its bytes.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&*self.bytes)
    }
}

impl Commit {
    /// Of its bytes.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.0)
    }
}
