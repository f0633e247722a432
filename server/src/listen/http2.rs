//! HTTP/2 connections, straight on hyper: a call costs no more than it must.
//!
//! tonic's own server puts eight layers and a task of its own around each call; none of ours needs them. Here a connection takes
//! all calls that have arrived, runs each where it stands, and then writes their answers together. Only a call that has to wait
//! gets a task.

use std::{
    convert::Infallible,
    future::poll_fn,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_util::StreamExt;
use http::{Request, Response};
use hyper::{body::Incoming, rt::Executor, server::conn::http2::Builder, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;
use tracing::debug;

use super::{Boundary, Door, Method, Peers};

/// What is longer is answered by HTTP/2 itself, without a gRPC code; [`Boundary`] refuses far shorter ones.
const MAX_HEADERS: u32 = 80 << 10;
/// How long a ping may stay unanswered.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// HTTP/2 rapid reset (CVE-2023-44487): more resets than this waiting close the connection.
const MAX_PENDING_RESETS: usize = 64;

/// What one connection may have under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Most streams at once.
    pub(crate) streams: u32,
    /// Bytes that nobody has read yet, of one stream.
    pub(crate) stream_window: u32,
    /// Bytes that nobody has read yet, of all streams.
    pub(crate) connection_window: u32,
}

/// Serves `service` to `peers` until `stop`, then finishes the calls that are under way.
pub(crate) async fn serve<D, S, M>(
    peers: Peers<D>,
    limits: Limits,
    service: Boundary<S, M>,
    stop: CancellationToken,
) where
    D: Door,
    M: Method,
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + Unpin + 'static,
{
    let connections = GracefulShutdown::new();
    let mut peers = pin!(peers.take_until(stop.cancelled_owned()));
    while let Some(peer) = peers.next().await {
        let (service, who) = (service.clone(), peer.who());
        let service = service_fn(move |mut request: Request<Incoming>| {
            D::introduce(&who, request.extensions_mut());
            service.call(request)
        });
        let accepted = Accepted::default();
        let connection = Builder::new(accepted.clone())
            .timer(TokioTimer::new())
            .auto_date_header(false)
            .max_concurrent_streams(limits.streams)
            .initial_stream_window_size(limits.stream_window)
            .initial_connection_window_size(limits.connection_window)
            .max_header_list_size(MAX_HEADERS)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .keep_alive_interval(D::PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .serve_connection(TokioIo::new(peer), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = run(connection, accepted).await {
                debug!(%error, "a connection ended");
            }
        });
    }
    connections.shutdown().await;
}

/// Drives `connection`: it takes what has arrived, that runs, and the next round writes what was answered.
async fn run<C: Future>(connection: C, accepted: Accepted) -> C::Output {
    let mut connection = pin!(connection);
    let taken = Taken(accepted);
    poll_fn(|cx| {
        loop {
            match connection.as_mut().poll(cx) {
                Poll::Pending if taken.0.run() => {}
                polled => return polled,
            }
        }
    })
    .await
}

type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The calls that a connection has taken and not run yet.
#[derive(Clone, Default)]
struct Accepted(Arc<Mutex<Vec<Call>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Accepted {
    fn execute(&self, call: F) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(call));
    }
}

/// What a connection took and did not run goes with it. A call holds the list that it stands in, and would keep its place among
/// those under way for ever.
struct Taken(Accepted);

impl Drop for Taken {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

impl Accepted {
    fn take(&self) -> Vec<Call> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs all of them as far as they go at once; whether there were any.
    fn run(&self) -> bool {
        let calls = self.take();
        let some = !calls.is_empty();
        for mut call in calls {
            // Nobody need be woken: what waits is polled again, by its own task.
            let mut nobody = Context::from_waker(Waker::noop());
            // A call that panics ends, as it would in a task; the connection of kube-apiserver goes on.
            let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut nobody)));
            if matches!(polled, Ok(Poll::Pending)) {
                tokio::spawn(call);
            }
        }
        some
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, io};

    use tokio::{
        io::{AsyncRead, AsyncWrite, ReadBuf},
        sync::oneshot,
        time::timeout,
    };

    use super::*;

    #[tokio::test]
    async fn call_that_panics_stops_no_other_and_one_that_waits_goes_on() {
        let accepted = Accepted::default();
        let (ready, waited) = oneshot::channel::<()>();
        let (at_once, first) = oneshot::channel();
        let (later, second) = oneshot::channel();
        accepted.execute(async { panic!("a call went wrong") });
        accepted.execute(async { at_once.send("at once").unwrap() });
        accepted.execute(async {
            waited.await.unwrap();
            later.send("later").unwrap();
        });
        assert!(accepted.run());
        assert!(!accepted.run(), "each is run once");
        ready.send(()).unwrap();
        assert_eq!((first.await, second.await), (Ok("at once"), Ok("later")));
    }

    /// Frames by hand.
    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let len = (payload.len() as u32).to_be_bytes();
        [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    const BEGUN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    /// POST http / of authority a.
    const POST: &[u8] = b"\x83\x86\x84\x41\x01a";

    /// Reads what is scripted; an empty piece is a read that has to wait, the end is the end of the connection.
    struct Scripted(VecDeque<Vec<u8>>);

    impl AsyncRead for Scripted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            match self.0.pop_front() {
                Some(piece) if piece.is_empty() => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(mut piece) => {
                    let later = piece.split_off(piece.len().min(buf.remaining()));
                    buf.put_slice(&piece);
                    if !later.is_empty() {
                        self.0.push_front(later);
                    }
                }
                None => {}
            }
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Scripted {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// How many calls there still are after the connection is over.
    async fn calls_left(pieces: &[&[u8]]) -> usize {
        let alive = Arc::new(());
        let call = Arc::clone(&alive);
        let service = service_fn(move |_: Request<Incoming>| {
            let guard = Arc::clone(&call);
            async move {
                drop(guard);
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }
        });
        let accepted = Accepted::default();
        let io = Scripted(pieces.iter().map(|piece| piece.to_vec()).collect());
        let connection = Builder::new(accepted.clone()).serve_connection(TokioIo::new(io), service);
        let ended = run(connection, accepted);
        // Whether it ended well does not matter here.
        let _ = timeout(Duration::from_secs(5), ended).await.unwrap();
        // What tokio has as a task is run or dropped by now.
        tokio::task::yield_now().await;
        Arc::strong_count(&alive) - 1
    }

    #[tokio::test]
    async fn call_that_was_taken_is_let_go_when_its_connection_ends_in_the_same_moment() {
        let call = frame(1, 5, 1, POST);
        assert_eq!(calls_left(&[BEGUN, &call, &[], &[]]).await, 0, "run, then the end");
        assert_eq!(calls_left(&[BEGUN, &call, &[]]).await, 0, "the end before it is run");
    }

    #[tokio::test]
    async fn call_is_let_go_when_a_connect_with_a_body_behind_it_ends_the_connection() {
        let call = frame(1, 5, 1, POST);
        let connect = frame(1, 4, 3, b"\x42\x07CONNECT\x41\x01a\x5c\x011");
        let all = [BEGUN, &call, &connect].concat();
        assert_eq!(calls_left(&[&all, &[], &[], &[], &[]]).await, 0);
    }
}
