//! Secrets in git, as somebody at a shell seals, changes and opens them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what goes wrong in a test is to end it"
)]

mod change;
mod completion;
mod crash;
mod escrow;
mod keys;
mod killed;
mod quiet;
mod recover;
mod repo;
mod seal;
