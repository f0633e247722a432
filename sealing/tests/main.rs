//! Sealed Secrets through the edge of the crate.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what goes wrong in a test is to end it"
)]

mod base64;
mod change;
mod circle;
mod cost;
mod escrow;
mod grammar;
mod merge;
mod merge_limits;
mod messages;
mod pins;
mod place;
mod properties;
mod refused;
mod support;
mod template;
#[path = "../../envelope/tests/support/vector_file.rs"]
mod vector_file;
mod vectors;
mod written;
