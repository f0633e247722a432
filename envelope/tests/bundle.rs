//! The rules of a bundle where it is put together, and its limits. `vectors/bundle` holds the same rules where it is read.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use envelope::{
    FormatError, KeyId, KeyMaterial, LedgerKey, OpenError, RingName, RootId, WrappedKey,
    bundle::{Bundle, State, UnverifiedBundle, Version, WrappedLedgerKey},
};

fn key(value: u8) -> KeyMaterial {
    KeyMaterial::copy_from(&[value; 32]).unwrap()
}

fn ring(name: &str) -> RingName {
    RingName::parse(name).unwrap()
}

fn ledger_key() -> LedgerKey {
    LedgerKey::new(KeyId::derive(ring("state"), 1, &key(1)).unwrap(), key(1)).unwrap()
}

fn wraps(roots: usize, blob: usize) -> Vec<WrappedKey> {
    let root = |index: usize| RootId((index as u64).to_be_bytes()[2..].try_into().unwrap());
    (0..roots).map(|index| WrappedKey::new(root(index), vec![7; blob]).unwrap()).collect()
}

fn version(number: u32, state: State) -> Version {
    Version {
        id: KeyId::parse(&format!("etcd/v{number}/{number:012x}")).unwrap(),
        state,
        created: 5,
        activated: (state != State::PreActive).then_some(6),
        wraps: if state == State::Destroyed { Vec::new() } else { wraps(1, 73) },
    }
}

struct Parts {
    ring: RingName,
    generation: u64,
    ledger: WrappedLedgerKey,
    versions: Vec<Version>,
}

impl Parts {
    fn usual() -> Self {
        let versions = vec![
            version(1, State::Destroyed),
            version(2, State::Active),
            version(3, State::PreActive),
        ];
        let ledger = WrappedLedgerKey { id: ledger_key().id().clone(), wraps: wraps(1, 73) };
        Self { ring: ring("etcd"), generation: 1, ledger, versions }
    }

    fn bundle(self) -> Result<Bundle, FormatError> {
        Bundle::new(self.ring, self.generation, self.ledger, self.versions)
    }
}

/// What is put together is refused by this very rule once `change` has broken it.
#[track_caller]
fn check(rule: &'static str, change: impl FnOnce(&mut Parts)) {
    let mut parts = Parts::usual();
    change(&mut parts);
    assert_eq!(parts.bundle(), Err(FormatError::Field(rule)));
}

#[test]
fn every_rule_holds_where_a_bundle_is_put_together() {
    assert_eq!(Parts::usual().bundle().map(|bundle| bundle.versions().len()), Ok(3));
    check("generation", |it| it.generation = 0);
    check("ledger ring", |it| it.ledger.id = KeyId::derive(ring("etcd"), 1, &key(1)).unwrap());
    check("ledger wraps", |it| it.ledger.wraps.clear());
    check("wraps", |it| it.ledger.wraps = wraps(Bundle::MAX_ROOTS + 1, 1));
    check("wraps", |it| it.ledger.wraps = wraps(2, 1).into_iter().rev().collect());
    check("wraps", |it| it.ledger.wraps = [wraps(1, 1), wraps(1, 2)].concat());
    check("version ring", |it| it.ring = ring("audit"));
    check("version order", |it| it.versions.swap(0, 1));
    check("version order", |it| it.versions.insert(0, version(1, State::Deactivated)));
    check("fingerprint", |it| it.versions[2].id = KeyId::parse("etcd/v9/000000000001").unwrap());
    check("active version", |it| it.versions[1].state = State::Compromised);
    check("active version", |it| it.versions.push(version(4, State::Active)));
    check("active version", |it| it.versions.clear());
    check("activated", |it| it.versions[1].activated = None);
    check("activated", |it| it.versions[1].activated = Some(0));
    check("activated", |it| it.versions[0].activated = Some(0));
    check("activated", |it| it.versions[2].activated = Some(7));
    check("version wraps", |it| it.versions[0].wraps = wraps(1, 73));
    check("version wraps", |it| it.versions[1].wraps.clear());
    check("version wraps", |it| it.versions[2].wraps.clear());
    check("wraps", |it| it.versions[1].wraps = wraps(2, 1).into_iter().rev().collect());
    check("wraps", |it| it.versions[1].wraps = wraps(Bundle::MAX_ROOTS + 1, 1));
}

#[test]
fn only_the_ledger_key_that_it_carries_seals_and_verifies_a_bundle() {
    let bundle = Parts::usual().bundle().unwrap();
    let other = LedgerKey::new(KeyId::derive(ring("state"), 1, &key(2)).unwrap(), key(2)).unwrap();
    let later = LedgerKey::new(KeyId::derive(ring("state"), 2, &key(1)).unwrap(), key(1)).unwrap();
    let sealed = bundle.encode(&ledger_key()).unwrap();
    for stranger in [other, later] {
        assert_eq!(bundle.encode(&stranger), Err(FormatError::Field("ledger key")));
        assert_eq!(UnverifiedBundle::parse(&sealed).unwrap().verify(&stranger), Err(OpenError));
    }
    assert_eq!(UnverifiedBundle::parse(&sealed).unwrap().verify(&ledger_key()), Ok(bundle));
}

