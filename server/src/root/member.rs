use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use envelope::{Context, Fingerprint, KeyMaterial, RootId, WrappedKey};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use tokio::sync::Notify;

use super::{Checked, RootError, RootErrorKind, RootKey, circuit::Circuit};

/// One root behind its circuit. Whoever asks what is being asked already gets the same answer.
#[derive(Debug)]
pub(super) struct Member {
    root: Arc<dyn RootKey>,
    circuit: Arc<Circuit>,
    under_way: Mutex<HashMap<Question, WeakShared<Call>>>,
    checked: Mutex<Checked>,
}

/// The place and the blob.
type Question = (Vec<u8>, Vec<u8>);
type Call = BoxFuture<'static, Result<Arc<KeyMaterial>, RootError>>;

impl Member {
    pub(super) fn new(root: Arc<dyn RootKey>, name: String, opened: Arc<Notify>) -> Self {
        let circuit = Arc::new(Circuit::new(name, opened));
        Self { root, circuit, under_way: Mutex::default(), checked: Mutex::default() }
    }

    pub(super) fn root(&self) -> &Arc<dyn RootKey> {
        &self.root
    }

    pub(super) fn id(&self) -> RootId {
        self.root.id()
    }

    /// A wrap that it opened again: one that does not open would be found when no other root is left.
    pub(super) async fn wrap(
        &self,
        key: &KeyMaterial,
        context: Context<'_>,
    ) -> Result<WrappedKey, RootError> {
        let wrapped = self.circuit.ask(self.root.wrap(key, context)).await?;
        if wrapped.root() != self.id() {
            let message = "it made a wrap that names another root key".into();
            return Err(self.circuit.error(RootErrorKind::Corrupt, message));
        }
        self.unwrap(&wrapped, context).await?;
        Ok(wrapped)
    }

    pub(super) async fn unwrap(
        &self,
        wrapped: &WrappedKey,
        context: Context<'_>,
    ) -> Result<KeyMaterial, RootError> {
        let key = self.call(wrapped, context).await?;
        // Each caller owns, and wipes, a copy of its own.
        KeyMaterial::try_build(|bytes| {
            bytes.copy_from_slice(key.expose_secret());
            Ok(())
        })
    }

    pub(super) async fn material(
        &self,
        wrapped: &WrappedKey,
        context: Context<'_>,
    ) -> Result<Option<String>, RootError> {
        self.circuit.ask(self.root.material(wrapped, context)).await
    }

    /// The call that is under way for this question, or a new one. It ends when the last who waits for it goes.
    fn call(&self, wrapped: &WrappedKey, context: Context<'_>) -> Shared<Call> {
        let question = (context.encode(), wrapped.blob().to_vec());
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, call| call.upgrade().is_some());
        if let Some(call) = under_way.get(&question).and_then(WeakShared::upgrade) {
            return call;
        }
        let (root, circuit) = (Arc::clone(&self.root), Arc::clone(&self.circuit));
        let (wrapped, purpose, key_id) = (wrapped.clone(), context.purpose, context.key_id.clone());
        let call = async move {
            let context = Context { purpose, key_id: &key_id };
            let key = circuit.ask(root.unwrap(&wrapped, context)).await?;
            // Another root may have the right one: this one, or what stands before it, does not.
            if Fingerprint::derive(&key) != key_id.fingerprint() {
                return Err(circuit.error(
                    RootErrorKind::Corrupt,
                    format!("it answered with another key for {key_id}: suspect whatever stands between it and this daemon"),
                ));
            }
            Ok(Arc::new(key))
        };
        let call = call.boxed().shared();
        under_way.extend(call.downgrade().map(|call| (question, call)));
        call
    }

    pub(super) fn probed(&self, outcome: &Result<Checked, RootError>, took: Duration) {
        let failed: Option<RootErrorKind> = outcome.as_ref().err().map(|error| error.kind);
        self.circuit.probed(failed, took);
        if let Ok(checked) = outcome {
            *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = checked.clone();
        }
    }

    pub(super) fn checked(&self) -> Checked {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn hangs(&self) -> bool {
        self.circuit.is_open()
    }
}
