//! What a command says when it cannot do its work.

/// An error as a person needs it: what happened, why, and what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Failure {
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) next: String,
}

impl Failure {
    pub(crate) fn new(
        what: impl Into<String>,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), why: why.into(), next: next.into() }
    }
}
