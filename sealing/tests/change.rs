//! Values set and taken out, recipients changed: what changes, and what stays byte for byte.

use envelope::SystemRandom;
use sealing::{DataKey, OpenError, Plaintext, Scope, SealError, SealedSecret, Template};

use crate::{
    support::{Ending, keys, kids, recipients, ring, sealed, set, slot_ids},
    written::written,
};

#[test]
fn setting_values_makes_one_slot_and_touches_nothing_else() {
    let all = keys(1);
    let mut object =
        sealed(Scope::Strict, &[("a", b"1"), ("b", b"2"), ("c", b"3")], &recipients(&all));
    let before = written(&object);
    set(&mut object, &[("b", b"new"), ("d", b"more")], &recipients(&all));
    let after = written(&object);
    assert_eq!(after["spec"]["slots"][0], before["spec"]["slots"][0]);
    assert_eq!(after["spec"]["slots"].as_array().unwrap().len(), 2);
    for kept in ["a", "c"] {
        assert_eq!(after["spec"]["values"][kept], before["spec"]["values"][kept]);
    }
    let slot = |key: &str| object.values().get(key).unwrap().slot();
    assert_eq!(slot("b"), slot("d"));
    assert_ne!(slot("a"), slot("b"));
}

#[test]
fn slot_without_a_value_left_goes() {
    let all = keys(1);
    let mut object = sealed(Scope::Strict, &[("a", b"1")], &recipients(&all));
    let first = slot_ids(&object)[0];
    set(&mut object, &[("a", b"2")], &recipients(&all));
    assert!(!slot_ids(&object).contains(&first));
    assert_eq!(object.slots().len(), 1);
    assert!(object.unset("a"));
    assert!(!object.unset("a"));
    assert!(object.slots().is_empty() && object.values().is_empty());
    assert_eq!(object.open(&ring(&all)).unwrap().len(), 0);
}

#[test]
fn sixty_fourth_slot_is_the_last() {
    let all = keys(1);
    let mut object = sealed(Scope::Strict, &[("k0", b"v")], &recipients(&all));
    for i in 1..64 {
        set(&mut object, &[(&format!("k{i}"), b"v")], &recipients(&all));
    }
    assert_eq!(object.slots().len(), 64);
    SealedSecret::parse(&written(&object)).unwrap();
    let before = written(&object);
    let (key, value) = (DataKey::parse("one-more").unwrap(), Plaintext::new(b"v".to_vec()));
    let refused = object.set(&[(key, &value)], &recipients(&all), &SystemRandom);
    assert_eq!(refused, Err(SealError::TooManySlots));
    assert_eq!(written(&object), before);
    // A value that has its slot for itself makes room for its own new one.
    set(&mut object, &[("k5", b"new")], &recipients(&all));
    object.reseal(&ring(&all), &recipients(&all), &SystemRandom).unwrap();
    assert_eq!((object.slots().len(), object.values().len()), (1, 64));
    assert_eq!(object.open(&ring(&all)).unwrap().get("k5").unwrap().expose_secret(), b"new");
}

#[test]
fn recipients_are_at_least_one_at_most_32_and_each_once() {
    let all = keys(33);
    let mut object = SealedSecret::new(Scope::Strict, Some("prod"), "db", Template::default());
    let value = Plaintext::new(b"v".to_vec());
    let mut seal = |recipients: &[sealing::Recipient]| {
        object.set(&[(DataKey::parse("k").unwrap(), &value)], recipients, &SystemRandom)
    };
    assert_eq!(seal(&[]), Err(SealError::NoRecipients));
    assert_eq!(seal(&recipients(&all)), Err(SealError::TooManyRecipients(33)));
    let twice = [all[0].recipient().clone(), all[0].recipient().clone()];
    assert_eq!(seal(&twice), Err(SealError::RecipientTwice(all[0].kid())));
    assert_eq!(seal(&recipients(&all[..32])), Ok(()));
    assert_eq!(kids(&object)[0].len(), 32);
}

#[test]
fn what_no_secret_takes_is_not_sealed() {
    let all = keys(1);
    let value = |len: usize| Plaintext::new(vec![b'x'; len]);
    let key = || DataKey::parse("k").unwrap();
    let mut object = SealedSecret::new(Scope::Strict, Some("prod"), "db", Template::default());
    let refused = object.set(&[(key(), &value(1_048_577))], &recipients(&all), &SystemRandom);
    assert_eq!(refused, Err(SealError::ValueTooLong { key: key(), len: 1_048_577 }));
    let template = Template { data: [(key(), "text".to_owned())].into(), ..Template::default() };
    let mut object = SealedSecret::new(Scope::Strict, Some("prod"), "db", template);
    assert_eq!(
        object.set(&[(key(), &value(1))], &recipients(&all), &SystemRandom),
        Err(SealError::KeyOfTemplate(key()))
    );
    let template = Template {
        secret_type: Some("kubernetes.io/service-account-token".into()),
        ..Template::default()
    };
    let mut object = SealedSecret::new(Scope::Strict, Some("prod"), "db", template);
    assert_eq!(
        object.set(&[(key(), &value(1))], &recipients(&all), &SystemRandom),
        Err(SealError::ServiceAccountToken)
    );
    let mut object = SealedSecret::new(Scope::Namespace, None, "db", Template::default());
    assert_eq!(
        object.set(&[(key(), &value(1))], &recipients(&all), &SystemRandom),
        Err(SealError::NoNamespace)
    );
}

