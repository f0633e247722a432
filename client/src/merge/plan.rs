//! What is to become of each sealed Secret, and whether a text says so.

use std::collections::BTreeMap;

use sealing::{Conflict, DataKey, Merged, SealedSecret};

use super::{
    text::Side,
    versions::{Version, audiences},
};
use crate::failure::Failure;

/// What the merge of a file is to say, by namespace and name.
pub(super) struct Plan {
    pub(super) objects: BTreeMap<String, One>,
}

/// What is to become of one sealed Secret.
pub(super) struct One {
    what: What,
    /// In which order values that a side does not have are written.
    pub(super) order: Vec<DataKey>,
}

enum What {
    /// Both sides have it; `even`: each was sealed for one set of recipients.
    Merged { merged: Box<Merged>, even: bool },
    /// Only one side has it, and the base has not.
    Kept(SealedSecret),
    /// One side took it out, and the other one left it as the base has it.
    Removed(SealedSecret),
    /// One side took it out, and the other one changed it.
    Disputed { by: Side, changed: SealedSecret },
}

impl One {
    /// Decides by base, ours and theirs.
    pub(super) fn decide(
        name: &str,
        versions: [Option<&SealedSecret>; 3],
        order: Vec<DataKey>,
    ) -> Result<Self, Failure> {
        let what = match versions {
            [base, Some(ours), Some(theirs)] => {
                let merged = SealedSecret::merge(base, ours, theirs).map_err(|error| {
                    Failure::new(
                        format!("{name} cannot be merged"),
                        error.to_string(),
                        "see who changed it: git log -p",
                    )
                })?;
                let even = [ours, theirs].iter().all(|side| audiences(side).len() <= 1);
                What::Merged { merged: Box::new(merged), even }
            }
            [None, one, other] => match one.or(other) {
                Some(added) => What::Kept(added.clone()),
                None => return Err(nothing(name)),
            },
            [Some(base), ours, theirs] => match (ours, theirs) {
                (Some(one), _) | (_, Some(one)) if !one.says_the_same(base) => {
                    let by = if ours.is_none() { Side::Ours } else { Side::Theirs };
                    What::Disputed { by, changed: one.clone() }
                }
                _ => What::Removed(base.clone()),
            },
        };
        Ok(Self { what, order })
    }

    /// What a version is to say before git merges it; `None` leaves it as it is.
    pub(super) fn wanted(&self, side: Side) -> Option<&SealedSecret> {
        match (&self.what, side) {
            (What::Merged { merged, .. }, Side::Base) => Some(&merged.base),
            (What::Merged { merged, .. }, Side::Ours) => Some(&merged.ours),
            (What::Merged { merged, .. }, Side::Theirs) => Some(&merged.theirs),
            _ => None,
        }
    }

    /// Whether `there` is what the merge is to have, where conflicts go to `side`.
    fn is(&self, side: Side, there: Option<&SealedSecret>, in_conflict: bool) -> bool {
        let same = |wanted: &SealedSecret| there.is_some_and(|there| there.says_the_same(wanted));
        match &self.what {
            What::Merged { .. } => self.wanted(side).is_some_and(same),
            What::Kept(object) => same(object),
            // Markers around it, for its comments say: then one side of them still has it.
            What::Removed(object) => there.is_none() || in_conflict && same(object),
            What::Disputed { by, .. } if *by == side => there.is_none(),
            What::Disputed { changed, .. } => same(changed),
        }
    }

    fn conflicts(&self, name: &str) -> Vec<String> {
        match &self.what {
            What::Merged { merged, .. } => merged
                .conflicts
                .iter()
                .map(|conflict| match conflict {
                    Conflict::Value(key) => format!("{name}: both sides changed the value of {key}"),
                    Conflict::Field(at) => format!("{name}: both sides changed {at}"),
                    Conflict::Elsewhere(key) => format!(
                        "{name}: {key} does not open: one side sealed it, the other changed the scope or type"
                    ),
                    other => format!("{name}: {other:?}"),
                })
                .collect(),
            What::Disputed { by, .. } => {
                let (by, other) = if *by == Side::Ours { ("our", "their") } else { ("their", "our") };
                vec![format!("{name}: {by} side took it out, and {other} side changed it")]
            }
            What::Kept(_) | What::Removed(_) => Vec::new(),
        }
    }

    fn needs_new_value(&self) -> bool {
        let What::Merged { merged, .. } = &self.what else { return false };
        merged.conflicts.iter().any(|conflict| matches!(conflict, Conflict::Elsewhere(_)))
    }
}

impl Plan {
    /// Whether both sides have this object.
    pub(super) fn is_merged(&self, name: &str) -> bool {
        self.objects.get(name).is_some_and(|one| matches!(one.what, What::Merged { .. }))
    }

    /// Reads a text, and sees that it says what is planned.
    pub(super) fn check(
        &self,
        side: Side,
        text: &[u8],
        in_conflict: bool,
        shown: &str,
    ) -> Result<(), Failure> {
        let result = Version::read(text, format!("{shown} (merged)"))?;
        let there: BTreeMap<_, _> = result.objects().collect();
        let wrong = self
            .objects
            .iter()
            .find(|(name, one)| !one.is(side, there.get(name).copied(), in_conflict))
            .map(|(name, _)| name)
            .or_else(|| there.keys().find(|name| !self.objects.contains_key(**name)).copied());
        match wrong {
            None => Ok(()),
            Some(name) => {
                let mut why = self.conflicts();
                if why.is_empty() {
                    why.push(format!(
                        "git's merge of the text would make something else of {name}"
                    ));
                }
                Err(Failure::new("the merge is not what it should be", why.join("\n"), ""))
            }
        }
    }

    fn conflicts(&self) -> Vec<String> {
        self.objects.iter().flat_map(|(name, one)| one.conflicts(name)).collect()
    }

    /// What a person is to decide.
    pub(super) fn left(&self, shown: &str) -> Option<Failure> {
        let conflicts = self.conflicts();
        let next = if self.objects.values().any(One::needs_new_value) {
            "set what does not open anew (strongroom set); of what stands between markers keep one side; then git add"
        } else {
            "keep one side of what stands between markers, and take the markers out; then git add"
        };
        (!conflicts.is_empty())
            .then(|| Failure::new(format!("{shown} needs a decision"), conflicts.join("\n"), next))
    }

    /// What is merged, and still worth a look.
    pub(super) fn notes(&self) -> Vec<String> {
        let uneven = self.objects.iter().filter(|(_, one)| match &one.what {
            What::Merged { merged, even } => *even && audiences(&merged.ours).len() > 1,
            _ => false,
        });
        uneven
            .map(|(name, _)| {
                format!(
                    "{name}: its values are sealed for different keys now, because one side sealed for others; \
                     strongroom reseal makes them one again"
                )
            })
            .collect()
    }
}

fn nothing(name: &str) -> Failure {
    Failure::new(format!("{name} is in no version"), "that cannot be", "this is a bug: report it")
}
