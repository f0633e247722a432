//! What holds for any bytes, keys and places.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::{fmt::Debug, ops::Range};

use envelope::{
    Context, FormatError, Frame, KeyId, KeyMaterial, LedgerKey, LocalRoot, OpenError, Purpose,
    Random, RandomError, RingName, RootId, VersionKey, WrappedKey,
    bundle::{Bundle, State, UnverifiedBundle, Version, WrappedLedgerKey},
};
use proptest::{collection, option, prelude::*, sample};

/// Gives the bytes that a case has drawn.
#[derive(Debug)]
struct Drawn([u8; 24]);

impl Random for Drawn {
    fn fill(&self, out: &mut [u8]) -> Result<(), RandomError> {
        out.copy_from_slice(&self.0);
        Ok(())
    }
}

// --- Values --------------------------------------------------------------------------------------------------------------------

fn key() -> impl Strategy<Value = KeyMaterial> {
    any::<[u8; 32]>().prop_map(|bytes| KeyMaterial::copy_from(&bytes).unwrap())
}

fn drawn() -> impl Strategy<Value = Drawn> {
    any::<[u8; 24]>().prop_map(Drawn)
}

fn ring() -> impl Strategy<Value = RingName> {
    "[a-z][a-z0-9-]{0,30}".prop_map(|name| RingName::parse(&name).unwrap())
}

/// Half of the versions small, as they are where nothing went wrong for some billion rotations.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![1..20u32, 1..=u32::MAX]
}

fn key_id() -> impl Strategy<Value = KeyId> {
    (ring(), number(), key())
        .prop_map(|(ring, version, key)| KeyId::derive(ring, version, &key).unwrap())
}

fn purpose() -> impl Strategy<Value = Purpose> {
    sample::select(vec![Purpose::Seed, Purpose::Key, Purpose::Probe])
}

fn wrapped() -> impl Strategy<Value = WrappedKey> {
    let len = prop_oneof![8 => 1..100usize, 1 => 1..=WrappedKey::MAX_BLOB_LEN];
    let blob = len.prop_flat_map(|len| collection::vec(any::<u8>(), len));
    (any::<[u8; 6]>(), blob).prop_map(|(root, blob)| WrappedKey::new(RootId(root), blob).unwrap())
}

fn wraps() -> impl Strategy<Value = Vec<WrappedKey>> {
    collection::vec(wrapped(), 1..=Bundle::MAX_ROOTS.min(4)).prop_map(|mut wraps| {
        wraps.sort_by_key(WrappedKey::root);
        wraps.dedup_by_key(|wrapped| wrapped.root());
        wraps
    })
}

/// A legal bundle, whatever was drawn, and the ledger key that seals it.
#[derive(Debug)]
struct Sealed {
    bundle: Bundle,
    ledger: LedgerKey,
    ledger_secret: [u8; 32],
}

impl Sealed {
    fn encode(&self) -> Vec<u8> {
        self.bundle.encode(&self.ledger).unwrap()
    }

    /// Length and MAC made right again, so that the parser has to look at what stands between them.
    fn reseal(&self, body: &[u8]) -> Vec<u8> {
        let mut out = vec![1];
        out.extend((5 + body.len() as u32 + 32).to_be_bytes());
        out.extend(body);
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.ledger_secret);
        let message = [&20u32.to_be_bytes()[..], b"strongroom/bundle/v1", &out].concat();
        out.extend(ring::hmac::sign(&key, &message).as_ref());
        out
    }
}

prop_compose! {
    fn version()(
        step in 1..1000u32,
        fingerprint in any::<[u8; 6]>(),
        state in sample::select(vec![
            State::PreActive, State::Deactivated, State::Archived, State::DestroyScheduled, State::Destroyed,
            State::Compromised,
        ]),
        created in any::<u64>(),
        activated in option::of(1..=u64::MAX),
        wraps in wraps(),
    ) -> (u32, [u8; 6], State, u64, Option<u64>, Vec<WrappedKey>) {
        (step, fingerprint, state, created, activated, wraps)
    }
}

