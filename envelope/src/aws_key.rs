use std::fmt;

use crate::{FormatError, RootId, audit::sha256, wire::Writer};

/// The ARN of a key of AWS KMS: which key of which account is a root.
///
/// ```text
/// arn:<partition>:kms:<region>:<account>:key/<key id>
/// root id = first6(SHA-256(enc("strongroom/root/aws-kms/v1") ‖ enc(partition) ‖ enc(region) ‖ enc(account) ‖ enc(key id)))
/// ```
///
/// A multi-Region key (`mrk-…`) is the same key in every region, so its region is left empty there: a replica opens what the
/// primary wrapped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AwsKeyArn {
    text: Box<str>,
    root: RootId,
    region: Box<str>,
    key_id: Box<str>,
}

impl AwsKeyArn {
    /// Longest ARN in bytes; a real one has about 80.
    pub const MAX_LEN: usize = 256;

    /// Takes an ARN as it is written.
    ///
    /// # Errors
    /// Anything but the ARN of a key: an alias, a bare key id, an ARN of another service.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let refused = FormatError::Field("AWS key ARN");
        if text.len() > Self::MAX_LEN {
            return Err(refused);
        }
        let mut parts = text.split(':');
        let mut next = || parts.next().unwrap_or_default();
        let ("arn", partition, "kms", region, account, resource) =
            (next(), next(), next(), next(), next(), next())
        else {
            return Err(refused);
        };
        let key_id = resource.strip_prefix("key/").unwrap_or_default();
        let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fits = parts.next().is_none()
            && [partition, region, key_id].iter().all(|it| !it.is_empty() && it.bytes().all(lower))
            && account.len() == 12
            && account.bytes().all(|b| b.is_ascii_digit());
        if !fits {
            return Err(refused);
        }
        let root = root_id(partition, region, account, key_id);
        Ok(Self { text: text.into(), root, region: region.into(), key_id: key_id.into() })
    }

    /// The ARN as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The region that answers for it.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// What this key is called as a root.
    #[must_use]
    pub fn root_id(&self) -> RootId {
        self.root
    }

    /// Whether it is one of the keys that exist in several regions.
    #[must_use]
    pub fn is_multi_region(&self) -> bool {
        is_multi_region(&self.key_id)
    }
}

impl fmt::Display for AwsKeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_multi_region(key_id: &str) -> bool {
    key_id.starts_with("mrk-")
}

fn root_id(partition: &str, region: &str, account: &str, key_id: &str) -> RootId {
    let region = if is_multi_region(key_id) { "" } else { region };
    let mut out = Writer::with_capacity(160);
    for part in ["strongroom/root/aws-kms/v1", partition, region, account, key_id] {
        out.prefixed(part.as_bytes());
    }
    let [a, b, c, d, e, f, ..] = sha256(&out.finish());
    RootId([a, b, c, d, e, f])
}
