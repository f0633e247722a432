use std::convert::Infallible;

use envelope::{KeyMaterial, Random, RandomError};
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable,
    aead::{AeadTag, ChaCha20Poly1305},
    kdf::HkdfSha256,
    kem::XWing,
    rand_core::{TryCryptoRng, TryRng},
};
use zeroize::Zeroizing;

use super::low_order::is_low_order;

/// ML-KEM-768 encapsulation key, then X25519 public key.
const PUBLIC_LEN: usize = 1184 + 32;
/// ML-KEM-768 ciphertext, then X25519 share.
const CIPHERTEXT_LEN: usize = 1088 + 32;
/// What X-Wing draws for one encapsulation.
const ENCAPSULATION_RANDOMNESS: usize = 64;
/// Length of a wrap in bytes: KEM ciphertext, sealed DEK, tag.
pub(crate) const WRAP_LEN: usize = CIPHERTEXT_LEN + KeyMaterial::LEN + 16;

/// A public key of X-Wing whose X25519 half is not of low order and whose ML-KEM half is canonical.
#[derive(Clone)]
pub(crate) struct PublicKey {
    key: <XWing as Kem>::PublicKey,
    bytes: Box<[u8; PUBLIC_LEN]>,
}

impl PublicKey {
    pub(crate) const LEN: usize = PUBLIC_LEN;

    /// `None` where a half may not be used. What the crate itself accepts is more (RFC 9180 leaves it to the KEM).
    pub(crate) fn parse(bytes: &[u8; PUBLIC_LEN]) -> Option<Self> {
        if is_low_order(bytes.last_chunk()?) {
            return None;
        }
        let key = <XWing as Kem>::PublicKey::from_bytes(bytes).ok()?;
        // FIPS 203, section 7.2: coefficients of q and more are refused, not reduced.
        (*key.to_bytes() == *bytes).then(|| Self { key, bytes: Box::new(*bytes) })
    }

    pub(crate) fn bytes(&self) -> &[u8; PUBLIC_LEN] {
        &self.bytes
    }
}

/// A private key of X-Wing, expanded from its seed. Wipes itself.
pub(crate) struct PrivateKey(Box<<XWing as Kem>::PrivateKey>);

impl PrivateKey {
    pub(crate) fn from_seed(seed: &KeyMaterial) -> Self {
        #[expect(clippy::expect_used, reason = "X-Wing refuses only seeds that are not 32 bytes")]
        let key = <XWing as Kem>::PrivateKey::from_bytes(seed.expose_secret()).expect("32 bytes");
        Self(Box::new(key))
    }

    pub(crate) fn public(&self) -> PublicKey {
        let key = XWing::sk_to_pk(&self.0);
        let mut bytes = Box::new([0; PUBLIC_LEN]);
        key.write_exact(bytes.as_mut_slice());
        PublicKey { key, bytes }
    }
}

/// HPKE (RFC 9180) in Base mode, one message, no additional data: `kem_ct[1120] ‖ sealed[48]`.
pub(crate) fn wrap(
    to: &PublicKey,
    info: &[u8],
    dek: &KeyMaterial,
    random: &dyn Random,
) -> Result<Box<[u8; WRAP_LEN]>, RandomError> {
    let mut rng = Drawn::make(random)?;
    let mut out = Box::new([0; WRAP_LEN]);
    let (ciphertext, rest) = out.split_at_mut(CIPHERTEXT_LEN);
    let (sealed, tag) = rest.split_at_mut(KeyMaterial::LEN);
    sealed.copy_from_slice(dek.expose_secret());
    #[expect(clippy::expect_used, reason = "Base mode of X-Wing with a parsed key refuses nothing")]
    let (encapped, sealed_tag) = hpke::single_shot_seal_inout_detached_with_rng::<
        ChaCha20Poly1305,
        HkdfSha256,
        XWing,
    >(&OpModeS::Base, &to.key, info, sealed.into(), &[], &mut rng)
    .expect("a first message to a parsed key");
    encapped.write_exact(ciphertext);
    sealed_tag.write_exact(tag);
    Ok(out)
}