prop_compose! {
    fn sealed()(
        ring in ring(),
        generation in 1..=u64::MAX,
        ledger_secret in any::<[u8; 32]>(),
        ledger_number in number(),
        ledger_wraps in wraps(),
        versions in collection::vec(version(), 1..6),
        active in any::<sample::Index>(),
    ) -> Sealed {
        let active = active.index(versions.len());
        let mut last = 0;
        let versions = versions.into_iter().enumerate().map(|(index, drawn)| {
            let (step, mut mark, mut state, created, mut activated, mut wraps) = drawn;
            last += step;
            mark[5] = index as u8;
            if index == active {
                state = State::Active;
                activated = activated.or(Some(1));
            }
            match state {
                State::PreActive => activated = None,
                State::Destroyed => wraps.clear(),
                _ => {}
            }
            let mark: String = mark.iter().map(|byte| format!("{byte:02x}")).collect();
            let id = KeyId::parse(&format!("{ring}/v{last}/{mark}")).unwrap();
            Version { id, state, created, activated, wraps }
        });
        let versions: Vec<_> = versions.collect();
        let secret = KeyMaterial::copy_from(&ledger_secret).unwrap();
        let id = KeyId::derive(RingName::parse("state").unwrap(), ledger_number, &secret).unwrap();
        let ledger = LedgerKey::new(id.clone(), secret).unwrap();
        let wrapped = WrappedLedgerKey { id, wraps: ledger_wraps };
        let bundle = Bundle::new(ring, generation, wrapped, versions).unwrap();
        Sealed { bundle, ledger, ledger_secret }
    }
}

// --- Bytes ---------------------------------------------------------------------------------------------------------------------

/// One accident that happens to bytes, wherever it happens.
#[derive(Debug, Clone)]
enum Accident {
    Flip(sample::Index, u8),
    Cut(sample::Index, sample::Index),
    Insert(sample::Index, Vec<u8>),
    Duplicate(sample::Index, sample::Index),
    Splice(sample::Index, sample::Index, sample::Index),
    Truncate(sample::Index),
}

impl Accident {
    fn any() -> impl Strategy<Value = Self> {
        let at = any::<sample::Index>;
        prop_oneof![
            4 => (at(), prop_oneof![(0..8u8).prop_map(|bit| 1 << bit), 1..=255u8]).prop_map(|(at, mask)| Self::Flip(at, mask)),
            1 => (at(), at()).prop_map(|(a, b)| Self::Cut(a, b)),
            1 => (at(), collection::vec(any::<u8>(), 1..5)).prop_map(|(at, bytes)| Self::Insert(at, bytes)),
            1 => (at(), at()).prop_map(|(a, b)| Self::Duplicate(a, b)),
            1 => (at(), at(), at()).prop_map(|(to, a, b)| Self::Splice(to, a, b)),
            1 => at().prop_map(Self::Truncate),
        ]
    }

    /// Lets it happen to `bytes`; a splice takes from `donor`.
    fn befall(&self, bytes: &mut Vec<u8>, donor: &[u8]) {
        let range = |a: &sample::Index, b: &sample::Index, len: usize| -> Range<usize> {
            let (a, b) = (a.index(len + 1), b.index(len + 1));
            a.min(b)..a.max(b)
        };
        match self {
            Self::Flip(at, mask) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= mask;
            }
            Self::Flip(..) => {}
            Self::Cut(a, b) => drop(bytes.drain(range(a, b, bytes.len()))),
            Self::Insert(at, new) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Duplicate(a, b) => {
                let range = range(a, b, bytes.len());
                let copy = bytes[range.clone()].to_vec();
                bytes.splice(range.start..range.start, copy);
            }
            Self::Splice(to, a, b) => {
                let piece = donor[range(a, b, donor.len())].to_vec();
                let from = to.index(bytes.len() + 1);
                let to = bytes.len().min(from + piece.len());
                bytes.splice(from..to, piece);
            }
            Self::Truncate(at) => bytes.truncate(at.index(bytes.len() + 1)),
        }
    }
}

fn accidents() -> impl Strategy<Value = Vec<Accident>> {
    collection::vec(Accident::any(), 0..4)
}

fn after(accidents: &[Accident], mut bytes: Vec<u8>, donor: &[u8]) -> Vec<u8> {
    for accident in accidents {
        accident.befall(&mut bytes, donor);
    }
    bytes
}

/// An error of this crate, or a value that is written back to the bytes that it was read from.
#[track_caller]
fn check<T: Debug>(bytes: &[u8], parsed: Result<T, FormatError>, encode: impl Fn(&T) -> Vec<u8>) {
    if let Ok(value) = parsed {
        assert_eq!(encode(&value), bytes, "{value:?}");
    }
}

