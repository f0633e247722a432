//! The format of Bitnami's SealedSecrets, to read and to write.
//!
//! ```text
//! tls.key ─ PrivateKey ─┐
//!                       ├─ open ─► plaintext      one value of spec.encryptedData, in the place that Scope names
//! tls.crt ─ PublicKey ──┴─ seal ─► value
//! ```
//!
//! It is here so that a repository can move to Strongroom's own format and, until it has, be read by both.
//! What it lacks against that format is Bitnami's choice: a value names neither its key nor its data key, and RSA does not
//! outlast a quantum computer.
//!
//! Invariants:
//! - No input or output, no clock, no logging: text in, bytes or typed errors out.
//! - Every parser is total: any input gives an error or a value.
//! - A failed open tells nothing: [`OpenError`] has no cause, and no error repeats what was read.
//!
//! Deliberately absent: the objects in YAML, and `spec.data`, an older form that their controller refuses unless told
//! otherwise.

#![forbid(unsafe_code)]

mod fingerprint;
mod key_error;
mod pem;
mod private_key;
mod public_key;
mod scope;
mod value;

pub use envelope::OpenError;

pub use crate::{
    fingerprint::Fingerprint,
    key_error::KeyError,
    private_key::PrivateKey,
    public_key::PublicKey,
    scope::Scope,
    value::{SealError, open, seal},
};
