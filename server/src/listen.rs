//! What every gRPC service of the daemon stands on: a socket that is ours, peers that introduce themselves, and the edge where
//! calls are bounded and counted.
//!
//! Invariant: whoever has said nothing yet costs no more than a file descriptor, for ten seconds.

mod boundary;
mod http2;
mod peer;
mod socket;

pub use self::{
    boundary::Calls,
    socket::{BindError, Place, Socket},
};
pub(crate) use self::{
    boundary::{Boundary, Method},
    http2::{Limits, serve},
    peer::{Door, Peers},
};
