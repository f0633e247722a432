//! Which keys are a cluster's: signed lists, and what is refused of them.

use data_encoding::BASE64;
use envelope::{KeyMaterial, SystemRandom};
use sealing::{
    ClusterIdentity, EscrowKey, KeyState, PinError, PinnedKey, RecipientError, SealingKeys,
};
use serde_json::{Value as Json, json};

use crate::support::keys;

fn pinned(key: &sealing::SealingKey, state: KeyState) -> PinnedKey {
    PinnedKey { recipient: key.recipient().clone(), state, since: "2026-11-28T10:00:00Z".into() }
}

fn identity() -> ClusterIdentity {
    ClusterIdentity::from_seed(KeyMaterial::make(&SystemRandom).unwrap())
}

fn good() -> Json {
    let all = keys(2);
    let list = [pinned(&all[0], KeyState::Retiring), pinned(&all[1], KeyState::Active)];
    written(&SealingKeys::sign(&identity(), "prod", 3, list.into()).unwrap())
}

fn written(list: &SealingKeys) -> Json {
    let key = |key: &PinnedKey| {
        json!({
            "kid": key.recipient.kid().to_string(), "state": key.state.as_str(), "since": key.since,
            "publicKey": BASE64.encode(key.recipient.bytes()),
        })
    };
    json!({
        "apiVersion": "strongroom.dev/v1alpha1", "kind": "SealingKeys", "cluster": list.cluster,
        "identity": BASE64.encode(&list.identity), "serial": list.serial,
        "keys": list.keys.iter().map(key).collect::<Vec<_>>(), "signature": BASE64.encode(list.signature()),
    })
}

#[test]
fn list_is_read_back_as_it_was_signed() {
    let list = SealingKeys::parse(&good()).unwrap();
    assert_eq!((list.cluster.as_str(), list.serial, list.keys.len()), ("prod", 3, 2));
    assert_eq!(list.active().unwrap().recipient.kid(), list.keys[1].recipient.kid());
}

#[test]
fn nothing_of_it_can_be_changed() {
    let other = good();
    type Change<'a> = (&'a str, Json);
    let changes: [Change<'_>; 6] = [
        ("/cluster", json!("dev")),
        ("/serial", json!(4)),
        ("/identity", other["identity"].clone()),
        ("/signature", other["signature"].clone()),
        ("/keys/0/state", json!("retired")),
        ("/keys/0/since", json!("2026-11-28T10:00:01Z")),
    ];
    for (at, value) in changes {
        let mut list = good();
        *list.pointer_mut(at).unwrap() = value;
        assert_eq!(SealingKeys::parse(&list).err(), Some(PinError::Signature), "{at}");
    }
    let mut list = good();
    list["keys"][0]["publicKey"] = other["keys"][0]["publicKey"].clone();
    assert!(
        matches!(SealingKeys::parse(&list), Err(PinError::Kid(at)) if at.to_string() == "keys[0].kid")
    );
    list["keys"][0]["kid"] = other["keys"][0]["kid"].clone();
    assert_eq!(
        SealingKeys::parse(&list).err(),
        Some(PinError::Signature),
        "another key with its own id"
    );
    let mut list = good();
    list["keys"].as_array_mut().unwrap().swap(0, 1);
    assert_eq!(SealingKeys::parse(&list).err(), Some(PinError::Signature), "another order");
    list["keys"].as_array_mut().unwrap().pop();
    assert_eq!(SealingKeys::parse(&list).err(), Some(PinError::Signature), "a key less");
}

#[test]
fn forms_that_are_refused() {
    for (at, value, why) in [
        ("/kind", json!("SealedSecret"), "not a SealingKeys of strongroom.dev/v1alpha1"),
        ("/cluster", json!("Prod"), "the name of a cluster is 1 to 63 of a-z, 0-9 and '-'"),
        ("/cluster", json!(""), "the name of a cluster is 1 to 63 of a-z, 0-9 and '-'"),
        ("/serial", json!(0), "serial: must be a whole number from 1"),
        ("/serial", json!("3"), "serial: must be a whole number from 1"),
        ("/serial", json!(-1), "serial: must be a whole number from 1"),
        (
            "/keys/0/state",
            json!("Active"),
            "keys[0].state: must be pending, active, retiring or retired",
        ),
        (
            "/keys/1/since",
            json!("2026-11-28"),
            "keys[1].since: must be a time in UTC in seconds, as 2026-11-28T10:00:00Z",
        ),
        ("/keys/0/kid", json!("k0"), "keys[0].kid: must be k and 16 lower-case hexadecimal digits"),
        ("/signature", json!("AAAA"), "signature: must be base64 of 64 bytes"),
    ] {
        let mut list = good();
        *list.pointer_mut(at).unwrap() = value;
        assert_eq!(SealingKeys::parse(&list).unwrap_err().to_string(), why, "{at}");
    }
    let mut list = good();
    list["more"] = json!(1);
    assert!(SealingKeys::parse(&list).unwrap_err().to_string().starts_with("more: is no field"));
}

#[test]
fn lists_that_nobody_may_sign() {
    let all = keys(2);
    let sign =
        |cluster: &str, serial, keys| SealingKeys::sign(&identity(), cluster, serial, keys).err();
    let two = vec![pinned(&all[0], KeyState::Active), pinned(&all[1], KeyState::Active)];
    assert_eq!(sign("prod", 1, two), Some(PinError::Active));
    let twice = vec![pinned(&all[0], KeyState::Active), pinned(&all[0], KeyState::Retired)];
    assert_eq!(sign("prod", 1, twice), Some(PinError::Twice(all[0].kid())));
    assert_eq!(sign(&"x".repeat(64), 1, Vec::new()), Some(PinError::Cluster));
}

/// A key with a half that gives everybody the same secret is refused wherever it comes in.
#[test]
fn keys_of_low_order_are_refused() {
    let mut public = *keys(1)[0].recipient().bytes();
    public[1184..].fill(0);
    assert_eq!(sealing::Recipient::parse(&public).err(), Some(RecipientError::LowOrder));
    assert_eq!(sealing::Recipient::parse(&public[1..]).err(), Some(RecipientError::Length));
    let mut coefficients = *keys(1)[0].recipient().bytes();
    coefficients[..2].fill(0xff);
    assert_eq!(sealing::Recipient::parse(&coefficients).err(), Some(RecipientError::NotCanonical));
    let escrow = json!({
        "apiVersion": "strongroom.dev/v1alpha1", "kind": "EscrowKey", "kid": "k0000000000000000", "since": "2026-11-28T10:00:00Z",
        "publicKey": BASE64.encode(&public),
    });
    assert!(matches!(EscrowKey::parse(&escrow), Err(PinError::Key(_, RecipientError::LowOrder))));
}
