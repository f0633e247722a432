use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tracing::{info, warn};

use super::{RootError, RootErrorKind, patience::within};

/// Longest that a caller waits for one call of a root.
const DEADLINE: Duration = Duration::from_secs(4);
/// A call that had no answer for this long, and was given up, has met a root that hangs.
pub(super) const HANGS: Duration = Duration::from_secs(2);

/// Where no probe said anything for this long, one caller may try.
const ALONE: Duration = Duration::from_secs(30);

/// Whether it is worth asking a root.
///
/// One that refuses costs its callers nothing, and is asked each time. One that hangs would cost each of them its whole
/// deadline: after the first it is not asked any more, until a background probe has an answer from it.
#[derive(Debug)]
pub(super) struct Circuit {
    name: String,
    open: Mutex<Option<Instant>>,
    /// Rung when it opens.
    opened: Arc<Notify>,
}

impl Circuit {
    pub(super) fn new(name: String, opened: Arc<Notify>) -> Self {
        Self { name, open: Mutex::default(), opened }
    }

    /// The outcome of `call`, where the root is worth asking.
    pub(super) async fn ask<T>(
        &self,
        call: impl Future<Output = Result<T, RootError>>,
    ) -> Result<T, RootError> {
        self.pass()?;
        let mut watch = Watch { circuit: self, began: Instant::now(), answered: false };
        let outcome = within(DEADLINE, call).await.unwrap_or_else(|| {
            let message = format!("no answer within {} seconds", DEADLINE.as_secs());
            Err(self.unavailable(message))
        });
        watch.answered =
            !matches!(&outcome, Err(error) if error.kind == RootErrorKind::Unavailable);
        if watch.answered {
            self.close();
        }
        outcome
    }

    /// Whether a caller may ask now.
    fn pass(&self) -> Result<(), RootError> {
        let mut state = self.state();
        let Some(since) = *state else { return Ok(()) };
        if since.elapsed() >= ALONE {
            *state = Some(Instant::now());
            return Ok(());
        }
        drop(state);
        Err(self.unavailable(format!(
            "it did not answer {} s ago and is left alone until a probe, every few seconds, has an answer",
            since.elapsed().as_secs()
        )))
    }

    /// A probe came to an end, or was given up, after `took`.
    pub(super) fn probed(&self, failed: Option<RootErrorKind>, took: Duration) {
        if failed == Some(RootErrorKind::Unavailable) && took >= HANGS {
            self.open();
        } else {
            self.close();
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state().is_some()
    }

    fn close(&self) {
        if self.state().take().is_some() {
            info!(root = self.name, "a root key answers again");
        }
    }

    fn open(&self) {
        let mut state = self.state();
        if state.is_none() {
            warn!(
                root = self.name,
                "a root key hangs; it is left alone until a probe has an answer"
            );
            self.opened.notify_one();
        }
        *state = Some(Instant::now());
    }

    fn unavailable(&self, message: String) -> RootError {
        self.error(RootErrorKind::Unavailable, message)
    }

    pub(super) fn error(&self, kind: RootErrorKind, message: String) -> RootError {
        RootError { name: self.name.clone(), kind, message }
    }

    fn state(&self) -> MutexGuard<'_, Option<Instant>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sees also a call that its caller gave up: that one waited too.
struct Watch<'a> {
    circuit: &'a Circuit,
    began: Instant,
    answered: bool,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if !self.answered && self.began.elapsed() >= HANGS {
            self.circuit.open();
        }
    }
}
