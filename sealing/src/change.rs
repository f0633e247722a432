use std::collections::BTreeSet;

use envelope::{Random, RandomError};

use crate::{
    DataKey, KeyRing, Kid, MAX_NAME, MAX_SLOTS, MAX_VALUE, MAX_WRAPS, OpenError, Plaintext,
    Recipient, SealedSecret, Slot, SlotId, Value, Wrap,
};

/// Why nothing was sealed. The object is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// For nobody.
    #[error("there is no recipient: nobody could open it")]
    NoRecipients,
    /// For too many.
    #[error("{0} recipients; a slot takes at most 32")]
    TooManyRecipients(usize),
    /// One recipient named twice.
    #[error("recipient {0} is named twice")]
    RecipientTwice(Kid),
    /// Another slot would be one too many.
    #[error(
        "the object has 64 slots already; `strongroom compact` makes them one, with a key that opens them"
    )]
    TooManySlots,
    /// A value that no Secret holds.
    #[error("the value of {key} has {len} bytes; a Secret holds at most 1,048,576")]
    ValueTooLong {
        /// The data key.
        key: DataKey,
        /// Length of the value in bytes.
        len: usize,
    },
    /// The template makes this key.
    #[error("{0} is made by the template; a Secret has each key once")]
    KeyOfTemplate(DataKey),
    /// The scope binds a namespace, and the object has none.
    #[error("the object has no namespace, and its scope binds one")]
    NoNamespace,
    /// A name, namespace or type that would be refused when the object is read.
    #[error("{0} must have 1 to 253 bytes")]
    Name(&'static str),
    /// A type whose Secrets Kubernetes makes itself.
    #[error(
        "Secrets of type kubernetes.io/service-account-token belong to Kubernetes; use a token of the TokenRequest API"
    )]
    ServiceAccountToken,
    /// What had to be opened first did not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// No random bytes, nothing sealed.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl SealedSecret {
    /// Seals values under their keys, new or in place of what was there: all of them in one new slot, with a DEK that is then gone. Slots
    /// without a value left go.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn set(
        &mut self,
        values: &[(DataKey, &Plaintext)],
        recipients: &[Recipient],
        random: &dyn Random,
    ) -> Result<(), SealError> {
        check(recipients)?;
        self.check_place()?;
        if self.template.secret_type() == "kubernetes.io/service-account-token" {
            return Err(SealError::ServiceAccountToken);
        }
        for (key, value) in values {
            let len = value.expose_secret().len();
            if len > MAX_VALUE {
                return Err(SealError::ValueTooLong { key: key.clone(), len });
            }
            if self.template.data.contains_key(key) {
                return Err(SealError::KeyOfTemplate(key.clone()));
            }
        }
        if values.is_empty() {
            return Ok(());
        }
        let place = self.place().ok_or(SealError::NoNamespace)?;
        let (slot, dek) = Slot::make(self.free_id(random)?, &place, recipients, random)?;
        let sealed = values
            .iter()
            .map(|(key, value)| Ok((key.clone(), Value::seal(slot.id, &dek, key, value, random)?)))
            .collect::<Result<Vec<_>, RandomError>>()?;

        // What stays in use is known without touching the object, so that a refusal leaves it as it was.
        let replaced: BTreeSet<&DataKey> = values.iter().map(|(key, _)| key).collect();
        let kept: BTreeSet<SlotId> = self
            .values
            .iter()
            .filter(|(key, _)| !replaced.contains(key))
            .map(|(_, value)| value.slot)
            .collect();
        let dropped: BTreeSet<SlotId> =
            self.used_slots().map(Slot::id).filter(|id| !kept.contains(id)).collect();
        if self.slots.len() - dropped.len() >= MAX_SLOTS {
            return Err(SealError::TooManySlots);
        }
        self.values.extend(sealed);
        self.slots.retain(|slot| !dropped.contains(&slot.id));
        self.slots.push(slot);
        Ok(())
    }

    /// Takes a value out, and its slot if it was the last one there. Whether there was one.
    pub fn unset(&mut self, key: &str) -> bool {
        let Some(value) = self.values.remove(key) else { return false };
        if !self.uses(value.slot) {
            self.slots.retain(|slot| slot.id != value.slot);
        }
        true
    }

    /// Gives every slot that is used exactly these recipients. No plaintext is formed; a wrap whose recipient stays keeps its bytes and its
    /// place, and must open where its key is among `keys`; slots that are not used stay as they are. All or nothing.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn rewrap(
        &mut self,
        keys: &KeyRing,
        recipients: &[Recipient],
        random: &dyn Random,
    ) -> Result<(), SealError> {
        check(recipients)?;
        let place = self.place().ok_or(SealError::NoNamespace)?;
        let deks = self.unwrap_used(&place, keys)?;
        let mut slots = self.slots.clone();
        for slot in &mut slots {
            if let Some(dek) = deks.get(&slot.id) {
                slot.wrap(dek, recipients, random)?;
                // Somebody may have put a wrap there that does not open, for it to be the last one.
                let shut = |wrap: &Wrap| {
                    keys.find(wrap.kid).is_some_and(|key| slot.unwrap(wrap, key, &place).is_none())
                };
                if slot.wraps.iter().any(shut) {
                    return Err(OpenError::Closed.into());
                }
            }
        }
        self.slots = slots;
        Ok(())
    }

    /// Seals every value anew, in one slot: what makes many slots one, and what heals after a key leaked (with new passwords).
    ///
    /// # Errors
    /// [`SealError`].
    pub fn reseal(
        &mut self,
        keys: &KeyRing,
        recipients: &[Recipient],
        random: &dyn Random,
    ) -> Result<(), SealError> {
        let opened = self.open(keys)?;
        let values: Vec<_> = opened.iter().map(|(key, value)| (key.clone(), value)).collect();
        let mut fresh = self.clone();
        fresh.slots.clear();
        fresh.values.clear();
        fresh.set(&values, recipients, random)?;
        *self = fresh;
        Ok(())
    }

    fn check_place(&self) -> Result<(), SealError> {
        let parts = [
            ("metadata.name", self.name.as_str()),
            ("spec.template.type", self.template.secret_type()),
            // Whether there must be one, the scope says.
            ("metadata.namespace", self.namespace.as_deref().unwrap_or("-")),
        ];
        match parts.iter().find(|(_, text)| !(1..=MAX_NAME).contains(&text.len())) {
            Some((field, _)) => Err(SealError::Name(field)),
            None => Ok(()),
        }
    }

    fn free_id(&self, random: &dyn Random) -> Result<SlotId, RandomError> {
        // Among 64 slots a second draw is as good as never needed, a ninth never: then the generator is broken.
        for _ in 0..8 {
            let id = SlotId::make(random)?;
            if self.slot(id).is_none() {
                return Ok(id);
            }
        }
        Err(RandomError)
    }
}

fn check(recipients: &[Recipient]) -> Result<(), SealError> {
    let mut kids = BTreeSet::new();
    if let Some(twice) = recipients.iter().map(Recipient::kid).find(|kid| !kids.insert(*kid)) {
        return Err(SealError::RecipientTwice(twice));
    }
    match recipients.len() {
        0 => Err(SealError::NoRecipients),
        len if len > MAX_WRAPS => Err(SealError::TooManyRecipients(len)),
        _ => Ok(()),
    }
}