#[test]
fn no_bit_of_a_bundle_can_change() {
    let sealed = Parts::usual().bundle().unwrap().encode(&ledger_key()).unwrap();
    for at in 0..sealed.len() {
        for mask in [0x01, 0x02, 0x80] {
            let mut changed = sealed.clone();
            changed[at] ^= mask;
            if let Ok(unverified) = UnverifiedBundle::parse(&changed) {
                assert_eq!(unverified.verify(&ledger_key()), Err(OpenError), "byte {at}");
            }
        }
        let cut = UnverifiedBundle::parse(&sealed[..at]).err();
        assert_eq!(cut, Some(FormatError::Length), "cut at {at}");
    }
}

#[test]
fn holds_4096_versions_and_no_more() {
    let many = |count| {
        let mut parts = Parts::usual();
        parts.versions = (1..count).map(|number| version(number, State::Destroyed)).collect();
        parts.versions.push(version(count, State::Active));
        parts.bundle()
    };
    let bundle = many(4096).unwrap();
    let mut sealed = bundle.encode(&ledger_key()).unwrap();
    assert_eq!(UnverifiedBundle::parse(&sealed).unwrap().verify(&ledger_key()), Ok(bundle));
    assert_eq!(many(4097), Err(FormatError::Field("version count")));

    // The same where it is read: one version more, in front of the MAC, with length and count to fit.
    let last = sealed.split_off(sealed.len() - 32);
    sealed.extend([0, 0, 0x10, 1, 0, 0, 0, 0, 0x10, 1, 6]);
    sealed.extend([0; 17]);
    sealed.extend(last);
    let len = (sealed.len() as u32).to_be_bytes();
    sealed[1..5].copy_from_slice(&len);
    // enc("etcd"), the generation and a ledger key with one wrap of 80 bytes stand before the count.
    sealed[5 + 8 + 8 + 4 + 6 + 1 + 84..][..2].copy_from_slice(&[0x10, 1]);
    assert_eq!(UnverifiedBundle::parse(&sealed).err(), Some(FormatError::Field("version count")));
}

#[test]
fn is_4_mebibytes_long_and_no_more() {
    let of_size = |size: usize| {
        let mut parts = Parts::usual();
        parts.versions = (1..=128).map(|number| version(number, State::Archived)).collect();
        parts.versions.push(version(129, State::Active));
        for version in &mut parts.versions {
            version.wraps = wraps(Bundle::MAX_ROOTS, 2000);
        }
        let now = encoded_len(&parts);
        let mut missing = size.checked_sub(now).unwrap();
        for version in &mut parts.versions {
            for wrapped in &mut version.wraps {
                let more = missing.min(WrappedKey::MAX_BLOB_LEN - 2000);
                *wrapped = WrappedKey::new(wrapped.root(), vec![7; 2000 + more]).unwrap();
                missing -= more;
            }
        }
        assert_eq!((missing, encoded_len(&parts)), (0, size));
        parts.bundle()
    };
    let bundle = of_size(4_194_304).unwrap();
    let mut sealed = bundle.encode(&ledger_key()).unwrap();
    assert_eq!(sealed.len(), 4_194_304);
    assert_eq!(UnverifiedBundle::parse(&sealed).unwrap().verify(&ledger_key()), Ok(bundle));
    assert_eq!(of_size(4_194_305), Err(FormatError::Length));

    sealed.push(0);
    sealed[1..5].copy_from_slice(&4_194_305u32.to_be_bytes());
    assert_eq!(UnverifiedBundle::parse(&sealed).err(), Some(FormatError::Length));
}

/// The length by the page, counted apart from what the crate writes.
fn encoded_len(parts: &Parts) -> usize {
    let wraps =
        |wraps: &[WrappedKey]| 1 + wraps.iter().map(|it| 4 + 7 + it.blob().len()).sum::<usize>();
    let versions: usize =
        parts.versions.iter().map(|it| 4 + 6 + 1 + 8 + 8 + wraps(&it.wraps)).sum();
    5 + 4 + parts.ring.as_str().len() + 8 + 4 + 6 + wraps(&parts.ledger.wraps) + 2 + versions + 32
}

#[test]
fn states_have_their_words() {
    let words = [
        (State::PreActive, "pre_active", true),
        (State::Active, "active", true),
        (State::Deactivated, "deactivated", true),
        (State::Archived, "archived", false),
        (State::DestroyScheduled, "destroy_scheduled", false),
        (State::Destroyed, "destroyed", false),
        (State::Compromised, "compromised", false),
    ];
    for (state, word, opens) in words {
        assert_eq!((state.as_str(), state.opens()), (word, opens));
    }
}
