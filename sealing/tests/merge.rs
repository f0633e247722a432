//! Three versions made one, against a model of what each key must become.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::collections::{BTreeMap, BTreeSet};

use envelope::SystemRandom;
use proptest::prelude::*;
use sealing::{
    At, Conflict, DataKey, KeyRing, Kid, MergeError, Plaintext, Recipient, Scope, SealedSecret,
    SealingKey, SlotId, Template, Value,
};

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

#[derive(Debug, Clone)]
enum Step {
    /// Keys by their bits, sealed at once.
    Set(u8),
    Unset(usize),
    /// Recipients by their bits.
    Rewrap(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1_u8..32).prop_map(Step::Set),
        2 => (0_usize..5).prop_map(Step::Unset),
        2 => (1_u8..8).prop_map(Step::Rewrap),
    ];
    prop::collection::vec(step, 0..4)
}

/// A side: the object, whom it seals for, and every plaintext that was ever sealed.
struct World {
    keys: KeyRing,
    all: Vec<Recipient>,
    plaintexts: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl World {
    fn new() -> Self {
        let keys: Vec<_> = (0..3).map(|_| SealingKey::make(&SystemRandom).unwrap()).collect();
        let all = keys.iter().map(|key| key.recipient().clone()).collect();
        Self { keys: keys.into_iter().collect(), all, plaintexts: BTreeMap::new() }
    }

    fn walk(&mut self, object: &mut SealedSecret, audience: &mut u8, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Set(bits) => {
                    let recipients = self.recipients(*audience);
                    let values: Vec<_> = chosen(*bits, &KEYS)
                        .map(|key| {
                            let text = format!(
                                "plaintext {}",
                                self.plaintexts.len() + usize::from(key.as_bytes()[0])
                            );
                            (DataKey::parse(key).unwrap(), Plaintext::new(text.into_bytes()))
                        })
                        .collect();
                    let borrowed: Vec<_> =
                        values.iter().map(|(key, value)| (key.clone(), value)).collect();
                    object.set(&borrowed, &recipients, &SystemRandom).unwrap();
                    for (key, plaintext) in &values {
                        let sealed = object.values()[key].bytes().to_vec();
                        self.plaintexts.insert(sealed, plaintext.expose_secret().to_vec());
                    }
                }
                Step::Unset(key) => drop(object.unset(KEYS[*key])),
                Step::Rewrap(bits) => {
                    *audience = *bits;
                    object.rewrap(&self.keys, &self.recipients(*bits), &SystemRandom).unwrap();
                }
            }
        }
    }

    fn recipients(&self, bits: u8) -> Vec<Recipient> {
        chosen(bits, &self.all).cloned().collect()
    }
}

fn chosen<T>(bits: u8, of: &[T]) -> impl Iterator<Item = &T> {
    of.iter().enumerate().filter(move |(i, _)| bits >> i & 1 == 1).map(|(_, item)| item)
}

fn object() -> SealedSecret {
    SealedSecret::new(Scope::Strict, Some("prod"), "db", Template::default())
}

/// What a field becomes: `Err` where it is in conflict.
fn model<T: PartialEq>(base: T, ours: T, theirs: T) -> Result<T, ()> {
    match (base == ours, base == theirs, ours == theirs) {
        (_, _, true) | (false, true, _) => Ok(ours),
        (true, ..) => Ok(theirs),
        (false, false, false) => Err(()),
    }
}

