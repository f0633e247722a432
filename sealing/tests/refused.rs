//! Everything that an object is refused for, each with its own word and its place.

use sealing::{Refused, Scope, SealedSecret};
use serde_json::{Value as Json, json};

use crate::{
    support::{keys, recipients, sealed},
    written::written,
};

fn good() -> Json {
    written(&sealed(Scope::Strict, &[("k", b"value"), ("l", b"other")], &recipients(&keys(2))))
}

fn refused(object: &Json) -> (String, Refused) {
    let error = SealedSecret::parse(object).unwrap_err();
    (error.at.to_string(), error.refused)
}

/// One change to a good object, and what comes of it.
fn check(change: impl FnOnce(&mut Json), at: &str, why: &Refused) {
    let mut object = good();
    SealedSecret::parse(&object).unwrap();
    change(&mut object);
    assert_eq!(refused(&object), (at.to_owned(), why.clone()));
}

#[test]
fn other_kinds_and_versions() {
    check(|object| object["kind"] = json!("Secret"), "the object", &Refused::Kind);
    check(|object| object["apiVersion"] = json!("strongroom.dev/v1"), "the object", &Refused::Kind);
    assert_eq!(refused(&json!([])), ("the object".to_owned(), Refused::Mapping));
}

#[test]
fn suites_but_the_integer_1() {
    for suite in [json!(2), json!(0), json!(1.0), json!("1"), json!(true), Json::Null] {
        check(|object| object["spec"]["suite"] = suite, "spec.suite", &Refused::Suite);
    }
}

#[test]
fn fields_that_are_missing() {
    for (at, parent, field) in [
        ("metadata", "", "metadata"),
        ("metadata.name", "/metadata", "name"),
        ("spec", "", "spec"),
        ("spec.suite", "/spec", "suite"),
        ("spec.binding", "/spec", "binding"),
        ("spec.binding.scope", "/spec/binding", "scope"),
        ("spec.slots", "/spec", "slots"),
        ("spec.values", "/spec", "values"),
        ("spec.slots[0].id", "/spec/slots/0", "id"),
        ("spec.slots[0].commit", "/spec/slots/0", "commit"),
        ("spec.slots[0].wraps", "/spec/slots/0", "wraps"),
        ("spec.slots[0].wraps[1].kid", "/spec/slots/0/wraps/1", "kid"),
        ("spec.slots[0].wraps[1].ct", "/spec/slots/0/wraps/1", "ct"),
    ] {
        check(
            |object| {
                drop(object.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field))
            },
            at,
            &Refused::Missing,
        );
    }
}

#[test]
fn fields_that_nobody_knows() {
    let template = |object: &mut Json| object["spec"]["template"] = json!({"metadata": {}});
    for (parent, at) in [
        ("/spec", "spec.new"),
        ("/spec/binding", "spec.binding.new"),
        ("/spec/template", "spec.template.new"),
        ("/spec/template/metadata", "spec.template.metadata.new"),
        ("/spec/slots/0", "spec.slots[0].new"),
        ("/spec/slots/0/wraps/0", "spec.slots[0].wraps[0].new"),
    ] {
        check(
            |object| {
                template(object);
                object.pointer_mut(parent).unwrap()["new"] = json!(1);
            },
            at,
            &Refused::UnknownField,
        );
    }
    // What Kubernetes and people put beside is none of ours.
    let mut object = good();
    object["status"] = json!({});
    object["metadata"]["labels"] = json!({"a": "b"});
    SealedSecret::parse(&object).unwrap();
}

#[test]
fn bindings_and_templates() {
    check(
        |object| object["spec"]["binding"]["scope"] = json!("Strict"),
        "spec.binding.scope",
        &Refused::Scope,
    );
    check(
        |object| object["spec"]["binding"]["namespace"] = json!(1),
        "spec.binding.namespace",
        &Refused::Text,
    );
    check(
        |object| object["metadata"]["namespace"] = json!(""),
        "metadata.namespace",
        &Refused::Empty,
    );
    check(|object| object["metadata"]["name"] = json!(""), "metadata.name", &Refused::Empty);
    check(|object| object["spec"]["template"] = json!([]), "spec.template", &Refused::Mapping);
    check(
        |object| object["spec"]["template"] = json!({"type": ""}),
        "spec.template.type",
        &Refused::Empty,
    );
    check(
        |object| object["spec"]["template"] = json!({"immutable": "true"}),
        "spec.template.immutable",
        &Refused::Bool,
    );
    check(
        |object| {
            object["spec"]["template"] = json!({"type": "kubernetes.io/service-account-token"})
        },
        "spec.template.type",
        &Refused::ServiceAccountToken,
    );
    check(
        |object| object["spec"]["template"] = json!({"metadata": {"labels": {"tier": 1}}}),
        "spec.template.metadata.labels.tier",
        &Refused::Text,
    );
    check(
        |object| object["spec"]["template"] = json!({"data": {"..x": ""}}),
        "spec.template.data...x",
        &Refused::DataKey,
    );
    check(
        |object| object["spec"]["template"] = json!({"data": {"k": ""}}),
        "spec.template.data.k",
        &Refused::KeyTwice,
    );
}

