//! Who a certificate that rustls has verified belongs to.

use tokio_rustls::rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::authority::{Identity, is_name};

/// id-at-commonName, 2.5.4.3 (RFC 5280, appendix A.1).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;

/// The one URI among the alternative names (as a SPIFFE id is), else the one common name. Whoever has two names has none.
pub(super) fn identity(certificate: &CertificateDer<'_>) -> Option<Identity> {
    let parsed = EndEntityCert::try_from(certificate).ok()?;
    let mut uris = parsed.valid_uri_names();
    match (uris.next(), uris.next()) {
        (Some(uri), None) if is_name(uri) && uri.contains(':') => Some(Identity::Uri(uri.into())),
        (None, _) => common_name(parsed.subject()).map(Identity::CommonName),
        _ => None,
    }
}

/// The common name of a subject: a sequence of sets of pairs, without the outermost tag.
fn common_name(mut subject: &[u8]) -> Option<String> {
    let mut found = None;
    while !subject.is_empty() {
        let mut names = take(&mut subject, SET)?;
        while !names.is_empty() {
            let mut pair = take(&mut names, SEQUENCE)?;
            if take(&mut pair, OID)? != COMMON_NAME {
                continue;
            }
            let tag = *pair.first()?;
            if !matches!(tag, UTF8_STRING | PRINTABLE_STRING) {
                return None;
            }
            let name = std::str::from_utf8(take(&mut pair, tag)?).ok()?;
            if !pair.is_empty() || !is_name(name) || found.replace(name.to_owned()).is_some() {
                return None;
            }
        }
    }
    found
}

/// Takes one value with the tag `tag` (X.690, section 8.1, lengths below 64 KiB).
fn take<'a>(from: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (&found, rest) = from.split_first()?;
    let (len, rest) = match rest {
        [len @ 0..=0x7f, rest @ ..] => (usize::from(*len), rest),
        [0x81, len @ 0x80..=0xff, rest @ ..] => (usize::from(*len), rest),
        [0x82, high @ 1..=0xff, low, rest @ ..] => {
            (usize::from(*high) << 8 | usize::from(*low), rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(len)?;
    *from = rest;
    (found == tag).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(tag: u8, oid: &[u8], name: &str) -> Vec<u8> {
        let value = [&[tag, name.len() as u8], name.as_bytes()].concat();
        let body = [&[OID, oid.len() as u8], oid, &value].concat();
        let pair = [&[SEQUENCE, body.len() as u8], &body[..]].concat();
        [&[SET, pair.len() as u8], &pair[..]].concat()
    }

    #[test]
    fn the_one_common_name_is_found() {
        let organisation = pair(UTF8_STRING, &[0x55, 0x04, 0x0a], "hospital");
        for tag in [UTF8_STRING, PRINTABLE_STRING] {
            let subject = [&organisation[..], &pair(tag, COMMON_NAME, "alice")].concat();
            assert_eq!(common_name(&subject), Some("alice".into()));
        }
        let long = "x".repeat(100);
        let subject = [&pair(UTF8_STRING, COMMON_NAME, &long)[..], &organisation].concat();
        assert_eq!(common_name(&subject), Some(long));
    }

    #[test]
    fn whoever_has_two_names_or_a_strange_one_has_none() {
        let alice = pair(UTF8_STRING, COMMON_NAME, "alice");
        for subject in [
            vec![],
            [&alice[..], &alice].concat(),
            pair(0x1e, COMMON_NAME, "alice"),
            pair(UTF8_STRING, COMMON_NAME, ""),
            pair(UTF8_STRING, COMMON_NAME, "a\nb"),
            pair(UTF8_STRING, COMMON_NAME, &"x".repeat(110))[..50].to_vec(),
            alice[..alice.len() - 1].to_vec(),
            [&alice[..], &[0]].concat(),
            vec![SET, 0x84, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(common_name(&subject), None, "{subject:02x?}");
        }
    }
}
