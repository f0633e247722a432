//! Keys, objects, and objects as they are written.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use envelope::{KeyMaterial, Random, RandomError, SystemRandom};
use sealing::{
    DataKey, KeyRing, Kid, Plaintext, Recipient, Scope, SealedSecret, SealingKey, SlotId, Template,
};

pub(crate) fn keys(n: usize) -> Vec<SealingKey> {
    (0..n).map(|_| SealingKey::make(&SystemRandom).unwrap()).collect()
}

pub(crate) fn recipients(keys: &[SealingKey]) -> Vec<Recipient> {
    keys.iter().map(|key| key.recipient().clone()).collect()
}

/// A ring of copies of these keys.
pub(crate) fn ring<'a>(keys: impl IntoIterator<Item = &'a SealingKey>) -> KeyRing {
    keys.into_iter()
        .map(|key| {
            SealingKey::from_seed(KeyMaterial::copy_from(key.seed().expose_secret()).unwrap())
        })
        .collect()
}

pub(crate) fn set(object: &mut SealedSecret, values: &[(&str, &[u8])], recipients: &[Recipient]) {
    let values: Vec<_> = values
        .iter()
        .map(|(key, value)| (DataKey::parse(key).unwrap(), Plaintext::new(value.to_vec())))
        .collect();
    let borrowed: Vec<_> = values.iter().map(|(key, value)| (key.clone(), value)).collect();
    object.set(&borrowed, recipients, &SystemRandom).unwrap();
}

pub(crate) fn sealed(
    scope: Scope,
    values: &[(&str, &[u8])],
    recipients: &[Recipient],
) -> SealedSecret {
    let mut object = SealedSecret::new(scope, Some("prod"), "db", Template::default());
    set(&mut object, values, recipients);
    object
}

pub(crate) fn slot_ids(object: &SealedSecret) -> Vec<SlotId> {
    object.slots().iter().map(sealing::Slot::id).collect()
}

pub(crate) fn kids(object: &SealedSecret) -> Vec<BTreeSet<Kid>> {
    object
        .slots()
        .iter()
        .map(|slot| slot.wraps().iter().map(sealing::Wrap::kid).collect())
        .collect()
}

/// Randomness that ends after so many calls.
pub(crate) struct Ending(pub(crate) AtomicUsize);

impl Ending {
    pub(crate) fn after(calls: usize) -> Self {
        Self(AtomicUsize::new(calls))
    }
}

impl Random for Ending {
    fn fill(&self, out: &mut [u8]) -> Result<(), RandomError> {
        match self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => SystemRandom.fill(out),
            Err(_) => Err(RandomError),
        }
    }
}
