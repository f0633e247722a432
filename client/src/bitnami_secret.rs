//! A SealedSecret of Bitnami's, as it stands in a manifest: what `migrate` reads, and `seal --format bitnami` writes.
//!
//! ```text
//! apiVersion: bitnami.com/v1alpha1
//! kind: SealedSecret
//! metadata: {name, namespace, annotations: {sealedsecrets.bitnami.com/cluster-wide: "true"}}    the annotation is the scope
//! spec:
//!   encryptedData: {key: base64}
//!   template: {type, immutable, metadata: {name, namespace, labels, annotations}, data: {key: text}}
//! ```
//!
//! Invariant: what is in an object and cannot be carried over is refused, with its place. Nothing is dropped but what means nothing
//! without their controller.

use std::collections::BTreeMap;

use bitnami::PublicKey;
use envelope::Random;
use sealing::{At, DataKey, Scope, Template};
use serde_json::{Map, Value as Json};
use splice::{File, NodeId, Value};

use crate::secret::{self, Secret, Unfit, mapping, texts, unfit};

/// Their group and version.
pub(crate) const API_VERSION: &str = "bitnami.com/v1alpha1";
/// What their annotations begin with.
const PREFIX: &str = "sealedsecrets.bitnami.com/";

/// Whether an object of a file is one.
pub(crate) fn is_bitnami(file: &File<'_>, node: NodeId) -> bool {
    let field = |name| file.field_text(node, name);
    field("apiVersion").as_deref() == Some(API_VERSION)
        && field("kind").as_deref() == Some("SealedSecret")
}

/// A SealedSecret of Bitnami's that may be carried over.
#[derive(Debug)]
pub(crate) struct BitnamiSecret {
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) scope: Scope,
    /// Without what names their scope: ours stands in the binding.
    pub(crate) template: Template,
    /// As they are written.
    pub(crate) values: BTreeMap<DataKey, String>,
    /// Annotations that their controller obeys, and no other.
    pub(crate) foreign: Vec<String>,
}

impl BitnamiSecret {
    /// Takes an object apart that [`is_bitnami`]; `namespace` is that of objects that name none.
    pub(crate) fn parse(json: &Json, namespace: Option<&str>) -> Result<Self, Unfit> {
        let root = At::default();
        let object = mapping(json, &root)?;
        // What the cluster says of it is no part of it.
        only(object, &root, &["apiVersion", "kind", "metadata", "spec", "status"])?;
        let at = root.field("metadata");
        let metadata = mapping(object.get("metadata").unwrap_or(&Json::Null), &at)?;
        let name = secret::name(metadata, &at)?;
        let own = secret::namespace(metadata, &at)?;
        let annotations = texts(metadata.get("annotations"), &at.field("annotations"))?;
        let scope = scope(&annotations);
        let namespace =
            own.or_else(|| scope.binds_namespace().then(|| namespace.map(str::to_owned))?);
        if scope.binds_namespace() && namespace.is_none() {
            return Err(unfit(
                at.field("namespace"),
                "is missing, and the values are bound to it",
                "write it into the object, or name it with --namespace",
            ));
        }
        let at = root.field("spec");
        let spec = mapping(object.get("spec").unwrap_or(&Json::Null), &at)?;
        if spec.contains_key("data") {
            return Err(unfit(
                at.field("data"),
                "is the oldest form, one value for the whole Secret, which their controller refuses too",
                "seal the Secret anew, from where it is known",
            ));
        }
        only(spec, &at, &["encryptedData", "template"])?;
        let (template, mut foreign) = template(spec.get("template"), &at.field("template"))?;
        let values = values(spec.get("encryptedData"), &at.field("encryptedData"))?;
        if let Some(key) = template.data.keys().find(|key| values.contains_key(*key)) {
            return Err(unfit(
                at.field("template").field("data").field(key.as_str()),
                "stands in encryptedData too, and their controller lets the template win",
                "take out the one that is not meant",
            ));
        }
        foreign.extend(annotations.into_keys().filter(|name| is_foreign(name)));
        foreign.sort();
        foreign.dedup();
        Ok(Self { namespace, name, scope, template, values, foreign })
    }

    /// Where its values open.
    pub(crate) fn place(&self) -> bitnami::Scope<'_> {
        place(self.scope, self.namespace.as_deref(), &self.name)
    }
}

/// The object that `kubeseal` would make of a Secret.
pub(crate) fn sealed(
    secret: &Secret,
    scope: Option<Scope>,
    key: &PublicKey,
    random: &dyn Random,
) -> Result<Value, bitnami::SealError> {
    let Template { secret_type, immutable, labels, annotations, data: _ } = &secret.template;
    let scope = scope.unwrap_or_else(|| self::scope(annotations));
    let place = place(scope, secret.namespace.as_deref(), &secret.name);
    let mut values = Vec::new();
    for (name, value) in &secret.values {
        values.push((
            name.as_str(),
            Value::from(bitnami::seal(key, &place, value.expose_secret(), random)?),
        ));
    }
    let said = place.annotation().map(|name| (name.to_owned(), "true".to_owned()));
    let mut annotations = annotations.clone();
    annotations.retain(|name, _| !is_scope(name));
    annotations.extend(said.clone());
    let named = || {
        let name = ("name", Value::from(secret.name.as_str()));
        std::iter::once(name).chain(
            secret.namespace.as_deref().map(|namespace| ("namespace", Value::from(namespace))),
        )
    };
    let mut inner: Vec<_> = [("annotations", &annotations), ("labels", labels)]
        .into_iter()
        .filter(|(_, entries)| !entries.is_empty())
        .map(|(field, entries)| (field, all(entries)))
        .collect();
    inner.extend(named());
    let mut template = Vec::new();
    template.extend(immutable.map(|immutable| ("immutable", Value::Bool(immutable))));
    template.push(("metadata", Value::mapping(inner)));
    template.extend(secret_type.as_deref().map(|name| ("type", Value::from(name))));
    let mut metadata = Vec::new();
    metadata.extend(said.map(|entry| ("annotations", all(&BTreeMap::from([entry])))));
    metadata.extend(named());
    Ok(Value::mapping([
        ("apiVersion", Value::from(API_VERSION)),
        ("kind", Value::from("SealedSecret")),
        ("metadata", Value::mapping(metadata)),
        (
            "spec",
            Value::mapping([
                ("encryptedData", Value::mapping(values)),
                ("template", Value::mapping(template)),
            ]),
        ),
    ]))
}

