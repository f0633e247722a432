use ring::rand::SecureRandom;

/// Where random bytes come from. The system's generator, or, where a test wants the same bytes again, its own.
pub trait Random: Send + Sync {
    /// Fills `out` with bytes that nobody can foretell.
    ///
    /// # Errors
    /// The generator gave none; nothing may be made without it.
    fn fill(&self, out: &mut [u8]) -> Result<(), RandomError>;
}

/// The operating system's generator gave no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random generator gave no bytes")]
pub struct RandomError;

/// The operating system's generator.
#[derive(Debug, Clone, Copy)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, out: &mut [u8]) -> Result<(), RandomError> {
        ring::rand::SystemRandom::new().fill(out).map_err(|_| RandomError)
    }
}
