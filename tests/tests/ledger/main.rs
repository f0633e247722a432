//! Both ledgers, through one suite: a real Postgres and SQLite.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod conformance;
mod interrupted;
mod leaders;
mod older;
mod schema;
mod support;
mod tampering;
