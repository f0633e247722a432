//! Who asks, and what they may.
//!
//! Invariant: an identity is what the kernel or a verified certificate says, in a form that no other kind of identity can
//! take: a certificate with the name `uid:0` is `cert:uid:0`.

use std::fmt;

use serde::Deserialize;

/// Longest name in bytes that an identity may have: it stands in every audit record.
const MAX_NAME: usize = 256;

/// Who asks. Written `uid:1000`, `uri:spiffe://example.org/operator`, `cert:alice`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum Identity {
    /// A user of this machine, by the kernel's word (`SO_PEERCRED`).
    Uid(u32),
    /// The one URI among the subject's alternative names of a certificate, such as a SPIFFE id.
    Uri(String),
    /// The common name of a certificate without such a URI.
    CommonName(String),
}

impl Identity {
    /// Takes an identity as it is written.
    ///
    /// # Errors
    /// What it should look like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "identity {text:?} should be uid:NUMBER, uri:URI of a client certificate, or cert:COMMON NAME of one"
            )
        };
        let (kind, name) = text.split_once(':').ok_or_else(wrong)?;
        match kind {
            // One way to write a number.
            "uid" => name
                .parse()
                .ok()
                .filter(|uid: &u32| uid.to_string() == name)
                .map(Self::Uid)
                .ok_or_else(wrong),
            "uri" if is_name(name) && name.contains(':') => Ok(Self::Uri(name.into())),
            "cert" if is_name(name) => Ok(Self::CommonName(name.into())),
            _ => Err(wrong()),
        }
    }
}

/// Whether `name` can be read in a log without misleading whoever reads it.
#[must_use]
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control)
}

impl TryFrom<String> for Identity {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "uid:{uid}"),
            Self::Uri(uri) => write!(f, "uri:{uri}"),
            Self::CommonName(name) => write!(f, "cert:{name}"),
        }
    }
}

/// What an identity may do. None includes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Look at everything that is no key.
    Read,
    /// Rotate, remove replicas, hold.
    Operate,
    /// Archive and destroy key versions.
    Destroy,
    /// Export, import and adopt a ledger.
    Recover,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Operate, Self::Destroy, Self::Recover];

    /// As the configuration has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Destroy => "destroy",
            Self::Recover => "recover",
        }
    }
}

/// One of `[[api.allow]]`: an identity and what it may.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Who.
    pub identity: Identity,
    /// What.
    pub may: Vec<Permission>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_written_in_one_way() {
        for text in
            ["uid:0", "uid:4294967295", "uri:spiffe://example.org/a", "cert:alice", "cert:uid:0"]
        {
            assert_eq!(Identity::parse(text).unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "root",
            "uid:",
            "uid:-1",
            "uid:+1",
            "uid:00",
            "uid:4294967296",
            "uid:root",
            "cert:",
            "cert:a\nb",
            "uri:",
            "uri:no-scheme",
            "UID:0",
            "spiffe://example.org/a",
            " uid:0",
        ] {
            assert!(Identity::parse(wrong).is_err(), "{wrong:?} was taken for an identity");
        }
    }

    #[test]
    fn no_certificate_can_be_a_user() {
        let claimed = Identity::CommonName("0".into());
        assert_ne!(Identity::parse(&claimed.to_string()), Ok(Identity::Uid(0)));
        let claimed = Identity::Uri("uid:0".into());
        assert_eq!(claimed.to_string(), "uri:uid:0");
    }
}
