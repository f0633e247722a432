//! No secret shows itself: not where it is printed, not where it could not be used.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{collections::HashSet, fmt::Debug};

use envelope::{
    Context, KeyId, KeyMaterial, LedgerKey, LocalRoot, Purpose, Random, RandomError, RingName,
    SystemRandom, VersionKey, WrapError,
};

/// Printable, so that a leak would show as text too; no digits, so that only a leak shows.
const SECRET: &[u8; 32] = b"Open sesame, & shut it *(){}[]?!";

fn secret() -> KeyMaterial {
    KeyMaterial::copy_from(SECRET).unwrap()
}

fn id(ring: &str, key: &KeyMaterial) -> KeyId {
    KeyId::derive(RingName::parse(ring).unwrap(), 7, key).unwrap()
}

#[track_caller]
fn check(shown: &dyn Debug, expect: &str) {
    assert_eq!(format!("{shown:?}"), expect);
    let shown = format!("{shown:?} {shown:#?} {shown:x?} {shown:X?} {shown:#x?}");
    let squeezed: String = shown.chars().filter(|c| !c.is_whitespace()).collect();
    for window in SECRET.windows(3) {
        let text = String::from_utf8(window.to_vec()).unwrap();
        let digits: String = window.iter().map(|byte| format!("{byte:02x}")).collect();
        let numbers = |list: String| list.replace(['[', ']', ' '], "");
        for leak in [
            text,
            digits.to_uppercase(),
            digits,
            numbers(format!("{window:?}")),
            numbers(format!("{window:x?}")),
            numbers(format!("{window:#x?}")).replace('\n', ""),
        ] {
            assert!(!shown.contains(&leak) && !squeezed.contains(&leak), "{leak} shows in {shown}");
        }
    }
}

#[test]
fn debug_shows_no_key() {
    let key = secret();
    check(&key, "KeyMaterial(redacted)");
    check(&Some(&key), "Some(KeyMaterial(redacted))");

    let root = LocalRoot::new(&key);
    check(&root, &format!("LocalRoot({})", root.id()));

    let id = id("etcd", &key);
    let version = VersionKey::new(id.clone(), &key).unwrap();
    check(&version, &format!("VersionKey({id})"));

    let ledger = LedgerKey::new(id.clone(), secret()).unwrap();
    check(&ledger, &format!("LedgerKey({id})"));
}

#[test]
fn the_bytes_of_a_key_are_compared_whole() {
    let key = secret();
    assert!(key.ct_eq(&secret()));
    for at in 0..KeyMaterial::LEN {
        let mut bytes = *SECRET;
        bytes[at] ^= 0x80;
        assert!(!key.ct_eq(&KeyMaterial::copy_from(&bytes).unwrap()), "byte {at}");
    }
}

#[test]
fn a_key_is_32_bytes() {
    for len in (0..80).filter(|len| *len != KeyMaterial::LEN) {
        assert!(KeyMaterial::copy_from(&vec![1; len]).is_none(), "{len} bytes");
    }
    assert_eq!(KeyMaterial::copy_from(SECRET).unwrap().expose_secret(), SECRET);
}

#[test]
fn a_key_answers_only_to_its_own_id() {
    let (key, other) = (secret(), KeyMaterial::copy_from(&[9; 32]).unwrap());
    let id = id("state", &other);
    assert_eq!(VersionKey::new(id.clone(), &key).err(), Some(envelope::OpenError));
    assert_eq!(LedgerKey::new(id, key).err(), Some(envelope::OpenError));
}

/// A generator that gives nothing, after it has written something.
struct Broken;

impl Random for Broken {
    fn fill(&self, out: &mut [u8]) -> Result<(), RandomError> {
        out.fill(0);
        Err(RandomError)
    }
}

#[test]
fn nothing_is_made_without_random_bytes() {
    assert_eq!(KeyMaterial::make(&Broken).err(), Some(RandomError));
    let key = secret();
    let id = id("etcd", &key);
    let context = Context { purpose: Purpose::Key, key_id: &id };
    assert_eq!(LocalRoot::new(&key).wrap(&key, &context, &Broken).err(), Some(RandomError));
    let version = VersionKey::new(id, &key).unwrap();
    let refused = version.wrap_seed(&key, None, &Broken).err();
    assert_eq!(refused, Some(WrapError::Random(RandomError)));
}

#[test]
fn every_wrap_draws_its_own_nonce() {
    let key = secret();
    let version = VersionKey::new(id("etcd", &key), &key).unwrap();
    let frames: HashSet<_> = (0..100)
        .map(|_| version.wrap_seed(&key, None, &SystemRandom).unwrap().encode()[1..25].to_vec())
        .collect();
    assert_eq!(frames.len(), 100);
    let keys: HashSet<_> =
        (0..100).map(|_| *KeyMaterial::make(&SystemRandom).unwrap().expose_secret()).collect();
    assert_eq!(keys.len(), 100);
}
