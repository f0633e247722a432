//! Mappings of text to text, such as labels: written, and changed entry by entry.

use std::collections::BTreeMap;

use splice::{At, File, NodeId, Splice, SpliceError, Value};

pub(crate) type Texts<'a> = BTreeMap<&'a str, &'a str>;

/// All entries, as they are written.
pub(crate) fn all_texts(texts: &Texts<'_>) -> Value {
    Value::mapping(texts.iter().map(|(key, text)| (*key, Value::from(*text))))
}

/// Makes a mapping that says `old` say `new`, and touches nothing else in it.
pub(crate) fn text_edits(
    file: &File<'_>,
    splice: &mut Splice<'_>,
    node: NodeId,
    old: &Texts<'_>,
    new: &Texts<'_>,
) -> Result<(), SpliceError> {
    for (key, text) in new {
        match (file.field(node, key), old.get(key)) {
            (Some(_), Some(before)) if before == text => {}
            (Some(node), _) => splice.set(node, text)?,
            (None, _) => splice.insert(node, key, Value::from(*text), At::End)?,
        }
    }
    old.keys().filter(|key| !new.contains_key(*key)).try_for_each(|key| splice.remove(node, key))
}
