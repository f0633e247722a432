//! The keys in memory, and the rules by which they are used. Only this module holds unwrapped key versions.
//!
//! ```text
//! bundle file ──Store──► Snapshot ──publish──► Keyring ──► Status, Encrypt, Decrypt
//!                                                  └─ Recovered: versions that only an annotation carries
//! ```
//!
//! Invariants:
//! - Status, Encrypt and Decrypt do no I/O. One bounded exception: a version that no bundle knows, with our annotation, is
//!   unwrapped by its root, once.
//! - Encrypt answers for the version that the last Status named, and never for an older one afterwards.
//! - A key is looked up by the id in the ciphertext. Nothing tries keys until one works.

mod recovered;
mod snapshot;
mod store;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use envelope::{
    Frame, KeyId, KeyMaterial, OpenError, SystemRandom, VersionKey, WrapError, bundle::State,
};

use tokio::sync::Notify;

pub use self::{
    recovered::{Recovered, RecoveryError},
    snapshot::{Entry, Snapshot},
    store::{Authentic, LoadError, Store},
};

/// The ring that serves kube-apiserver.
pub const RING: &str = "etcd";

/// What the serving path reads: the current snapshot, behind one atomic swap.
#[derive(Debug, Default)]
pub struct Keyring {
    current: ArcSwapOption<Snapshot>,
    /// The version that the last Status named; 0 before the first.
    named: AtomicU32,
    /// Rung whenever a snapshot is published.
    published: Notify,
}

impl Keyring {
    /// Serves `snapshot`, which was loaded from `path`, from now on.
    ///
    /// # Errors
    /// [`LoadError`] where it would go back: to an older generation, another history, or an older active version, whatever is
    /// written down on disk. What is served stays.
    pub fn publish(&self, snapshot: Snapshot, path: PathBuf) -> Result<(), LoadError> {
        if let Some(served) = self.snapshot() {
            let (generation, accepted) = (snapshot.generation(), served.generation());
            if generation < accepted {
                return Err(LoadError::Older { path, generation, accepted });
            }
            if generation == accepted && snapshot.bundle() != served.bundle() {
                return Err(LoadError::OtherHistory { path, generation });
            }
            let version = |snapshot: &Snapshot| snapshot.active().id().version();
            let (active, served) = (version(&snapshot), version(&served));
            if active < served {
                return Err(LoadError::GoesBack { path, active, served });
            }
        }
        self.current.store(Some(Arc::new(snapshot)));
        self.published.notify_one();
        Ok(())
    }

    /// Returns when a snapshot was published since the last time. One waits at a time.
    pub async fn changed(&self) {
        self.published.notified().await;
    }

    /// The snapshot that is served, if one was loaded yet.
    #[must_use]
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.current.load_full()
    }

    /// Names the version that new seeds are wrapped under, and holds Encrypt to it until the next Status.
    ///
    /// # Errors
    /// [`NotLoaded`].
    pub fn status(&self) -> Result<Status, NotLoaded> {
        let snapshot = self.current.load();
        let active = snapshot.as_ref().ok_or(NotLoaded)?.active();
        // Two Status calls may cross a swap; versions only go forward, so the higher one is the later one.
        self.named.fetch_max(active.id().version(), Ordering::AcqRel);
        let named = self.named()?;
        Ok(Status { key_id: named.id().as_str().into() })
    }

    /// Wraps a seed under the version that the last Status named; beside its annotation, where one is wanted.
    ///
    /// # Errors
    /// [`EncryptError`].
    pub fn encrypt(&self, seed: &KeyMaterial, annotate: bool) -> Result<Encrypted, EncryptError> {
        let named = self.named()?;
        let annotation = annotate.then(|| named.annotation());
        let frame = named.wrap_seed(seed, annotation, &SystemRandom)?;
        Ok(Encrypted { frame, version: named })
    }

    /// Opens a seed under the version that `key_id` names, beside the annotation that it was wrapped with.
    ///
    /// # Errors
    /// [`DecryptError`]; [`DecryptError::Unknown`] is where recovery may begin.
    pub fn decrypt(
        &self,
        key_id: &str,
        frame: &Frame,
        annotation: Option<&[u8]>,
    ) -> Result<KeyMaterial, DecryptError> {
        let snapshot = self.current.load();
        let snapshot = snapshot.as_ref().ok_or(NotLoaded)?;
        // Nearly everything that is read was written under the active version.
        if snapshot.active().id().as_str() == key_id {
            return Ok(snapshot.active().unwrap_seed(frame, annotation)?);
        }
        match snapshot.find(key_id) {
            Some(Entry::Open(version)) => Ok(version.unwrap_seed(frame, annotation)?),
            Some(Entry::Closed(state)) => {
                Err(DecryptError::Closed { id: KeyId::parse(key_id)?, state: *state })
            }
            None => Err(DecryptError::Unknown(KeyId::parse(key_id)?)),
        }
    }

    fn named(&self) -> Result<Arc<VersionKey>, NotLoaded> {
        let snapshot = self.current.load();
        let snapshot = snapshot.as_ref().ok_or(NotLoaded)?;
        let named = self.named.load(Ordering::Acquire);
        Ok(snapshot.open_version(named).unwrap_or_else(|| snapshot.active()).clone())
    }
}

/// The answer to Status.
#[derive(Debug)]
pub struct Status {
    /// Id of the version that Encrypt uses until the next Status.
    pub key_id: String,
}

/// The answer to Encrypt.
#[derive(Debug)]
pub struct Encrypted {
    /// The wrapped seed.
    pub frame: Frame,
    /// What it was wrapped under.
    pub version: Arc<VersionKey>,
}

/// No bundle was loaded yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("starting: no key is loaded yet")]
pub struct NotLoaded;

/// Why a seed was not wrapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// Too early.
    #[error(transparent)]
    NotLoaded(#[from] NotLoaded),
    /// The cryptography did not do it.
    #[error(transparent)]
    Wrap(#[from] WrapError),
}

/// Why a seed was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// Too early.
    #[error(transparent)]
    NotLoaded(#[from] NotLoaded),
    /// The id is none.
    #[error(transparent)]
    Malformed(#[from] envelope::FormatError),
    /// The id is one, but not of any version that the bundle has.
    #[error("key version {0} is not known here")]
    Unknown(KeyId),
    /// The version is known and opens nothing any more.
    #[error("key version {id} is {} and opens nothing{}", state.as_str(), way_back(*state, id))]
    Closed {
        /// Its id.
        id: KeyId,
        /// Its state.
        state: State,
    },
    /// The ciphertext does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Where there is one: whoever reads this may just have restored an old backup of etcd.
fn way_back(state: State, id: &KeyId) -> String {
    match state {
        State::Archived | State::Compromised => {
            format!("; strongroom keys restore {} opens it again", id.version())
        }
        _ => String::new(),
    }
}