#[test]
fn rewrapping_keeps_what_stays_and_adds_behind_it_in_order() {
    let all = keys(4);
    let mut object = sealed(Scope::Strict, &[("a", b"1")], &recipients(&all[..2]));
    set(&mut object, &[("b", b"2")], &recipients(&all[..2]));
    let before = written(&object);
    // The first goes, the second stays, two come.
    let wanted =
        [all[3].recipient().clone(), all[1].recipient().clone(), all[2].recipient().clone()];
    object.rewrap(&ring(&all[..1]), &wanted, &SystemRandom).unwrap();
    let after = written(&object);
    assert_eq!(after["spec"]["values"], before["spec"]["values"]);
    for i in 0..2 {
        let (before, after) = (&before["spec"]["slots"][i], &after["spec"]["slots"][i]);
        assert_eq!((&before["id"], &before["commit"]), (&after["id"], &after["commit"]));
        assert_eq!(after["wraps"][0], before["wraps"][1], "the wrap that stays keeps its bytes");
        let kids: Vec<_> = after["wraps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|wrap| wrap["kid"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(kids, [all[1].kid(), all[3].kid(), all[2].kid()].map(|kid| kid.to_string()));
    }
    assert_eq!(object.open(&ring(&all[3..])).unwrap().len(), 2);
    assert!(matches!(object.open(&ring(&all[..1])), Err(OpenError::NoKey { .. })));
}

#[test]
fn rewrapping_is_all_or_nothing() {
    let all = keys(3);
    let mut object = sealed(Scope::Strict, &[("a", b"1")], &recipients(&all[..1]));
    set(&mut object, &[("b", b"2")], &recipients(&all[1..2]));
    let before = written(&object);
    // A key for one slot only.
    let refused = object.rewrap(&ring(&all[..1]), &recipients(&all[2..]), &SystemRandom);
    assert!(matches!(refused, Err(SealError::Open(OpenError::NoKey { .. }))), "{refused:?}");
    assert_eq!(written(&object), before);
    // The generator fails after the first of two wraps, and at every other call.
    for calls in 0..2 {
        let refused =
            object.rewrap(&ring(&all[..2]), &recipients(&all[2..]), &Ending::after(calls));
        assert_eq!(refused, Err(SealError::Random(envelope::RandomError)), "{calls} calls");
        assert_eq!(written(&object), before);
    }
    object.rewrap(&ring(&all[..2]), &recipients(&all[2..]), &Ending::after(2)).unwrap();
    assert_ne!(written(&object), before);
}

#[test]
fn setting_and_resealing_are_all_or_nothing() {
    let all = keys(1);
    let mut object = sealed(Scope::Strict, &[("a", b"1"), ("b", b"2")], &recipients(&all));
    let before = written(&object);
    let value = Plaintext::new(b"new".to_vec());
    // Slot id, DEK, wrap, salt: four draws.
    for calls in 0..4 {
        let refused = object.set(
            &[(DataKey::parse("a").unwrap(), &value)],
            &recipients(&all),
            &Ending::after(calls),
        );
        assert_eq!(refused, Err(SealError::Random(envelope::RandomError)), "{calls} calls");
        let refused = object.reseal(&ring(&all), &recipients(&all), &Ending::after(calls));
        assert_eq!(refused, Err(SealError::Random(envelope::RandomError)), "{calls} calls");
        assert_eq!(written(&object), before);
    }
}

#[test]
fn unused_slots_stay_when_others_are_wrapped_anew() {
    let all = keys(2);
    let mut json = written(&sealed(Scope::Strict, &[("k", b"value")], &recipients(&all[..1])));
    let unused = written(&sealed(Scope::Strict, &[("k", b"value")], &recipients(&keys(1))));
    json["spec"]["slots"].as_array_mut().unwrap().push(unused["spec"]["slots"][0].clone());
    let mut object = SealedSecret::parse(&json).unwrap();
    object.rewrap(&ring(&all[..1]), &recipients(&all[1..]), &SystemRandom).unwrap();
    assert_eq!(written(&object)["spec"]["slots"][1], unused["spec"]["slots"][0]);
}

/// Whoever may write the file puts a wrap for the next key into it that does not open. Kept, it would be all that is left when the last
/// key goes: who wraps anew and holds the next key as well can tell.
#[test]
fn wrap_that_stays_must_open_where_its_key_is_at_hand() {
    let all = keys(2);
    let honest = written(&sealed(Scope::Strict, &[("k", b"value")], &recipients(&all)));
    let other = written(&sealed(Scope::Strict, &[("k", b"value")], &recipients(&all)));
    let mut planted = honest.clone();
    planted["spec"]["slots"][0]["wraps"][1] = other["spec"]["slots"][0]["wraps"][1].clone();
    let mut object = SealedSecret::parse(&planted).unwrap();
    let refused = object.rewrap(&ring(&all), &recipients(&all[1..]), &SystemRandom);
    assert_eq!(refused, Err(SealError::Open(OpenError::Closed)));
    assert_eq!(written(&object), planted);
    // Taken out first, it is made anew.
    object.rewrap(&ring(&all), &recipients(&all[..1]), &SystemRandom).unwrap();
    object.rewrap(&ring(&all), &recipients(&all[1..]), &SystemRandom).unwrap();
    assert_eq!(object.open(&ring(&all[1..])).unwrap().len(), 1);
    // An honest one stays as it is.
    let mut object = SealedSecret::parse(&honest).unwrap();
    object.rewrap(&ring(&all), &recipients(&all[1..]), &SystemRandom).unwrap();
    let wraps = &written(&object)["spec"]["slots"][0]["wraps"];
    assert_eq!(wraps[0], honest["spec"]["slots"][0]["wraps"][1]);
}
