use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Extensions;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Sleep, sleep, timeout},
};
use tokio_stream::Stream;
use tracing::{error, warn};

use crate::metrics::{Metrics, Refused};

/// What a client of HTTP/2 says first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A peer that connects has this long to say it.
const PREFACE_DEADLINE: Duration = Duration::from_secs(10);
/// Wait before the next accept when the system has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes connections and says who is at the other end.
pub(crate) trait Door: Send + Unpin + 'static {
    /// A connection as the system gives it.
    type Raw: Send + 'static;
    /// The same once the peer has introduced itself.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// Who it is, for every call of the connection.
    type Who: Clone + Send + Sync + Unpin + 'static;
    /// Most connections at once.
    const MAX_CONNECTIONS: usize;
    /// How often a silent peer is asked whether it is there; a unix socket needs no asking, the kernel says when a peer is gone.
    const PING_EVERY: Option<Duration> = None;

    /// The next connection.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Self::Raw>>;

    /// Whether the peer may come in, as far as that can be told without a word of it. Says in the log why not.
    fn admits(&self, raw: &Self::Raw) -> bool;

    /// Lets the peer introduce itself; nothing where it does not.
    fn greet(
        &self,
        raw: Self::Raw,
    ) -> impl Future<Output = Option<(Self::Stream, Self::Who)>> + Send + 'static;

    /// Puts beside a call what its service wants to know of the peer.
    fn introduce(who: &Self::Who, extensions: &mut Extensions);
}

/// The connections that are admitted, one after the other.
pub(crate) struct Peers<D: Door> {
    door: D,
    places: Arc<Semaphore>,
    /// Admitted, and without a word of HTTP/2 so far.
    silent: JoinSet<Option<Peer<D::Stream, D::Who>>>,
    pause: Option<Pin<Box<Sleep>>>,
    metrics: Arc<Metrics>,
}

impl<D: Door> Peers<D> {
    pub(crate) fn new(door: D, metrics: Arc<Metrics>) -> Self {
        Self {
            door,
            places: Arc::new(Semaphore::new(D::MAX_CONNECTIONS)),
            silent: JoinSet::new(),
            pause: None,
            metrics,
        }
    }

    fn admit(&self, raw: &D::Raw) -> Option<OwnedSemaphorePermit> {
        let refused = if !self.door.admits(raw) {
            Refused::Identity
        } else if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        } else {
            warn!(limit = D::MAX_CONNECTIONS, "connection refused: too many are open");
            Refused::Connections
        };
        self.metrics.peer_refused(refused);
        None
    }
}

impl<D: Door> Stream for Peers<D> {
    type Item = Peer<D::Stream, D::Who>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while let Poll::Ready(Some(ended)) = self.silent.poll_join_next(cx) {
            if let Ok(Some(peer)) = ended {
                return Poll::Ready(Some(peer));
            }
        }
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.door.poll_accept(cx)) {
                Ok(raw) => {
                    if let Some(place) = self.admit(&raw) {
                        let greeted = self.door.greet(raw);
                        self.silent.spawn(speaks_http2(greeted, place));
                        // Polled at once: it may have spoken already, and must be able to wake us.
                        cx.waker().wake_by_ref();
                    }
                }
                Err(error) => {
                    error!(%error, "a connection could not be accepted");
                    self.pause = Some(Box::pin(sleep(ACCEPT_PAUSE)));
                }
            }
        }
    }
}

/// An admitted connection. It holds its place until it is closed.
#[derive(Debug)]
pub(crate) struct Peer<S, W> {
    stream: S,
    who: W,
    _place: OwnedSemaphorePermit,
    /// What was read already and not handed on yet.
    begun: &'static [u8],
}

impl<S, W: Clone> Peer<S, W> {
    /// Who is at the other end.
    pub(crate) fn who(&self) -> W {
        self.who.clone()
    }
}

/// Waits until the peer has introduced itself and says that it speaks HTTP/2: one that is silent, or that says something else,
/// costs no more than its file descriptor and is given up at the deadline.
async fn speaks_http2<S: AsyncRead + Unpin, W>(
    greeted: impl Future<Output = Option<(S, W)>>,
    place: OwnedSemaphorePermit,
) -> Option<Peer<S, W>> {
    let spoken = async {
        let (mut stream, who) = greeted.await?;
        let mut said = [0; PREFACE.len()];
        stream.read_exact(&mut said).await.ok()?;
        (said == *PREFACE).then_some(Peer { stream, who, _place: place, begun: PREFACE })
    };
    timeout(PREFACE_DEADLINE, spoken).await.ok()?
}

impl<S: AsyncRead + Unpin, W: Unpin> AsyncRead for Peer<S, W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.begun.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let (now, later) = self.begun.split_at(self.begun.len().min(buf.remaining()));
        buf.put_slice(now);
        self.begun = later;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin, W: Unpin> AsyncWrite for Peer<S, W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
