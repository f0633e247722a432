use aes_gcm::{
    AeadInOut, Aes256Gcm, KeyInit,
    aes::{
        Aes256, Block,
        cipher::{Array, BlockCipherEncrypt},
    },
};
use zeroize::{Zeroize, Zeroizing};

use crate::OpenError;

const KEY_LEN: usize = 32;
pub(crate) const NONCE_LEN: usize = 24;
pub(crate) const TAG_LEN: usize = 16;

/// XAES-256-GCM (C2SP, <https://c2sp.org/XAES-256-GCM>): AES-256-GCM under a key derived from a 192-bit nonce, so that
/// random nonces have no practical limit. The AES key schedule and the CMAC subkey are computed once, here.
pub(crate) struct Xaes {
    aes: Box<Aes256>,
    k1: Zeroizing<[u8; 16]>,
}

impl Xaes {
    pub(crate) fn new(key: &[u8; KEY_LEN]) -> Self {
        let aes = Box::new(Aes256::new(key.into()));
        // NIST SP 800-38B, section 6.1: K1 is L doubled in GF(2^128).
        let mut l = Block::default();
        aes.encrypt_block(&mut l);
        let doubled = u128::from_be_bytes(l.into());
        let reduction = 0b1000_0111 * (doubled >> 127);
        let k1 = Zeroizing::new(((doubled << 1) ^ reduction).to_be_bytes());
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
