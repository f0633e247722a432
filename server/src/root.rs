//! Root keys: what wraps key versions and never leaves its backend.

mod local;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use envelope::{Context, KeyMaterial, RootId, WrappedKey};

pub use self::local::{CreateRootError, LocalFile, OpenRootError};
use crate::config;

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

    /// Whether the backend would answer, as cheaply as can be told.
    async fn check(&self) -> Result<(), RootError>;

    /// Wraps `key` for the place that `context` names.
    async fn wrap(&self, key: &KeyMaterial, context: Context<'_>) -> Result<WrappedKey, RootError>;

    /// Opens what [`RootKey::wrap`] made for the same place.
    async fn unwrap(
        &self,
        wrapped: &WrappedKey,
        context: Context<'_>,
    ) -> Result<KeyMaterial, RootError>;
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

/// A root did not do its work. The message says what to do next.
#[derive(Debug, thiserror::Error)]
#[error("root key {name}: {kind}: {message}", kind = .kind.as_str())]
pub struct RootError {
    /// Which root, as the configuration names it.
    pub name: String,
    /// Who must act.
    pub kind: RootErrorKind,
    /// What is wrong and what to do next.
    pub message: String,
}

/// The configured roots, in the configured order.
#[derive(Debug, Clone)]
pub struct Roots(Arc<[Arc<dyn RootKey>]>);

impl Roots {
    /// Opens every configured root.
    ///
    /// # Errors
    /// The first that cannot be opened.
    pub async fn open(configured: &[config::Root]) -> Result<Self, OpenRootError> {
        let mut roots: Vec<Arc<dyn RootKey>> = Vec::new();
        for root in configured {
            let config::Root::Local { file } = root;
            roots.push(Arc::new(LocalFile::open(file).await?));
        }
        Ok(Self(roots.into()))
    }

    /// The roots themselves.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn RootKey>> {
        self.0.iter()
    }

    /// The first configured root that one of `wraps` names, with that wrap.
    #[must_use]
    pub fn find<'a>(&self, wraps: &'a [WrappedKey]) -> Option<(&Arc<dyn RootKey>, &'a WrappedKey)> {
        self.iter().find_map(|root| {
            wraps.iter().find(|wrapped| wrapped.root() == root.id()).map(|wrapped| (root, wrapped))
        })
    }
}
