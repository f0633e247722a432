//! Labels and annotations of the sealed object itself, merged one by one, as neighbours that git takes for one change.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use splice::{At, File, NodeId, Splice, SpliceError};

use crate::manifest::{Texts, all_texts, text_edits};

const FIELDS: [&str; 2] = ["labels", "annotations"];

/// Those of one version: the text of each, by field and key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Labels(BTreeMap<(&'static str, String), String>);

impl Labels {
    /// Of an object. What is no text is left to git.
    pub(super) fn read(object: &Json) -> Self {
        let metadata = object.get("metadata");
        let mut out = BTreeMap::new();
        for field in FIELDS {
            let entries = metadata.and_then(|metadata| metadata.get(field)?.as_object());
            for (key, value) in entries.into_iter().flatten() {
                out.extend(value.as_str().map(|text| ((field, key.clone()), text.to_owned())));
            }
        }
        Self(out)
    }

    /// Base, ours and theirs made one; where both changed one differently, each keeps its own, and it is named.
    pub(super) fn merge([base, ours, theirs]: [&Self; 3]) -> ([Self; 3], Vec<String>) {
        let (mut out, mut conflicts) = ([base, ours, theirs].map(Clone::clone), Vec::new());
        let keys: BTreeSet<_> = out.iter().flat_map(|labels| labels.0.keys().cloned()).collect();
        for key in keys {
            let [in_base, in_ours, in_theirs] =
                [base, ours, theirs].map(|labels| labels.0.get(&key).cloned());
            let merged = if in_ours == in_theirs || in_theirs == in_base {
                in_ours
            } else if in_ours == in_base {
                in_theirs
            } else {
                conflicts.push(format!("metadata.{}.{}", key.0, key.1));
                continue;
            };
            for labels in &mut out {
                match &merged {
                    Some(text) => _ = labels.0.insert(key.clone(), text.clone()),
                    None => _ = labels.0.remove(&key),
                }
            }
        }
        (out, conflicts)
    }

    /// Makes an object, which has these, have `new`.
    pub(super) fn edits(
        &self,
        new: &Self,
        file: &File<'_>,
        splice: &mut Splice<'_>,
        object: NodeId,
    ) -> Result<(), SpliceError> {
        let Some(metadata) = file.field(object, "metadata") else { return Ok(()) };
        for field in FIELDS {
            let (old, new) = (self.of(field), new.of(field));
            if old == new {
                continue;
            }
            match file.field(metadata, field) {
                Some(node) => text_edits(file, splice, node, &old, &new)?,
                None => splice.insert(metadata, field, all_texts(&new), At::End)?,
            }
        }
        Ok(())
    }

    fn of(&self, field: &str) -> Texts<'_> {
        let all = self.0.iter().filter(|((of, _), _)| *of == field);
        all.map(|((_, key), text)| (key.as_str(), text.as_str())).collect()
    }
}
