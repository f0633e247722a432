/// Why a text is not a key or a certificate. Nothing of the text is repeated in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is no PEM section of a kind that is looked for, or it is not well formed (RFC 7468).
    #[error("no well-formed PEM section '{0}'")]
    Pem(&'static str),
    /// What is in the section is not a certificate.
    #[error("not an X.509 certificate")]
    Certificate,
    /// The key is of another kind: an elliptic curve, RSA restricted to signatures.
    #[error("not a key for RSA encryption")]
    Algorithm,
    /// The key is malformed, inconsistent, or its size is not 2048 to 8192 bits.
    #[error("not a usable RSA key of 2048 to 8192 bits")]
    Rsa,
}
