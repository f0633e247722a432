use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, aes::cipher::Array};
use data_encoding::BASE64;
use envelope::{KeyMaterial, Random, RandomError};
use zeroize::Zeroizing;

use crate::{OpenError, PrivateKey, PublicKey, Scope};

const TAG_LEN: usize = 16;
/// Each session key encrypts one value, which is why Bitnami needs no other nonce.
const NONCE: [u8; 12] = [0; 12];

/// Opens one value of `spec.encryptedData`, in the place that `scope` names, with whichever of `keys` it was sealed for.
///
/// This is the one place in Strongroom where keys are tried: a value does not say which key it is for, so there is nothing
/// to look up, and their controller tries all it has. A key of another size is passed over. How long it takes tells
/// how many keys were tried, which is no secret; all that fails gives the same error.
///
/// Line breaks in `value` mean nothing, as for their controller: a YAML block holds some. Otherwise the base64 is canonical.
///
/// # Errors
/// It does not open. Wrong key, wrong place and changed bytes look alike.
pub fn open(
    keys: &[PrivateKey],
    scope: &Scope<'_>,
    value: &str,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let bytes = decode(value).ok_or(OpenError)?;
    let sealed = Sealed::parse(&bytes).ok_or(OpenError)?;
    let label = scope.label().ok_or(OpenError)?;
    keys.iter().find_map(|key| sealed.open(key, &label)).ok_or(OpenError)
}

/// Seals `plaintext` for the holder of `key`, in the place that `scope` names. Gives one value of `spec.encryptedData`.
///
/// The session key is drawn from `random`. The seed of RSA-OAEP is not: aws-lc draws it from its own generator and takes no
/// other, so the same `random` does not give the same value twice.
///
/// # Errors
/// The generator gave no bytes; `scope` names nothing in Kubernetes; aws-lc failed.
pub fn seal(
    key: &PublicKey,
    scope: &Scope<'_>,
    plaintext: &[u8],
    random: &dyn Random,
) -> Result<String, SealError> {
    let label = scope.label().ok_or(SealError::Scope)?;
    let session = KeyMaterial::make(random)?;
    let wrapped = key.encrypt(session.expose_secret(), &label).ok_or(SealError::Encrypt)?;
    let wrapped_len = u16::try_from(wrapped.len()).map_err(|_| SealError::Encrypt)?;
    // Room for all of it: a buffer that grew would leave plaintext behind where it was.
    let mut out = Vec::with_capacity(2 + wrapped.len() + plaintext.len() + TAG_LEN);
    out.extend_from_slice(&wrapped_len.to_be_bytes());
    out.extend_from_slice(&wrapped);
    let head = out.len();
    out.extend_from_slice(plaintext);
    let body = out.get_mut(head..).ok_or(SealError::Encrypt)?;
    let tag = cipher(&session)
        .encrypt_inout_detached(&NONCE.into(), b"", body.into())
        .map_err(|_| SealError::Encrypt)?;
    out.extend_from_slice(&tag);
    Ok(BASE64.encode(&out))
}

/// Why a value was not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The generator gave no bytes for the session key.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A namespace or name is empty or has a `/` in it. Nothing in Kubernetes is called that.
    #[error("a namespace or name is empty or contains '/'")]
    Scope,
    /// aws-lc gave no ciphertext, or the plaintext is longer than AES-GCM allows (64 GiB).
    #[error("encryption failed")]
    Encrypt,
}

/// A value, taken apart.
///
/// ```text
/// base64(u16be(len(wrapped)) ‖ wrapped ‖ ciphertext ‖ tag[16])
///
/// wrapped          = RSA-OAEP(SHA-256, MGF1 with SHA-256, label of the scope) of a session key, 32 random bytes;
///                    as long as the modulus
/// ciphertext ‖ tag = AES-256-GCM(session key, nonce of twelve zeros, no additional data) of the plaintext
/// ```
struct Sealed<'a> {
    wrapped: &'a [u8],
    ciphertext: &'a [u8],
    tag: [u8; TAG_LEN],
}

impl<'a> Sealed<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (len, rest) = bytes.split_first_chunk::<2>()?;
        let (wrapped, body) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
        let (ciphertext, tag) = body.split_last_chunk::<TAG_LEN>()?;
        Some(Self { wrapped, ciphertext, tag: *tag })
    }

    fn open(&self, key: &PrivateKey, label: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let session = key.decrypt(self.wrapped, label)?;
        // Theirs would take 16 and 24 bytes as well, since Go calls that AES too; `kubeseal` writes 32.
        let session = KeyMaterial::copy_from(&session)?;
        let mut out = Zeroizing::new(self.ciphertext.to_vec());
        cipher(&session)
            .decrypt_inout_detached(
                &NONCE.into(),
                b"",
                out.as_mut_slice().into(),
                &Array::from(self.tag),
            )
            .ok()?;
        Some(out)
    }
}

fn cipher(session: &KeyMaterial) -> Aes256Gcm {
    Aes256Gcm::new(session.expose_secret().into())
}

fn decode(value: &str) -> Option<Vec<u8>> {
    let text: Vec<u8> = value.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    BASE64.decode(&text).ok()
}
