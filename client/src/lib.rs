//! The command line of Strongroom, as a library that its one binary calls.
//!
//! Promise: a command says what it found, why, and what to do next; it prints in one place (`output`) and ends with a stable exit code:
//! 0 all is well, 1 something is not, 2 the command line is wrong, 3 nobody answered.
//!
//! ```text
//! cli        the whole command line
//!   probe                                            a KMS plugin, any vendor's
//!   keys, rotate, replicas, hold, audit, ledger      what strongroomd's admin API is asked
//!   admin    the way to it, and why it says no
//!   output, table, time, failure, socket             what all of them stand on
//! ```
//!
//! Deliberately absent: keys of any kind, and whatever needs a database or a cloud's client.

mod admin;
mod audit;
pub mod cli;
mod failure;
mod hold;
mod keys;
mod ledger;
mod output;
mod probe;
mod replicas;
mod roots;
mod rotate;
mod socket;
mod table;
mod time;
