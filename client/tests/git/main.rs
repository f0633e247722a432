//! The drivers of git, run by git: in a repository with branches.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test is to end it")]

mod diff;
mod histories;
mod merge;
mod rewrap;
mod sandbox;
