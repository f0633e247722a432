//! Keys under their roots: which root is asked for what, and what counts as an answer. Outside any transaction.
//!
//! Invariant: a root is never given what names another, and what it unwraps counts only where its fingerprint is the one in the
//! key id. A new wrap counts only once its root opened it again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use envelope::{
    Bundle, Context, KeyId, KeyMaterial, Purpose, RootId, WrappedKey, bundle::State as VersionState,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, timeout};

use super::ControlError;
use crate::{
    ledger::State,
    root::{RootKey, Roots, UnwrapError},
};

/// Longest that one root may take for one key.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest that a check takes. What was not asked by then is said to be so.
const CHECK: Duration = Duration::from_secs(25);
/// Questions under way at once.
const AT_ONCE: usize = 8;

/// A key that is not destroyed, and its wraps.
#[derive(Debug, Clone, Copy)]
pub struct Wrapped<'a> {
    /// Its id.
    pub id: &'a KeyId,
    /// Its state; the ledger key has none.
    pub state: Option<VersionState>,
    /// Ascending by root id.
    pub wraps: &'a [WrappedKey],
}

/// Every key that lies in the ledger: the ledger key, then the versions that are not destroyed.
pub fn wrapped(state: &State) -> impl Iterator<Item = Wrapped<'_>> {
    let ledger = &state.cluster.ledger_key;
    let ledger = Wrapped { id: &ledger.id, state: None, wraps: &ledger.wraps };
    let versions = state.versions.iter().filter(|row| row.state != VersionState::Destroyed);
    let versions =
        versions.map(|row| Wrapped { id: &row.id, state: Some(row.state), wraps: &row.wraps });
    [ledger].into_iter().chain(versions)
}

impl Wrapped<'_> {
    /// Whether `root` wraps it.
    #[must_use]
    pub fn is_under(&self, root: RootId) -> bool {
        self.wraps.iter().any(|wrap| wrap.root() == root)
    }

    fn owned(&self) -> Key {
        Key { id: self.id.clone(), wraps: self.wraps.to_vec() }
    }
}

/// A key to work on while nothing else is held.
#[derive(Debug, Clone)]
pub(super) struct Key {
    id: KeyId,
    wraps: Vec<WrappedKey>,
}

impl Key {
    /// All of them.
    pub(super) fn all(state: &State) -> Vec<Self> {
        wrapped(state).map(|key| key.owned()).collect()
    }

    fn under(&self, root: RootId) -> Option<&WrappedKey> {
        self.wraps.iter().find(|wrap| wrap.root() == root)
    }

    /// By any of `roots` but `not`: none that hangs holds it up.
    async fn open(
        &self,
        roots: &Roots,
        not: Option<RootId>,
    ) -> Result<(KeyMaterial, RootId), UnwrapError> {
        let context = Context { purpose: Purpose::Key, key_id: &self.id };
        let wraps: Vec<_> =
            self.wraps.iter().filter(|wrap| Some(wrap.root()) != not).cloned().collect();
        let (key, wrap) = roots.unwrap(&wraps, context).await?;
        Ok((key, wrap.root()))
    }

    /// The wraps that it lacks, of every root that is open; and what went wrong.
    async fn make_lacking(self, roots: Roots) -> (KeyId, Vec<WrappedKey>, Vec<String>) {
        let (mut made, mut failed) = (Vec::new(), Vec::new());
        let lacks = |root| self.under(root).is_none();
        if roots.iter().any(|root| lacks(root.id())) {
            let context = Context { purpose: Purpose::Key, key_id: &self.id };
            match self.open(&roots, None).await {
                Err(why) => failed.push(why.to_string()),
                Ok((key, _)) => {
                    for wrap in roots.wrap_under(lacks, &key, context).await {
                        match wrap {
                            Ok(wrap) => made.push(wrap),
                            Err(why) => failed.push(why.to_string()),
                        }
                    }
                }
            }
        }
        (self.id, made, failed)
    }

    async fn try_open(self, roots: Roots) -> Result<(), (KeyId, UnwrapError)> {
        match self.open(&roots, None).await {
            Ok(_) => Ok(()),
            Err(error) => Err((self.id, error)),
        }
    }

    async fn open_without(self, root: RootId, roots: Roots) -> Option<(KeyId, RootId)> {
        let (_, by) = self.open(&roots, Some(root)).await.ok()?;
        Some((self.id, by))
    }
}

/// What one root did with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The key.
    pub key: KeyId,
    /// The root.
    pub root: RootId,
    /// Opened, or why not.
    pub outcome: Result<(), String>,
    /// How long it took.
    pub took: Duration,
}

