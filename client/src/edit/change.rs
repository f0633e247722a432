//! What an editor changed, apart from the file that it is to be changed in.

use std::fmt;

use envelope::SystemRandom;
use sealing::{DataKey, Plaintext, Recipient, SealedSecret, Template};

use crate::{change::refused, failure::Failure};

/// What is to be sealed anew, taken out, and written anew in clear text.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) set: Vec<(DataKey, Plaintext)>,
    pub(super) unset: Vec<DataKey>,
    pub(super) template: Option<Template>,
    /// Another type: then `set` has all values, because they are bound to it.
    pub(super) retyped: bool,
}

impl Change {
    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.unset.is_empty() && self.template.is_none()
    }

    /// Refuses to write over what `now` has and `base`, which the draft was made of, had not.
    pub(super) fn refuse_lost(
        &self,
        base: &SealedSecret,
        now: &SealedSecret,
    ) -> Result<(), Failure> {
        let touched = self.set.iter().map(|(key, _)| key).chain(&self.unset);
        let mut lost: Vec<String> = touched
            .filter(|key| base.values().get(*key) != now.values().get(*key))
            .map(DataKey::to_string)
            .collect();
        if self.template.is_some() && base.template() != now.template() {
            lost.push("the labels, annotations or type".to_owned());
        }
        if self.retyped && base.values() != now.values() {
            lost.push("values that a new type would leave behind".to_owned());
        }
        if lost.is_empty() {
            return Ok(());
        }
        Err(Failure::new(
            format!("{} of {} changed in the file too", lost.join(", "), now.full_name()),
            "the draft was made of an older version of the file",
            format!(
                "to keep what the file has, write {:?} in the draft; to seal yours over it: strongroom edit --resume --overwrite",
                super::draft::PLACEHOLDER
            ),
        ))
    }

    /// The object with the changes in it.
    pub(super) fn apply(
        &self,
        old: &SealedSecret,
        recipients: &[Recipient],
    ) -> Result<SealedSecret, Failure> {
        let mut new = match &self.template {
            Some(template) if self.retyped => SealedSecret::new(
                old.binding().scope,
                old.namespace(),
                old.name(),
                template.clone(),
            ),
            _ => old.clone(),
        };
        if let Some(template) = &self.template {
            new.set_template(template.clone());
        }
        for key in &self.unset {
            new.unset(key.as_str());
        }
        let set: Vec<_> = self.set.iter().map(|(key, value)| (key.clone(), value)).collect();
        if !set.is_empty() {
            new.set(&set, recipients, &SystemRandom).map_err(|error| refused(&error))?;
        }
        Ok(new)
    }
}

/// For people: which keys, and nothing of a value.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let listed = |keys: Vec<&str>| keys.join(", ");
        if !self.set.is_empty() {
            parts.push(format!(
                "sealed {}",
                listed(self.set.iter().map(|(key, _)| key.as_str()).collect())
            ));
        }
        if !self.unset.is_empty() {
            parts.push(format!(
                "took out {}",
                listed(self.unset.iter().map(DataKey::as_str).collect())
            ));
        }
        if self.template.is_some() {
            parts.push("changed what is not sealed".to_owned());
        }
        f.write_str(&parts.join("; "))
    }
}
