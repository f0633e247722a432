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
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{UnixListener, UnixStream, unix::UCred},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
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
/// A peer that connects has this long to say that it speaks HTTP/2.
const PREFACE_DEADLINE: Duration = Duration::from_secs(10);
const PREFACE_LEN: usize = 24;
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
        let uids = config.allow_uids.clone().unwrap_or_else(|| {
            if gids.is_empty() { vec![0, geteuid().as_raw()] } else { Vec::new() }
        });
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
            pause: None,
            metrics,
        })
    }

    fn admit(&self, stream: UnixStream) -> Option<Peer> {
        let refused = match stream.peer_cred() {
            Ok(peer) if self.allowed.admits(peer) => {
                match Arc::clone(&self.places).try_acquire_owned() {
                    Ok(place) => return Some(Peer::new(stream, place)),
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
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.listener.poll_accept(cx)) {
                Ok((stream, _)) => {
                    if let Some(peer) = self.admit(stream) {
                        return Poll::Ready(Some(Ok(peer)));
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

/// An admitted connection. It holds its place until it is closed, and is closed unless it says in time that it speaks HTTP/2.
pub(super) struct Peer {
    stream: UnixStream,
    _place: OwnedSemaphorePermit,
    preface: Option<Preface>,
}

struct Preface {
    missing: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Peer {
    fn new(stream: UnixStream, place: OwnedSemaphorePermit) -> Self {
        let deadline = Box::pin(sleep(PREFACE_DEADLINE));
        Self { stream, _place: place, preface: Some(Preface { missing: PREFACE_LEN, deadline }) }
    }
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(preface) = &mut self.preface {
            preface.missing = preface.missing.saturating_sub(buf.filled().len() - before);
            if preface.missing == 0 {
                self.preface = None;
            } else if read.is_pending() {
                ready!(preface.deadline.as_mut().poll(cx));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
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
