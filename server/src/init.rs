//! Makes the first keys. Only ever on request: `serve` mints nothing.
//!
//! Invariant: nothing that exists is changed, and a ring is begun under a root that may have served before only when the
//! operator says with which version, so that no version number names two keys.

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use envelope::{
    Bundle, Context, FormatError, KeyId, KeyMaterial, LedgerKey, Purpose, RandomError, RingName,
    SystemRandom,
    bundle::{State, Version, WrappedLedgerKey},
};

use crate::{
    clock::Clock,
    config::{self, Config},
    keyring::{LoadError, RING, Store},
    ledger::{self, ClusterId, Dump, Entry, LedgerError},
    root::{CreateRootError, LocalFile, OpenRootError, RootError, Roots},
    rotation::{ControlError, Controller, NoSuccessor},
};

/// Versions only go forward, and there are 2^32: this leaves more than enough of them.
const MAX_FIRST_VERSION: u32 = 1_000_000_000;

/// What `init` did.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// With root keys and bundle of this node.
    pub node: NodeOutcome,
    /// With the ledger, where one is configured.
    pub ledger: Option<LedgerOutcome>,
}

/// What `init` did with the ledger.
#[derive(Debug, PartialEq, Eq)]
pub struct LedgerOutcome {
    /// The identity of the cluster.
    pub cluster: ClusterId,
    /// Whether the ring was entered; else it was there.
    pub entered: bool,
}

/// What `init` did with root keys and bundle of this node.
#[derive(Debug, PartialEq, Eq)]
pub enum NodeOutcome {
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
    /// The ring is in the ledger: its bundle was taken from there.
    Joined {
        /// The bundle.
        bundle: PathBuf,
    },
}

/// Makes the root keys that are missing, and the ring `etcd` with its first version; enters it into the ledger.
///
/// `first_version` is compulsory where a root key exists and the ring does not.
///
/// # Errors
/// [`InitError`]; a bundle is made as the last step or not at all, and what was done before an error is found by the next run.
pub async fn init(
    config: &Config,
    first_version: Option<u32>,
    clock: &dyn Clock,
) -> Result<Outcome, InitError> {
    let node = init_node(config, first_version, clock).await?;
    let ledger = match &config.ledger {
        Some(ledger) => Some(enter(config, ledger, clock).await?),
        None => None,
    };
    Ok(Outcome { node, ledger })
}

async fn init_node(
    config: &Config,
    first_version: Option<u32>,
    clock: &dyn Clock,
) -> Result<NodeOutcome, InitError> {
    let store = store(config)?;
    let bundle = store.bundle_path();
    let (mut kept, mut missing) = (Vec::new(), Vec::new());
    for root in config.roots.iter() {
        match root {
            config::Root::Local { file } if !file.exists() => missing.push(file),
            // A key of a service is always there, and nobody knows what it has wrapped.
            _ => kept.push(root.name()),
        }
    }

    if bundle.exists() {
        return match missing.first() {
            Some(root) => Err(InitError::RootMissing { root: root.to_path_buf(), bundle }),
            None => Ok(NodeOutcome::Existing { bundle }),
        };
    }
    if !kept.is_empty() && join(config, &Roots::open(&config.roots).await?).await? {
        return Ok(NodeOutcome::Joined { bundle });
    }
    if let (Some(root), None) = (kept.first(), first_version) {
        return Err(InitError::RootKept { root: root.clone(), bundle });
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
    Ok(NodeOutcome::Made { roots: made, bundle, key_id })
}

/// Takes the bundle from the ledger where this node has none, and the ledger has the ring. Returns whether it did.
///
/// # Errors
/// [`InitError`].
pub async fn join(config: &Config, roots: &Roots) -> Result<bool, InitError> {
    let (Some(ledger), Some(cluster)) = (&config.ledger, ledger::cluster(config)?) else {
        return Ok(false);
    };
    let store = store(config)?;
    let controller = Controller::new(RingName::parse(RING)?, roots.clone(), Arc::default());
    controller.connect(ledger::connect(&ledger.database, cluster).await?);
    let state = match controller.state().await {
        Err(ControlError::NoRing) => return Ok(false),
        state => state?,
    };
    let (generation, known) = (state.head.generation, store.next_generation()?.saturating_sub(1));
    if generation < known {
        return Err(ControlError::from(NoSuccessor::Older { generation, known }).into());
    }
    controller.opens(&state).await?;
    let bundle = store.bundle_path();
    make_folder(bundle.parent())?;
    store
        .create(&state.bundle.bytes)
        .map_err(|source| InitError::Write { path: bundle.clone(), source })?;
    Ok(true)
}

/// Enters the ring of this node's bundle into the ledger, where it is not there yet.
async fn enter(
    config: &Config,
    ledger: &config::Ledger,
    clock: &dyn Clock,
) -> Result<LedgerOutcome, InitError> {
    let cluster = match ledger::cluster(config)? {
        Some(cluster) => cluster,
        None => ledger::make_cluster(&config.bundle.dir)?,
    };
    let opened = ledger::connect(&ledger.database, cluster).await?;
    let ring = RingName::parse(RING)?;
    if opened.read(&ring).await?.is_some() {
        return Ok(LedgerOutcome { cluster, entered: false });
    }
    let authentic = store(config)?.authenticate(&Roots::open(&config.roots).await?).await?;
    let entry = Entry {
        actor: "strongroomd init".into(),
        action: "ring.entered",
        subject: ring.to_string(),
        detail: format!("bundle generation {}", authentic.bundle.generation()),
    };
    let bundle = (&authentic.bundle, authentic.bytes);
    let dump = Dump::genesis(cluster, bundle, &authentic.key, clock.now(), entry);
    match opened.create(&dump).await {
        // Another node was faster.
        Err(LedgerError::Exists(_)) => Ok(LedgerOutcome { cluster, entered: false }),
        outcome => outcome.map(|()| LedgerOutcome { cluster, entered: true }).map_err(Into::into),
    }
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
        wraps: roots.wrap(&key, place(&id)).await?,
    };
    let ledger = WrappedLedgerKey {
        wraps: roots.wrap(&ledger_key, place(&ledger_id)).await?,
        id: ledger_id.clone(),
    };
    let ledger_key = LedgerKey::new(ledger_id, ledger_key).map_err(|_| FormatError::KeyId)?;
    let bundle = Bundle::new(ring, generation, ledger, vec![version])?;
    Ok((id, bundle.encode(&ledger_key)?))
}

/// The place of a key version under a root.
fn place(key_id: &KeyId) -> Context<'_> {
    Context { purpose: Purpose::Key, key_id }
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
        "the root key {root} exists and the bundle {} does not. If another node has the bundle, copy it from there. If it is lost, \
         begin a new ring with strongroomd init --config FILE --first-version N, N higher than every version in use \
         (what was encrypted before still opens, by its annotation). If this root key never served, N is 1",
        bundle.display()
    )]
    RootKept {
        /// The root key.
        root: String,
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
    /// The identity of the cluster cannot be read or written.
    #[error("the cluster identity: {0}")]
    Cluster(#[from] io::Error),
    /// The ledger did not do it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What lies in the ledger cannot be taken.
    #[error(transparent)]
    Control(#[from] ControlError),
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
