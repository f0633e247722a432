use std::{collections::HashMap, sync::Arc};

use envelope::{
    Bundle, Context, Purpose, VersionKey,
    audit::Hash,
    bundle::{State, Version},
};

use futures_util::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};

use super::LoadError;
use crate::root::Roots;

/// How many versions are asked for at once: a remote root answers each in tens of milliseconds, and kube-apiserver waits.
const AT_ONCE: usize = 64;

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
        let mut entries = Vec::with_capacity(bundle.versions().len());
        for version in bundle.versions() {
            entries.push(entry(version, roots));
        }
        let mut entries = stream::iter(entries).buffer_unordered(AT_ONCE);
        while let Some((version, entry)) = entries.try_next().await? {
            if let (State::Active, Entry::Open(open)) = (version.state, &entry) {
                active = Some(Arc::clone(open));
            }
            by_id.insert(version.id.as_str().into(), entry);
        }
        drop(entries);
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

/// Boxed, because only then the compiler sees that the load may move between threads.
fn entry<'a>(
    version: &'a Version,
    roots: &'a Roots,
) -> BoxFuture<'a, Result<(&'a Version, Entry), LoadError>> {
    let entry = async move {
        if version.state.opens() {
            let open = unwrap_version(version, roots).await?;
            Ok((version, Entry::Open(Arc::new(open))))
        } else {
            Ok((version, Entry::Closed(version.state)))
        }
    };
    entry.boxed()
}

async fn unwrap_version(version: &Version, roots: &Roots) -> Result<VersionKey, LoadError> {
    let context = Context { purpose: Purpose::Key, key_id: &version.id };
    let (key, wrapped) = roots.unwrap(&version.wraps, context).await?;
    let key = VersionKey::new(version.id.clone(), &key)
        .map_err(|_| LoadError::Version { id: version.id.clone(), root: wrapped.root() })?;
    Ok(key.annotated(wrapped.encode()))
}
