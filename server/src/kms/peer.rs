use std::{
    io,
    os::unix::net::UnixListener as StdListener,
    task::{Context, Poll},
};

use http::Extensions;
use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream, unix::UCred};
use tracing::warn;

use crate::{config::Kms, listen::Door};

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

/// The socket of kube-apiserver. Whoever is admitted may do everything, so that a call need not know who it is.
pub(super) struct KmsDoor {
    listener: UnixListener,
    allowed: Allowed,
}

impl KmsDoor {
    pub(super) fn new(listener: StdListener, allowed: Allowed) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener: UnixListener::from_std(listener)?, allowed })
    }
}

impl Door for KmsDoor {
    type Raw = UnixStream;
    type Stream = UnixStream;
    type Who = ();
    /// kube-apiserver keeps one connection; this many leave room for whatever leaks them.
    const MAX_CONNECTIONS: usize = 768;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        self.listener.poll_accept(cx).map_ok(|(stream, _)| stream)
    }

    fn admits(&self, raw: &UnixStream) -> bool {
        match raw.peer_cred() {
            Ok(peer) if self.allowed.admits(peer) => true,
            Ok(peer) => {
                warn!(
                    uid = peer.uid(),
                    gid = peer.gid(),
                    pid = peer.pid(),
                    "peer refused: neither its uid is in kms.allow_uids nor its gid in kms.allow_gids"
                );
                false
            }
            Err(error) => {
                warn!(%error, "peer refused: the kernel does not say who it is");
                false
            }
        }
    }

    fn greet(
        &self,
        raw: UnixStream,
    ) -> impl Future<Output = Option<(UnixStream, ())>> + Send + 'static {
        std::future::ready(Some((raw, ())))
    }

    fn introduce((): &(), _: &mut Extensions) {}
}