#[test]
fn slots_and_wraps() {
    for id in ["", "s", "S7f3a9c21", "s7F3a9c21", "s7f3a9c2", "s7f3a9c211", "7f3a9c21", "sxxxxxxxx"]
    {
        check(
            |object| object["spec"]["slots"][0]["id"] = json!(id),
            "spec.slots[0].id",
            &Refused::SlotId,
        );
    }
    for kid in [
        "",
        "k",
        "k9d1c2f44a0b7e6d",
        "k9d1c2f44a0b7e6d33",
        "K9d1c2f44a0b7e6d3",
        "k9D1c2f44a0b7e6d3",
    ] {
        check(
            |object| object["spec"]["slots"][0]["wraps"][0]["kid"] = json!(kid),
            "spec.slots[0].wraps[0].kid",
            &Refused::Kid,
        );
    }
    let twice = |object: &mut Json, pointer: &str| {
        let items = object.pointer_mut(pointer).unwrap().as_array_mut().unwrap();
        let first = items[0].clone();
        items.push(first);
    };
    check(|object| twice(object, "/spec/slots"), "spec.slots[1].id", &Refused::SlotTwice);
    check(
        |object| twice(object, "/spec/slots/0/wraps"),
        "spec.slots[0].wraps[2].kid",
        &Refused::KidTwice,
    );
    check(
        |object| object["spec"]["slots"][0]["wraps"] = json!([]),
        "spec.slots[0].wraps",
        &Refused::NoWraps,
    );
    let many =
        |object: &mut Json, pointer: &str, field: &str, format: fn(usize) -> String, n: usize| {
            let items = object.pointer_mut(pointer).unwrap().as_array_mut().unwrap();
            for i in items.len()..n {
                let mut item = items[0].clone();
                item[field] = json!(format(i));
                items.push(item);
            }
        };
    let wraps = |object: &mut Json, n| {
        many(object, "/spec/slots/0/wraps", "kid", |i| format!("k{i:016x}"), n)
    };
    let slots =
        |object: &mut Json, n| many(object, "/spec/slots", "id", |i| format!("s{i:08x}"), n);
    check(|object| wraps(object, 33), "spec.slots[0].wraps", &Refused::TooManyWraps);
    check(|object| slots(object, 65), "spec.slots", &Refused::TooManySlots);
    let mut object = good();
    wraps(&mut object, 32);
    slots(&mut object, 64);
    SealedSecret::parse(&object).unwrap();
}

#[test]
fn base64_that_is_not_as_it_must_be() {
    let ct = good()["spec"]["slots"][0]["wraps"][0]["ct"].as_str().unwrap().to_owned();
    let at = "spec.slots[0].wraps[0].ct";
    for (text, why) in [
        (ct.replace(['+', '/'], "-"), Refused::Base64),
        (format!("{}\n", &ct[..ct.len() - 1]), Refused::Base64),
        (ct[4..].to_owned(), Refused::Length(1168)),
        (format!("{ct}AAAA"), Refused::Length(1168)),
        (String::new(), Refused::Length(1168)),
    ] {
        check(|object| object["spec"]["slots"][0]["wraps"][0]["ct"] = json!(text), at, &why);
    }
    // 32 bytes end in one letter that has two bits to spare: they are zero.
    let commit = good()["spec"]["slots"][0]["commit"].as_str().unwrap().to_owned();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let spare = alphabet.find(&commit[42..43]).unwrap();
    let other = format!("{}{}=", &commit[..42], &alphabet[spare + 1..spare + 2]);
    check(
        |object| object["spec"]["slots"][0]["commit"] = json!(other),
        "spec.slots[0].commit",
        &Refused::Base64,
    );
}

#[test]
fn values() {
    let good_value = good()["spec"]["values"]["k"].as_str().unwrap().to_owned();
    let (slot, text) = good_value.split_once('.').unwrap();
    let set = |value: String| {
        move |object: &mut Json| {
            let value = value.replace(slot, object["spec"]["slots"][0]["id"].as_str().unwrap());
            object["spec"]["values"]["k"] = json!(value);
        }
    };
    let at = "spec.values.k";
    check(|object| object["spec"]["values"]["k"] = json!(5), at, &Refused::Text);
    check(set(text.to_owned()), at, &Refused::Value);
    check(set(format!("s0.{text}")), at, &Refused::Value);
    check(set(format!("s00000000.{text}")), at, &Refused::NoSlot);
    check(set(format!("{slot}.{}", text.trim_end_matches('='))), at, &Refused::Base64);
    for len in [0, 32, 63, 65, 95] {
        check(
            set(format!("{slot}.{}", data_encoding::BASE64.encode(&vec![0; len]))),
            at,
            &Refused::Value,
        );
    }
    let longest = 16 + 1_048_608 + 16;
    check(
        set(format!("{slot}.{}", data_encoding::BASE64.encode(&vec![0; longest + 32]))),
        at,
        &Refused::Value,
    );
    check(
        |object| {
            let value = object["spec"]["values"]["k"].clone();
            object["spec"]["values"]["a b"] = value;
        },
        "spec.values.a b",
        &Refused::DataKey,
    );
    for key in ["", ".", "..", "..a", "a/b", "ü", &"x".repeat(254)] {
        assert_eq!(sealing::DataKey::parse(key), None, "{key}");
    }
    for key in ["a", ".a", "-", "_", "a..b", "tls.key", &"x".repeat(253)] {
        assert_eq!(sealing::DataKey::parse(key).unwrap().as_str(), key);
    }
}

#[test]
fn messages_do_not_repeat_what_is_wrong() {
    let mut object = good();
    object["spec"]["values"]["k"] = json!("s00000000.hunter2");
    object["spec"]["slots"][0]["commit"] = json!("hunter2");
    let error = SealedSecret::parse(&object).unwrap_err();
    assert!(!error.to_string().contains("hunter2") && !format!("{error:?}").contains("hunter2"));
}
