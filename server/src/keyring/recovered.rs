use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use envelope::{Bundle, Context, KeyId, Purpose, RootId, VersionKey, WrappedKey};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tracing::{info, warn};

use super::RING;
use crate::root::{RootErrorKind, Roots, UnwrapError};

/// How long one question may take: kube-apiserver gives up after 3 seconds.
const DEADLINE: Duration = Duration::from_millis(2500);
/// How many times roots are asked in [`WINDOW`].
const MOST_IN_WINDOW: u32 = 32;
const WINDOW: Duration = Duration::from_secs(10);
/// How long it is remembered that an annotation does not open. Together with the window this bounds what is remembered.
const REMEMBER_REFUSED: Duration = Duration::from_secs(30);
/// The same where the root did not answer, which may be over soon.
const REMEMBER_AWAY: Duration = Duration::from_secs(2);

/// Versions that no bundle of this node knows, unwrapped from the annotation beside a ciphertext.
///
/// Whoever can write to etcd chooses the annotation, so a root is asked once at a time for each one and a bounded number of
/// times in all, also when whoever called has gone; what it answers counts only where its fingerprint is the one in the key
/// id. A version that was recovered is known by its id from then on.
#[derive(Debug)]
pub struct Recovered {
    roots: Roots,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    versions: HashMap<KeyId, Arc<VersionKey>>,
    questions: HashMap<(KeyId, Vec<u8>), Question>,
    window: Option<(Instant, u32)>,
}

type Outcome = Result<Arc<VersionKey>, RecoveryError>;

#[derive(Debug)]
struct Question {
    answer: watch::Receiver<Option<Outcome>>,
    forget: Instant,
}

impl Recovered {
    /// Recovers with these roots.
    #[must_use]
    pub fn new(roots: Roots) -> Self {
        Self { roots, state: Arc::default() }
    }

    /// The version that `id` names, out of `wrapped`.
    ///
    /// # Errors
    /// [`RecoveryError`].
    pub async fn version(&self, id: &KeyId, wrapped: &[u8]) -> Outcome {
        if let Some(version) = lock(&self.state).versions.get(id) {
            return Ok(Arc::clone(version));
        }
        if id.ring().as_str() != RING {
            return Err(RecoveryError::OtherRing);
        }
        let key = WrappedKey::parse(wrapped).map_err(|_| RecoveryError::Malformed)?;
        if !self.roots.iter().any(|root| root.id() == key.root()) {
            return Err(RecoveryError::OtherRoot(key.root()));
        }
        let mut answer = self.ask(id, wrapped, key)?;
        let answer = answer.wait_for(Option::is_some).await;
        // The sender is dropped without an answer only when the process ends.
        answer.ok().and_then(|answer| answer.clone()).unwrap_or(Err(RecoveryError::Unavailable))
    }

    /// The question that is under way or answered for this annotation, or a new one.
    fn ask(
        &self,
        id: &KeyId,
        wrapped: &[u8],
        key: WrappedKey,
    ) -> Result<watch::Receiver<Option<Outcome>>, RecoveryError> {
        let now = Instant::now();
        let mut state = lock(&self.state);
        state.questions.retain(|_, question| now < question.forget);
        let place = (id.clone(), wrapped.to_vec());
        if let Some(question) = state.questions.get(&place) {
            return Ok(question.answer.clone());
        }
        let (since, count) = match state.window {
            Some((since, count)) if now < since + WINDOW => (since, count),
            _ => (now, 0),
        };
        if count >= MOST_IN_WINDOW || state.versions.len() >= Bundle::MAX_VERSIONS {
            return Err(RecoveryError::TooMany);
        }
        state.window = Some((since, count + 1));
        let (answered, answer) = watch::channel(None);
        let question = Question { answer: answer.clone(), forget: now + REMEMBER_REFUSED };
        state.questions.insert(place.clone(), question);

        // On its own, so that a caller who goes away neither stops it nor makes the next one ask again.
        let (roots, state) = (self.roots.clone(), Arc::clone(&self.state));
        tokio::spawn(async move {
            let outcome = timeout(DEADLINE, unwrap(&roots, &place.0, key))
                .await
                .unwrap_or(Err(RecoveryError::Unavailable));
            lock(&state).note(place, &outcome);
            // Nobody may be waiting any more.
            let _ = answered.send(Some(outcome));
        });
        Ok(answer)
    }
}

impl State {
    fn note(&mut self, place: (KeyId, Vec<u8>), outcome: &Outcome) {
        match outcome {
            Ok(version) => {
                info!(key_id = %place.0, "a key version that no bundle has was recovered from an annotation");
                self.questions.remove(&place);
                self.versions.insert(place.0, Arc::clone(version));
            }
            Err(error) => {
                warn!(key_id = %place.0, %error, "a key version was not recovered from an annotation");
                if *error == RecoveryError::Unavailable
                    && let Some(question) = self.questions.get_mut(&place)
                {
                    question.forget = Instant::now() + REMEMBER_AWAY;
                }
            }
        }
    }
}

async fn unwrap(roots: &Roots, id: &KeyId, wrapped: WrappedKey) -> Outcome {
    let context = Context { purpose: Purpose::Key, key_id: id };
    let wraps = [wrapped];
    let (key, _) = roots.unwrap(&wraps, context).await.map_err(|error| match error {
        UnwrapError::Root(error) if error.kind == RootErrorKind::Corrupt => RecoveryError::Open,
        _ => RecoveryError::Unavailable,
    })?;
    VersionKey::new(id.clone(), &key).map(Arc::new).map_err(|_| RecoveryError::Open)
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a version was not recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// The key id is of a ring that kube-apiserver has nothing to do with.
    #[error("it belongs to another ring")]
    OtherRing,
    /// The annotation is no wrapped key.
    #[error("the annotation is not a wrapped key")]
    Malformed,
    /// The annotation names a root that is not configured.
    #[error("the annotation names root key {0}, which is not configured here")]
    OtherRoot(RootId),
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
