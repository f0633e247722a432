//! Waiting for a condition. The only place of the tests that lets time pass.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// What a look at a condition found.
pub enum Look<T> {
    /// It holds; here is what it yields.
    Done(T),
    /// It does not hold yet; this is what was seen instead.
    NotYet(String),
}

/// Looks again and again until the condition holds, and fails with what was seen last when `limit` is over.
///
/// An error from `look` ends the wait at once: it means that the condition can no longer come true.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<Look<T>>,
) -> Result<T> {
    const PAUSE: Duration = Duration::from_millis(20);
    let start = Instant::now();
    loop {
        let seen = match look().await? {
            Look::Done(value) => return Ok(value),
            Look::NotYet(seen) => seen,
        };
        if start.elapsed() > limit {
            bail!("{what}: not within {} s; last seen: {seen}", limit.as_secs());
        }
        tokio::time::sleep(PAUSE).await;
    }
}
