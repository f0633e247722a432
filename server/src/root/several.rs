use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use envelope::{Context, KeyMaterial, RootId, WrappedKey};
use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use super::{
    AwsKms, Checked, LocalFile, PinError, RootError, RootErrorKind, RootKey, local::FileError,
    member::Member, opening::Opening, patience::within,
};
use crate::config;

/// The next root is asked when one has not answered for this long.
const HEDGE: Duration = Duration::from_millis(300);
/// A root that is not open after this long is away.
const OPENS: Duration = Duration::from_secs(10);

/// The configured roots, in the configured order. One that is away is opened later, by whoever calls [`Roots::reopen`].
#[derive(Debug, Clone)]
pub struct Roots {
    places: Arc<[Place]>,
    hanging: Arc<Notify>,
}

/// One of `[[roots]]`.
#[derive(Debug)]
struct Place {
    configured: Option<config::Root>,
    /// Empty while it is away; then for good.
    member: OnceLock<Member>,
    away: Mutex<Option<String>>,
    opening: Opening<Result<Arc<dyn RootKey>, OpenRootError>>,
}

impl Roots {
    /// Opens the configured roots. One that cannot be opened is away: any other opens everything.
    ///
    /// # Errors
    /// The last error, where none can be opened; a key that stands under two names.
    pub async fn open(configured: &[config::Root]) -> Result<Self, OpenRootError> {
        let places = configured.iter().map(|root| Place {
            configured: Some(root.clone()),
            member: OnceLock::new(),
            away: Mutex::default(),
            opening: Opening::default(),
        });
        let this = Self { places: places.collect(), hanging: Arc::default() };
        let mut failed = None;
        for (place, root) in this.places.iter().zip(configured) {
            match this.open_place(place, root).await {
                Err(error @ OpenRootError::Twice { .. }) => return Err(error),
                Err(error) => {
                    *place.away() = Some(error.to_string());
                    failed = Some(error);
                }
                Ok(()) => {}
            }
        }
        match failed {
            Some(error) if this.iter().next().is_none() => Err(error),
            _ => Ok(this),
        }
    }

    /// These roots, in this order.
    #[must_use]
    pub fn of(roots: Vec<Arc<dyn RootKey>>) -> Self {
        let hanging: Arc<Notify> = Arc::default();
        let places = roots.into_iter().map(|root| {
            let name = root.id().to_string();
            let member = Member::new(root, name, Arc::clone(&hanging));
            Place {
                configured: None,
                member: OnceLock::from(member),
                away: Mutex::default(),
                opening: Opening::default(),
            }
        });
        Self { places: places.collect(), hanging }
    }

    /// Tries again to open those that are away.
    pub async fn reopen(&self) {
        for place in self.places.iter().filter(|place| place.member.get().is_none()) {
            let Some(root) = &place.configured else { continue };
            let reason = match self.open_place(place, root).await {
                Ok(()) => {
                    info!(root = root.name(), "a root key that was away is back");
                    None
                }
                Err(error) => Some(error.to_string()),
            };
            *place.away() = reason;
        }
    }

    async fn open_place(&self, place: &Place, root: &config::Root) -> Result<(), OpenRootError> {
        let unavailable = |message| {
            let (name, kind) = (root.name(), RootErrorKind::Unavailable);
            OpenRootError::Remote(RootError { name, kind, message })
        };
        let opened = match place.opening.outcome(OPENS, open_root(root.clone())).await {
            Some(Ok(opened)) => opened?,
            Some(Err(error)) => return Err(unavailable(format!("it was not opened: {error}"))),
            None => {
                let seconds = OPENS.as_secs();
                return Err(unavailable(format!(
                    "it could not be opened within {seconds} seconds"
                )));
            }
        };
        if self.iter().any(|other| other.id() == opened.id()) {
            return Err(OpenRootError::Twice { name: root.name() });
        }
        // Opened twice at once, one of the two is kept.
        let _ = place.member.set(Member::new(opened, root.name(), Arc::clone(&self.hanging)));
        Ok(())
    }

