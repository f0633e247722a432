//! Sealed and opened again, by those it is for, and by nobody else.

use sealing::{OpenError, Plaintext, Scope, SealedSecret, Template};

use crate::{
    support::{keys, recipients, ring, sealed, set},
    written::written,
};

#[test]
fn each_of_three_recipients_opens_the_same_and_nobody_else_opens_anything() {
    let all = keys(3);
    let long = vec![0xa5; 1_048_576];
    let values: [(&str, &[u8]); 5] = [
        ("empty", b""),
        ("binary", &[0, 0xff, 0]),
        ("block", &[b'x'; 28]),
        ("long", &long),
        ("text", b"hunter2"),
    ];
    for scope in [Scope::Strict, Scope::Namespace, Scope::Cluster] {
        let object =
            SealedSecret::parse(&written(&sealed(scope, &values, &recipients(&all)))).unwrap();
        for key in &all {
            let opened = object.open(&ring([key])).unwrap();
            assert_eq!(opened.len(), values.len());
            for (name, value) in values {
                assert_eq!(
                    opened.get(name).map(Plaintext::expose_secret),
                    Some(value),
                    "{name} in scope {scope}"
                );
            }
        }
        let refused = object.open(&ring(&keys(1)));
        assert!(
            matches!(refused, Err(OpenError::NoKey { recipients, .. }) if recipients.len() == 3)
        );
    }
}

#[test]
fn every_type_opens_under_itself() {
    let all = keys(1);
    for secret_type in [
        None,
        Some("Opaque"),
        Some("kubernetes.io/tls"),
        Some("kubernetes.io/dockerconfigjson"),
        Some("example.org/é"),
    ] {
        let template =
            Template { secret_type: secret_type.map(str::to_owned), ..Template::default() };
        let mut object = SealedSecret::new(Scope::Strict, Some("prod"), "db", template);
        set(&mut object, &[("k", b"value")], &recipients(&all));
        let object = SealedSecret::parse(&written(&object)).unwrap();
        assert_eq!(
            object.open(&ring(&all)).unwrap().get("k").unwrap().expose_secret(),
            b"value",
            "{secret_type:?}"
        );
    }
}

#[test]
fn thousand_keys_open() {
    let all = keys(1);
    let values: Vec<_> = (0..1000).map(|i| (format!("key-{i}"), format!("value {i}"))).collect();
    let borrowed: Vec<_> =
        values.iter().map(|(key, value)| (key.as_str(), value.as_bytes())).collect();
    let object =
        SealedSecret::parse(&written(&sealed(Scope::Strict, &borrowed, &recipients(&all))))
            .unwrap();
    let opened = object.open(&ring(&all)).unwrap();
    assert_eq!(opened.len(), 1000);
    for (key, value) in borrowed {
        assert_eq!(opened.get(key).unwrap().expose_secret(), value);
    }
}

/// Two values that are the same are sealed to different bytes, and so is one value twice.
#[test]
fn nothing_shows_that_two_values_are_the_same() {
    let all = keys(1);
    let object = sealed(Scope::Strict, &[("a", b"same"), ("b", b"same")], &recipients(&all));
    let again = sealed(Scope::Strict, &[("a", b"same"), ("b", b"same")], &recipients(&all));
    let bytes: Vec<_> = object
        .values()
        .values()
        .chain(again.values().values())
        .map(|value| &value.bytes()[16..])
        .collect();
    for (i, a) in bytes.iter().enumerate() {
        assert!(bytes.iter().skip(i + 1).all(|b| a != b));
        assert_eq!(a.len(), bytes[0].len());
    }
}
