//! What the largest objects cost: no more than goes with their length, whoever wrote them.

use std::time::Instant;

use envelope::SystemRandom;
use sealing::{At, DataKey, Plaintext, Refused, Scope, SealError, SealedSecret, Template};
use serde_json::json;

use crate::{
    support::{keys, recipients, ring, sealed},
    written::written,
};

/// Four thousand values, and none of them is long.
fn values() -> Vec<DataKey> {
    (0..4_000).map(|i| DataKey::parse(&format!("v{i}")).unwrap()).collect()
}

/// Name, namespace and type are hashed for each value: half a megabyte of type with as much of values took seconds to open.
#[test]
fn place_is_short() {
    let object = written(&sealed(Scope::Strict, &[("k", b"value")], &recipients(&keys(1))));
    for at in ["metadata.name", "metadata.namespace", "spec.template.type"] {
        let mut object = object.clone();
        object["spec"]["template"] = json!({"type": "Opaque"});
        let pointer = format!("/{}", at.replace('.', "/"));
        *object.pointer_mut(&pointer).unwrap() = json!("x".repeat(253));
        SealedSecret::parse(&object).unwrap();
        *object.pointer_mut(&pointer).unwrap() = json!("x".repeat(254));
        let error = SealedSecret::parse(&object).unwrap_err();
        assert_eq!((error.at.to_string(), error.refused), (at.to_owned(), Refused::TooLong));
    }
}

#[test]
fn what_would_be_refused_for_its_place_is_not_sealed() {
    let (all, value) = (keys(1), Plaintext::new(b"v".to_vec()));
    let long = "x".repeat(254);
    for (namespace, name, secret_type, expected) in [
        ("prod", "db", "", Err(SealError::Name("spec.template.type"))),
        ("prod", "db", &*long, Err(SealError::Name("spec.template.type"))),
        ("prod", "", "Opaque", Err(SealError::Name("metadata.name"))),
        ("prod", &*long, "Opaque", Err(SealError::Name("metadata.name"))),
        ("", "db", "Opaque", Err(SealError::Name("metadata.namespace"))),
        (&*long, "db", "Opaque", Err(SealError::Name("metadata.namespace"))),
        (&long[1..], &long[1..], &long[1..], Ok(())),
    ] {
        let template =
            Template { secret_type: Some(secret_type.to_owned()), ..Template::default() };
        let mut object = SealedSecret::new(Scope::Strict, Some(namespace), name, template);
        let sealed =
            object.set(&[(DataKey::parse("k").unwrap(), &value)], &recipients(&all), &SystemRandom);
        assert_eq!(sealed, expected, "{namespace:.9} {name:.9} {secret_type:.9}");
        if sealed.is_ok() {
            SealedSecret::parse(&written(&object)).unwrap().open(&ring(&all)).unwrap();
        }
    }
}

/// Twenty thousand texts beside four thousand values: what is done for each value is done once, not once for each text.
#[test]
fn rendering_many_texts_does_not_go_through_all_values_for_each() {
    let all = keys(1);
    let texts = (0..20_000).map(|i| (DataKey::parse(&format!("t{i}")).unwrap(), String::new()));
    let template = Template { data: texts.collect(), ..Template::default() };
    let mut object = SealedSecret::new(Scope::Strict, Some("prod"), "db", template);
    let value = Plaintext::new(Vec::new());
    let values: Vec<_> = values().into_iter().map(|key| (key, &value)).collect();
    object.set(&values, &recipients(&all), &SystemRandom).unwrap();
    let ring = ring(&all);
    let timed = |open: &dyn Fn() -> usize| {
        let start = Instant::now();
        (open(), start.elapsed())
    };
    let (opened, alone) = timed(&|| object.open(&ring).unwrap().len());
    let (rendered, with_texts) = timed(&|| object.open_rendered(&ring).unwrap().len());
    assert_eq!((opened, rendered), (4_000, 24_000));
    assert!(with_texts < 20 * alone, "{with_texts:?}, and {alone:?} without texts");
}

/// A message ends in a status of the cluster, which has a limit of its own: a name of a megabyte is not in it.
#[test]
fn message_is_short_however_long_a_name_is() {
    let object = written(&sealed(Scope::Strict, &[("k", b"value")], &recipients(&keys(1))));
    let value = object["spec"]["values"]["k"].clone();
    for (parent, value, why) in
        [("/spec", json!(1), Refused::UnknownField), ("/spec/values", value, Refused::DataKey)]
    {
        let mut object = object.clone();
        object.pointer_mut(parent).unwrap()["\n".repeat(1_000_000)] = value;
        let error = SealedSecret::parse(&object).unwrap_err();
        assert_eq!(error.refused, why);
        assert!(error.to_string().len() < 1_000, "{parent}");
    }
    let longest = "k".repeat(253);
    assert_eq!(At::default().field(&longest).to_string(), longest);
}