/// Whether an annotation is one of the two that say a scope.
pub(crate) fn is_scope(name: &str) -> bool {
    [bitnami::Scope::Namespace { namespace: "" }, bitnami::Scope::Cluster]
        .iter()
        .any(|scope| scope.annotation() == Some(name))
}

fn is_foreign(name: &str) -> bool {
    name.starts_with(PREFIX) && !is_scope(name)
}

fn scope(annotations: &BTreeMap<String, String>) -> Scope {
    let annotation = |name: &str| annotations.get(name).map(String::as_str);
    match bitnami::Scope::from_annotations(annotation, "", "") {
        bitnami::Scope::Strict { .. } => Scope::Strict,
        bitnami::Scope::Namespace { .. } => Scope::Namespace,
        bitnami::Scope::Cluster => Scope::Cluster,
    }
}

fn place<'a>(scope: Scope, namespace: Option<&'a str>, name: &'a str) -> bitnami::Scope<'a> {
    let namespace = namespace.unwrap_or_default();
    match scope {
        Scope::Strict => bitnami::Scope::Strict { namespace, name },
        Scope::Namespace => bitnami::Scope::Namespace { namespace },
        Scope::Cluster => bitnami::Scope::Cluster,
    }
}

/// What the Secret has besides values, and the annotations in it that only their controller obeys.
fn template(json: Option<&Json>, at: &At) -> Result<(Template, Vec<String>), Unfit> {
    let Some(json) = json else { return Ok((Template::default(), Vec::new())) };
    let fields = mapping(json, at)?;
    only(fields, at, &["type", "immutable", "metadata", "data"])?;
    let mut out = Template {
        secret_type: secret::secret_type(fields, at)?,
        immutable: secret::immutable(fields, at)?,
        ..Template::default()
    };
    let inner = at.field("metadata");
    if let Some(json) = fields.get("metadata") {
        let metadata = mapping(json, &inner)?;
        // Their controller puts the object's own name and namespace in place of these, and a time of creation is none of ours to give.
        only(
            metadata,
            &inner,
            &["name", "namespace", "creationTimestamp", "labels", "annotations"],
        )?;
        out.labels = texts(metadata.get("labels"), &inner.field("labels"))?;
        out.annotations = texts(metadata.get("annotations"), &inner.field("annotations"))?;
    }
    if out.annotations.contains_key(secret::LAST_APPLIED) {
        return Err(unfit(
            inner.field("annotations").field(secret::LAST_APPLIED),
            "has the whole Secret in clear text",
            "take the annotation out, and change the passwords: it is in the history",
        ));
    }
    out.annotations.retain(|name, _| !is_scope(name));
    let at = at.field("data");
    for (key, text) in texts(fields.get("data"), &at)? {
        let at = at.field(&key);
        if text.contains("{{") {
            return Err(unfit(
                at,
                "is a template of Go, which is another language than that of Strongroom's templates",
                "write what it does as a template with {{ key }}, {{ key | base64 }} or {{ key | quote }} after the rest is migrated, or seal the finished text as a value",
            ));
        }
        out.data.insert(data_key(&key, at)?, text);
    }
    let foreign = out.annotations.keys().filter(|name| is_foreign(name)).cloned().collect();
    Ok((out, foreign))
}

fn values(json: Option<&Json>, at: &At) -> Result<BTreeMap<DataKey, String>, Unfit> {
    let mut out = BTreeMap::new();
    for (key, value) in mapping(json.unwrap_or(&Json::Null), at)? {
        let at = at.field(key);
        let Json::String(value) = value else {
            return Err(unfit(at, "is no text", "put it back as kubeseal wrote it"));
        };
        out.insert(data_key(key, at)?, value.clone());
    }
    Ok(out)
}

fn data_key(key: &str, at: At) -> Result<DataKey, Unfit> {
    DataKey::parse(key).ok_or_else(|| {
        unfit(
            at,
            "is no data key: 1 to 253 letters, digits, '-', '_' or '.'",
            "rename it: Kubernetes would refuse it",
        )
    })
}

fn only(map: &Map<String, Json>, at: &At, known: &[&str]) -> Result<(), Unfit> {
    match map.keys().find(|field| !known.contains(&field.as_str())) {
        Some(field) => Err(unfit(
            at.field(field),
            "has no counterpart in Strongroom: it would be lost",
            "take it out, if it may be lost",
        )),
        None => Ok(()),
    }
}

fn all(entries: &BTreeMap<String, String>) -> Value {
    Value::mapping(entries.iter().map(|(key, value)| (key.as_str(), Value::from(value.as_str()))))
}
