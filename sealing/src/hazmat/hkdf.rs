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
    use super::*;

    /// RFC 5869, appendix A.3: SHA-256, no salt, no info; its key has 22 bytes, ours 32, so its PRK is checked by hand in Python
    /// (tests/independent) and here that parts of `info` are one.
    #[test]
    fn parts_of_info_are_one() {
        let whole: [u8; 44] = derive(&[7; 32], &[b"valueandplace"]);
        assert_eq!(derive::<44>(&[7; 32], &[b"value", b"", b"and", b"place"]), whole);
        assert_ne!(derive::<44>(&[7; 32], &[b"value"]), whole);
    }
}
