//! A sealed Secret as it is written: whole where it is new, else only where it changed.

use sealing::{API_VERSION, Binding, DataKey, KIND, SUITE, SealedSecret, Slot, Wrap};
use serde_json::Value as Json;
use splice::{At, File, NodeId, Splice, SpliceError, Value};

use super::{Found, Manifest, template};
use crate::{failure::Failure, output, unseal::Form};

/// A new object.
pub(crate) fn document(object: &SealedSecret) -> Value {
    let mut metadata = vec![("name", Value::from(object.name()))];
    metadata.extend(object.namespace().map(|namespace| ("namespace", Value::from(namespace))));
    let mut spec =
        vec![("suite", Value::Integer(SUITE.into())), ("binding", binding(object.binding()))];
    spec.extend(template::whole(object.template()).map(|template| ("template", template)));
    spec.push(("slots", Value::sequence(object.slots().iter().map(slot))));
    spec.push((
        "values",
        Value::mapping(
            object.values().iter().map(|(key, value)| (key.as_str(), Value::from(value.encode()))),
        ),
    ));
    Value::mapping([
        ("apiVersion", Value::from(API_VERSION)),
        ("kind", Value::from(KIND)),
        ("metadata", Value::mapping(metadata)),
        ("spec", Value::mapping(spec)),
    ])
}

/// A sealed Secret of a file that becomes another.
pub(crate) struct Change {
    pub(crate) found: Found,
    pub(crate) old: SealedSecret,
    pub(crate) new: SealedSecret,
    /// In which order values are added; those that are not in it come last, by name.
    pub(crate) order: Vec<DataKey>,
}

/// The text of the file with these changes made, and nothing else touched.
pub(crate) fn changed(
    manifest: &Manifest,
    file: &File<'_>,
    changes: &[Change],
) -> Result<Vec<u8>, Failure> {
    let mut splice = Splice::new(file);
    let done = changes.iter().try_for_each(|change| edits(file, &mut splice, change));
    done.and_then(|()| splice.finish()).map(String::into_bytes).map_err(|error| {
        manifest.failure(
            error.place,
            "cannot be changed without touching more than it should",
            error.refusal.to_string(),
            "write that part out plainly, and run the command again",
        )
    })
}

fn edits(
    file: &File<'_>,
    splice: &mut Splice<'_>,
    Change { found, old, new, order }: &Change,
) -> Result<(), SpliceError> {
    let Some(spec) = file.field(found.node, "spec") else { return Ok(()) };
    if let Some(node) = file.field(spec, "binding").filter(|_| old.binding() != new.binding()) {
        splice.replace(node, binding(new.binding()))?;
    }
    template::edits(file, splice, spec, old.template(), new.template())?;
    if let Some(slots) = file.field(spec, "slots") {
        slots_edits(file, splice, slots, old, new)?;
    }
    let Some(values) = file.field(spec, "values") else { return Ok(()) };
    let ordered = order.iter().filter_map(|key| new.values().get_key_value(key));
    let others = new.values().iter().filter(|(key, _)| !order.contains(key));
    for (key, value) in ordered.chain(others) {
        match (file.field(values, key.as_str()), old.values().get(key)) {
            (Some(_), Some(before)) if before == value => {}
            (Some(node), _) => splice.set(node, &value.encode())?,
            (None, _) => {
                splice.insert(values, key.as_str(), Value::from(value.encode()), At::End)?
            }
        }
    }
    for key in old.values().keys().filter(|key| !new.values().contains_key(*key)) {
        splice.remove(values, key.as_str())?;
    }
    Ok(())
}

fn slots_edits(
    file: &File<'_>,
    splice: &mut Splice<'_>,
    slots: NodeId,
    old: &SealedSecret,
    new: &SealedSecret,
) -> Result<(), SpliceError> {
    for (i, before) in old.slots().iter().enumerate() {
        let Some(after) = new.slots().iter().find(|slot| slot.id() == before.id()) else {
            splice.remove_item(slots, i)?;
            continue;
        };
        let wraps = file.items(slots).nth(i).and_then(|node| file.field(node, "wraps"));
        let Some(wraps) = wraps else { continue };
        for (j, wrap) in before.wraps().iter().enumerate() {
            match after.wraps().iter().find(|other| other.kid() == wrap.kid()) {
                None => splice.remove_item(wraps, j)?,
                Some(same) if same.bytes() == wrap.bytes() => {}
                Some(other) => {
                    let ct = file.items(wraps).nth(j).and_then(|node| file.field(node, "ct"));
                    if let Some(ct) = ct {
                        splice.set(ct, &data_encoding::BASE64.encode(other.bytes()))?;
                    }
                }
            }
        }
        for wrap in after
            .wraps()
            .iter()
            .filter(|wrap| before.wraps().iter().all(|other| other.kid() != wrap.kid()))
        {
            splice.push(wraps, wrap_value(wrap))?;
        }
    }
    let is_new = |slot: &&Slot| old.slots().iter().all(|other| other.id() != slot.id());
    new.slots().iter().filter(is_new).try_for_each(|added| splice.push(slots, slot(added)))
}

pub(crate) fn binding(binding: &Binding) -> Value {
    let mut out = vec![("scope", Value::from(binding.scope.as_str()))];
    for (field, recorded) in
        [("namespace", &binding.namespace), ("name", &binding.name), ("type", &binding.secret_type)]
    {
        out.extend(recorded.as_deref().map(|recorded| (field, Value::from(recorded))));
    }
    Value::mapping(out).flow()
}

pub(crate) fn slot(slot: &Slot) -> Value {
    Value::mapping([
        ("id", Value::from(slot.id().to_string())),
        ("commit", Value::from(data_encoding::BASE64.encode(slot.commit().bytes()))),
        ("wraps", Value::sequence(slot.wraps().iter().map(wrap_value))),
    ])
}

fn wrap_value(wrap: &Wrap) -> Value {
    Value::mapping([
        ("kid", Value::from(wrap.kid().to_string())),
        ("ct", Value::from(data_encoding::BASE64.encode(wrap.bytes()))),
    ])
    .flow()
}

/// Secrets in clear text, for stdout.
pub(crate) fn encode<'a>(
    secrets: impl IntoIterator<Item = &'a Json>,
    form: Form,
) -> Result<Vec<u8>, Failure> {
    let secrets = secrets.into_iter();
    if form == Form::Json {
        let secrets: Vec<_> = secrets.collect();
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": secrets});
        return output::json(&list).map(|text| (text + "\n").into_bytes());
    }
    let documents: Vec<_> = secrets.map(output::yaml).collect::<Result<_, _>>()?;
    Ok(documents.join("---\n").into_bytes())
}
