use std::{
    io,
    os::unix::net::UnixListener as StdListener,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::process::geteuid;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::{UnixListener, UnixStream, unix::UCred},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Sleep, sleep, timeout},
};
use tokio_stream::Stream;
use tonic::transport::server::Connected;
use tracing::{error, warn};

use crate::{
    config::Kms,
    metrics::{Metrics, Refused},
};

/// kube-apiserver keeps one connection; this many leave room for whatever leaks them.
const MAX_CONNECTIONS: usize = 768;
/// What a client of HTTP/2 says first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A peer that connects has this long to say it.
const PREFACE_DEADLINE: Duration = Duration::from_secs(10);
/// Wait before the next accept when the system has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who may connect, by what the kernel says of the peer (`SO_PEERCRED`).
#[derive(Debug, Clone)]
pub struct Allowed {
    uids: Vec<u32>,
    gids: Vec<u32>,
}

impl Allowed {
    /// The lists of the configuration; where there are none, root and our own user.
    #[must_use]
    pub fn new(config: &Kms) -> Self {
        let gids = config.allow_gids.clone();
        let uids = match &config.allow_uids {
            Some(uids) => uids.to_vec(),
            None if gids.is_empty() => vec![0, geteuid().as_raw()],
            None => Vec::new(),
        };
        Self { uids, gids }
    }

    fn admits(&self, peer: UCred) -> bool {
        self.uids.contains(&peer.uid()) || self.gids.contains(&peer.gid())
    }
}

/// The connections that are admitted, one after the other.
pub(super) struct Peers {
    listener: UnixListener,
    allowed: Allowed,
    places: Arc<Semaphore>,
    /// Admitted, and without a word of HTTP/2 so far.
    silent: JoinSet<Option<Peer>>,
    pause: Option<Pin<Box<Sleep>>>,
    metrics: Arc<Metrics>,
}

impl Peers {
    pub(super) fn new(
        listener: StdListener,
        allowed: Allowed,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener: UnixListener::from_std(listener)?,
            allowed,
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            silent: JoinSet::new(),
            pause: None,
            metrics,
        })
    }

    fn admit(&self, stream: UnixStream) -> Option<Peer> {
        let refused = match stream.peer_cred() {
            Ok(peer) if self.allowed.admits(peer) => {
                match Arc::clone(&self.places).try_acquire_owned() {
                    Ok(place) => return Some(Peer { stream, _place: place, begun: &[] }),
                    Err(_) => {
                        warn!(limit = MAX_CONNECTIONS, "connection refused: too many are open");
                        Refused::Connections
                    }
                }
            }
            Ok(peer) => {
                warn!(
                    uid = peer.uid(),
                    gid = peer.gid(),
                    pid = peer.pid(),
                    "peer refused: neither its uid is in kms.allow_uids nor its gid in kms.allow_gids"
                );
                Refused::Identity
            }
            Err(error) => {
                warn!(%error, "peer refused: the kernel does not say who it is");
                Refused::Identity
            }
        };
        self.metrics.peer_refused(refused);
        None
    }
}

impl Stream for Peers {
    type Item = io::Result<Peer>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while let Poll::Ready(Some(ended)) = self.silent.poll_join_next(cx) {
            if let Ok(Some(peer)) = ended {
                return Poll::Ready(Some(Ok(peer)));
            }
        }
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.listener.poll_accept(cx)) {
                Ok((stream, _)) => {
                    if let Some(peer) = self.admit(stream) {
                        self.silent.spawn(peer.speaks_http2());
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
pub(super) struct Peer {
    stream: UnixStream,
    _place: OwnedSemaphorePermit,
    /// What was read already and not handed on yet.
    begun: &'static [u8],
}

impl Peer {
    /// Waits until the peer says that it speaks HTTP/2: one that is silent, or that says something else, costs no more than its
    /// file descriptor and is given up at the deadline.
    async fn speaks_http2(mut self) -> Option<Self> {
        let mut said = [0; PREFACE.len()];
        timeout(PREFACE_DEADLINE, self.stream.read_exact(&mut said)).await.ok()?.ok()?;
        (said == *PREFACE).then_some(())?;
        self.begun = PREFACE;
        Some(self)
    }
}

impl AsyncRead for Peer {
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

impl AsyncWrite for Peer {
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

impl Connected for Peer {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}