    /// The roots that are open.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn RootKey>> {
        self.members().map(Member::root)
    }

    /// Why the others are not.
    #[must_use]
    pub fn away(&self) -> Vec<String> {
        self.places.iter().filter_map(|place| place.away().clone()).collect()
    }

    /// What each root said of its key when it was last probed.
    #[must_use]
    pub fn checked(&self) -> Vec<(RootId, Checked)> {
        self.members().map(|member| (member.id(), member.checked())).collect()
    }

    /// Notes what a probe of a root found, after how long.
    pub fn probed(&self, id: RootId, outcome: &Result<Checked, RootError>, took: Duration) {
        if let Some(member) = self.members().find(|member| member.id() == id) {
            member.probed(outcome, took);
        }
    }

    /// Those that nobody but a probe asks, because they hang.
    #[must_use]
    pub fn hanging(&self) -> Vec<RootId> {
        self.members().filter(|member| member.hangs()).map(Member::id).collect()
    }

    /// Returns when a root was found to hang since the last time. One waits at a time.
    pub async fn one_hangs(&self) {
        self.hanging.notified().await;
    }

    /// `key` under every root that is open, ascending by root id, as a bundle has it. Each has opened it again.
    ///
    /// # Errors
    /// That of the first root, in the configured order, that does not wrap.
    pub async fn wrap(
        &self,
        key: &KeyMaterial,
        context: Context<'_>,
    ) -> Result<Vec<WrappedKey>, RootError> {
        let wraps = self.wrap_under(|_| true, key, context).await;
        let mut wraps = wraps.into_iter().collect::<Result<Vec<_>, _>>()?;
        wraps.sort_by_key(WrappedKey::root);
        Ok(wraps)
    }

    /// The same for some roots, in the configured order, with what went wrong at each.
    pub async fn wrap_under(
        &self,
        which: impl Fn(RootId) -> bool,
        key: &KeyMaterial,
        context: Context<'_>,
    ) -> Vec<Result<WrappedKey, RootError>> {
        let members = self.members().filter(|member| which(member.id()));
        join_all(members.map(|member| member.wrap(key, context))).await
    }

    /// The key that `context` names, out of one of its wraps: by the preferred root, and by the next that has a wrap of its
    /// own where that one fails, or has not answered for 300 ms. The first that opens it counts, and nobody waits for the
    /// others. Each root is only asked for what names it. Returns the wrap that opened.
    ///
    /// # Errors
    /// The last root's; or [`UnwrapError::OtherRoot`] where none is named.
    pub async fn unwrap<'a>(
        &self,
        wraps: &'a [WrappedKey],
        context: Context<'_>,
    ) -> Result<(KeyMaterial, &'a WrappedKey), UnwrapError> {
        let mut next = VecDeque::new();
        for member in self.members() {
            let named = wraps.iter().find(|wrapped| wrapped.root() == member.id());
            next.extend(named.map(|wrapped| (member, wrapped)));
        }
        let mut asked = FuturesUnordered::new();
        let mut failed = None;
        while let Some((member, wrapped)) = next.pop_front() {
            asked.push(async move { (member.unwrap(wrapped, context).await, wrapped) });
            // With the last one asked there is nobody left to ask instead.
            let patience = if next.is_empty() { Duration::MAX } else { HEDGE };
            loop {
                match within(patience, asked.next()).await {
                    Some(Some((Ok(key), wrapped))) => return Ok((key, wrapped)),
                    Some(Some((Err(error), _))) => {
                        // That a root is away is the probe's to say, once and not for each of its keys.
                        if error.kind == RootErrorKind::Corrupt {
                            warn!(%error, key_id = %context.key_id, "a root key did not open a key");
                        } else {
                            debug!(%error, key_id = %context.key_id, "a root key did not answer");
                        }
                        failed = Some(error);
                        if !next.is_empty() {
                            break;
                        }
                    }
                    // All have failed, or it is time for the next.
                    Some(None) | None => break,
                }
            }
        }
        Err(failed.map_or_else(|| self.no_root_for(wraps), UnwrapError::Root))
    }

    /// What the provider of the root that `wrapped` names calls the material that it was made with, where it has a name and the
    /// root is open.
    ///
    /// # Errors
    /// That of the root.
    pub async fn material(
        &self,
        wrapped: &WrappedKey,
        context: Context<'_>,
    ) -> Result<Option<String>, RootError> {
        match self.members().find(|member| member.id() == wrapped.root()) {
            Some(member) => member.material(wrapped, context).await,
            None => Ok(None),
        }
    }

    fn no_root_for(&self, wraps: &[WrappedKey]) -> UnwrapError {
        let wanted = wraps.iter().map(WrappedKey::root).collect();
        match self.away() {
            away if away.is_empty() => {
                let configured = self.iter().map(|root| root.id()).collect();
                UnwrapError::OtherRoot { wanted, configured }
            }
            away => UnwrapError::Away { wanted, away },
        }
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.places.iter().filter_map(|place| place.member.get())
    }
}

impl Place {
    fn away(&self) -> MutexGuard<'_, Option<String>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn open_root(configured: config::Root) -> Result<Arc<dyn RootKey>, OpenRootError> {
    Ok(match configured {
        config::Root::Local { file } => Arc::new(LocalFile::open(&file).await?),
        config::Root::AwsKms(key) => Arc::new(AwsKms::open(&key).await?),
    })
}

/// A root key cannot be used. Every message ends with what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenRootError {
    /// A key file.
    #[error(transparent)]
    File(#[from] FileError),
    /// What a service did not answer.
    #[error(transparent)]
    Remote(#[from] RootError),
    /// Which key an alias stands for.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The same key is configured already.
    #[error("the root key {name} is the same key as another of [[roots]]: remove one of the two")]
    Twice {
        /// As the configuration names it.
        name: String,
    },
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
    /// None could, and of some that are configured it is not known which keys they are.
    #[error("it is wrapped under {}, and root keys are away: {}", ids(wanted), away.join("; "))]
    Away {
        /// Roots that would open it.
        wanted: Vec<RootId>,
        /// Why those that are configured are away.
        away: Vec<String>,
    },
}

fn ids(roots: &[RootId]) -> String {
    roots.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
