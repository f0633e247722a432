//! What is to become of each sealed Secret, and whether a text says so.

use std::collections::BTreeMap;

use sealing::{Conflict, DataKey, Merged, SealedSecret};

use super::{
    labels::Labels,
    text::Side,
    versions::{Object, Version, audiences},
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
    /// Both sides have it.
    Merged(Box<Both>),
    /// Only one side has it, and the base has not.
    Kept(Box<Object>),
    /// One side took it out, and the other one left it as the base has it.
    Removed(Box<Object>),
    /// One side took it out, and the other one changed it.
    Disputed { by: Side, changed: Box<Object> },
}

/// What both sides have, made one.
struct Both {
    merged: Merged,
    /// For base, ours and theirs.
    labels: [Labels; 3],
    /// Labels that both changed, each in its own way.
    labels_in_conflict: Vec<String>,
    /// Each side was sealed for one set of recipients.
    even: bool,
}

impl One {
    /// Decides by base, ours and theirs.
    pub(super) fn decide(
        name: &str,
        versions: [Option<&Object>; 3],
        order: Vec<DataKey>,
    ) -> Result<Self, Failure> {
        let what = match versions {
            [base, Some(ours), Some(theirs)] => {
                let sealed = base.map(|base| &base.sealed);
                let merged = SealedSecret::merge(sealed, &ours.sealed, &theirs.sealed);
                let merged = merged.map_err(|error| {
                    Failure::new(
                        format!("{name} cannot be merged"),
                        error.to_string(),
                        "see who changed it: git log -p",
                    )
                })?;
                // What is in conflict somebody looks at anyway.
                if merged.conflicts.is_empty() {
                    refuse_unrendered(name, [&ours.sealed, &theirs.sealed], &merged.ours)?;
                }
                let none = Labels::default();
                let (labels, labels_in_conflict) = Labels::merge([
                    base.map_or(&none, |base| &base.labels),
                    &ours.labels,
                    &theirs.labels,
                ]);
                let even = [ours, theirs].iter().all(|side| audiences(&side.sealed).len() <= 1);
                What::Merged(Box::new(Both { merged, labels, labels_in_conflict, even }))
            }
            [None, one, other] => match one.or(other) {
                Some(added) => What::Kept(Box::new(added.clone())),
                None => return Err(nothing(name)),
            },
            [Some(base), ours, theirs] => match ours.or(theirs) {
                Some(one) if !one.says_the_same(base) => {
                    let by = if ours.is_none() { Side::Ours } else { Side::Theirs };
                    What::Disputed { by, changed: Box::new(one.clone()) }
                }
                _ => What::Removed(Box::new(base.clone())),
            },
        };
        Ok(Self { what, order })
    }

    /// What a version is to say before git merges it; `None` leaves it as it is.
    pub(super) fn wanted(&self, side: Side) -> Option<(&SealedSecret, &Labels)> {
        let What::Merged(both) = &self.what else { return None };
        let [base, ours, theirs] = &both.labels;
        Some(match side {
            Side::Base => (&both.merged.base, base),
            Side::Ours => (&both.merged.ours, ours),
            Side::Theirs => (&both.merged.theirs, theirs),
        })
    }

    /// Whether `there` is what the merge is to have, where conflicts go to `side`.
    fn is(&self, side: Side, there: Option<&Object>, in_conflict: bool) -> bool {
        let same = |wanted: &Object| there.is_some_and(|there| there.says_the_same(wanted));
        match &self.what {
            What::Merged(_) => {
                self.wanted(side).zip(there).is_some_and(|((sealed, labels), there)| {
                    there.sealed.says_the_same(sealed) && there.labels == *labels
                })
            }
            What::Kept(object) => same(object),
            // Markers around it, for its comments say: then one side of them still has it.
            What::Removed(object) => there.is_none() || in_conflict && same(object),
            What::Disputed { by, .. } if *by == side => there.is_none(),
            What::Disputed { changed, .. } => same(changed),
        }
    }

    fn conflicts(&self, name: &str) -> Vec<String> {
        match &self.what {
            What::Merged(both) => {
                let sealed = both.merged.conflicts.iter().map(|conflict| match conflict {
                    Conflict::Value(key) => format!("{name}: both sides changed the value of {key}"),
                    Conflict::Field(at) => format!("{name}: both sides changed {at}"),
                    Conflict::Elsewhere(key) => format!(
                        "{name}: {key} does not open: one side sealed it, the other changed the scope or type"
                    ),
                    other => format!("{name}: {other:?}"),
                });
                let labels = both.labels_in_conflict.iter();
                sealed.chain(labels.map(|at| format!("{name}: both sides changed {at}"))).collect()
            }
            What::Disputed { by, .. } => {
                let (by, other) =
                    if *by == Side::Ours { ("our", "their") } else { ("their", "our") };
                vec![format!("{name}: {by} side took it out, and {other} side changed it")]
            }
            What::Kept(_) | What::Removed(_) => Vec::new(),
        }
    }

    fn needs_new_value(&self) -> bool {
        let What::Merged(both) = &self.what else { return false };
        both.merged.conflicts.iter().any(|conflict| matches!(conflict, Conflict::Elsewhere(_)))
    }
}

impl Plan {
    /// Whether both sides have this object.
    pub(super) fn is_merged(&self, name: &str) -> bool {
        self.objects.get(name).is_some_and(|one| matches!(one.what, What::Merged(_)))
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
        let there = result.objects();
        let wrong = self
            .objects
            .iter()
            .find(|(name, one)| !one.is(side, there.get(*name), in_conflict))
            .map(|(name, _)| name)
            .or_else(|| there.keys().find(|name| !self.objects.contains_key(*name)));
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
            What::Merged(both) => both.even && audiences(&both.merged.ours).len() > 1,
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

/// Refuses what does not open although each of both sides by itself would, because a template names a value that is not there.
fn refuse_unrendered(
    name: &str,
    sides: [&SealedSecret; 2],
    merged: &SealedSecret,
) -> Result<(), Failure> {
    merged.broken_template(&sides).map_or(Ok(()), |error| {
        Err(Failure::new(
            format!("{name} would not open"),
            error.to_string(),
            "see who changed it: git log -p",
        ))
    })
}

fn nothing(name: &str) -> Failure {
    Failure::new(format!("{name} is in no version"), "that cannot be", "this is a bug: report it")
}
