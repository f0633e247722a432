//! What was moved does not open; what was changed does not either.

use sealing::{OpenError, Scope, SealedSecret};
use serde_json::{Value as Json, json};

use crate::{
    support::{keys, recipients, ring, sealed, set},
    vector_file::VectorFile,
    written::written,
};

fn opens(object: &Json, keys: &[sealing::SealingKey]) -> Result<usize, OpenError> {
    SealedSecret::parse(object).unwrap().open(&ring(keys)).map(|opened| opened.len())
}

#[test]
fn moved_to_another_namespace_name_or_type_it_does_not_open_unless_its_scope_says_so() {
    let all = keys(1);
    for (scope, namespace_opens, name_opens) in [
        (Scope::Strict, false, false),
        (Scope::Namespace, false, true),
        (Scope::Cluster, true, true),
    ] {
        let object = written(&sealed(scope, &[("k", b"value")], &recipients(&all)));
        assert_eq!(opens(&object, &all), Ok(1));
        let expect = |opens: bool| if opens { Ok(1) } else { Err(OpenError::Closed) };
        let mut moved = object.clone();
        moved["metadata"]["namespace"] = json!("other");
        assert_eq!(opens(&moved, &all), expect(namespace_opens), "namespace, {scope}");
        moved["metadata"]["namespace"] = Json::Null;
        moved["metadata"].as_object_mut().unwrap().remove("namespace");
        let gone = if namespace_opens { Ok(1) } else { Err(OpenError::NoNamespace) };
        assert_eq!(opens(&moved, &all), gone, "no namespace, {scope}");
        let mut moved = object.clone();
        moved["metadata"]["name"] = json!("other");
        assert_eq!(opens(&moved, &all), expect(name_opens), "name, {scope}");
        let mut moved = object.clone();
        moved["spec"]["template"] = json!({"type": "kubernetes.io/tls"});
        assert_eq!(opens(&moved, &all), Err(OpenError::Closed), "type, {scope}");
        moved["spec"]["template"] = json!({"type": "Opaque"});
        assert_eq!(opens(&moved, &all), Ok(1), "Opaque is the type of none, {scope}");
        for other in
            ["strict", "namespace", "cluster"].into_iter().filter(|other| *other != scope.as_str())
        {
            let mut moved = object.clone();
            moved["spec"]["binding"]["scope"] = json!(other);
            assert_eq!(opens(&moved, &all), Err(OpenError::Closed), "{scope} as {other}");
        }
    }
}

/// `a` in `b` is not `ab` in nothing: lengths are part of the place.
#[test]
fn names_that_join_to_the_same_letters_are_different_places() {
    let all = keys(1);
    let mut object =
        SealedSecret::new(Scope::Strict, Some("ab"), "c", sealing::Template::default());
    set(&mut object, &[("k", b"value")], &recipients(&all));
    let mut moved = written(&object);
    moved["metadata"] = json!({"namespace": "a", "name": "bc"});
    assert_eq!(opens(&moved, &all), Err(OpenError::Closed));
}

#[test]
fn value_under_another_data_key_slot_or_object_does_not_open() {
    let all = keys(1);
    let mut object =
        sealed(Scope::Strict, &[("a", b"value a"), ("b", b"value b")], &recipients(&all));
    set(&mut object, &[("c", b"value c")], &recipients(&all));
    let whole = written(&object);

    let mut moved = whole.clone();
    let values = moved["spec"]["values"].as_object_mut().unwrap();
    let (a, b) = (values["a"].clone(), values["b"].clone());
    values.insert("a".into(), b);
    values.insert("b".into(), a.clone());
    assert_eq!(opens(&moved, &all), Err(OpenError::Closed), "two values changed places");

    let mut moved = whole.clone();
    let values = moved["spec"]["values"].as_object_mut().unwrap();
    values.remove("a");
    values.insert("renamed".into(), a.clone());
    assert_eq!(opens(&moved, &all), Err(OpenError::Closed), "a value was renamed");

    let mut moved = whole.clone();
    let slot_of_c =
        moved["spec"]["values"]["c"].as_str().unwrap().split_once('.').unwrap().0.to_owned();
    let bytes_of_a = a.as_str().unwrap().split_once('.').unwrap().1.to_owned();
    moved["spec"]["values"]["a"] = json!(format!("{slot_of_c}.{bytes_of_a}"));
    assert_eq!(opens(&moved, &all), Err(OpenError::Closed), "a value says another slot");

    // The whole slot and its value, put into an object of the same cluster with another name.
    let other = sealed(Scope::Strict, &[("x", b"value x")], &recipients(&all));
    let mut moved = written(&other);
    moved["metadata"]["name"] = json!("other");
    moved["spec"]["slots"] = whole["spec"]["slots"].clone();
    moved["spec"]["values"] = whole["spec"]["values"].clone();
    assert_eq!(opens(&moved, &all), Err(OpenError::Closed), "slots and values under another name");
}

