use std::fmt;

use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::{AsDer, PublicKeyX509Der},
    rsa::PublicEncryptingKey,
};

use crate::KeyError;

/// SHA-256 of a public key's SubjectPublicKeyInfo (RFC 5280), the same for a certificate and for its private key.
///
/// Written as 64 lower-case hexadecimal digits, which is what this gives:
///
/// ```text
/// openssl x509 -in tls.crt -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum
/// ```
///
/// It is not in their format; it tells keys apart for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; Self::LEN]);

impl Fingerprint {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// The bytes themselves.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Of the key as aws-lc writes it, so that two ways to write one key have one fingerprint.
    pub(crate) fn derive(key: &PublicEncryptingKey) -> Result<Self, KeyError> {
        let spki: PublicKeyX509Der<'_> = key.as_der().map_err(|_| KeyError::Rsa)?;
        let hash = digest(&SHA256, spki.as_ref());
        hash.as_ref().try_into().map(Self).map_err(|_| KeyError::Rsa)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
