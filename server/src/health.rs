//! What is wrong right now, for `/readyz` and Status.
//!
//! Invariant: trouble with a root or a bundle file makes the daemon degraded, never unhealthy: as long as the keys in memory
//! open what they made, Status stays `ok`, because kube-apiserver would otherwise take itself out of service for nothing.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// The state of every part that can be in trouble.
#[derive(Debug, Default)]
pub struct Health {
    troubles: Mutex<BTreeMap<String, String>>,
    keys_failed: AtomicBool,
}

impl Health {
    /// Notes how `part` is: well, or in trouble for a reason that says what to do.
    pub fn set(&self, part: &str, state: Result<(), String>) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        match state {
            Ok(()) => troubles.remove(part),
            Err(reason) => troubles.insert(part.into(), reason),
        };
    }

    /// Notes whether the keys in memory open what they made.
    pub fn set_keys(&self, ok: bool) {
        self.keys_failed.store(!ok, Ordering::Relaxed);
    }

    /// What Status says: exactly `ok`, or why not.
    #[must_use]
    pub fn healthz(&self) -> &'static str {
        if self.keys_failed.load(Ordering::Relaxed) {
            "the key in memory does not open what it made: suspect this machine's memory, restart strongroomd"
        } else {
            "ok"
        }
    }

    /// Every trouble, as `part: reason`.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.iter().map(|(part, reason)| format!("{part}: {reason}")).collect()
    }
}
