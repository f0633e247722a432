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
