//! The daemon beside each kube-apiserver.
//!
//! ```text
//! main → cli → components             wiring, the only place that knows everything
//!   adapters  kms, admin, api         translate; decide nothing (listen: what kms and api stand on)
//!   domain    keyring, init           decide; know no protobuf, no SQL
//!             rotation                what may be done, what is to be done, who does it
//!             reload, sync, probe     background work over the domain
//!   ports     root                    what wraps keys: trait and one file per backend
//!             ledger                  where rotation is tracked: trait, Postgres and SQLite
//!   leaf      authority, config, clock, health, memory, metrics, process, telemetry, failure
//! ```
//!
//! Invariant: only `keyring` holds unwrapped key versions.

pub mod admin;
pub mod api;
pub mod authority;
pub mod cli;
pub mod clock;
pub mod components;
pub mod config;
pub mod dev;
pub mod failure;
pub mod health;
pub mod init;
pub mod keyring;
pub mod kms;
pub mod ledger;
pub mod listen;
pub mod memory;
pub mod metrics;
pub mod probe;
pub mod process;
pub mod reload;
pub mod root;
pub mod rotation;
pub mod sync;
pub mod telemetry;
