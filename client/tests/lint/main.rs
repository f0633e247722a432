//! What must not be committed is found, and what may be is not, by the real program with real git.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what goes wrong in a test is to end it"
)]

mod corpus;
mod git;
mod hook;
mod pins;
mod plain;
mod range;
mod repo;
mod sarif;
mod sealed;
mod silence;
