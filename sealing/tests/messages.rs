//! What an error says: never anything of a value, whatever stands where.

use sealing::{EscrowKey, SealedSecret, SealingKeys, parse_escrow_text};
use serde_json::{Value as Json, json};

use crate::{
    pins::good as good_list,
    support::{keys, recipients, sealed},
    written::written,
};

const MARK: &str = "hunter2-correct-horse";

/// Each place of an object, as a pointer into it.
fn places(object: &Json) -> Vec<String> {
    let inside: Vec<_> = match object {
        Json::Object(map) => map.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Json::Array(items) => {
            items.iter().enumerate().map(|(i, value)| (i.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    let below = inside.into_iter().flat_map(|(name, value)| {
        let name = name.replace('~', "~0").replace('/', "~1");
        places(value).into_iter().map(move |place| format!("/{name}{place}"))
    });
    [String::new()].into_iter().chain(below).collect()
}

/// Puts the mark, alone and beside what makes it nearly right, in each place; how often that was refused.
fn check(good: &Json, parse: impl Fn(&Json) -> Option<(String, String)>) -> usize {
    let mut refused = 0;
    for place in places(good) {
        for mark in [
            json!(MARK),
            json!([MARK]),
            json!({"data": MARK}),
            json!(format!("s00000000.{MARK}")),
            json!(format!("{MARK}=")),
            json!(MARK.repeat(100)),
            json!(format!("{{{{ {MARK}")),
        ] {
            let mut object = good.clone();
            *object.pointer_mut(&place).unwrap() = mark;
            let Some((shown, debugged)) = parse(&object) else { continue };
            assert!(!shown.contains(MARK) && !debugged.contains(MARK), "{place}: {shown}");
            refused += 1;
        }
    }
    refused
}

#[test]
fn no_error_about_an_object_repeats_a_value() {
    let mut good =
        written(&sealed(sealing::Scope::Strict, &[("k", b"value")], &recipients(&keys(1))));
    good["spec"]["template"] = json!({
        "type": "Opaque", "immutable": false, "metadata": {"labels": {"a": "b"}, "annotations": {}},
        "data": {"t": "text"},
    });
    SealedSecret::parse(&good).unwrap();
    let refused = check(&good, |object| {
        let error = SealedSecret::parse(object).err()?;
        Some((error.to_string(), format!("{error:?}")))
    });
    assert!(refused > 100, "{refused}");
}

#[test]
fn no_error_about_keys_repeats_a_value() {
    let refused = check(&good_list(), |object| {
        let error = SealingKeys::parse(object).err()?;
        Some((error.to_string(), format!("{error:?}")))
    });
    assert!(refused > 80, "{refused}");
    let key = &keys(1)[0];
    let escrow = json!({
        "apiVersion": "strongroom.dev/v1alpha1", "kind": "EscrowKey", "kid": key.kid().to_string(),
        "since": "2026-11-28T10:00:00Z", "publicKey": data_encoding::BASE64.encode(key.recipient().bytes()),
    });
    EscrowKey::parse(&escrow).unwrap();
    let refused = check(&escrow, |object| {
        let error = EscrowKey::parse(object).err()?;
        Some((error.to_string(), format!("{error:?}")))
    });
    assert!(refused > 30, "{refused}");
}

#[test]
fn no_error_about_an_escrow_text_repeats_it() {
    for typed in [MARK, "HUNTER2", "000G-40R4", "ü"] {
        let error = parse_escrow_text(typed).err().unwrap();
        assert!(!error.to_string().contains(typed) && !format!("{error:?}").contains(typed));
    }
}

/// What holds a secret shows nothing of it.
#[test]
fn secrets_are_not_shown() {
    let key = &keys(1)[0];
    let seed = format!("{:?}", key.seed().expose_secret());
    for shown in [format!("{key:?}"), format!("{:?}", crate::support::ring([key]))] {
        assert!(!shown.contains(seed.trim_matches(['[', ']'])), "{shown}");
    }
    assert_eq!(format!("{key:?}"), format!("SealingKey({})", key.kid()));
    assert_eq!(format!("{:?}", sealing::Plaintext::new(MARK.into())), "Plaintext(…)");
}
