use crate::FormatError;

/// The highest generation of a bundle that a node has accepted, as it lies beside the bundle.
///
/// ```text
/// decimal digits of 1 … 2^64 − 1, without leading zeros ‖ "\n"
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Accepted(pub u64);

impl Accepted {
    /// Longest content in bytes.
    pub const MAX_LEN: usize = 21;

    /// Takes the content of the file.
    ///
    /// # Errors
    /// [`FormatError::Field`] for anything but the one canonical form.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let refused = FormatError::Field("accepted generation");
        let text = std::str::from_utf8(bytes).map_err(|_| refused)?;
        let digits = text.strip_suffix('\n').ok_or(refused)?;
        let accepted = Self(digits.parse().map_err(|_| refused)?);
        // "+1" and "01" parse as numbers too.
        if accepted.0 == 0 || accepted.encode() != bytes {
            return Err(refused);
        }
        Ok(accepted)
    }

    /// The content of the file.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        format!("{}\n", self.0).into_bytes()
    }
}
