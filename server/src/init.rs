//! Makes the first keys. Only ever on request: `serve` mints nothing.
//!
//! Invariant: nothing that exists is changed, and a ring is begun under a root that may have served before only when the
//! operator says with which version, so that no version number names two keys.

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use envelope::{
    Bundle, Context, FormatError, KeyId, KeyMaterial, LedgerKey, Purpose, RandomError, RingName,
    SystemRandom, WrappedKey,
    bundle::{State, Version, WrappedLedgerKey},
};

use crate::{
    clock::Clock,
    config::{self, Config},
    keyring::{LoadError, RING, Store},
    root::{CreateRootError, LocalFile, OpenRootError, RootError, Roots},
};

/// Versions only go forward, and there are 2^32: this leaves more than enough of them.
const MAX_FIRST_VERSION: u32 = 1_000_000_000;

/// What `init` did.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Root keys that were missing, and the ring.
    Made {
        /// Root key files that are new: back them up.
        roots: Vec<PathBuf>,
        /// The bundle.
        bundle: PathBuf,
        /// The first version.
        key_id: KeyId,
    },
    /// Everything was there; nothing was changed.
    Existing {
        /// The bundle.
        bundle: PathBuf,
    },
}

/// Makes the root keys that are missing, and the ring `etcd` with its first version.
///
/// `first_version` is compulsory where a root key exists and the ring does not.
///
/// # Errors
/// [`InitError`]; a bundle is made as the last step or not at all.
pub async fn init(
    config: &Config,
    first_version: Option<u32>,
    clock: &dyn Clock,
) -> Result<Outcome, InitError> {
    let store = store(config)?;
    let bundle = store.bundle_path();
    let local = config.roots.iter().map(|config::Root::Local { file }| file);
    let (kept, missing): (Vec<_>, Vec<_>) = local.partition(|file| file.exists());

    if bundle.exists() {
        return match missing.first() {
            Some(root) => Err(InitError::RootMissing { root: root.to_path_buf(), bundle }),
            None => Ok(Outcome::Existing { bundle }),
        };
    }
    if let (Some(root), None) = (kept.first(), first_version) {
        return Err(InitError::RootKept { root: root.to_path_buf(), bundle });
    }
    let number = first_version.unwrap_or(1);
    if number > MAX_FIRST_VERSION {
        return Err(InitError::FirstVersion);
    }
    let mut made = Vec::new();
    for file in missing {
        make_folder(file.parent())?;
        LocalFile::create(file, &SystemRandom)?;
        made.push(file.to_path_buf());
    }
    let roots = Roots::open(&config.roots).await?;
    if let Some(away) = roots.away().first() {
        return Err(InitError::RootAway(away.to_string()));
    }
    make_folder(bundle.parent())?;
    let generation = store.next_generation()?;
    let (key_id, bytes) = first_bundle(&roots, generation, number, clock.now()).await?;
    store.create(&bytes).map_err(|source| InitError::Write { path: bundle.clone(), source })?;
    Ok(Outcome::Made { roots: made, bundle, key_id })
}

/// The store of the ring `etcd`.
///
/// # Errors
/// None that can happen: the name is a constant.
pub fn store(config: &Config) -> Result<Store, FormatError> {
    Ok(Store::new(&config.bundle.dir, RingName::parse(RING)?))
}

async fn first_bundle(
    roots: &Roots,
    generation: u64,
    number: u32,
    now: u64,
) -> Result<(KeyId, Vec<u8>), InitError> {
    let ring = RingName::parse(RING)?;
    let key = KeyMaterial::make(&SystemRandom)?;
    let id = KeyId::derive(ring.clone(), number, &key)?;
    let ledger_key = KeyMaterial::make(&SystemRandom)?;
    let ledger_id = KeyId::derive(RingName::parse(LedgerKey::RING)?, 1, &ledger_key)?;

    let version = Version {
        id: id.clone(),
        state: State::Active,
        created: now,
        activated: Some(now.max(1)),
        wraps: wrap_under_all(roots, &key, &id).await?,
    };
    let ledger = WrappedLedgerKey {
        wraps: wrap_under_all(roots, &ledger_key, &ledger_id).await?,
        id: ledger_id.clone(),
    };
    let ledger_key = LedgerKey::new(ledger_id, ledger_key).map_err(|_| FormatError::KeyId)?;
    let bundle = Bundle::new(ring, generation, ledger, vec![version])?;
    Ok((id, bundle.encode(&ledger_key)?))
}

async fn wrap_under_all(
    roots: &Roots,
    key: &KeyMaterial,
    id: &KeyId,
) -> Result<Vec<WrappedKey>, RootError> {
    let mut wraps = Vec::new();
    for root in roots.iter() {
        wraps.push(root.wrap(key, Context { purpose: Purpose::Key, key_id: id }).await?);
    }
    wraps.sort_by_key(WrappedKey::root);
    Ok(wraps)
}

fn make_folder(folder: Option<&Path>) -> Result<(), InitError> {
    let Some(folder) = folder else { return Ok(()) };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| InitError::Write { path: folder.into(), source })
}

/// Nothing was initialised. Every message says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// The ring needs a root that is gone.
    #[error(
        "the bundle {} exists and its root key {} is missing: restore the root key from your backup. A new one would open nothing",
        bundle.display(),
        root.display()
    )]
    RootMissing {
        /// The root key.
        root: PathBuf,
        /// The bundle.
        bundle: PathBuf,
    },
    /// A root that may have served before.
    #[error(
        "the root key {} exists and the bundle {} does not. If another node has the bundle, copy it from there. If it is lost, \
         begin a new ring with strongroomd init --config FILE --first-version N, N higher than every version in use \
         (what was encrypted before still opens, by its annotation). If this root key never served, N is 1",
        root.display(),
        bundle.display()
    )]
    RootKept {
        /// The root key.
        root: PathBuf,
        /// The bundle.
        bundle: PathBuf,
    },
    /// A root key that exists cannot be used.
    #[error(transparent)]
    Root(#[from] OpenRootError),
    /// A root key that exists cannot be used, and another can.
    #[error("a ring is wrapped under all root keys when it is made, and one is away: {0}")]
    RootAway(String),
    /// There would be no room for later versions.
    #[error("--first-version is at most {MAX_FIRST_VERSION}")]
    FirstVersion,
    /// What lies beside the bundle cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A root key was not made.
    #[error(transparent)]
    Create(#[from] CreateRootError),
    /// A root did not wrap.
    #[error(transparent)]
    Wrap(#[from] RootError),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The bundle would not be one.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// It could not be written.
    #[error("{} cannot be made: {source}", path.display())]
    Write {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
