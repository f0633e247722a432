//! What a command says when it cannot do its work.

use std::process::ExitCode;

/// An error as a person needs it: what happened, why, and what to do next.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Failure {
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) next: String,
    code: u8,
}

impl Failure {
    pub(crate) fn new(
        what: impl Into<String>,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), why: why.into(), next: next.into(), code: 1 }
    }

    /// The same for an argument that is wrong.
    pub(crate) fn usage(self) -> Self {
        Self { code: 2, ..self }
    }

    /// The same with something else to do next.
    pub(crate) fn with_next(self, next: impl Into<String>) -> Self {
        Self { next: next.into(), ..self }
    }

    /// The same where nobody answered, so that a script may try again.
    pub(crate) fn unreachable(self) -> Self {
        Self { code: 3, ..self }
    }

    /// Whether it may go well the next time, with nothing changed.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.code == 3
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}
