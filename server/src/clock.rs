//! Wall-clock time, as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time. The system's, or a test's.
pub trait Clock: Send + Sync {
    /// Seconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> u64;
}

/// The system's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
        let now = SystemTime::now();
        now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }
}
