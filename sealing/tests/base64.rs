//! Base64 of given bytes is one text: whatever else decodes to the same bytes is refused.

use data_encoding::BASE64;
use sealing::{PinError, Refused, Scope, SealedSecret, SealingKeys};
use serde_json::{Value as Json, json};

use crate::{
    pins::good as good_list,
    support::{keys, recipients, sealed},
    written::written,
};

fn good() -> Json {
    written(&sealed(Scope::Strict, &[("k", b"value")], &recipients(&keys(1))))
}

/// The same bytes in as many letters where their number is no multiple of three: padding stands in the middle, where some decoders let it
/// stand because they take texts that were joined.
fn joined(text: &str) -> String {
    let bytes = BASE64.decode(text.as_bytes()).unwrap();
    let first = bytes.len() % 3;
    assert_ne!(first, 0);
    let (head, tail) = bytes.split_at(first);
    let out = BASE64.encode(head) + &BASE64.encode(tail);
    assert_eq!(out.len(), text.len());
    out
}

#[test]
fn padding_stands_at_the_end_only() {
    for at in ["/spec/slots/0/commit", "/spec/slots/0/wraps/0/ct", "/spec/values/k"] {
        let mut object = good();
        let text = object.pointer_mut(at).unwrap();
        let (slot, base64) = match text.as_str().unwrap().split_once('.') {
            Some((slot, base64)) => (format!("{slot}."), base64),
            None => (String::new(), text.as_str().unwrap()),
        };
        *text = json!(format!("{slot}{}", joined(base64)));
        let error = SealedSecret::parse(&object).unwrap_err();
        assert_eq!(error.refused, Refused::Base64, "{at}");
    }
}

#[test]
fn padding_stands_at_the_end_only_in_a_list_of_keys_too() {
    for at in ["/identity", "/signature", "/keys/0/publicKey"] {
        let mut list = good_list();
        let text = list.pointer_mut(at).unwrap();
        *text = json!(joined(text.as_str().unwrap()));
        let error = SealingKeys::parse(&list).unwrap_err();
        assert!(
            matches!(&error, PinError::Form(form) if form.refused == Refused::Base64),
            "{at}: {error}"
        );
    }
}

/// One letter of a value exchanged at a time: never an object with the same bytes.
#[test]
fn no_other_letter_means_the_same() {
    let object = good();
    let bytes = |object: &Json| {
        SealedSecret::parse(object).ok().map(|it| it.values().get("k").unwrap().bytes().to_vec())
    };
    let there = bytes(&object);
    let text = object["spec"]["values"]["k"].as_str().unwrap().to_owned();
    let dot = text.find('.').unwrap();
    for at in dot + 1..text.len() {
        for letter in (b' '..=b'~').filter(|letter| *letter != text.as_bytes()[at]) {
            let mut changed = text.clone().into_bytes();
            changed[at] = letter;
            let mut other = object.clone();
            other["spec"]["values"]["k"] = json!(String::from_utf8(changed).unwrap());
            assert_ne!(bytes(&other), there, "letter {at} made {:?}", char::from(letter));
        }
    }
}
