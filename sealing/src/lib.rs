//! Sealed Secrets: what lies in git, and opens in one place only.
//!
//! ```text
//! SealedSecret                            an object of Kubernetes, as JSON data
//!   ├─ Place      namespace, name, type   where its values open: bound by Context into everything below
//!   ├─ Template                           what the Secret has besides, in clear text
//!   ├─ Slot       one DEK, one commit     wrapped for each Recipient (X-Wing, HPKE)
//!   └─ Value      of one data key         AES-256-GCM under a key derived from the DEK of its slot
//! ```
//!
//! Invariants:
//! - No input or output, no clock, no logging: data in, data or typed errors out. Randomness is an argument.
//! - Sealing needs public keys only. What is opened is opened whole: every slot that is used, its commit compared, then values.
//! - A wrap is found by the kid that it names. Nothing tries keys.
//! - A failed open tells nothing: [`OpenError::Closed`] has no cause. What can be told from public data is told before.
//!
//! `docs/format.md` gives every format byte by byte.

#![forbid(unsafe_code)]

mod change;
mod context;
mod data_key;
mod escrow;
mod fingerprint;
mod hazmat;
#[cfg(test)]
mod known_answers;
mod merge;
mod object;
mod open;
mod parse;
mod pins;
mod plaintext;
mod quiet;
mod recipient;
mod slot;
mod template;
mod value;
#[cfg(test)]
#[path = "../../envelope/tests/support/vector_file.rs"]
mod vector_file;

pub use crate::{
    change::SealError,
    context::{Place, Scope},
    data_key::DataKey,
    escrow::{EscrowError, escrow_text, parse_escrow_text},
    fingerprint::Fingerprint,
    merge::{Conflict, MergeError, Merged},
    object::{Binding, SealedSecret},
    open::{OpenError, Opened},
    parse::{At, ParseError, Refused},
    pins::{ClusterIdentity, EscrowKey, KeyState, PinError, PinnedKey, SealingKeys},
    plaintext::Plaintext,
    quiet::QuietKey,
    recipient::{KeyRing, Kid, Recipient, RecipientError, SealingKey},
    slot::{Commit, Slot, SlotId, Wrap},
    template::{Template, TemplateError, TemplateErrorKind},
    value::Value,
};

/// The API group and version of a sealed Secret.
pub const API_VERSION: &str = "strongroom.dev/v1alpha1";
/// Its kind.
pub const KIND: &str = "SealedSecret";
/// The one suite: X-Wing, HKDF-SHA256, ChaCha20-Poly1305 for wraps; AES-256-GCM for values.
pub const SUITE: u8 = 1;
/// The most slots that an object may have.
pub const MAX_SLOTS: usize = 64;
/// The most recipients of a slot.
pub const MAX_WRAPS: usize = 32;
/// The most bytes of a name, a namespace and a type. Kubernetes limits names so; all three are hashed for each value.
pub const MAX_NAME: usize = 253;
/// The longest value, in bytes: what a Secret may hold in all.
pub const MAX_VALUE: usize = 1_048_576;
