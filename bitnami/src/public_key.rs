use std::fmt;

use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use x509_cert::{
    Certificate,
    der::{Decode, Encode, oid::ObjectIdentifier},
};

use crate::{Fingerprint, KeyError, pem};

const CERTIFICATE: &str = "CERTIFICATE";
/// rsaEncryption, RFC 8017, appendix A.1. (RSASSA-PSS has its own, and is for signatures only.)
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// A public key of their controller, with the dates of its certificate: RSA, 2048 to 8192 bits.
///
/// The certificate is only a wrapper: it signs itself, and nothing here or there verifies that. Whoever hands it over can
/// read what is sealed with it.
pub struct PublicKey {
    oaep: OaepPublicEncryptingKey,
    fingerprint: Fingerprint,
    not_before: u64,
    not_after: u64,
}

impl PublicKey {
    /// Takes `tls.crt` of a key's Secret, or what `kubeseal --fetch-cert` gives: the first PEM section with a certificate.
    ///
    /// # Errors
    /// No such section, not a certificate, not RSA, or a size that is not allowed.
    pub fn from_certificate_pem(text: &str) -> Result<Self, KeyError> {
        let der = pem::section(text, CERTIFICATE).ok_or(KeyError::Pem(CERTIFICATE))?;
        let certificate = Certificate::from_der(&der).map_err(|_| KeyError::Certificate)?;
        let fields = certificate.tbs_certificate();
        let spki = fields.subject_public_key_info();
        if spki.algorithm.oid != RSA_ENCRYPTION {
            return Err(KeyError::Algorithm);
        }
        let spki = spki.to_der().map_err(|_| KeyError::Certificate)?;
        let key = PublicEncryptingKey::from_der(&spki).map_err(|_| KeyError::Rsa)?;
        Ok(Self {
            fingerprint: Fingerprint::derive(&key)?,
            oaep: OaepPublicEncryptingKey::new(key).map_err(|_| KeyError::Rsa)?,
            not_before: fields.validity().not_before.to_unix_duration().as_secs(),
            not_after: fields.validity().not_after.to_unix_duration().as_secs(),
        })
    }

    /// The same as that of its private key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The first second of the certificate, since 1970 in UTC.
    #[must_use]
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// The last second of the certificate, since 1970 in UTC. `kubeseal` seals no more after it; their controller opens for ever.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// RSA-OAEP (RFC 8017, section 7.1.1) with SHA-256 for both the label and MGF1. `None` where aws-lc fails.
    pub(crate) fn encrypt(&self, plaintext: &[u8], label: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0; self.oaep.ciphertext_size()];
        let len = self
            .oaep
            .encrypt(&OAEP_SHA256_MGF1SHA256, plaintext, &mut out, Some(label))
            .ok()?
            .len();
        (len == out.len()).then_some(out)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint)
    }
}
