//! One daemon without a cluster: its socket, its bundle, its bounds, its memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod aws;
mod bounds;
mod bundle;
mod holder;
mod hostile;
mod ledger;
mod memory;
mod raw;
mod roots;
mod socket;
mod steps;
