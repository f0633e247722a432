//! The command line of Strongroom, as a library that its one binary calls.
//!
//! Promise: a command says what it found, why, and what to do next; it prints in one place (`output`) and ends with a stable exit code:
//! 0 all is well, 1 something is not, 2 the command line is wrong.
//!
//! Deliberately absent: keys of any kind, and whatever needs a database or a cloud's client.

pub mod cli;
mod failure;
mod output;
mod probe;
mod socket;
