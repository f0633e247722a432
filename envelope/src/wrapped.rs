use std::fmt;

use crate::{
    FormatError,
    key_id::{display_hex, parse_short_hex},
    wire::{Reader, Writer},
};

const VERSION: u8 = 1;

/// Names a root key in public: 6 bytes, written as 12 lower-case hexadecimal digits.
///
/// For a local root: the first 6 bytes of HMAC-SHA256(root key, `"strongroom/root/v1"`). For a key of AWS KMS: a hash of which
/// key it is, see [`AwsKeyArn`](crate::AwsKeyArn).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootId(pub [u8; 6]);

impl RootId {
    /// Takes an id as it is written.
    ///
    /// # Errors
    /// Anything but 12 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        parse_short_hex(text).map(Self).ok_or(FormatError::Field("root id"))
    }
}

impl fmt::Display for RootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display_hex(&self.0, f)
    }
}

/// A key under a root. It names its root, so that nobody tries roots until one works.
///
/// ```text
/// 0x01 ‖ root[6] ‖ blob[1…2048]
/// ```
///
/// Under a local root the blob is a [`Frame`](crate::Frame) and the whole is 80 bytes; under a remote one it is what the
/// service returned for the same [`Context`](crate::Context).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    root: RootId,
    blob: Vec<u8>,
}

impl WrappedKey {
    /// Longest blob in bytes.
    pub const MAX_BLOB_LEN: usize = 2048;
    /// Longest encoding in bytes.
    pub const MAX_LEN: usize = 1 + 6 + Self::MAX_BLOB_LEN;

    /// What `root` made of a key.
    ///
    /// # Errors
    /// A blob that is empty or longer than [`WrappedKey::MAX_BLOB_LEN`].
    pub fn new(root: RootId, blob: Vec<u8>) -> Result<Self, FormatError> {
        if blob.is_empty() || blob.len() > Self::MAX_BLOB_LEN {
            return Err(FormatError::Length);
        }
        Ok(Self { root, blob })
    }

    /// Takes an encoded wrapped key.
    ///
    /// # Errors
    /// Another version, or a blob that is empty or too long.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader(bytes);
        reader.version(VERSION)?;
        let root = RootId(reader.array()?);
        Self::new(root, reader.0.to_vec())
    }

    /// The encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(1 + 6 + self.blob.len());
        out.u8(VERSION);
        out.bytes(&self.root.0);
        out.bytes(&self.blob);
        out.finish()
    }

    /// The root that made it and that alone can open it.
    #[must_use]
    pub fn root(&self) -> RootId {
        self.root
    }

    /// What the root made.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }
}
