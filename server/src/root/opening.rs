use tokio::{
    sync::Mutex,
    task::{JoinError, JoinHandle},
    time::{Duration, timeout},
};

/// Work that may hang for good and cannot be stopped: begun once, and waited for again by whoever comes next.
#[derive(Debug)]
pub(super) struct Opening<T>(Mutex<Option<JoinHandle<T>>>);

impl<T: Send + 'static> Opening<T> {
    /// The outcome of what is under way, or else of `work`; nothing where that takes longer than `limit` from now.
    pub(super) async fn outcome(
        &self,
        limit: Duration,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<Result<T, JoinError>> {
        let mut under_way = self.0.lock().await;
        let outcome = timeout(limit, under_way.get_or_insert_with(|| tokio::spawn(work))).await;
        if outcome.is_ok() {
            *under_way = None;
        }
        outcome.ok()
    }
}

impl<T> Default for Opening<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_hangs_is_begun_once_and_its_outcome_is_not_lost() {
        let (opening, back, begun) =
            (Opening::default(), Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let open = || {
            let (back, begun) = (Arc::clone(&back), Arc::clone(&begun));
            opening.outcome(Duration::from_secs(10), async move {
                let number = begun.fetch_add(1, Ordering::SeqCst);
                back.notified().await;
                number
            })
        };
        for _ in 0..3 {
            assert!(open().await.is_none());
        }
        back.notify_one();
        assert!(matches!(open().await, Some(Ok(0))));
        back.notify_one();
        assert!(matches!(open().await, Some(Ok(1))), "what has ended is begun anew");
    }
}
