//! Rotation of a ring: `plan` decides, the runner does.
//!
//! ```text
//! act        what an operator or a replica may ask for, with the rules that refuse it
//! schedule   when a rotation begins by itself: the calendar
//! policy     schedule, age, and how long things are waited for
//! plan       what is observed + policy → steps with reasons, and what is waited for. Pure
//! step       one step of a plan as a change to the ledger
//! succession which bundle a node may take after the one it has
//! adopt      a ledger from an old backup takes up what a node knows better
//! control    reads, verifies, acts, commits; what the admin API calls
//! wraps      what roots are asked about keys, and what counts as an answer
//! custody    every key under every root of this node; a root is given up
//! runner     holds the lease and takes the steps
//! ```
//!
//! Invariants:
//! - The phase of a run is derived from what is observed, never stored.
//! - Each step is one transaction and safe to repeat: killed at any point, the next leader goes on.
//! - Versions only go forward. Before activation a cancel is free; after it there is only forward.

mod act;
mod adopt;
mod apiserver;
mod control;
mod controller;
mod custody;
mod notes;
mod plan;
mod policy;
mod provider;
mod runner;
pub mod schedule;
mod step;
mod succession;
mod words;
mod wraps;

pub use self::{
    act::{Act, MAX_WAIT, MIN_WAIT, Refused},
    adopt::adopt,
    apiserver::Scraper,
    control::{Control, ControlError, Planned},
    controller::Controller,
    custody::{Custody, Rewrapped, Root},
    plan::{Apiserver, OBSERVE_EVERY, Observed, Phase, Plan, Step, Wait, plan},
    policy::Policy,
    runner::Runner,
    schedule::Schedule,
    step::take,
    succession::{NoSuccessor, succeeds},
    wraps::{Tried, Wrapped, wrapped},
};
