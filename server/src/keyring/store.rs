use std::{
    io,
    path::{Path, PathBuf},
};

use envelope::{
    Accepted, Bundle, Context, FormatError, KeyId, LedgerKey, OpenError, Purpose, RingName, RootId,
    audit::sha256, bundle::UnverifiedBundle,
};

use super::Snapshot;
use crate::root::{Roots, UnwrapError};

/// The bundle of one ring on this node's disk, and the highest generation that was ever accepted from it.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
    ring: RingName,
}

impl Store {
    /// The store of `ring` in `folder`. Touches nothing.
    #[must_use]
    pub fn new(folder: &Path, ring: RingName) -> Self {
        Self { folder: folder.into(), ring }
    }

    /// The ring.
    #[must_use]
    pub fn ring(&self) -> &RingName {
        &self.ring
    }

    /// Path of the bundle.
    #[must_use]
    pub fn bundle_path(&self) -> PathBuf {
        self.folder.join(format!("{}.bundle", self.ring))
    }

    fn accepted_path(&self) -> PathBuf {
        self.folder.join(format!("{}.accepted", self.ring))
    }

    /// Reads the bundle, authenticates it, and unwraps what it holds.
    ///
    /// # Errors
    /// [`LoadError`]. Nothing is accepted by halves.
    pub async fn load(&self, roots: &Roots) -> Result<Snapshot, LoadError> {
        let (bytes, accepted) = self.apart(|store| Ok((store.read()?, store.accepted()?))).await?;
        let (bundle, _) = self.verify(&bytes, roots).await?;
        if bundle.generation() < accepted {
            let generation = bundle.generation();
            return Err(LoadError::Older { path: self.bundle_path(), generation, accepted });
        }
        Snapshot::unwrap(bundle, sha256(&bytes), roots).await
    }

