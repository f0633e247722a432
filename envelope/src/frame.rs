use crate::{
    FormatError, KeyMaterial, OpenError, Random, RandomError,
    hazmat::{NONCE_LEN, TAG_LEN, Xaes, wiping_stack},
    wire::{Reader, Writer},
};

const VERSION: u8 = 1;

/// 32 secret bytes under a key: what Encrypt returns, and what a local root makes of a key version. 73 bytes.
///
/// ```text
/// 0x01 ‖ nonce[24] ‖ ciphertext[32] ‖ tag[16]
/// ```
///
/// XAES-256-GCM (C2SP) with a fresh random nonce and the encoded [`Context`](crate::Context) as additional data. It does not name its key:
/// what carries it does (the `key_id` beside it in etcd, the root id of a [`WrappedKey`](crate::WrappedKey)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    nonce: [u8; NONCE_LEN],
    ciphertext: [u8; KeyMaterial::LEN],
    tag: [u8; TAG_LEN],
}

impl Frame {
    /// Length of the encoding in bytes.
    pub const LEN: usize = 1 + NONCE_LEN + KeyMaterial::LEN + TAG_LEN;

    /// Takes an encoded frame.
    ///
    /// # Errors
    /// Another version, or anything but exactly [`Frame::LEN`] bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader(bytes);
        reader.version(VERSION)?;
        let frame =
            Self { nonce: reader.array()?, ciphertext: reader.array()?, tag: reader.array()? };
        reader.end()?;
        Ok(frame)
    }

    /// The encoding, [`Frame::LEN`] bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(Self::LEN);
        out.u8(VERSION);
        out.bytes(&self.nonce);
        out.bytes(&self.ciphertext);
        out.bytes(&self.tag);
        out.finish()
    }
}

/// A 256-bit key made ready to wrap and unwrap: its schedule is computed once. `aad` is an encoded context.
pub(crate) struct FrameKey(Xaes);

impl FrameKey {
    pub(crate) fn new(key: &KeyMaterial) -> Self {
        Self(wiping_stack(|| Xaes::new(key.expose_secret())))
    }

    pub(crate) fn wrap(
        &self,
        secret: &KeyMaterial,
        aad: &[u8],
        random: &dyn Random,
    ) -> Result<Frame, RandomError> {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce)?;
        let mut ciphertext = *secret.expose_secret();
        let tag = wiping_stack(|| self.0.seal_in_place(&nonce, aad, &mut ciphertext));
        Ok(Frame { nonce, ciphertext, tag })
    }

    pub(crate) fn unwrap(&self, frame: &Frame, aad: &[u8]) -> Result<KeyMaterial, OpenError> {
        KeyMaterial::try_build(|secret| {
            secret.copy_from_slice(&frame.ciphertext);
            wiping_stack(|| self.0.open_in_place(&frame.nonce, aad, secret, &frame.tag))
        })
    }
}
