use std::fmt;

use crate::{FormatError, KeyMaterial, hazmat};

/// Name of a ring of key versions: 1 to 31 bytes of `a`–`z`, `0`–`9` and `-`, a letter first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingName(Box<str>);

impl RingName {
    /// Longest name in bytes.
    pub const MAX_LEN: usize = 31;

    /// Takes a name as it is written.
    ///
    /// # Errors
    /// Anything but the form above.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let mut bytes = text.bytes();
        let ok = text.len() <= Self::MAX_LEN
            && bytes.next().is_some_and(|b| b.is_ascii_lowercase())
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !ok {
            return Err(FormatError::RingName);
        }
        Ok(Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// First 6 bytes of HMAC-SHA256(key, `"strongroom/fingerprint/v1"`): tells keys apart in public, says nothing of their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub(crate) [u8; Self::LEN]);

impl Fingerprint {
    /// Length in bytes; twice that in hexadecimal digits.
    pub const LEN: usize = 6;

    /// The fingerprint of `key`.
    #[must_use]
    pub fn derive(key: &KeyMaterial) -> Self {
        Self(short_mac(key, b"strongroom/fingerprint/v1"))
    }

    fn parse(text: &str) -> Result<Self, FormatError> {
        parse_short_hex(text).map(Self).ok_or(FormatError::KeyId)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display_hex(&self.0, f)
    }
}

/// Names one key version everywhere, in public: `<ring>/v<version>/<fingerprint>`, for example `etcd/v7/1f0c5a9be2d4`.
///
/// At most 56 bytes. The version counts from 1, in decimal without leading zeros; the fingerprint is 12 lower-case
/// hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId {
    ring: RingName,
    version: u32,
    fingerprint: Fingerprint,
    text: Box<str>,
}

impl KeyId {
    /// The id of `version` of `ring`, whose key has `fingerprint`.
    ///
    /// # Errors
    /// Version 0, which does not exist.
    pub fn new(
        ring: RingName,
        version: u32,
        fingerprint: Fingerprint,
    ) -> Result<Self, FormatError> {
        if version == 0 {
            return Err(FormatError::KeyId);
        }
        let text = format!("{ring}/v{version}/{fingerprint}").into_boxed_str();
        Ok(Self { ring, version, fingerprint, text })
    }

    /// The id of `version` of `ring`, made from the key itself.
    ///
    /// # Errors
    /// Version 0, which does not exist.
    pub fn derive(ring: RingName, version: u32, key: &KeyMaterial) -> Result<Self, FormatError> {
        Self::new(ring, version, Fingerprint::derive(key))
    }

    /// Takes an id as it is written.
    ///
    /// # Errors
    /// Anything but the one canonical form.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let mut parts = text.split('/');
        let (Some(ring), Some(version), Some(fingerprint), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(FormatError::KeyId);
        };
        let version = version
            .strip_prefix('v')
            .and_then(|digits| digits.parse().ok())
            .ok_or(FormatError::KeyId)?;
        let ring = RingName::parse(ring).map_err(|_| FormatError::KeyId)?;
        let id = Self::new(ring, version, Fingerprint::parse(fingerprint)?)?;
        // "v01" and "v+1" parse as numbers too; only what is written back as it came is an id.
        if &*id.text == text { Ok(id) } else { Err(FormatError::KeyId) }
    }

    /// The id as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The ring.
    #[must_use]
    pub fn ring(&self) -> &RingName {
        &self.ring
    }

    /// The version, 1 or more.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The fingerprint of the key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// First 6 bytes of HMAC-SHA256(key, label): what fingerprints and root ids are made of.
pub(crate) fn short_mac(key: &KeyMaterial, label: &[u8]) -> [u8; 6] {
    let [a, b, c, d, e, f, ..] = hazmat::mac(key.expose_secret(), &[label]);
    [a, b, c, d, e, f]
}

/// 12 lower-case hexadecimal digits as 6 bytes.
pub(crate) fn parse_short_hex(text: &str) -> Option<[u8; 6]> {
    if text.len() != 12 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let [_, _, bytes @ ..] = u64::from_str_radix(text, 16).ok()?.to_be_bytes();
    Some(bytes)
}

pub(crate) fn display_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}