#[test]
fn changed_slot_id_commit_wrap_or_kid_does_not_open() {
    let all = keys(2);
    let whole = written(&sealed(Scope::Strict, &[("k", b"value")], &recipients(&all[..1])));
    let change = |change: &dyn Fn(&mut Json)| {
        let mut changed = whole.clone();
        change(&mut changed);
        opens(&changed, &all)
    };
    let id = whole["spec"]["slots"][0]["id"].as_str().unwrap().to_owned();
    let other_id = format!("s{:08x}", u32::from_str_radix(&id[1..], 16).unwrap() ^ 1);
    assert_eq!(
        change(&|object| {
            object["spec"]["slots"][0]["id"] = json!(other_id);
            let value = object["spec"]["values"]["k"].as_str().unwrap().replace(&id, &other_id);
            object["spec"]["values"]["k"] = json!(value);
        }),
        Err(OpenError::Closed)
    );
    let flipped = |text: &Json, at: usize| {
        let mut bytes = data_encoding::BASE64.decode(text.as_str().unwrap().as_bytes()).unwrap();
        bytes[at] ^= 0x40;
        json!(data_encoding::BASE64.encode(&bytes))
    };
    for at in [0, 31] {
        assert_eq!(
            change(&|object| object["spec"]["slots"][0]["commit"] =
                flipped(&object["spec"]["slots"][0]["commit"], at)),
            Err(OpenError::Closed)
        );
    }
    for at in [0, 500, 1087, 1088, 1119, 1120, 1151, 1152, 1167] {
        let refused = change(&|object| {
            let changed = flipped(&object["spec"]["slots"][0]["wraps"][0]["ct"], at);
            object["spec"]["slots"][0]["wraps"][0]["ct"] = changed;
        });
        assert_eq!(refused, Err(OpenError::Closed), "byte {at} of the wrap");
    }
    // Under the name of another key that the reader holds: that key is taken, and no second one is tried.
    let kid = all[1].kid().to_string();
    assert_eq!(
        change(&|object| object["spec"]["slots"][0]["wraps"][0]["kid"] = json!(kid)),
        Err(OpenError::Closed)
    );
    let value = whole["spec"]["values"]["k"].as_str().unwrap();
    let (slot, text) = value.split_once('.').unwrap();
    for at in [0, 15, 16, 47, 48, 63] {
        let changed = flipped(&json!(text), at);
        let refused = change(&|object| {
            object["spec"]["values"]["k"] = json!(format!("{slot}.{}", changed.as_str().unwrap()))
        });
        assert_eq!(refused, Err(OpenError::Closed), "byte {at} of the value");
    }
}

/// The first wrap for a key of the reader must open; a good one behind it is not tried.
#[test]
fn first_wrap_for_a_key_at_hand_decides() {
    let all = keys(2);
    let mut object = written(&sealed(Scope::Strict, &[("k", b"value")], &recipients(&all)));
    let wraps = &mut object["spec"]["slots"][0]["wraps"];
    let mut spoilt =
        data_encoding::BASE64.decode(wraps[0]["ct"].as_str().unwrap().as_bytes()).unwrap();
    spoilt[1160] ^= 1;
    wraps[0]["ct"] = json!(data_encoding::BASE64.encode(&spoilt));
    assert_eq!(opens(&object, &all), Err(OpenError::Closed));
    assert_eq!(opens(&object, &all[..1]), Err(OpenError::Closed));
    assert_eq!(opens(&object, &all[1..]), Ok(1), "who has only the other key is not held up");
}

/// A sealer who wants two clusters to see two plaintexts: a wrap of another DEK for the second one, whatever the commit says.
#[test]
fn two_recipients_are_never_shown_two_plaintexts() {
    let all = keys(2);
    let one = written(&sealed(Scope::Strict, &[("k", b"for the first")], &recipients(&all)));
    let two = written(&sealed(Scope::Strict, &[("k", b"for the second")], &recipients(&all)));
    for (commit, opens_first, opens_second) in [(&one, true, false), (&two, false, false)] {
        let mut mixed = one.clone();
        mixed["spec"]["slots"][0]["wraps"][1] = two["spec"]["slots"][0]["wraps"][1].clone();
        mixed["spec"]["slots"][0]["commit"] = commit["spec"]["slots"][0]["commit"].clone();
        let expect = |opens: bool| if opens { Ok(1) } else { Err(OpenError::Closed) };
        assert_eq!(opens(&mixed, &all[..1]), expect(opens_first));
        assert_eq!(opens(&mixed, &all[1..]), expect(opens_second));
    }
}

/// A wrap with any of the fourteen shares that force an all-zero secret does not open, and can be told without a key. That it would open,
/// were it taken, is what `src/known_answers.rs` has.
#[test]
fn wrap_of_low_order_does_not_open_and_is_told_without_a_key() {
    let all = keys(1);
    let object = written(&sealed(Scope::Strict, &[("k", b"value")], &recipients(&all)));
    let is_low_order =
        |object: &Json| SealedSecret::parse(object).unwrap().slots()[0].wraps()[0].is_low_order();
    assert!(!is_low_order(&object));
    let mut shares = 0;
    for mut vector in VectorFile::read_folder("public") {
        if vector.text("expect") != "low-order" {
            continue;
        }
        let public = vector.bytes("public");
        let ct = object["spec"]["slots"][0]["wraps"][0]["ct"].as_str().unwrap();
        let mut bytes = data_encoding::BASE64.decode(ct.as_bytes()).unwrap();
        bytes[1088..1120].copy_from_slice(&public[1184..]);
        let mut changed = object.clone();
        changed["spec"]["slots"][0]["wraps"][0]["ct"] = json!(data_encoding::BASE64.encode(&bytes));
        assert!(is_low_order(&changed));
        assert_eq!(opens(&changed, &all), Err(OpenError::Closed));
        shares += 1;
    }
    assert_eq!(shares, 14);
}

#[test]
fn unused_slot_is_checked_for_form_only() {
    let all = keys(1);
    let stranger = keys(1);
    let mut object = written(&sealed(Scope::Strict, &[("k", b"value")], &recipients(&all)));
    let unused = written(&sealed(Scope::Cluster, &[("k", b"value")], &recipients(&stranger)));
    object["spec"]["slots"].as_array_mut().unwrap().insert(0, unused["spec"]["slots"][0].clone());
    assert_eq!(opens(&object, &all), Ok(1));
}
