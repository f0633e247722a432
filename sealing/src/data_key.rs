use std::{borrow::Borrow, fmt};

/// A key of a Secret's `data` that Kubernetes takes: 1 to 253 bytes of letters, digits, `-`, `_` and `.`; not `.` or `..`, and not
/// beginning with `..` (`IsConfigMapKey` of k8s.io/apimachinery).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataKey(String);

impl DataKey {
    /// The most bytes.
    pub const MAX: usize = 253;

    /// `text` as a data key, or `None` where Kubernetes would refuse it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=Self::MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            && text != "."
            && !text.starts_with("..");
        fits.then(|| Self(text.to_owned()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for DataKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
