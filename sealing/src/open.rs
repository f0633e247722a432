use std::collections::{BTreeMap, BTreeSet};

use crate::{
    DataKey, KeyRing, Kid, Place, Plaintext, SealedSecret, Slot, SlotId, TemplateError, slot::Dek,
};

/// Why nothing was opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The scope binds a namespace, and the object has none.
    #[error("the object has no namespace, and its values are bound to one")]
    NoNamespace,
    /// None of the reader's keys is a recipient of a slot. Known before anything was tried.
    #[error("slot {slot} is sealed for {}; none of these keys is here", listed(.recipients))]
    NoKey {
        /// The slot.
        slot: SlotId,
        /// Whom it is for.
        recipients: Vec<Kid>,
    },
    /// Something did not authenticate: another place, other bytes, another key of the same name. There is no cause to tell.
    #[error("does not open")]
    Closed,
    /// The template cannot be rendered, whatever the values are.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// The plaintexts of an object, by data key.
pub type Opened = BTreeMap<DataKey, Plaintext>;

impl SealedSecret {
    /// Opens all values, or none: first every slot that is used, each by the first of its wraps that is for a key of the reader, its
    /// commit compared in constant time; then the values. Nothing is tried twice.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, keys: &KeyRing) -> Result<Opened, OpenError> {
        let place = self.place().ok_or(OpenError::NoNamespace)?;
        let deks = self.unwrap_used(&place, keys)?;
        let mut out = BTreeMap::new();
        for (key, value) in &self.values {
            let dek = deks.get(&value.slot).ok_or(OpenError::Closed)?;
            out.insert(key.clone(), value.open(dek, key).ok_or(OpenError::Closed)?);
        }
        Ok(out)
    }

    /// The values that these keys open, for whoever edits an object and holds keys for a part of it. A value is left out where its slot
    /// names none of these keys, and for no other cause: what names one and does not open closes all, as in [`Self::open`].
    ///
    /// # Errors
    /// [`OpenError`], never [`OpenError::NoKey`].
    pub fn open_available(&self, keys: &KeyRing) -> Result<Opened, OpenError> {
        let mut part = self.clone();
        let named: BTreeSet<SlotId> =
            self.used_slots().filter(|slot| find(slot, keys).is_ok()).map(Slot::id).collect();
        part.values.retain(|_, value| named.contains(&value.slot));
        part.open(keys)
    }

    /// The whole Secret's data: the values, and what the template makes of them.
    ///
    /// # Errors
    /// [`OpenError`]; what the template is refused for is known before anything is opened.
    pub fn open_rendered(&self, keys: &KeyRing) -> Result<Opened, OpenError> {
        let parsed = self.template.parse_data(&self.lengths())?;
        let mut out = self.open(keys)?;
        let rendered: Vec<_> =
            parsed.iter().map(|(key, parts)| ((*key).clone(), parts.render(&out))).collect();
        out.extend(rendered);
        Ok(out)
    }

    /// Whether the template can be rendered with the values that there are, which is known without opening one.
    ///
    /// # Errors
    /// The first text of it that cannot.
    pub fn check_template(&self) -> Result<(), TemplateError> {
        self.template.check(&self.lengths())
    }

    /// Why the template cannot be rendered, where it could in all of what this was made of: then the change broke it.
    #[must_use]
    pub fn broken_template(&self, before: &[&Self]) -> Option<TemplateError> {
        let could = before.iter().all(|before| before.check_template().is_ok());
        self.check_template().err().filter(|_| could)
    }

    fn lengths(&self) -> BTreeMap<&str, usize> {
        self.values.iter().map(|(key, value)| (key.as_str(), value.plaintext_at_most())).collect()
    }

    /// The DEK of each slot that is used.
    pub(crate) fn unwrap_used(
        &self,
        place: &Place,
        keys: &KeyRing,
    ) -> Result<BTreeMap<SlotId, Dek>, OpenError> {
        // Whether there are keys is public, and asked of all slots before one is opened.
        let found: Vec<_> = self
            .used_slots()
            .map(|slot| Ok((slot, find(slot, keys)?)))
            .collect::<Result<_, OpenError>>()?;
        let opened = found.into_iter().map(|(slot, (wrap, key))| {
            let dek = slot.unwrap(wrap, key, place).ok_or(OpenError::Closed)?;
            Ok((slot.id, dek))
        });
        opened.collect()
    }
}

fn find<'a>(
    slot: &'a Slot,
    keys: &'a KeyRing,
) -> Result<(&'a crate::Wrap, &'a crate::SealingKey), OpenError> {
    slot.wraps.iter().find_map(|wrap| keys.find(wrap.kid).map(|key| (wrap, key))).ok_or_else(|| {
        OpenError::NoKey {
            slot: slot.id,
            recipients: slot.wraps.iter().map(|wrap| wrap.kid).collect(),
        }
    })
}

fn listed(kids: &[Kid]) -> String {
    kids.iter().map(Kid::to_string).collect::<Vec<_>>().join(", ")
}
