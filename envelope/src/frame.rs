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
        let nonce = draw(random)?;
        Ok(wiping_stack(|| self.seal(secret, nonce, aad)))
    }

    /// The same, opened again before it is given out; `None` where that did not give `secret`.
    pub(crate) fn wrap_checked(
        &self,
        secret: &KeyMaterial,
        aad: &[u8],
        random: &dyn Random,
    ) -> Result<Option<Frame>, RandomError> {
        let nonce = draw(random)?;
        Ok(wiping_stack(|| {
            let frame = self.seal(secret, nonce, aad);
            let opened = self.open(&frame, aad).ok()?;
            opened.ct_eq(secret).then_some(frame)
        }))
    }

    pub(crate) fn unwrap(&self, frame: &Frame, aad: &[u8]) -> Result<KeyMaterial, OpenError> {
        wiping_stack(|| self.open(frame, aad))
    }

    fn seal(&self, secret: &KeyMaterial, nonce: [u8; NONCE_LEN], aad: &[u8]) -> Frame {
        let mut ciphertext = *secret.expose_secret();
        let tag = self.0.seal_in_place(&nonce, aad, &mut ciphertext);
        Frame { nonce, ciphertext, tag }
    }

    fn open(&self, frame: &Frame, aad: &[u8]) -> Result<KeyMaterial, OpenError> {
        KeyMaterial::try_build(|secret| {
            secret.copy_from_slice(&frame.ciphertext);
            self.0.open_in_place(&frame.nonce, aad, secret, &frame.tag)
        })
    }
}

fn draw(random: &dyn Random) -> Result<[u8; NONCE_LEN], RandomError> {
    let mut nonce = [0; NONCE_LEN];
    random.fill(&mut nonce)?;
    Ok(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, KeyId, Purpose};

    struct Counting;

    impl Random for Counting {
        fn fill(&self, out: &mut [u8]) -> Result<(), RandomError> {
            (1..).zip(out).for_each(|(value, byte)| *byte = value);
            Ok(())
        }
    }

    fn sealed() -> (FrameKey, Vec<u8>, Vec<u8>) {
        let [key, secret] = [3, 4].map(|value| KeyMaterial::build(|out| out.fill(value)));
        let key_id = KeyId::parse("etcd/v7/1f0c5a9be2d4").unwrap();
        let aad = Context { purpose: Purpose::Seed, key_id: &key_id }.encode();
        let key = FrameKey::new(&key);
        let frame = key.wrap(&secret, &aad, &Counting).unwrap().encode();
        assert_eq!(frame[1..25], (1..25).collect::<Vec<u8>>(), "the nonce is what was drawn");
        let opened = key.unwrap(&Frame::parse(&frame).unwrap(), &aad).unwrap();
        assert_eq!(opened.expose_secret(), &[4; 32]);
        (key, aad, frame)
    }

    #[test]
    fn no_byte_of_a_frame_can_change() {
        let (key, aad, frame) = sealed();
        for at in 0..Frame::LEN {
            for mask in [0x01, 0x10, 0x80, 0xff] {
                let mut changed = frame.clone();
                changed[at] ^= mask;
                match Frame::parse(&changed) {
                    Ok(parsed) => assert_eq!(key.unwrap(&parsed, &aad).err(), Some(OpenError)),
                    Err(error) => assert_eq!((error, at), (FormatError::Version(changed[0]), 0)),
                }
            }
        }
    }

    #[test]
    fn no_byte_of_a_context_can_change() {
        let (key, aad, frame) = sealed();
        let frame = Frame::parse(&frame).unwrap();
        for at in 0..aad.len() {
            for mask in [0x01, 0x10, 0x80, 0xff] {
                let mut changed = aad.clone();
                changed[at] ^= mask;
                assert_eq!(key.unwrap(&frame, &changed).err(), Some(OpenError), "byte {at}");
            }
            assert_eq!(key.unwrap(&frame, &aad[..at]).err(), Some(OpenError), "cut at {at}");
        }
        let longer = [aad.as_slice(), &[0]].concat();
        assert_eq!(key.unwrap(&frame, &longer).err(), Some(OpenError));
    }

    #[test]
    fn no_bit_of_a_key_can_change() {
        let (_, aad, frame) = sealed();
        let frame = Frame::parse(&frame).unwrap();
        for bit in 0..256 {
            let key = KeyMaterial::build(|out| {
                out.fill(3);
                out[bit / 8] ^= 1 << (bit % 8);
            });
            assert_eq!(
                FrameKey::new(&key).unwrap(&frame, &aad).err(),
                Some(OpenError),
                "bit {bit}"
            );
        }
    }
}
