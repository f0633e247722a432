//! What people do in a repository: branches that git merges, differences that it shows, Secrets in an editor.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what goes wrong in a test is to end it"
)]

mod diff;
mod edit;
mod edit_interrupted;
mod editing;
mod histories;
mod merge;
mod merge_odd;
mod rewrap;
mod sandbox;
