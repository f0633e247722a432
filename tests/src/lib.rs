//! A real etcd, real kube-apiservers and real daemons on loopback, as a library.
//!
//! The behaviour tests in `tests/` stand on it, and so does `cargo xtask demo`.
//!
//! Invariants:
//! - what was started is ended, also when the process that started it is killed ([`process`], [`guard`]);
//! - nothing listens on anything but `127.0.0.1`, and nothing outside a folder of its own is written;
//! - a test waits for a condition with a deadline ([`wait`]), never for time to pass;
//! - nothing here knows a format of Strongroom: stored values are read by [`stored_value`], written from
//!   the sources of kube-apiserver alone.

pub mod apiserver;
pub mod binary;
pub mod certs;
pub mod cluster;
pub mod credentials;
pub mod daemon;
pub mod debian;
pub mod encryption;
pub mod endpoint;
pub mod etcd;
pub mod fleet;
pub mod folder;
pub mod golang;
pub mod guard;
pub mod http;
pub mod metrics;
pub mod moto;
pub mod object;
pub mod plugin;
pub mod port;
pub mod postgres;
pub mod process;
pub mod programs;
pub mod python;
pub mod random;
pub mod scenario;
pub mod stored_value;
pub mod wait;

pub use apiserver::Apiserver;
pub use cluster::Cluster;
pub use daemon::Daemon;
pub use endpoint::Endpoint;
pub use etcd::Etcd;
pub use moto::Moto;
pub use plugin::Plugin;
pub use postgres::Postgres;
pub use programs::Programs;
pub use scenario::run;
pub use stored_value::StoredValue;
