//! Root keys: what wraps key versions and never leaves its backend.
//!
//! ```text
//! several::Roots ── for each of [[roots]] ──► member::Member ──► local::LocalFile │ aws::AwsKms
//!   hedging, coming back                        circuit, one call for the same question
//! ```

mod aws;
mod circuit;
mod local;
mod member;
mod opening;
mod patience;
mod several;

use std::fmt;

use async_trait::async_trait;
use envelope::{Context, KeyMaterial, RootId, WrappedKey};

pub use self::{
    aws::{AwsKms, PinError},
    local::{CreateRootError, FileError, LocalFile},
    several::{OpenRootError, Roots, UnwrapError},
};

/// A key that wraps other keys.
///
/// The adversary owns the storage: bundles, annotations and whatever else carries a [`WrappedKey`] may be changed, moved or
/// old. An implementation binds what it wraps to the [`Context`] and opens it for no other. It never sees Secret data, only
/// 32-byte keys, and is called at start-up, at a reload, by the background probe, and once for each version that only an
/// annotation carries; never for every RPC.
#[async_trait]
pub trait RootKey: fmt::Debug + Send + Sync {
    /// Names this root in what it wraps.
    fn id(&self) -> RootId;

    /// As the configuration names it.
    fn name(&self) -> String;

    /// Whether the backend would answer, as cheaply as can be told, and what it says of its key.
    async fn check(&self) -> Result<Checked, RootError>;

    /// Wraps `key` for the place that `context` names.
    async fn wrap(&self, key: &KeyMaterial, context: Context<'_>) -> Result<WrappedKey, RootError>;

    /// Opens what [`RootKey::wrap`] made for the same place.
    async fn unwrap(
        &self,
        wrapped: &WrappedKey,
        context: Context<'_>,
    ) -> Result<KeyMaterial, RootError>;

    /// What the provider calls the material that `wrapped` was made with, where it has a name.
    async fn material(
        &self,
        wrapped: &WrappedKey,
        context: Context<'_>,
    ) -> Result<Option<String>, RootError>;
}

/// What a backend that answers says of its key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// What the provider calls the material that it wraps with now, where it has a name. Another name: the provider rotated,
    /// and re-encrypted nothing.
    pub material: Option<String>,
    /// What an operator must know, although it answers.
    pub warning: Option<Warning>,
}

/// Trouble that a backend tells of its own key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What it is and what to do next.
    pub message: String,
    /// Whether the key still wraps and unwraps.
    pub works: bool,
    /// When the key, or its material, ends for good, in seconds since 1970.
    pub ends: Option<u64>,
}

/// Who must act on a root that did not do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RootErrorKind {
    /// It did not answer: wait, or mend the way to it.
    Unavailable,
    /// It refused us: mend permissions.
    Denied,
    /// It asks us to come back later. Says nothing about health.
    Throttled,
    /// It answered, but what it was given does not open: changed, moved, or wrapped by another root.
    Corrupt,
}

impl RootErrorKind {
    /// The word that people and machines read.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Denied => "denied",
            Self::Throttled => "throttled",
            Self::Corrupt => "corrupt",
        }
    }
}

/// A root did not do its work. The message says what to do next, and nothing that a remote one answered word by word.
#[derive(Debug, Clone, thiserror::Error)]
#[error("root key {name}: {kind}: {message}", kind = .kind.as_str())]
pub struct RootError {
    /// Which root, as the configuration names it.
    pub name: String,
    /// Who must act.
    pub kind: RootErrorKind,
    /// What is wrong and what to do next.
    pub message: String,
}
