//! What crosses a process boundary, as types without behaviour.
//!
//! Invariant: nothing here is written by hand but this file and the codec's buffer size. The protobuf definitions are ours, or vendored with their licence;
//! the Rust code is generated from them and committed, and a test holds the two together.

#![forbid(unsafe_code)]

mod codec;

pub use codec::SmallMessages;

/// The KMS v2 protocol that kube-apiserver speaks to its encryption provider (KEP-3299).
///
/// Source: `k8s.io/kms` v0.36.3, `apis/v2/api.proto`, Apache-2.0.
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
pub mod kms {
    include!("generated/v2.rs");
}

/// The admin API: keys, their rotation, and the record of it. The definitions are in `proto/admin`.
#[expect(
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
pub mod admin {
    include!("generated/strongroom.admin.v1.rs");
}
