//! Root keys as they are: one suite over a local one and one of AWS KMS, and what IAM must allow for it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod conformance;
mod policy;
