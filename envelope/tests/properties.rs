//! What holds for any bytes, keys and places.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::{fmt::Debug, ops::Range};

use envelope::{
    Context, FormatError, Frame, KeyId, KeyMaterial, LedgerKey, LocalRoot, OpenError, Purpose,
    Random, RandomError, RingName, RootId, Row, VersionKey, WrappedKey,
    audit::{Checkpoint, Hash, Record},
    bundle::{
        Bundle, State, UnverifiedBundle, Version, WrappedLedgerKey, encode_wraps, parse_wraps,
    },
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

/// One field of a ledger row.
#[derive(Debug, Clone, PartialEq)]
enum Field {
    Number(u64),
    Maybe(Option<u64>),
    Text(String),
    Bytes(Vec<u8>),
}

impl Field {
    /// Two values of one kind, drawn from so few that they and their neighbours often come close to each other.
    fn pair() -> impl Strategy<Value = [Self; 2]> {
        fn of<T: Debug + 'static>(
            one: impl Strategy<Value = T> + 'static,
            field: fn(T) -> Field,
        ) -> BoxedStrategy<[Field; 2]> {
            let two = collection::vec(one, 2);
            two.prop_map(move |two| <[T; 2]>::try_from(two).unwrap().map(field)).boxed()
        }
        prop_oneof![
            of(small(), Self::Number),
            of(option::of(small()), Self::Maybe),
            of("[a\0\u{1}]{0,3}", Self::Text),
            of(collection::vec(0..2u8, 0..3), Self::Bytes),
        ]
    }

    fn add(&self, row: Row) -> Row {
        match self {
            Self::Number(value) => row.number(*value),
            Self::Maybe(value) => row.maybe(*value),
            Self::Text(value) => row.text(value),
            Self::Bytes(value) => row.bytes(value),
        }
    }
}

/// Numbers that look like one another, and like the length of a text, once they are bytes.
fn small() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..3u64,
        (0..3u64).prop_map(|value| value << 32),
        (0..3u64).prop_map(|value| value << 56),
        any::<u64>()
    ]
}

fn mac(table: &str, cluster: &[u8; 16], ring: &str, fields: &[Field]) -> Hash {
    fields
        .iter()
        .fold(Row::new(table, cluster, ring), |row, field| field.add(row))
        .mac(&some_ledger_key())
}

fn some_ledger_key() -> LedgerKey {
    ledger_key([0x1e; 32])
}

fn ledger_key(secret: [u8; 32]) -> LedgerKey {
    let secret = KeyMaterial::copy_from(&secret).unwrap();
    let ring = RingName::parse(LedgerKey::RING).unwrap();
    LedgerKey::new(KeyId::derive(ring, 1, &secret).unwrap(), secret).unwrap()
}

/// A record, with the cluster and the ring that it stands in. From few values, as [`Field::pair`].
fn record() -> impl Strategy<Value = ([u8; 16], String, Record)> {
    let text = || "[a\0]{0,2}";
    let hash = || prop_oneof![Just([0; 32]), any::<Hash>()];
    let place = (prop_oneof![Just([0; 16]), any::<[u8; 16]>()], "[a-b]{1,2}");
    (place, small(), small(), (text(), text(), text(), text()), hash()).prop_map(
        |((cluster, ring), seq, at, (actor, action, subject, detail), previous)| {
            (cluster, ring, Record { seq, at, actor, action, subject, detail, previous })
        },
    )
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
    if let Some(state) = State::of_word(text) {
        assert_eq!(state.as_str(), text);
    }
}

