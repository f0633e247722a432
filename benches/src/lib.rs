//! Measures a KMS plugin over its real socket, beside a bare tonic server in the same run.
//!
//! Promise: contenders are started alike, driven in turn (A B A B), by the same client, with the same bytes; every answer is checked, and one
//! wrong answer ends the run without figures. Ratios are taken pair by pair, inside one round.
//!
//! Deliberately absent: thresholds that fail a build. Figures of a shared machine move; people read them and write them into docs/benchmarks.md.

pub mod cli;
mod contender;
mod drive;
mod echo;
mod kube_client;
mod life;
mod machine;
mod output;
mod placement;
mod process;
mod report;
mod rotations;
mod rounds;
mod wire;
