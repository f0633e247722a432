//! Any data at all: an error with a place, or an object; never a panic.

use proptest::prelude::*;
use sealing::{EscrowKey, Kid, Scope, SealedSecret, SealingKeys, SlotId, parse_escrow_text};
use serde_json::{Value as Json, json};

use crate::{
    support::{keys, recipients, ring, sealed},
    written::written,
};

/// Small trees of JSON, with the names of our fields among their keys.
fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "[sk]?[0-9a-f]{0,17}(\\.[A-Za-z0-9+/=]{0,90})?".prop_map(Json::from),
        ".{0,12}".prop_map(Json::from),
    ];
    let name = prop_oneof![
        prop::sample::select(vec![
            "spec", "slots", "values", "wraps", "kid", "ct", "id", "commit", "binding", "scope",
            "template", "metadata", "name", "data", "suite",
        ])
        .prop_map(str::to_owned),
        ".{0,8}",
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            prop::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|entries| Json::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_data_is_an_object_or_an_error(mut json in any_json()) {
        let _ = (SealedSecret::parse(&json), SealingKeys::parse(&json), EscrowKey::parse(&json));
        if json.is_object() {
            json["apiVersion"] = json!("strongroom.dev/v1alpha1");
            json["kind"] = json!("SealedSecret");
            if let Err(error) = SealedSecret::parse(&json) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }

    #[test]
    fn any_text_is_a_name_or_none(text in ".{0,40}") {
        if let Some(kid) = Kid::parse(&text) { prop_assert_eq!(kid.to_string(), text.clone()); }
        if let Some(id) = SlotId::parse(&text) { prop_assert_eq!(id.to_string(), text.clone()); }
        let _ = parse_escrow_text(&text);
    }
}

/// A good object with one thing in it changed, 10,000 times: it is refused, or opens to what it was, or does not open. What opens is never
/// something else.
#[test]
fn mutated_objects_are_refused_or_stay_shut() {
    let all = keys(2);
    let ring = ring(&all);
    let good = written(&sealed(
        Scope::Strict,
        &[("k", b"value"), ("l", b"other value")],
        &recipients(&all),
    ));
    let text = good.to_string();
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let (mut refused, mut shut, mut opened, mut no_json) = (0, 0, 0, 0);
    for _ in 0..10_000 {
        let mut bytes = text.clone().into_bytes();
        for _ in 0..=next() % 2 {
            let at = next() as usize % bytes.len();
            match next() % 4 {
                0 => bytes[at] = b' ' + (next() % 95) as u8,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, b' ' + (next() % 95) as u8),
                _ => {
                    let len = (next() as usize % 40).min(bytes.len() - at);
                    let part = bytes[at..at + len].to_vec();
                    let to = next() as usize % bytes.len();
                    bytes.splice(to..to, part);
                }
            }
        }
        let Ok(json) = serde_json::from_slice::<Json>(&bytes) else {
            no_json += 1;
            continue;
        };
        let Ok(object) = SealedSecret::parse(&json) else {
            refused += 1;
            continue;
        };
        match object.open(&ring) {
            Err(_) => shut += 1,
            Ok(values) => {
                opened += 1;
                for (key, value) in values {
                    let expected: &[u8] =
                        if key.as_str() == "k" { b"value" } else { b"other value" };
                    assert_eq!(value.expose_secret(), expected, "{key}");
                }
            }
        }
    }
    assert!(
        refused > 500 && shut > 500 && no_json > 100,
        "{refused} refused, {shut} shut, {opened} opened, {no_json} no JSON"
    );
}
