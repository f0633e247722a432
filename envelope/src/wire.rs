//! Reading and writing bytes, shared by the formats. The reader never panics and never reads past the end.

/// Why bytes or text are not what they should be. Nothing of the input is repeated in it but a format's version byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Not a ring name.
    #[error("not a ring name (1 to 31 of a-z, 0-9 and '-', a letter first)")]
    RingName,
    /// Not a key id.
    #[error("not a key id (<ring>/v<version>/<12 hexadecimal digits>)")]
    KeyId,
    /// A format version that this program does not know.
    #[error("format version {0} is not known to this program")]
    Version(u8),
    /// It ends too early, or is shorter or longer than its format says.
    #[error("wrong length")]
    Length,
    /// A field has a value that its format does not allow, or not in this place.
    #[error("field '{0}' is not canonical")]
    Field(&'static str),
}

/// Takes a format apart from the front.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], FormatError> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(FormatError::Length)?;
        self.0 = tail;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        self.take(N)?.try_into().map_err(|_| FormatError::Length)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FormatError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, FormatError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_be_bytes)
    }

    /// The version byte that every format starts with.
    pub(crate) fn version(&mut self, known: u8) -> Result<(), FormatError> {
        match self.u8()? {
            version if version == known => Ok(()),
            other => Err(FormatError::Version(other)),
        }
    }

    /// `enc(x)`: a 32-bit length, then the bytes.
    pub(crate) fn prefixed(&mut self, max: usize) -> Result<&'a [u8], FormatError> {
        let len = self.u32()? as usize;
        if len > max {
            return Err(FormatError::Length);
        }
        self.take(len)
    }

    pub(crate) fn end(self) -> Result<(), FormatError> {
        if self.0.is_empty() { Ok(()) } else { Err(FormatError::Length) }
    }
}

/// Puts a format together.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    /// `enc(x)`. Nothing that is written here comes near 4 GiB.
    pub(crate) fn prefixed(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.bytes(bytes);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}
