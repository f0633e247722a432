//! Root keys: what wraps key versions and never leaves its backend.

mod local;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use envelope::{Context, KeyMaterial, RootId, WrappedKey};

pub use self::local::{CreateRootError, LocalFile, OpenRootError};
use tracing::warn;

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

    /// As the configuration names it.
    fn name(&self) -> String {
        self.id().to_string()
    }

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

/// The configured roots that could be opened, in the configured order.
#[derive(Debug, Clone)]
pub struct Roots {
    open: Arc<[Arc<dyn RootKey>]>,
    away: Arc<[OpenRootError]>,
}

impl Roots {
    /// Opens the configured roots. One that cannot be opened is left out: any other opens everything.
    ///
    /// # Errors
    /// The first error, where none can be opened; a key that stands under two names.
    pub async fn open(configured: &[config::Root]) -> Result<Self, OpenRootError> {
        let mut open: Vec<Arc<dyn RootKey>> = Vec::new();
        let mut away = Vec::new();
        for root in configured {
            let config::Root::Local { file } = root;
            match LocalFile::open(file).await {
                Ok(root) if open.iter().any(|other| other.id() == root.id()) => {
                    return Err(OpenRootError::Twice { path: file.to_path_buf() });
                }
                Ok(root) => open.push(Arc::new(root)),
                Err(error) => away.push(error),
            }
        }
        match away.pop() {
            Some(error) if open.is_empty() => Err(error),
            last => {
                away.extend(last);
                Ok(Self { open: open.into(), away: away.into() })
            }
        }
    }

    /// These roots, in this order.
    #[must_use]
    pub fn of(roots: Vec<Arc<dyn RootKey>>) -> Self {
        Self { open: roots.into(), away: Arc::default() }
    }

    /// The roots that are open.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn RootKey>> {
        self.open.iter()
    }

    /// Why the others are not.
    #[must_use]
    pub fn away(&self) -> &[OpenRootError] {
        &self.away
    }

    /// `key` under every root that is open, ascending by root id, as a bundle has it.
    ///
    /// # Errors
    /// That of the first root that does not wrap.
    pub async fn wrap(
        &self,
        key: &KeyMaterial,
        context: Context<'_>,
    ) -> Result<Vec<WrappedKey>, RootError> {
        let mut wraps = Vec::new();
        for root in self.iter() {
            wraps.push(root.wrap(key, context).await?);
        }
        wraps.sort_by_key(WrappedKey::root);
        Ok(wraps)
    }

    /// The key that `context` names, out of one of its wraps: by the preferred root, and where that does not do it by the next
    /// that has a wrap of its own. Each root is only asked for what names it. Returns the wrap that opened.
    ///
    /// # Errors
    /// The last root's; or [`UnwrapError::OtherRoot`] where none is named.
    pub async fn unwrap<'a>(
        &self,
        wraps: &'a [WrappedKey],
        context: Context<'_>,
    ) -> Result<(KeyMaterial, &'a WrappedKey), UnwrapError> {
        let mut failed = None;
        for root in self.iter() {
            let Some(wrapped) = wraps.iter().find(|wrapped| wrapped.root() == root.id()) else {
                continue;
            };
            match root.unwrap(wrapped, context).await {
                Ok(key) => return Ok((key, wrapped)),
                Err(error) => {
                    warn!(%error, key_id = %context.key_id, "a root key did not open a key");
                    failed = Some(error);
                }
            }
        }
        Err(failed.map_or_else(
            || UnwrapError::OtherRoot {
                wanted: wraps.iter().map(WrappedKey::root).collect(),
                configured: self.iter().map(|root| root.id()).collect(),
            },
            UnwrapError::Root,
        ))
    }
}

/// No root opened a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnwrapError {
    /// Those that could did not.
    #[error(transparent)]
    Root(#[from] RootError),
    /// None could: it is wrapped under others.
    #[error(
        "wrong root key: it is wrapped under {}, and the configuration has {}. Configure the root key that it was made with",
        ids(wanted),
        ids(configured)
    )]
    OtherRoot {
        /// Roots that would open it.
        wanted: Vec<RootId>,
        /// Roots that are configured.
        configured: Vec<RootId>,
    },
}

fn ids(roots: &[RootId]) -> String {
    roots.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
