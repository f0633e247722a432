//! A SealedSecret of Bitnami's becomes one of ours, in its file. What both forms have stays as it is written: comments, order, quotes,
//! the object's own labels and annotations, its template.

use sealing::SealedSecret;
use splice::{At, File, NodeId, Splice, SpliceError, Value};

use crate::{bitnami_secret::is_scope, manifest};

/// Asks for everything that changes in the object at `root`.
pub(super) fn edits(
    file: &File<'_>,
    splice: &mut Splice<'_>,
    root: NodeId,
    ours: &SealedSecret,
) -> Result<(), SpliceError> {
    if let Some(node) = file.field(root, "apiVersion") {
        splice.set(node, sealing::API_VERSION)?;
    }
    if let Some(metadata) = file.field(root, "metadata") {
        metadata_edits(file, splice, metadata, ours)?;
    }
    if file.field(root, "status").is_some() {
        splice.remove(root, "status")?;
    }
    let Some(spec) = file.field(root, "spec") else { return Ok(()) };
    if let Some(template) = file.field(spec, "template") {
        template_edits(file, splice, spec, template)?;
    }
    if let Some(values) = file.field(spec, "encryptedData") {
        for (key, value) in ours.values() {
            if let Some(node) = file.field(values, key.as_str()) {
                splice.set(node, &value.encode())?;
            }
        }
    }
    splice.rename(spec, "encryptedData", "values")?;
    splice.insert(spec, "suite", Value::Integer(sealing::SUITE.into()), At::Start)?;
    splice.insert(spec, "binding", manifest::binding(ours.binding()), At::After("suite"))?;
    splice.insert(
        spec,
        "slots",
        Value::sequence(ours.slots().iter().map(manifest::slot)),
        At::After("binding"),
    )
}

/// The scope is no annotation any more; a namespace that was named on the command line is written.
fn metadata_edits(
    file: &File<'_>,
    splice: &mut Splice<'_>,
    metadata: NodeId,
    ours: &SealedSecret,
) -> Result<(), SpliceError> {
    if let Some(namespace) = ours.namespace() {
        let namespace = Value::Text(namespace.to_owned());
        match file.field(metadata, "namespace") {
            Some(node) if file.node(node).is_null() => splice.replace(node, namespace)?,
            Some(_) => {}
            None => splice.insert(metadata, "namespace", namespace, At::After("name"))?,
        }
    }
    if let Some(annotations) = file.field(metadata, "annotations") {
        let going = Going::of(file, annotations, is_scope);
        if going.all {
            splice.remove(metadata, "annotations")?;
        } else {
            going.remove(splice, annotations)?;
        }
    }
    Ok(())
}

/// The template has the same fields, but for what it repeats of the object, and what `kubeseal` writes as null.
fn template_edits(
    file: &File<'_>,
    splice: &mut Splice<'_>,
    spec: NodeId,
    template: NodeId,
) -> Result<(), SpliceError> {
    let metadata = file.field(template, "metadata");
    let annotations = metadata.and_then(|metadata| file.field(metadata, "annotations"));
    let of_annotations = annotations.map(|node| (node, Going::of(file, node, is_scope)));
    let no_annotations = of_annotations.as_ref().is_some_and(|(_, going)| going.all);
    let of_metadata = metadata.map(|node| {
        let repeated = |name: &str| {
            ["name", "namespace", "creationTimestamp"].contains(&name)
                || name == "annotations" && no_annotations
        };
        (node, Going::of(file, node, repeated))
    });
    let no_metadata = of_metadata.as_ref().is_some_and(|(_, going)| going.all);
    let of_template = Going::of(file, template, |name| name == "metadata" && no_metadata);
    if of_template.all {
        return splice.remove(spec, "template");
    }
    of_template.remove(splice, template)?;
    if let Some((node, going)) = of_metadata.filter(|_| !no_metadata) {
        going.remove(splice, node)?;
        if let Some((node, going)) = of_annotations.filter(|_| !no_annotations) {
            going.remove(splice, node)?;
        }
    }
    Ok(())
}

/// Entries of a mapping that go.
struct Going {
    names: Vec<String>,
    /// Nothing is left: then the mapping itself goes.
    all: bool,
}

impl Going {
    /// Those that `goes` names, and what is null.
    fn of(file: &File<'_>, mapping: NodeId, goes: impl Fn(&str) -> bool) -> Self {
        let mut names = Vec::new();
        let mut all = true;
        for (key, value) in file.entries(mapping) {
            let name = file.node(key).text();
            if goes(&name) || file.node(value).is_null() {
                names.push(name.into_owned());
            } else {
                all = false;
            }
        }
        Self { names, all }
    }

    fn remove(&self, splice: &mut Splice<'_>, mapping: NodeId) -> Result<(), SpliceError> {
        self.names.iter().try_for_each(|name| splice.remove(mapping, name))
    }
}
