/// The points of Curve25519 and its twist with which X25519 gives an all-zero secret whoever's key the other is: u in 0, 1,
/// the two of order 8, p−1, and 0 and 1 again as p and p+1. Little-endian, the top bit cleared, which X25519 ignores
/// (RFC 7748, sections 5 and 6.1). With either top bit these are fourteen encodings.
const LOW_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    small(1),
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ],
    near_p(0xec),
    near_p(0xed),
    near_p(0xee),
];

/// Whether an X25519 share is one of the fourteen that force an all-zero secret. Shares are public, so this takes no care of time.
pub(crate) fn is_low_order(share: &[u8; 32]) -> bool {
    let mut cleared = *share;
    if let Some(top) = cleared.last_mut() {
        *top &= 0x7f;
    }
    LOW_ORDER.contains(&cleared)
}

const fn small(low: u8) -> [u8; 32] {
    let mut out = [0; 32];
    out[0] = low;
    out
}

/// 2^255 − 256 + `low`; p is 2^255 − 19.
const fn near_p(low: u8) -> [u8; 32] {
    let mut out = [0xff; 32];
    out[0] = low;
    out[31] = 0x7f;
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_fourteen_give_an_all_zero_secret() {
        let gives_zero = |share: [u8; 32]| {
            let secret = x25519_dalek::StaticSecret::from([0x42; 32]);
            !secret.diffie_hellman(&x25519_dalek::PublicKey::from(share)).was_contributory()
        };
        let mut refused = 0;
        for point in LOW_ORDER {
            for top in [0, 0x80] {
                let mut share = point;
                share[31] |= top;
                assert!(is_low_order(&share) && gives_zero(share), "{share:02x?}");
                refused += 1;
            }
        }
        assert_eq!(refused, 14);
        // Their neighbours, and the ends of the range above p.
        for low in
            (2..=255).map(small).chain((0..=0xeb).map(near_p)).chain((0xef..=0xff).map(near_p))
        {
            assert!(!is_low_order(&low) && !gives_zero(low), "{low:02x?}");
        }
    }
}