fn wraps(object: &SealedSecret, id: SlotId) -> Option<BTreeMap<Kid, Vec<u8>>> {
    let slot = object.slots().iter().find(|slot| slot.id() == id)?;
    Some(slot.wraps().iter().map(|wrap| (wrap.kid(), wrap.bytes().to_vec())).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn each_key_becomes_what_the_model_says_or_is_in_conflict(
        before in steps(), ours in steps(), theirs in steps(), audience in 1_u8..8,
    ) {
        let mut world = World::new();
        let (mut base, mut for_base) = (object(), audience);
        world.walk(&mut base, &mut for_base, &[Step::Set(0b111)]);
        world.walk(&mut base, &mut for_base, &before);
        let (mut a, mut for_a) = (base.clone(), for_base);
        let (mut b, mut for_b) = (base.clone(), for_base);
        world.walk(&mut a, &mut for_a, &ours);
        world.walk(&mut b, &mut for_b, &theirs);

        let merged = SealedSecret::merge(Some(&base), &a, &b).unwrap();
        let mut conflicts = Vec::new();
        for key in KEYS {
            let of = |object: &SealedSecret| object.values().get(key).cloned();
            let (in_ours, in_theirs) = (of(&merged.ours), of(&merged.theirs));
            match model(of(&base), of(&a), of(&b)) {
                Ok(value) => {
                    prop_assert_eq!(&in_ours, &value);
                    prop_assert_eq!(&in_theirs, &value);
                }
                Err(()) => {
                    conflicts.push(Conflict::Value(DataKey::parse(key).unwrap()));
                    prop_assert_eq!(in_ours, of(&a));
                    prop_assert_eq!(in_theirs, of(&b));
                }
            }
        }
        prop_assert_eq!(&merged.conflicts, &conflicts);

        // Every value opens, to what was sealed in it.
        for side in [&merged.ours, &merged.theirs] {
            let opened = side.open(&world.keys).unwrap();
            for (key, value) in side.values() {
                prop_assert_eq!(opened[key].expose_secret(), world.plaintexts[value.bytes()].as_slice());
            }
        }

        // The slots that values are in, and no others; their wraps by kid.
        let used: BTreeSet<SlotId> =
            [&merged.ours, &merged.theirs].iter().flat_map(|side| side.values().values().map(Value::slot)).collect();
        let there: BTreeSet<SlotId> = merged.ours.slots().iter().map(sealing::Slot::id).collect();
        prop_assert_eq!(&there, &used);
        for id in used {
            let found = wraps(&merged.ours, id).unwrap();
            prop_assert_eq!(&found, &wraps(&merged.theirs, id).unwrap());
            match (wraps(&a, id), wraps(&b, id)) {
                (Some(one), None) | (None, Some(one)) => prop_assert_eq!(found, one),
                (Some(a), Some(b)) => {
                    let base = wraps(&base, id).unwrap_or_default();
                    let mut wanted = BTreeMap::new();
                    for kid in a.keys().chain(b.keys()) {
                        let bytes = model(base.get(kid), a.get(kid), b.get(kid))
                            .unwrap_or_else(|()| a.get(kid).or(b.get(kid)));
                        wanted.extend(bytes.map(|bytes| (*kid, bytes.clone())));
                    }
                    if wanted.is_empty() {
                        wanted = b.into_iter().chain(a).collect();
                    }
                    prop_assert_eq!(found, wanted);
                }
                (None, None) => prop_assert!(false, "a slot of neither side"),
            }
        }
        prop_assert!(SealedSecret::merge(Some(&base), &a, &a).unwrap().ours.says_the_same(&a));
        prop_assert!(SealedSecret::merge(Some(&a), &a, &b).unwrap().ours.says_the_same(&b));
    }
}

fn template(labels: &[(&str, &str)]) -> Template {
    let labels = labels.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    Template { labels, ..Template::default() }
}

fn label(name: &str) -> Conflict {
    let at = ["spec", "template", "metadata", "labels", name]
        .iter()
        .fold(At::default(), |at, field| at.field(field));
    Conflict::Field(at)
}

#[test]
fn labels_merge_one_by_one() {
    let with = |labels: &[(&str, &str)]| {
        let mut object = object();
        object.set_template(template(labels));
        object
    };
    let base = with(&[("app", "db"), ("tier", "1"), ("old", "x")]);
    let ours = with(&[("app", "db2"), ("tier", "2"), ("old", "x")]);
    let theirs = with(&[("app", "db"), ("tier", "3"), ("new", "y")]);
    let merged = SealedSecret::merge(Some(&base), &ours, &theirs).unwrap();
    assert_eq!(merged.conflicts, [label("tier")]);
    assert_eq!(merged.ours.template(), &template(&[("app", "db2"), ("tier", "2"), ("new", "y")]));
    assert_eq!(merged.theirs.template(), &template(&[("app", "db2"), ("tier", "3"), ("new", "y")]));
    // Without a base, what differs was written by both.
    let merged = SealedSecret::merge(None, &ours, &theirs).unwrap();
    assert_eq!(merged.conflicts, [label("app"), label("tier")]);
}

#[test]
fn a_value_that_was_sealed_for_another_type_is_a_conflict_where_nobody_touched_it() {
    let mut world = World::new();
    let (mut base, mut audience) = (object(), 1);
    world.walk(&mut base, &mut audience, &[Step::Set(0b1)]);
    let (mut ours, mut theirs) = (base.clone(), base.clone());
    world.walk(&mut ours, &mut audience, &[Step::Set(0b10)]);
    let tls = Template { secret_type: Some("example.com/pair".into()), ..Template::default() };
    theirs = SealedSecret::new(Scope::Strict, theirs.namespace(), theirs.name(), tls);
    world.walk(&mut theirs, &mut audience, &[Step::Set(0b1)]);
    let merged = SealedSecret::merge(Some(&base), &ours, &theirs).unwrap();
    assert_eq!(merged.conflicts, [Conflict::Elsewhere(DataKey::parse("b").unwrap())]);
    assert_eq!(merged.ours.template().secret_type(), "example.com/pair");
}

#[test]
fn versions_of_different_objects_and_slots_of_one_name_are_refused() {
    let mut world = World::new();
    let (mut base, mut audience) = (object(), 1);
    world.walk(&mut base, &mut audience, &[Step::Set(0b11)]);
    let other = SealedSecret::new(Scope::Strict, Some("prod"), "other", Template::default());
    assert_eq!(SealedSecret::merge(Some(&base), &base, &other).unwrap_err(), MergeError::NotOne);
    assert_eq!(SealedSecret::merge(Some(&other), &base, &base).unwrap_err(), MergeError::NotOne);

    let spoilt = SealedSecret::parse(&with_commit(&base, &[7; 32])).unwrap();
    assert!(spoilt.values() == base.values() && !spoilt.says_the_same(&base));
    let id = base.slots()[0].id();
    assert_eq!(
        SealedSecret::merge(Some(&base), &base, &spoilt).unwrap_err(),
        MergeError::SlotDiffers(id)
    );
}

/// An object of one slot as data, with another commit.
fn with_commit(object: &SealedSecret, commit: &[u8; 32]) -> serde_json::Value {
    let base64 = |bytes: &[u8]| data_encoding::BASE64.encode(bytes);
    let slot = &object.slots()[0];
    let wraps: Vec<_> = slot
        .wraps()
        .iter()
        .map(|wrap| serde_json::json!({"kid": wrap.kid().to_string(), "ct": base64(wrap.bytes())}))
        .collect();
    let values: BTreeMap<_, _> =
        object.values().iter().map(|(key, value)| (key.as_str(), value.encode())).collect();
    serde_json::json!({
        "apiVersion": sealing::API_VERSION,
        "kind": sealing::KIND,
        "metadata": {"name": object.name(), "namespace": object.namespace()},
        "spec": {
            "suite": 1,
            "binding": {"scope": "strict", "namespace": "prod", "name": "db", "type": "Opaque"},
            "slots": [{"id": slot.id().to_string(), "commit": base64(commit), "wraps": wraps}],
            "values": values,
        },
    })
}
