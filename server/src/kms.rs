//! KMS v2 over a unix socket: translates between gRPC and the keyring, and bounds what a peer can do. Decides nothing.

mod peer;
mod plugin;

use std::{io, sync::Arc, time::Duration};

use proto::kms::key_management_service_server::KeyManagementServiceServer;
use tokio_util::sync::CancellationToken;
use tonic::Code;

pub use self::{peer::Allowed, plugin::Plugin};
pub use crate::listen::{BindError, Calls, Socket};
use crate::{
    config,
    listen::{self, Boundary, Limits, Peers, Place},
    metrics::{Method, Metrics},
};

/// Annotations may have 32 KiB, key id and ciphertext 1 KiB each (KMS-V2, "Protocol"); the rest is for field tags and uid.
const MAX_REQUEST: usize = 40 << 10;
const MAX_RESPONSE: usize = 40 << 10;
/// kube-apiserver has a few calls under way at once; 256 is what it may burst to at a cold start.
const MAX_STREAMS: u32 = 256;
/// A stream can hold one request of full size, a connection four that nobody has begun to read.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;

/// Serves `plugin` on `socket` until `stop`, then finishes the calls that are under way.
///
/// # Errors
/// [`ServeError`]; refused peers and broken connections are none.
pub async fn serve(
    socket: Socket,
    allowed: Allowed,
    plugin: Plugin,
    calls: Calls,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let (listener, _socket_file) = socket.into_parts();
    let door = peer::KmsDoor::new(listener, allowed)?;
    let peers = Peers::new(door, Arc::clone(&metrics));
    let service = KeyManagementServiceServer::new(plugin)
        .max_decoding_message_size(MAX_REQUEST)
        .max_encoding_message_size(MAX_RESPONSE);
    let limits = Limits {
        streams: MAX_STREAMS,
        stream_window: STREAM_WINDOW,
        connection_window: CONNECTION_WINDOW,
    };
    listen::serve(peers, limits, Boundary::<_, Method>::new(service, calls, metrics), stop).await;
    Ok(())
}

impl<'a> From<&'a config::Kms> for Place<'a> {
    fn from(config: &'a config::Kms) -> Self {
        let config::Kms { socket, owner, group, .. } = config;
        Self { path: socket, owner: *owner, group: *group, setting: "kms.socket" }
    }
}

impl listen::Method for Method {
    /// A call that has begun may hold a message of full size, so this bounds memory to 15 MiB.
    const MAX_CALLS: usize = 384;

    fn of_path(path: &str) -> Self {
        Self::of_path(path)
    }

    /// kube-apiserver gives up after 3 seconds.
    fn deadline(self) -> Duration {
        Duration::from_secs(3)
    }

    fn count(self, metrics: &Metrics, code: Code, took: Duration) {
        metrics.call(self, code, took);
    }
}

/// The runtime did not take the socket.
#[derive(Debug, thiserror::Error)]
#[error("the socket cannot be served: {0}")]
pub struct ServeError(#[from] io::Error);