/// The DEK in a wrap, or `None`. An X25519 share of low order is refused: with one, the secret would be what ML-KEM gives alone.
pub(crate) fn unwrap(key: &PrivateKey, info: &[u8], wrap: &[u8; WRAP_LEN]) -> Option<KeyMaterial> {
    let (ciphertext, rest) = wrap.split_at_checked(CIPHERTEXT_LEN)?;
    let (sealed, tag) = rest.split_at_checked(KeyMaterial::LEN)?;
    if is_low_order(ciphertext.last_chunk()?) {
        return None;
    }
    let encapped = <XWing as Kem>::EncappedKey::from_bytes(ciphertext).ok()?;
    let tag = AeadTag::<ChaCha20Poly1305>::from_bytes(tag).ok()?;
    KeyMaterial::try_build(|dek| {
        dek.copy_from_slice(sealed);
        hpke::single_shot_open_inout_detached::<ChaCha20Poly1305, HkdfSha256, XWing>(
            &OpModeR::Base,
            &key.0,
            &encapped,
            info,
            dek.as_mut_slice().into(),
            &[],
            &tag,
        )
    })
    .ok()
}

/// Random bytes that were drawn beforehand, because the generator of this project can fail and the one of the crate cannot.
struct Drawn {
    bytes: Zeroizing<[u8; ENCAPSULATION_RANDOMNESS]>,
    used: usize,
}

impl Drawn {
    fn make(random: &dyn Random) -> Result<Self, RandomError> {
        let mut bytes = Zeroizing::new([0; ENCAPSULATION_RANDOMNESS]);
        random.fill(bytes.as_mut_slice())?;
        Ok(Self { bytes, used: 0 })
    }
}

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut out = [0; 4];
        self.try_fill_bytes(&mut out)?;
        Ok(u32::from_le_bytes(out))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut out = [0; 8];
        self.try_fill_bytes(&mut out)?;
        Ok(u64::from_le_bytes(out))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        let drawn = self.bytes.get(self.used..self.used.saturating_add(out.len()));
        #[expect(clippy::expect_used, reason = "repeating bytes would be worse than stopping")]
        out.copy_from_slice(drawn.expect("X-Wing draws 64 bytes for an encapsulation, once"));
        self.used += out.len();
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

#[cfg(test)]
mod tests {
    use envelope::SystemRandom;
    use x_wing::Decapsulate as _;

    use super::*;
    use crate::vector_file::{VectorFile, hex, unhex};

    /// Ten messages of the draft about HPKE with hybrid KEMs, in the suite of ours: KEM, key schedule and AEAD together, both ways.
    #[test]
    fn hpke_is_that_of_the_draft() {
        for mut vector in VectorFile::read_folder("hpke") {
            let (_, expect) = (vector.text("comment"), vector.text("expect"));
            assert_eq!(expect, "ok", "{}", vector.name);
            let key =
                PrivateKey::from_seed(&KeyMaterial::copy_from(&vector.bytes("seed")).unwrap());
            assert_eq!(hex(key.public().bytes()), vector.text("public"));
            let mut rng = Drawn {
                bytes: Zeroizing::new(vector.bytes("randomness").try_into().unwrap()),
                used: 0,
            };
            let (info, ciphertext) = (vector.bytes("info"), vector.bytes("ciphertext"));
            let (made, mut sender) = hpke::setup_sender_with_rng::<
                ChaCha20Poly1305,
                HkdfSha256,
                XWing,
            >(
                &OpModeS::Base, &key.public().key, &info, &mut rng
            )
            .unwrap();
            assert_eq!(made.to_bytes()[..], ciphertext[..]);
            let encapped = <XWing as Kem>::EncappedKey::from_bytes(&ciphertext).unwrap();
            let mut receiver = hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, XWing>(
                &OpModeR::Base,
                &key.0,
                &encapped,
                &info,
            )
            .unwrap();
            let messages = vector.all("message");
            assert_eq!(messages.len(), 10);
            for message in messages {
                let parts: Vec<_> = message.split(' ').map(|part| unhex(part).unwrap()).collect();
                let [aad, plaintext, sealed] = &parts[..] else { panic!("{message}") };
                assert_eq!(sender.seal(plaintext, aad).unwrap(), *sealed);
                assert_eq!(receiver.open(sealed, aad).unwrap(), *plaintext);
            }
            assert_eq!(vector.into_rest(), []);
        }
    }

