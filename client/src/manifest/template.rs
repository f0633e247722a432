//! The template of a sealed Secret, changed field by field.

use sealing::Template;
use splice::{At, File, NodeId, Splice, SpliceError, Value};

use super::texts::{Texts, all_texts, text_edits};

/// The whole of it; `None` where there is nothing to write.
pub(super) fn whole(template: &Template) -> Option<Value> {
    let mut out = Vec::new();
    out.extend(template.secret_type.as_deref().map(|name| ("type", Value::from(name))));
    out.extend(template.immutable.map(|immutable| ("immutable", Value::Bool(immutable))));
    out.extend(metadata(template).map(|metadata| ("metadata", metadata)));
    if !template.data.is_empty() {
        out.push(("data", all_texts(&data(template))));
    }
    (!out.is_empty()).then(|| Value::mapping(out))
}

/// Makes the template of `spec`, which is `old`, into `new`.
pub(super) fn edits(
    file: &File<'_>,
    splice: &mut Splice<'_>,
    spec: NodeId,
    old: &Template,
    new: &Template,
) -> Result<(), SpliceError> {
    if old == new {
        return Ok(());
    }
    let node = match (file.field(spec, "template"), whole(new)) {
        (Some(node), Some(_)) => node,
        (Some(_), None) => return splice.remove(spec, "template"),
        (None, Some(value)) => return splice.insert(spec, "template", value, At::After("binding")),
        (None, None) => return Ok(()),
    };
    if shape(old) != shape(new) {
        // Fields that come and go touch each other; written as a whole they do not.
        return whole(new).map_or(Ok(()), |value| splice.replace(node, value));
    }
    if let (Some(new), true) = (&new.secret_type, old.secret_type != new.secret_type) {
        file.field(node, "type").map_or(Ok(()), |node| splice.set(node, new))?;
    }
    if let (Some(new), true) = (new.immutable, old.immutable != new.immutable) {
        file.field(node, "immutable")
            .map_or(Ok(()), |node| splice.replace(node, Value::Bool(new)))?;
    }
    if let Some(metadata) = file.field(node, "metadata") {
        texts(file, splice, metadata, "labels", &labels(old), &labels(new))?;
        texts(file, splice, metadata, "annotations", &annotations(old), &annotations(new))?;
    }
    texts(file, splice, node, "data", &data(old), &data(new))
}

/// Which of its fields are there.
fn shape(template: &Template) -> [bool; 5] {
    [
        template.secret_type.is_some(),
        template.immutable.is_some(),
        !template.labels.is_empty(),
        !template.annotations.is_empty(),
        !template.data.is_empty(),
    ]
}

fn texts(
    file: &File<'_>,
    splice: &mut Splice<'_>,
    parent: NodeId,
    name: &str,
    old: &Texts<'_>,
    new: &Texts<'_>,
) -> Result<(), SpliceError> {
    file.field(parent, name).map_or(Ok(()), |node| text_edits(file, splice, node, old, new))
}

fn metadata(template: &Template) -> Option<Value> {
    let both = [("labels", labels(template)), ("annotations", annotations(template))];
    let there: Vec<_> = both
        .iter()
        .filter(|(_, texts)| !texts.is_empty())
        .map(|(field, texts)| (*field, all_texts(texts)))
        .collect();
    (!there.is_empty()).then(|| Value::mapping(there))
}

fn labels(template: &Template) -> Texts<'_> {
    template.labels.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect()
}

fn annotations(template: &Template) -> Texts<'_> {
    template.annotations.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect()
}

fn data(template: &Template) -> Texts<'_> {
    template.data.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect()
}
