//! The admin API over gRPC: on a unix socket, where a peer is the user that the kernel names, and over TCP only with mutual
//! TLS, where it is whom its certificate names.
//!
//! Invariants:
//! - One gate decides, before anything is looked up. Who does not pass is logged, counted and recorded in the audit chain.
//! - Nothing that is said here can carry key material in the clear: an export has keys as the roots wrapped them.
//! - What a peer sends is never answered with INTERNAL or UNKNOWN: the code says who must act.

mod answer;
mod certificate;
mod door;
mod gate;
mod refuse;
mod service;
mod stream;

use std::{io, sync::Arc, time::Duration};

use proto::admin::admin_server::AdminServer;
use tokio::net::UnixListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::Code;

pub use self::{
    door::{Doors, OpenError},
    gate::{Action, Allowed, Denied, Gate, Granted},
};
use crate::{
    listen::{self, Boundary, Calls, Door, Limits, Method, Peers},
    metrics::Metrics,
};

/// A piece of an export has 256 KiB; everything else is far smaller.
const MAX_REQUEST: usize = 320 << 10;
/// A page of 1,000 audit records, or a ring of 4,096 versions.
const MAX_RESPONSE: usize = 16 << 20;
/// A person has a call or two under way, a dashboard a few.
const MAX_STREAMS: u32 = 32;
/// A stream can hold two pieces of an export, a connection four that nobody has begun to read.
const STREAM_WINDOW: u32 = 640 << 10;
const CONNECTION_WINDOW: u32 = 1280 << 10;

/// Serves the API behind `gate` at `doors` until `stop`, then finishes the calls that are under way.
///
/// # Errors
/// [`ServeError`]; refused peers and broken connections are none.
pub async fn serve(
    doors: Doors,
    gate: Gate,
    calls: Calls,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let (gate, tasks) = (Arc::new(gate), TaskTracker::new());
    let desk = service::Desk::new(Arc::clone(&gate), tasks.clone(), stop.clone());
    let service = AdminServer::new(desk)
        .max_decoding_message_size(MAX_REQUEST)
        .max_encoding_message_size(MAX_RESPONSE);
    let boundary = Boundary::new(service, calls, Arc::clone(&metrics));

    let Doors { socket, tcp } = doors;
    // Held until nothing is served any more.
    let (listener, _socket_file) = socket.map(|socket| socket.into_parts()).unzip();
    let socket = match listener {
        Some(listener) => {
            listener.set_nonblocking(true)?;
            Some(door::SocketDoor(UnixListener::from_std(listener)?))
        }
        None => None,
    };
    tokio::join!(
        at(socket, boundary.clone(), Arc::clone(&metrics), stop.clone()),
        at(tcp, boundary, metrics, stop),
    );
    tasks.close();
    tasks.wait().await;
    gate.recorded().await;
    Ok(())
}

type Service = Boundary<AdminServer<service::Desk>, Called>;

async fn at<D: Door>(
    door: Option<D>,
    service: Service,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let Some(door) = door else { return };
    let limits = Limits {
        streams: MAX_STREAMS,
        stream_window: STREAM_WINDOW,
        connection_window: CONNECTION_WINDOW,
    };
    listen::serve(Peers::new(door, metrics), limits, service, stop).await;
}

/// A method as it is bounded and counted; any other path is `None`.
#[derive(Debug, Clone, Copy)]
struct Called(Option<Action>);

impl Method for Called {
    /// A call that has begun may hold a message of full size, so this bounds memory to 20 MiB.
    const MAX_CALLS: usize = 64;

    fn of_path(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or_default();
        Self(Action::ALL.iter().copied().find(|action| action.as_str() == name))
    }

    /// The ledger answers in milliseconds, or is away. An import waits for its peer, and is as long as its export.
    fn deadline(self) -> Duration {
        match self.0 {
            Some(Action::ImportLedger) => Duration::from_secs(900),
            _ => Duration::from_secs(30),
        }
    }

    fn count(self, metrics: &Metrics, code: Code, _: Duration) {
        metrics.api_call(self.0.map_or("Other", Action::as_str), code);
    }
}

/// The runtime did not take a socket.
#[derive(Debug, thiserror::Error)]
#[error("the admin API cannot be served: {0}")]
pub struct ServeError(#[from] io::Error);
