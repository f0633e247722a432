//! Raw primitives. Nothing here leaves the crate, because each can be held wrong.

mod gcm;
mod hkdf;
mod kem;
mod low_order;

pub(crate) use gcm::{open_in_place, seal_in_place};
pub(crate) use hkdf::derive;
pub(crate) use kem::{PrivateKey, PublicKey, WRAP_LEN, unwrap, wrap};
pub(crate) use low_order::is_low_order;
