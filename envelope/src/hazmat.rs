//! Raw primitives. Nothing here leaves the crate, because each can be held wrong.

mod mac;
mod stack;
mod xaes;

pub(crate) use mac::{mac, verify};
pub(crate) use stack::wiping_stack;
pub(crate) use xaes::{NONCE_LEN, TAG_LEN, Xaes};