    /// Reads the bundle and authenticates it, whatever generation was accepted; with the key that it is authenticated by.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn authenticate(&self, roots: &Roots) -> Result<Authentic, LoadError> {
        let bytes = self.apart(|store| store.read()).await?;
        let (bundle, key) = self.verify(&bytes, roots).await?;
        Ok(Authentic { bundle, bytes, key })
    }

    /// Remembers that `generation` was accepted: an older bundle is refused from now on, also after a restart.
    ///
    /// Apart from [`Store::load`], because a full disk must not keep kube-apiserver from its keys.
    ///
    /// # Errors
    /// [`LoadError::Accept`]; worth trying again.
    pub async fn accept(&self, generation: u64) -> Result<(), LoadError> {
        self.apart(move |store| {
            if generation <= store.accepted()? {
                return Ok(());
            }
            let path = store.accepted_path();
            durable::replace(&path, &Accepted(generation).encode(), 0o600, &|_| {})
                .map_err(|source| LoadError::Accept { path, source })
        })
        .await
    }

    /// The first generation that no node of this folder has accepted.
    ///
    /// # Errors
    /// [`LoadError`] where the note of it cannot be read.
    pub fn next_generation(&self) -> Result<u64, LoadError> {
        Ok(self.accepted()?.saturating_add(1))
    }

    /// Works with files away from the serving thread: a disk can be slow, or hang.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(Self) -> Result<T, LoadError> + Send + 'static,
    ) -> Result<T, LoadError> {
        let (store, path) = (self.clone(), self.bundle_path());
        tokio::task::spawn_blocking(move || work(store))
            .await
            .unwrap_or_else(|error| Err(LoadError::Read { path, source: error.into() }))
    }

    fn read(&self) -> Result<Vec<u8>, LoadError> {
        let path = self.bundle_path();
        durable::read(&path, Bundle::MAX_LEN).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => LoadError::Missing { path },
            _ => LoadError::Read { path, source },
        })
    }

    /// Makes the first bundle of the ring.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where there is one; else those of the file system.
    pub fn create(&self, bundle: &[u8]) -> io::Result<()> {
        durable::create(&self.bundle_path(), bundle, 0o600, &|_| {})
    }

    /// Puts `bundle` in the place of the one that is there. It is verified when it is loaded.
    ///
    /// # Errors
    /// [`LoadError::Write`]; the bundle is then the old one, or already the new one.
    pub async fn replace(&self, bundle: Vec<u8>) -> Result<(), LoadError> {
        self.apart(move |store| {
            let path = store.bundle_path();
            durable::replace(&path, &bundle, 0o600, &|_| {})
                .map_err(|source| LoadError::Write { path, source })
        })
        .await
    }

    async fn verify(&self, bytes: &[u8], roots: &Roots) -> Result<(Bundle, LedgerKey), LoadError> {
        let malformed = |source| LoadError::Malformed { path: self.bundle_path(), source };
        let unverified = UnverifiedBundle::parse(bytes).map_err(malformed)?;
        let ledger = unverified.ledger().clone();
        let context = Context { purpose: Purpose::Key, key_id: &ledger.id };
        let (key, _) = roots.unwrap(&ledger.wraps, context).await?;
        let forged = |_: OpenError| LoadError::Forged { path: self.bundle_path() };
        let key = LedgerKey::new(ledger.id, key).map_err(forged)?;
        let bundle = unverified.verify(&key).map_err(forged)?;
        if bundle.ring() != &self.ring {
            return Err(malformed(FormatError::Field("ring")));
        }
        Ok((bundle, key))
    }

    /// The highest generation that was accepted, 0 where none was.
    fn accepted(&self) -> Result<u64, LoadError> {
        let path = self.accepted_path();
        match durable::read(&path, Accepted::MAX_LEN) {
            Ok(bytes) => match Accepted::parse(&bytes) {
                Ok(Accepted(generation)) => Ok(generation),
                Err(_) => Err(LoadError::Accepted { path }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(source) => Err(LoadError::Read { path, source }),
        }
    }
}

/// A bundle that was authenticated.
#[derive(Debug)]
pub struct Authentic {
    /// What it says.
    pub bundle: Bundle,
    /// As it lies on disk.
    pub bytes: Vec<u8>,
    /// What it is authenticated by.
    pub key: LedgerKey,
}

/// The bundle cannot be used. What was loaded before goes on serving. Every message ends with what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is none.
    #[error(
        "nothing is initialised: the bundle {} is missing. On the first node run: strongroomd init --config FILE. \
         On any other, copy root key and bundle from the first",
        path.display()
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no bundle.
    #[error(
        "the bundle {} is damaged: {source}. Copy it from another node or restore it; Secrets in etcd are not affected",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: FormatError,
    },
    /// It was not written by whoever holds the ledger key.
    #[error(
        "the bundle {} is not authentic: it was changed, or damaged, after it was written. Copy it from another node or restore it",
        path.display()
    )]
    Forged {
        /// The file.
        path: PathBuf,
    },
    /// It is from the past.
    #[error(
        "the bundle {} is old: generation {generation}, and this node has accepted {accepted}. Copy the current one from another node",
        path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its generation.
        generation: u64,
        /// The highest that was accepted.
        accepted: u64,
    },
    /// The note of the highest accepted generation is damaged.
    #[error(
        "{} is damaged: it holds the highest generation this node has accepted. If the bundle beside it is the current one, remove it",
        path.display()
    )]
    Accepted {
        /// The file.
        path: PathBuf,
    },
    /// The note of the highest accepted generation cannot be written.
    #[error("{} cannot be written: {source}. The daemon must be able to write in its bundle folder", path.display())]
    Accept {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A newer one cannot be written.
    #[error("{} cannot be written: {source}. The daemon must be able to write in its bundle folder", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It says something else than the bundle of the same generation that is served.
    #[error(
        "the bundle {} is not the one of generation {generation} that is served: two rings were begun. Keep the one that kube-apiserver has used, on every node",
        path.display()
    )]
    OtherHistory {
        /// The file.
        path: PathBuf,
        /// The generation of both.
        generation: u64,
    },
    /// It makes an older version active again.
    #[error(
        "the bundle {} makes version {active} active, and version {served} was: versions only go forward. Copy the current bundle from another node",
        path.display()
    )]
    GoesBack {
        /// The file.
        path: PathBuf,
        /// The version that it makes active.
        active: u32,
        /// The version that is active.
        served: u32,
    },
    /// No root opened it.
    #[error("the bundle cannot be opened: {0}")]
    Root(#[from] UnwrapError),
    /// It took too long.
    #[error("the bundle was not loaded within {0} seconds: a root key or the disk does not answer")]
    Slow(u64),
    /// The root opened a version to something else than what its id says.
    #[error(
        "root key {root} answered with another key for {id}: suspect whatever stands between this daemon and that root"
    )]
    Version {
        /// The version.
        id: KeyId,
        /// The root.
        root: RootId,
    },
}