fn check_every_parser(bytes: &[u8]) {
    check(bytes, Frame::parse(bytes), Frame::encode);
    check(bytes, WrappedKey::parse(bytes), WrappedKey::encode);
    check(bytes, parse_wraps(bytes), |wraps| encode_wraps(wraps));
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
    fn wraps_come_back_as_they_were_and_changed_ones_are_refused_or_written_back(
        wraps in prop_oneof![Just(vec![]), wraps()], donor in wraps(), accidents in accidents(),
    ) {
        let bytes = encode_wraps(&wraps);
        prop_assert_eq!(parse_wraps(&bytes), Ok(wraps));
        check_every_parser(&after(&accidents, bytes, &encode_wraps(&donor)));
    }

    #[test]
    fn a_word_that_is_near_a_state_names_it_only_where_it_is_its_word(
        word in sample::select(vec![
            "pre_active", "active", "deactivated", "archived", "destroy_scheduled", "destroyed", "compromised",
        ]),
        accidents in accidents(),
    ) {
        check_text(&after(&accidents, word.as_bytes().to_vec(), b"re_dA "));
    }

    /// A table has one order of kinds: only rows of the same kinds are compared, as many columns as there may be.
    #[test]
    fn two_rows_of_a_table_have_one_mac_only_where_they_are_the_same(
        fields in collection::vec(Field::pair(), 0..5),
        equal in any::<bool>(),
        tables in ("[a]{1,2}", "[a]{1,2}"), rings in ("[a]{1,2}", "[a]{1,2}"),
    ) {
        let [one, two] = [0, 1].map(|at| fields.iter().map(|pair| pair[at].clone()).collect::<Vec<_>>());
        let two = if equal { one.clone() } else { two };
        let macs = [(&tables.0, &rings.0, &one), (&tables.1, &rings.1, &two)]
            .map(|(table, ring, fields)| mac(table, &[7; 16], ring, fields));
        prop_assert_eq!(macs[0] == macs[1], tables.0 == tables.1 && rings.0 == rings.1 && one == two);
    }

    #[test]
    fn a_row_is_bound_to_its_place_and_its_key(
        fields in collection::vec(Field::pair(), 0..5), cluster in any::<[u8; 16]>(), bit in 0..256usize,
    ) {
        let fields: Vec<_> = fields.into_iter().map(|[one, _]| one).collect();
        let right = mac("holds", &cluster, "etcd", &fields);
        let row = || fields.iter().fold(Row::new("holds", &cluster, "etcd"), |row, field| field.add(row));
        prop_assert!(row().verify(&some_ledger_key(), &right));
        prop_assert!(!row().verify(&ledger_key([0x1f; 32]), &right));
        let mut other = cluster;
        other[bit % 16] ^= 1 << (bit / 32);
        prop_assert_ne!(mac("holds", &other, "etcd", &fields), right);
        let mut changed = right;
        changed[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!row().verify(&some_ledger_key(), &changed));
        prop_assert!(!row().text("").verify(&some_ledger_key(), &right), "a field too many");
    }

    #[test]
    fn two_records_have_one_hash_only_where_they_are_the_same(one in record(), two in record()) {
        let [a, b] = [&one, &two].map(|(cluster, ring, record)| record.hash(cluster, ring));
        prop_assert_eq!(a == b, one == two);
    }

    #[test]
    fn any_changed_field_of_a_record_changes_its_hash(drawn in record(), field in 0..9usize, bit in 0..64usize) {
        let (cluster, ring, record) = drawn;
        let (mut other_cluster, mut other_ring, mut other) = (cluster, ring.clone(), record.clone());
        match field {
            0 => other_cluster[bit % 16] ^= 1,
            1 => other_ring.push('a'),
            2 => other.seq ^= 1 << bit,
            3 => other.at ^= 1 << bit,
            4 => other.actor.push('a'),
            5 => other.action.push('a'),
            6 => other.subject.push('a'),
            7 => other.detail.push('a'),
            _ => other.previous[bit % 32] ^= 1,
        }
        prop_assert_ne!(other.hash(&other_cluster, &other_ring), record.hash(&cluster, &ring));
    }

    #[test]
    fn a_checkpoint_verifies_as_it_was_signed_and_changed_in_no_other_way(
        secret in any::<[u8; 32]>(), cluster in any::<[u8; 16]>(), ring in ring(),
        stand in (any::<u64>(), any::<Hash>()), at in any::<u64>(), field in 0..7usize, bit in 0..512usize,
    ) {
        let (key, ring) = (ledger_key(secret), ring.to_string());
        let signed = Checkpoint::sign(&key, &cluster, &ring, stand, at).unwrap();
        prop_assert_eq!((signed.seq, signed.hash, signed.at), (stand.0, stand.1, at));
        prop_assert_eq!(signed.public_key, Checkpoint::public_key(&key, &cluster).unwrap());
        prop_assert!(signed.verify(&cluster, &ring));

        let (mut other_cluster, mut other_ring, mut other) = (cluster, ring, signed);
        match field {
            0 => other_cluster[bit % 16] ^= 1 << (bit / 64),
            1 => other_ring.push('a'),
            2 => other.seq ^= 1 << (bit % 64),
            3 => other.at ^= 1 << (bit % 64),
            4 => other.hash[bit % 32] ^= 1 << (bit / 64),
            5 => other.public_key[bit % 32] ^= 1 << (bit / 64),
            _ => other.signature[bit / 8] ^= 1 << (bit % 8),
        }
        prop_assert!(!other.verify(&other_cluster, &other_ring));
    }

    #[test]
    fn a_context_is_written_in_one_way(a in (purpose(), key_id()), b in (purpose(), key_id())) {
        let [one, two] = [&a, &b].map(|(purpose, key_id)| Context { purpose: *purpose, key_id }.encode());
        prop_assert_eq!(one == two, a == b);
    }
}

// --- Edges of the ledger -------------------------------------------------------------------------------------------------------

