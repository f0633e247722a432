use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use tokio::time::timeout;

/// The outcome of `work`, or nothing where it takes longer than `limit`. What is there at once needs no clock.
pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    match poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
        Poll::Ready(done) => Some(done),
        Poll::Pending => timeout(limit, work).await.ok(),
    }
}
