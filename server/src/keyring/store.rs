use std::{
    fs, io,
    path::{Path, PathBuf},
};

use envelope::{
    Accepted, Bundle, Context, FormatError, KeyId, LedgerKey, OpenError, Purpose, RingName, RootId,
    bundle::UnverifiedBundle,
};

use super::snapshot::{Snapshot, find_root};
use crate::{
    durable,
    root::{RootError, Roots},
};

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
        let path = self.bundle_path();
        let bytes = fs::read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => LoadError::Missing { path: path.clone() },
            _ => LoadError::Read { path: path.clone(), source },
        })?;
        let bundle = self.verify(&bytes, roots).await?;
        let accepted = self.accepted()?;
        if bundle.generation() < accepted {
            return Err(LoadError::Older { path, generation: bundle.generation(), accepted });
        }
        Snapshot::unwrap(&bundle, roots).await
    }

    /// Remembers that `generation` was accepted: an older bundle is refused from now on, also after a restart.
    ///
    /// Apart from [`Store::load`], because a full disk must not keep kube-apiserver from its keys.
    ///
    /// # Errors
    /// [`LoadError::Accept`]; worth trying again.
    pub fn accept(&self, generation: u64) -> Result<(), LoadError> {
        if generation <= self.accepted()? {
            return Ok(());
        }
        let path = self.accepted_path();
        durable::replace(&path, &Accepted(generation).encode(), 0o600, &|_| {})
            .map_err(|source| LoadError::Accept { path, source })
    }

    /// Makes the first bundle of the ring.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where there is one; else those of the file system.
    pub fn create(&self, bundle: &[u8]) -> io::Result<()> {
        durable::create(&self.bundle_path(), bundle, 0o600, &|_| {})
    }

    async fn verify(&self, bytes: &[u8], roots: &Roots) -> Result<Bundle, LoadError> {
        let malformed = |source| LoadError::Malformed { path: self.bundle_path(), source };
        let unverified = UnverifiedBundle::parse(bytes).map_err(malformed)?;
        let ledger = unverified.ledger().clone();
        let (root, wrapped) = find_root(&ledger.wraps, roots)?;
        let context = Context { purpose: Purpose::Key, key_id: &ledger.id };
        let key = root.unwrap(wrapped, context).await?;
        let forged = |_: OpenError| LoadError::Forged { path: self.bundle_path() };
        let key = LedgerKey::new(ledger.id, key).map_err(forged)?;
        let bundle = unverified.verify(&key).map_err(forged)?;
        if bundle.ring() != &self.ring {
            return Err(malformed(FormatError::Field("ring")));
        }
        Ok(bundle)
    }

    /// The highest generation that was accepted, 0 where none was.
    fn accepted(&self) -> Result<u64, LoadError> {
        let path = self.accepted_path();
        match fs::read(&path) {
            Ok(bytes) => match Accepted::parse(&bytes) {
                Ok(Accepted(generation)) => Ok(generation),
                Err(_) => Err(LoadError::Accepted { path }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(source) => Err(LoadError::Read { path, source }),
        }
    }
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
    /// The configured roots are not the ones that it is wrapped under.
    #[error(
        "wrong root key: the bundle is wrapped under {}, and the configuration has {}. Configure the root that this bundle was made with",
        ids(wanted),
        ids(configured)
    )]
    OtherRoot {
        /// Roots that would open it.
        wanted: Vec<RootId>,
        /// Roots that are configured.
        configured: Vec<RootId>,
    },
    /// The root did not open it.
    #[error("the bundle cannot be opened: {0}")]
    Root(#[from] RootError),
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

fn ids(roots: &[RootId]) -> String {
    roots.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
