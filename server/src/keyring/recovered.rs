use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use envelope::{Context, KeyId, Purpose, VersionKey, WrappedKey};
use tokio::{sync::OnceCell, time::Instant};
use tracing::{info, warn};

use crate::root::{RootErrorKind, Roots};

/// How many versions may be held, or have failed lately, at once.
const MOST: usize = 256;
/// How long a failure is remembered before the root is asked again.
const FORGET_FAILURE: Duration = Duration::from_secs(30);
/// How many times the root is asked in [`WINDOW`].
const MOST_IN_WINDOW: u32 = 32;
const WINDOW: Duration = Duration::from_secs(10);
/// How long one question may take: kube-apiserver gives up after 3 seconds.
const DEADLINE: Duration = Duration::from_millis(2500);

/// Versions that no bundle of this node knows, unwrapped from the annotation beside a ciphertext.
///
/// Whoever can write to etcd chooses the annotation, so the root is asked at most once for each one and a bounded number of
/// times in all; what it answers counts only where its fingerprint is the one in the key id.
#[derive(Debug)]
pub struct Recovered {
    roots: Roots,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    attempts: HashMap<(KeyId, WrappedBytes), Arc<Attempt>>,
    window: Option<(Instant, u32)>,
}

type WrappedBytes = Vec<u8>;

#[derive(Debug)]
struct Attempt {
    begun: Instant,
    outcome: OnceCell<Result<Arc<VersionKey>, RecoveryError>>,
}

impl Attempt {
    fn failed_before(&self, now: Instant) -> bool {
        matches!(self.outcome.get(), Some(Err(_))) && now >= self.begun + FORGET_FAILURE
    }
}

impl Recovered {
    /// Recovers with these roots.
    #[must_use]
    pub fn new(roots: Roots) -> Self {
        Self { roots, state: Mutex::default() }
    }

    /// The version that `id` names, out of `wrapped`.
    ///
    /// # Errors
    /// [`RecoveryError`].
    pub async fn version(
        &self,
        id: &KeyId,
        wrapped: &[u8],
    ) -> Result<Arc<VersionKey>, RecoveryError> {
        let attempt = self.attempt(id, wrapped)?;
        attempt.outcome.get_or_init(|| self.unwrap(id, wrapped)).await.clone()
    }

    /// The attempt at this version and annotation: the one under way, one remembered, or a new one.
    fn attempt(&self, id: &KeyId, wrapped: &[u8]) -> Result<Arc<Attempt>, RecoveryError> {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (id.clone(), wrapped.to_vec());
        if let Some(attempt) = state.attempts.get(&place)
            && !attempt.failed_before(now)
        {
            return Ok(Arc::clone(attempt));
        }
        state.attempts.retain(|_, attempt| !attempt.failed_before(now));
        let (since, count) = match state.window {
            Some((since, count)) if now < since + WINDOW => (since, count),
            _ => (now, 0),
        };
        if count >= MOST_IN_WINDOW || state.attempts.len() >= MOST {
            return Err(RecoveryError::TooMany);
        }
        state.window = Some((since, count + 1));
        let attempt = Arc::new(Attempt { begun: now, outcome: OnceCell::new() });
        state.attempts.insert(place, Arc::clone(&attempt));
        Ok(attempt)
    }

    async fn unwrap(&self, id: &KeyId, wrapped: &[u8]) -> Result<Arc<VersionKey>, RecoveryError> {
        let outcome = tokio::time::timeout(DEADLINE, self.ask_root(id, wrapped))
            .await
            .unwrap_or(Err(RecoveryError::Unavailable));
        match &outcome {
            Ok(_) => {
                info!(key_id = %id, "a key version that no bundle has was recovered from an annotation")
            }
            Err(error) => {
                warn!(key_id = %id, %error, "a key version was not recovered from an annotation")
            }
        }
        outcome
    }

    async fn ask_root(&self, id: &KeyId, wrapped: &[u8]) -> Result<Arc<VersionKey>, RecoveryError> {
        let wrapped = [WrappedKey::parse(wrapped).map_err(|_| RecoveryError::Malformed)?];
        let (root, wrapped) = self.roots.find(&wrapped).ok_or(RecoveryError::OtherRoot)?;
        let context = Context { purpose: Purpose::Key, key_id: id };
        let key = root.unwrap(wrapped, context).await.map_err(|error| {
            warn!(%error, "the root did not open an annotation");
            match error.kind {
                RootErrorKind::Corrupt => RecoveryError::Open,
                _ => RecoveryError::Unavailable,
            }
        })?;
        VersionKey::new(id.clone(), &key).map(Arc::new).map_err(|_| RecoveryError::Open)
    }
}

/// Why a version was not recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// The annotation is no wrapped key.
    #[error("the annotation is not a wrapped key")]
    Malformed,
    /// The annotation names a root that is not configured.
    #[error("the annotation names a root key that is not configured here")]
    OtherRoot,
    /// The annotation does not open to the version that the key id names.
    #[error("the annotation does not open to this key version")]
    Open,
    /// The root did not answer.
    #[error("the root key did not answer")]
    Unavailable,
    /// Too many were asked for at once.
    #[error("too many key versions are being recovered at once: try again in a few seconds")]
    TooMany,
}
