//! The command line of Strongroom, as a library that its one binary calls.
//!
//! Promise: a command says what it found, why, and what to do next; it prints in one place (`output`) and ends with a stable exit code:
//! 0 all is well, 1 something is not, 2 the command line is wrong, 3 nobody answered.
//!
//! ```text
//! cli        the whole command line
//!   completion                                       what a shell offers while somebody types it
//!   seal, unseal, change, reseal, recover            Secrets in git: sealed, opened, changed
//!   edit                                             one of them in the user's editor, in memory
//!   diff, merge, driver                              what git shows of them, and how it merges them
//!   sealing_keys, escrow                             whom they are for
//!   migrate, bitnami_secret, bitnami_keys            from Bitnami's format, and to it
//!   lint, hook, git                                  what must not be committed
//!   repository, manifest, secret, quiet              .strongroom, files with objects, what is sealed already
//!   keyfile, source, walk, parallel, https           private keys, values, files, many at once, a file over TLS
//!   probe                                            a KMS plugin, any vendor's
//!   keys, rotate, replicas, hold, audit, ledger      what strongroomd's admin API is asked
//!   admin    the way to it, and why it says no
//!   output, table, time, failure, socket, parallel   what all of them stand on
//! process    what it forbids itself before it begins
//! ```
//!
//! Deliberately absent: cryptography (`sealing`), the grammar of YAML (`splice`), and whatever needs a database or a cloud's client.

mod admin;
mod audit;
mod bitnami_keys;
mod bitnami_secret;
mod change;
pub mod cli;
mod completion;
mod diff;
mod driver;
mod edit;
mod escrow;
mod failure;
mod git;
mod hold;
mod hook;
mod https;
mod keyfile;
mod keys;
mod ledger;
mod lint;
mod manifest;
mod merge;
mod migrate;
mod output;
mod parallel;
mod probe;
pub mod process;
mod quiet;
mod recover;
mod replicas;
mod repository;
mod reseal;
mod roots;
mod rotate;
mod seal;
mod sealing_keys;
mod secret;
mod socket;
mod source;
mod table;
mod time;
mod unseal;
mod walk;
