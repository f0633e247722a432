//! Sealed and opened again, by those it is for, and by nobody else.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use envelope::SystemRandom;
use sealing::{
    DataKey, KeyRing, OpenError, Plaintext, Recipient, Scope, SealedSecret, SealingKey, Template,
};

fn keys(n: usize) -> Vec<SealingKey> {
    (0..n).map(|_| SealingKey::make(&SystemRandom).unwrap()).collect()
}

fn recipients(keys: &[SealingKey]) -> Vec<Recipient> {
    keys.iter().map(|key| key.recipient().clone()).collect()
}

fn sealed(scope: Scope, values: &[(&str, &[u8])], recipients: &[Recipient]) -> SealedSecret {
    let mut object = SealedSecret::new(scope, Some("prod"), "db", Template::default());
    let values: Vec<_> = values
        .iter()
        .map(|(key, value)| (DataKey::parse(key).unwrap(), Plaintext::new(value.to_vec())))
        .collect();
    let borrowed: Vec<_> = values.iter().map(|(key, value)| (key.clone(), value)).collect();
    object.set(&borrowed, recipients, &SystemRandom).unwrap();
    object
}

#[test]
fn each_of_three_recipients_opens_the_same_and_nobody_else_opens_anything() {
    let all = keys(3);
    let long = vec![0xa5; 1_048_576];
    let values: [(&str, &[u8]); 4] =
        [("empty", b""), ("binary", &[0, 0xff, 0]), ("long", &long), ("text", b"hunter2")];
    for scope in [Scope::Strict, Scope::Namespace, Scope::Cluster] {
        let object = sealed(scope, &values, &recipients(&all));
        for key in &all {
            let ring: KeyRing = [SealingKey::from_seed(
                envelope::KeyMaterial::copy_from(key.seed().expose_secret()).unwrap(),
            )]
            .into_iter()
            .collect();
            let opened = object.open(&ring).unwrap();
            assert_eq!(opened.len(), values.len());
            for (name, value) in values {
                assert_eq!(
                    opened.get(name).unwrap().expose_secret(),
                    value,
                    "{name} in scope {scope}"
                );
            }
        }
        let stranger: KeyRing = keys(1).into_iter().collect();
        assert!(
            matches!(object.open(&stranger), Err(OpenError::NoKey { recipients, .. }) if recipients.len() == 3)
        );
    }
}