/// Rows that would be one row without lengths and without the byte of a column that may be NULL.
#[test]
fn a_boundary_that_moves_makes_another_row() {
    type Add = fn(Row) -> Row;
    let pairs: [(Add, Add); 12] = [
        (|row| row.text("ab").text("c"), |row| row.text("a").text("bc")),
        (|row| row.text("").text("abc"), |row| row.text("abc").text("")),
        (|row| row.text("abc"), |row| row.text("abc").text("")),
        (|row| row.bytes(b"ab").text("c"), |row| row.bytes(b"a").text("bc")),
        (|row| row.text("a\0"), |row| row.text("a")),
        (|row| row.maybe(None).number(1), |row| row.maybe(Some(1))),
        (|row| row.maybe(None).maybe(Some(1)), |row| row.maybe(Some(1)).maybe(None)),
        (|row| row.maybe(None), |row| row.maybe(Some(0))),
        (|row| row.maybe(None), |row| row),
        (|row| row.number(0), |row| row.maybe(None)),
        (|row| row.number(1).number(0), |row| row.number(0).number(1)),
        (|row| row.number(0).text("a"), |row| row.text("a").number(0)),
    ];
    for (at, (one, two)) in pairs.iter().enumerate() {
        let [one, two] =
            [one, two].map(|add| add(Row::new("holds", &[7; 16], "etcd")).mac(&some_ledger_key()));
        assert_ne!(one, two, "pair {at}");
    }
    let [one, two] = [("holds", "etcd"), ("hold", "setcd")]
        .map(|(table, ring)| Row::new(table, &[7; 16], ring).mac(&some_ledger_key()));
    assert_ne!(one, two, "between table and ring");
}

#[test]
fn a_word_for_a_state_has_one_spelling() {
    let states = [
        (State::PreActive, "pre_active"),
        (State::Active, "active"),
        (State::Deactivated, "deactivated"),
        (State::Archived, "archived"),
        (State::DestroyScheduled, "destroy_scheduled"),
        (State::Destroyed, "destroyed"),
        (State::Compromised, "compromised"),
    ];
    for (state, word) in states {
        assert_eq!((state.as_str(), State::of_word(word)), (word, Some(state)));
        for near in
            [word.to_uppercase(), format!("{word} "), format!(" {word}"), format!("{word}\0")]
        {
            assert_eq!(State::of_word(&near), None, "{near:?}");
        }
    }
    for other in
        ["", "pre-active", "preactive", "PreActive", "Active", "2", "destroy", "destroy-scheduled"]
    {
        assert_eq!(State::of_word(other), None, "{other:?}");
    }
}

#[test]
fn wraps_are_counted_ascend_and_end_where_they_say() {
    let wrap = |root: u16| {
        let [high, low] = root.to_be_bytes();
        WrappedKey::new(RootId([0, 0, 0, 0, high, low]), vec![0xb1]).unwrap()
    };
    let wraps = |count: u16| (0..count).map(wrap).collect::<Vec<_>>();
    let parsed = |wraps: &[WrappedKey]| parse_wraps(&encode_wraps(wraps));
    assert_eq!(encode_wraps(&[]), [0]);
    assert_eq!(encode_wraps(&wraps(1)), [1, 0, 0, 0, 8, 1, 0, 0, 0, 0, 0, 0, 0xb1]);
    for count in [0, 1, 2, 16] {
        assert_eq!(parsed(&wraps(count)), Ok(wraps(count)));
    }

    let disorder = Err(FormatError::Field("wraps"));
    assert_eq!(parsed(&wraps(17)), disorder, "one more than there may be");
    assert_eq!(parsed(&wraps(255)), disorder, "as many as can be counted");
    assert_eq!(parsed(&[wrap(2), wrap(1)]), disorder);
    assert_eq!(parsed(&[wrap(1), wrap(1)]), disorder);
    // What cannot be counted in a byte is never taken for fewer.
    for count in [256, 257, 272] {
        assert_eq!(parsed(&wraps(count)), Err(FormatError::Length), "{count} wraps");
    }

    let two = encode_wraps(&wraps(2));
    for len in 0..two.len() {
        assert_eq!(parse_wraps(&two[..len]), Err(FormatError::Length), "cut at {len}");
    }
    assert_eq!(parse_wraps(&[two.as_slice(), &[0]].concat()), Err(FormatError::Length));
    let one_less = [&[1], &two[1..]].concat();
    assert_eq!(parse_wraps(&one_less), Err(FormatError::Length), "a count that is too low");
    let long = WrappedKey::new(RootId([0; 6]), vec![0; WrappedKey::MAX_BLOB_LEN]).unwrap();
    assert_eq!(parsed(std::slice::from_ref(&long)), Ok(vec![long.clone()]));
    let mut too_long = encode_wraps(&[long]);
    too_long[3..5].copy_from_slice(&2056u16.to_be_bytes());
    too_long.push(0);
    assert_eq!(parse_wraps(&too_long), Err(FormatError::Length), "a blob of 2049 bytes");
}
