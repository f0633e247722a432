//! Formats and cryptography of Strongroom.
//!
//! ```text
//! root key                     local::LocalRoot, or a remote service
//!   └─ wraps  key versions     version::VersionKey      named by a KeyId, carried as WrappedKey
//!        └─ wrap  DEK seeds    frame::Frame             what lies in etcd
//! ledger key                   ledger::LedgerKey        authenticates bundle::Bundle and row::Row, signs audit::Checkpoint
//! ```
//!
//! Invariants:
//! - No input or output, no clock, no logging: bytes in, bytes or typed errors out. Randomness is an argument.
//! - What others see takes typed keys and a [`Context`], makes its own nonce and cannot be held wrong; the raw primitives
//!   are `pub(crate)` in `hazmat`.
//! - Every parser is strict and total: any bytes give a typed error or a value that encodes to the same bytes.
//! - A failed open tells nothing: [`OpenError`] has no cause.
//!
//! `docs/format.md` gives every format byte by byte.

#![forbid(unsafe_code)]

mod accepted;
pub mod audit;
mod aws_key;
pub mod bundle;
mod context;
mod frame;
mod hazmat;
mod key_id;
mod ledger;
mod local;
mod material;
mod random;
mod row;
mod version;
mod wire;
mod wrapped;

pub use crate::{
    accepted::Accepted,
    aws_key::AwsKeyArn,
    bundle::Bundle,
    context::{Context, Purpose},
    frame::Frame,
    key_id::{Fingerprint, KeyId, RingName},
    ledger::LedgerKey,
    local::LocalRoot,
    material::KeyMaterial,
    random::{Random, RandomError, SystemRandom},
    row::Row,
    version::{VersionKey, WrapError},
    wire::FormatError,
    wrapped::{RootId, WrappedKey},
};

/// What did not authenticate did not open. There is no cause to tell: wrong key, wrong place and changed bytes look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("does not open")]
pub struct OpenError;
