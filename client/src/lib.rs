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
//!   keyfile, source, input, walk, parallel, https    private keys, values, files or stdin, many at once, a file over TLS
//!   probe                                            a KMS plugin, any vendor's
//!   admin                                            what strongroomd is asked: keys, rotations, replicas, roots, holds, audit, ledger
//!   output, table, time, failure, socket, process    what all of them stand on
//! ```
//!
//! Deliberately absent: cryptography (`sealing`), the grammar of YAML (`splice`), and whatever needs a database or a cloud's client.

mod admin;
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
mod hook;
mod https;
mod input;
mod keyfile;
mod lint;
mod manifest;
mod merge;
mod migrate;
mod output;
mod parallel;
mod probe;
mod process;
mod quiet;
mod recover;
mod repository;
mod reseal;
mod seal;
mod sealing_keys;
mod secret;
mod socket;
mod source;
mod table;
mod time;
mod unseal;
mod walk;
