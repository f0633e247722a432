use std::fmt;

use crate::{SUITE, SlotId};

/// In how many places a sealed value opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Under one name in one namespace.
    Strict,
    /// Under any name in one namespace.
    Namespace,
    /// Under any name in any namespace.
    Cluster,
}

impl Scope {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Namespace => "namespace",
            Self::Cluster => "cluster",
        }
    }

    /// What is written as `text`, exactly.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Strict, Self::Namespace, Self::Cluster]
            .into_iter()
            .find(|scope| scope.as_str() == text)
    }

    /// Whether the namespace is part of the place.
    #[must_use]
    pub fn binds_namespace(self) -> bool {
        self != Self::Cluster
    }

    /// Whether the name is part of the place.
    #[must_use]
    pub fn binds_name(self) -> bool {
        self == Self::Strict
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where sealed values open. What the scope does not bind is empty, so two places are one where they bind the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    scope: Scope,
    namespace: String,
    name: String,
    secret_type: String,
}

impl Place {
    /// The place of a Secret; `None` where the scope binds a namespace or name that is empty.
    #[must_use]
    pub fn new(scope: Scope, namespace: &str, name: &str, secret_type: &str) -> Option<Self> {
        let namespace = if scope.binds_namespace() { namespace } else { "" };
        let name = if scope.binds_name() { name } else { "" };
        let there = (!scope.binds_namespace() || !namespace.is_empty())
            && (!scope.binds_name() || !name.is_empty());
        there.then(|| Self {
            scope,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            secret_type: secret_type.to_owned(),
        })
    }

    /// What everything of one slot is bound to.
    ///
    /// ```text
    /// ctx = "strongroom/seal/v1" ‖ u8(suite) ‖ enc(scope) ‖ enc(namespace) ‖ enc(name) ‖ enc(type) ‖ enc(slot id)
    /// enc(x) = u32be(len(x)) ‖ x
    /// ```
    pub(crate) fn context(&self, slot: SlotId) -> Vec<u8> {
        let mut out = self.without_slot();
        prefixed(&mut out, slot.to_string().as_bytes());
        out
    }

    /// The same up to the slot: what a cache of sealed values goes by.
    #[must_use]
    pub fn without_slot(&self) -> Vec<u8> {
        let mut out = b"strongroom/seal/v1".to_vec();
        out.push(SUITE);
        for part in [self.scope.as_str(), &self.namespace, &self.name, &self.secret_type] {
            prefixed(&mut out, part.as_bytes());
        }
        out
    }
}

/// `enc(x)`. Nothing that is written here comes near 4 GiB.
pub(crate) fn prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}