fn check_text(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    check(bytes, RingName::parse(text), |ring| ring.to_string().into_bytes());
    check(bytes, KeyId::parse(text), |id| id.to_string().into_bytes());
    check(bytes, RootId::parse(text), |id| id.to_string().into_bytes());
}

fn check_every_parser(bytes: &[u8]) {
    check(bytes, Frame::parse(bytes), Frame::encode);
    check(bytes, WrappedKey::parse(bytes), WrappedKey::encode);
    check_text(bytes);
    check_bundle(bytes, None);
}

/// What a bundle holds is seen only where it verifies, so `sealed` is the key of those that should.
fn check_bundle(bytes: &[u8], sealed: Option<&Sealed>) {
    let Ok(unverified) = UnverifiedBundle::parse(bytes) else { return };
    let Some(Sealed { ledger, .. }) = sealed else { return };
    let carried = unverified.ledger().id.clone();
    match unverified.verify(ledger) {
        Ok(bundle) => assert_eq!(bundle.encode(ledger).unwrap(), bytes),
        Err(OpenError) => assert_ne!(&carried, ledger.id(), "the MAC was made right"),
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_written_back(bytes in collection::vec(any::<u8>(), 0..300)) {
        check_every_parser(&bytes);
        let versioned = [&[1], bytes.as_slice()].concat();
        check_every_parser(&versioned);
    }

    #[test]
    fn any_text_is_refused_or_written_back(
        text in prop_oneof![
            "\\PC*",
            "[a-z0-9A-Z/v+ -]{0,60}",
            "[a-z]{1,5}/v[+0]?[0-9]{1,2}/[0-9a-f]{12}",
            "[a-z]{1,5}/v[1-9][0-9]{0,10}/[0-9a-f]{11}[0-9a-fA-F]{0,2}",
            "[0-9a-fA-F+]{12}",
        ],
    ) {
        check_text(text.as_bytes());
    }

    #[test]
    fn a_key_id_that_was_changed_is_refused_or_written_back(
        id in key_id(), donor in key_id(), accidents in accidents(),
    ) {
        let bytes = after(&accidents, id.to_string().into_bytes(), donor.as_str().as_bytes());
        check_every_parser(&bytes);
    }

    #[test]
    fn a_frame_that_was_changed_is_refused_or_written_back(
        body in any::<[[u8; 24]; 3]>(), accidents in accidents(),
    ) {
        let frame = [&[1], body.as_flattened()].concat();
        check_every_parser(&after(&accidents, frame.clone(), &frame));
    }

    #[test]
    fn a_wrapped_key_that_was_changed_is_refused_or_written_back(
        wrapped in wrapped(), donor in wrapped(), accidents in accidents(),
    ) {
        check_every_parser(&after(&accidents, wrapped.encode(), &donor.encode()));
    }

    #[test]
    fn a_bundle_that_was_changed_does_not_verify(
        sealed in sealed(), donor in sealed(), accidents in accidents(),
    ) {
        let whole = sealed.encode();
        let changed = after(&accidents, whole.clone(), &donor.encode());
        if let Ok(unverified) = UnverifiedBundle::parse(&changed) {
            prop_assert_eq!(unverified.verify(&sealed.ledger).is_ok(), changed == whole);
        }
        check_every_parser(&changed);
    }

    #[test]
    fn a_bundle_that_was_changed_and_sealed_again_is_refused_or_written_back(
        sealed in sealed(), donor in sealed(), accidents in accidents(),
    ) {
        let (whole, other) = (sealed.encode(), donor.encode());
        let body = whole[5..whole.len() - 32].to_vec();
        prop_assert_eq!(sealed.reseal(&body), whole, "an accident that does not happen changes nothing");
        let changed = after(&accidents, body, &other[5..other.len() - 32]);
        check_bundle(&sealed.reseal(&changed), Some(&sealed));
    }

    #[test]
    fn a_legal_bundle_comes_back_as_it_was(sealed in sealed(), stranger in sealed()) {
        let bytes = sealed.encode();
        let unverified = UnverifiedBundle::parse(&bytes).unwrap();
        prop_assert_eq!(unverified.ledger(), sealed.bundle.ledger());
        prop_assert_eq!(unverified.clone().verify(&stranger.ledger), Err(OpenError));
        let verified = unverified.verify(&sealed.ledger).unwrap();
        prop_assert_eq!(verified, sealed.bundle);
    }

    #[test]
    fn what_a_root_wrapped_it_unwraps_in_its_place_alone(
        root in key(), secret in key(), nonce in drawn(),
        here in (purpose(), key_id()), there in (purpose(), key_id()),
    ) {
        let root = LocalRoot::new(&root);
        let context = Context { purpose: here.0, key_id: &here.1 };
        let wrapped = root.wrap(&secret, &context, &nonce).unwrap();
        let wrapped = WrappedKey::parse(&wrapped.encode()).unwrap();
        prop_assert_eq!((wrapped.root(), wrapped.encode().len()), (root.id(), 80));
        let opened = root.unwrap(&wrapped, &context).unwrap();
        prop_assert!(opened.ct_eq(&secret));

        prop_assume!(here != there);
        for (purpose, key_id) in [(here.0, &there.1), (there.0, &here.1), (there.0, &there.1)] {
            let elsewhere = Context { purpose, key_id };
            let same = (purpose, key_id) == (here.0, &here.1);
            prop_assert_eq!(root.unwrap(&wrapped, &elsewhere).is_ok(), same);
        }
    }

    #[test]
    fn what_a_root_wrapped_no_other_root_unwraps(
        root in key(), other in key(), secret in key(), nonce in drawn(), id in key_id(),
    ) {
        prop_assume!(!root.ct_eq(&other));
        let (root, other) = (LocalRoot::new(&root), LocalRoot::new(&other));
        let context = Context { purpose: Purpose::Key, key_id: &id };
        let wrapped = root.wrap(&secret, &context, &nonce).unwrap();
        prop_assert_eq!(other.unwrap(&wrapped, &context).err(), Some(OpenError));
        let renamed = WrappedKey::new(other.id(), wrapped.blob().to_vec()).unwrap();
        prop_assert_eq!(other.unwrap(&renamed, &context).err(), Some(OpenError));
        prop_assert_eq!(root.unwrap(&renamed, &context).err(), Some(OpenError));
    }

    #[test]
    fn a_wrapped_key_that_was_changed_never_opens(
        root in key(), secret in key(), nonce in drawn(), id in key_id(), accidents in accidents(),
    ) {
        let root = LocalRoot::new(&root);
        let context = Context { purpose: Purpose::Key, key_id: &id };
        let whole = root.wrap(&secret, &context, &nonce).unwrap().encode();
        let changed = after(&accidents, whole.clone(), &whole);
        let opened = WrappedKey::parse(&changed).is_ok_and(|it| root.unwrap(&it, &context).is_ok());
        prop_assert_eq!(opened, changed == whole);
    }

    #[test]
    fn a_seed_comes_back_under_its_own_version_alone(
        (ring, other_ring) in (ring(), ring()), (number, other_number) in (number(), number()),
        key in key(), other_key in key(), seed in key(), nonce in drawn(),
    ) {
        let under = |ring: &RingName, number, key: &KeyMaterial| {
            VersionKey::new(KeyId::derive(ring.clone(), number, key).unwrap(), key).unwrap()
        };
        let version = under(&ring, number, &key);
        let frame = version.wrap_seed(&seed, None, &nonce).unwrap();
        prop_assert_eq!(frame.encode().len(), Frame::LEN);
        let frame = Frame::parse(&frame.encode()).unwrap();
        prop_assert!(version.unwrap_seed(&frame, None).unwrap().ct_eq(&seed));

        for other in [
            under(&other_ring, number, &key), under(&ring, other_number, &key), under(&ring, number, &other_key),
        ] {
            prop_assert_eq!(other.unwrap_seed(&frame, None).is_ok(), other.id() == version.id());
        }
    }

    #[test]
    fn a_frame_that_was_changed_never_opens(
        key in key(), id in (ring(), number()), seed in key(), nonce in drawn(), accidents in accidents(),
    ) {
        let version = VersionKey::new(KeyId::derive(id.0, id.1, &key).unwrap(), &key).unwrap();
        let whole = version.wrap_seed(&seed, None, &nonce).unwrap().encode();
        let changed = after(&accidents, whole.clone(), &whole);
        let opened = Frame::parse(&changed).is_ok_and(|it| version.unwrap_seed(&it, None).is_ok());
        prop_assert_eq!(opened, changed == whole);
    }

    #[test]
    fn a_context_is_written_in_one_way(a in (purpose(), key_id()), b in (purpose(), key_id())) {
        let [one, two] = [&a, &b].map(|(purpose, key_id)| Context { purpose: *purpose, key_id }.encode());
        prop_assert_eq!(one == two, a == b);
    }
}