/// Has every root that is open unwrap every key that names it. Takes no longer than [`CHECK`].
pub(super) async fn check(state: &State, roots: &Roots) -> Vec<Tried> {
    let ends = Instant::now() + CHECK;
    let mut asked = Vec::new();
    for key in wrapped(state) {
        for wrap in key.wraps {
            let root = roots.iter().find(|root| root.id() == wrap.root());
            asked.extend(
                root.map(|root| try_one(Arc::clone(root), key.id.clone(), wrap.clone(), ends)),
            );
        }
    }
    stream::iter(asked).buffered(AT_ONCE).collect().await
}

async fn try_one(root: Arc<dyn RootKey>, key: KeyId, wrap: WrappedKey, ends: Instant) -> Tried {
    let begun = Instant::now();
    let outcome = if begun >= ends {
        Err(format!("was not asked: the others took {} seconds", CHECK.as_secs()))
    } else {
        ask(&*root, &wrap, &key).await.map(drop)
    };
    Tried { key, root: root.id(), outcome, took: begun.elapsed() }
}

/// For each of `keys` the wraps that it lacks, and what went wrong with which.
pub(super) async fn make_lacking(
    keys: &[Key],
    roots: &Roots,
) -> (BTreeMap<KeyId, Vec<WrappedKey>>, Vec<(KeyId, String)>) {
    let work: Vec<_> = keys.iter().map(|key| key.clone().make_lacking(roots.clone())).collect();
    let done: Vec<_> = stream::iter(work).buffered(AT_ONCE).collect().await;
    let (mut made, mut failed) = (BTreeMap::new(), Vec::new());
    for (id, wraps, whys) in done {
        failed.extend(whys.into_iter().map(|why| (id.clone(), why)));
        if !wraps.is_empty() {
            made.insert(id, wraps);
        }
    }
    (made, failed)
}

/// Which of the keys under `root` another root that is open opens, and which.
pub(super) async fn opened_without(
    root: RootId,
    state: &State,
    roots: &Roots,
) -> BTreeMap<KeyId, RootId> {
    let keys = wrapped(state).filter(|key| key.is_under(root));
    let work: Vec<_> = keys.map(|key| key.owned().open_without(root, roots.clone())).collect();
    let opened: Vec<_> = stream::iter(work).buffered(AT_ONCE).collect().await;
    opened.into_iter().flatten().collect()
}

/// Whether the roots open every key of `state` that is to be opened. What is under all roots that it was under in `served` opens
/// as it did; the others are tried: that a wrap names a root says nothing of what that root answers here.
pub(super) async fn open_all(
    state: &State,
    served: Option<&Bundle>,
    roots: &Roots,
) -> Result<(), ControlError> {
    let mut known: BTreeMap<&KeyId, &[WrappedKey]> = BTreeMap::new();
    if let Some(served) = served {
        let opened = served.versions().iter().filter(|version| version.state.opens());
        known.extend(opened.map(|version| (&version.id, version.wraps.as_slice())));
        known.insert(&served.ledger().id, &served.ledger().wraps);
    }
    let to_open = wrapped(state).filter(|key| key.state.is_none_or(VersionState::opens));
    let to_try = to_open.filter(|key| {
        let known = known.get(key.id);
        known.is_none_or(|known| !known.iter().all(|wrap| key.wraps.contains(wrap)))
    });
    let tries: Vec<_> = to_try.map(|key| key.owned().try_open(roots.clone())).collect();
    let tried = stream::iter(tries).buffer_unordered(AT_ONCE).try_collect::<()>().await;
    tried.map_err(|(key, source)| ControlError::Closed {
        generation: state.head.generation,
        key,
        source,
    })
}

async fn ask(root: &dyn RootKey, wrap: &WrappedKey, id: &KeyId) -> Result<KeyMaterial, String> {
    let context = Context { purpose: Purpose::Key, key_id: id };
    let key = timeout(PATIENCE, root.unwrap(wrap, context))
        .await
        .map_err(|_| slow(root))?
        .map_err(|error| error.to_string())?;
    match KeyId::derive(id.ring().clone(), id.version(), &key) {
        Ok(opened) if opened == *id => Ok(key),
        _ => Err(format!("root key {} opened it to another key than {id}", root.id())),
    }
}

fn slow(root: &dyn RootKey) -> String {
    format!("root key {} did not answer within {} seconds", root.id(), PATIENCE.as_secs())
}
