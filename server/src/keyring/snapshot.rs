use std::{collections::HashMap, sync::Arc};

use envelope::{
    Bundle, Context, Purpose, VersionKey,
    audit::Hash,
    bundle::{State, Version},
};

use super::LoadError;
use crate::root::Roots;

/// All versions of one ring, unwrapped where their state lets them open anything. Immutable.
#[derive(Debug)]
pub struct Snapshot {
    bundle: Bundle,
    digest: Hash,
    active: Arc<VersionKey>,
    by_id: HashMap<Box<str>, Entry>,
}

/// What the snapshot knows of an id.
#[derive(Debug)]
pub enum Entry {
    /// It opens.
    Open(Arc<VersionKey>),
    /// It is refused, because of its state.
    Closed(State),
}

impl Snapshot {
    /// Unwraps every version of `bundle` that may open anything. `digest` is the SHA-256 of its encoding.
    ///
    /// # Errors
    /// [`LoadError`] of the first version that does not unwrap.
    pub async fn unwrap(bundle: Bundle, digest: Hash, roots: &Roots) -> Result<Self, LoadError> {
        let mut by_id = HashMap::with_capacity(bundle.versions().len());
        let mut active = None;
        for version in bundle.versions() {
            let entry = if version.state.opens() {
                let open = Arc::new(unwrap_version(version, roots).await?);
                if version.state == State::Active {
                    active = Some(Arc::clone(&open));
                }
                Entry::Open(open)
            } else {
                Entry::Closed(version.state)
            };
            by_id.insert(version.id.as_str().into(), entry);
        }
        #[expect(clippy::expect_used, reason = "a bundle has exactly one active version")]
        let active = active.expect("one version is active");
        Ok(Self { bundle, digest, active, by_id })
    }

    /// The bundle that it was made of.
    #[must_use]
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// SHA-256 of the bundle that it was made of, as it lies on disk.
    #[must_use]
    pub fn digest(&self) -> &Hash {
        &self.digest
    }

    /// Generation of the bundle that it was made of.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.bundle.generation()
    }

    /// The version that new seeds are wrapped under.
    #[must_use]
    pub fn active(&self) -> &Arc<VersionKey> {
        &self.active
    }

    /// What is known of `key_id`.
    #[must_use]
    pub fn find(&self, key_id: &str) -> Option<&Entry> {
        self.by_id.get(key_id)
    }

    /// The version with this number, where it opens.
    #[must_use]
    pub fn open_version(&self, number: u32) -> Option<&Arc<VersionKey>> {
        if self.active.id().version() == number {
            return Some(&self.active);
        }
        self.by_id.values().find_map(|entry| match entry {
            Entry::Open(open) if open.id().version() == number => Some(open),
            _ => None,
        })
    }
}

async fn unwrap_version(version: &Version, roots: &Roots) -> Result<VersionKey, LoadError> {
    let context = Context { purpose: Purpose::Key, key_id: &version.id };
    let (key, wrapped) = roots.unwrap(&version.wraps, context).await?;
    let key = VersionKey::new(version.id.clone(), &key)
        .map_err(|_| LoadError::Version { id: version.id.clone(), root: wrapped.root() })?;
    Ok(key.annotated(wrapped.encode()))
}