    /// Keys are those of the draft; so is what the crate below HPKE makes of them.
    #[test]
    fn keys_and_secrets_are_those_of_the_draft() {
        let mut seen = 0;
        for mut vector in VectorFile::read_folder("x-wing") {
            let (_, expect) = (vector.text("comment"), vector.text("expect"));
            assert_eq!(expect, "ok", "{}", vector.name);
            let seed = vector.bytes("seed");
            let key = PrivateKey::from_seed(&KeyMaterial::copy_from(&seed).unwrap());
            assert_eq!(hex(key.public().bytes()), vector.text("public"), "{}", vector.name);
            let raw = x_wing::DecapsulationKey::from(<[u8; 32]>::try_from(seed).unwrap());
            let ciphertext = vector.bytes("ciphertext");
            let shared = raw.decapsulate(&ciphertext[..].try_into().unwrap());
            assert_eq!(hex(&shared), vector.text("shared"), "{}", vector.name);
            let randomness = vector.bytes("randomness");
            let (made, _) = x_wing::Decapsulator::encapsulation_key(&raw)
                .encapsulate_deterministic(&randomness[..].try_into().unwrap());
            assert_eq!(made[..], ciphertext[..], "{}", vector.name);
            assert_eq!(vector.into_rest(), []);
            seen += 1;
        }
        assert_eq!(seen, 3);
    }

    #[test]
    fn low_order_shares_and_keys_are_refused_on_both_sides() {
        let key = PrivateKey::from_seed(&KeyMaterial::make(&SystemRandom).unwrap());
        let dek = KeyMaterial::make(&SystemRandom).unwrap();
        let wrap = wrap(&key.public(), b"info", &dek, &SystemRandom).unwrap();
        assert!(unwrap(&key, b"info", &wrap).is_some());
        for low in [[0; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one
        }] {
            let mut changed = wrap.clone();
            changed[CIPHERTEXT_LEN - 32..CIPHERTEXT_LEN].copy_from_slice(&low);
            assert!(unwrap(&key, b"info", &changed).is_none());
            let mut public = *key.public().bytes();
            public[PUBLIC_LEN - 32..].copy_from_slice(&low);
            assert!(PublicKey::parse(&public).is_none());
        }
    }

    /// Each of the 768 coefficients of the ML-KEM half, made q: not canonical.
    #[test]
    fn keys_that_are_not_canonical_are_refused() {
        let public =
            *PrivateKey::from_seed(&KeyMaterial::make(&SystemRandom).unwrap()).public().bytes();
        assert!(PublicKey::parse(&public).is_some());
        for coefficient in 0..768 {
            let mut changed = public;
            let (at, odd) = (coefficient / 2 * 3, coefficient % 2 == 1);
            let q = 3329u16.to_le_bytes();
            if odd {
                changed[at + 1] = (changed[at + 1] & 0x0f) | (q[0] << 4);
                changed[at + 2] = (q[0] >> 4) | (q[1] << 4);
            } else {
                changed[at] = q[0];
                changed[at + 1] = (changed[at + 1] & 0xf0) | q[1];
            }
            assert!(PublicKey::parse(&changed).is_none(), "coefficient {coefficient}");
        }
    }

    #[test]
    fn wrap_of_another_info_or_with_any_byte_changed_does_not_open() {
        let key = PrivateKey::from_seed(&KeyMaterial::make(&SystemRandom).unwrap());
        let dek = KeyMaterial::make(&SystemRandom).unwrap();
        let wrap = wrap(&key.public(), b"info", &dek, &SystemRandom).unwrap();
        assert!(unwrap(&key, b"inf", &wrap).is_none());
        for at in (0..WRAP_LEN).step_by(7).chain(CIPHERTEXT_LEN - 32..WRAP_LEN) {
            let mut changed = wrap.clone();
            changed[at] ^= 0x01;
            // X25519 passes over the top bit of a share; the combiner does not.
            assert!(unwrap(&key, b"info", &changed).is_none(), "byte {at}");
        }
    }
}
