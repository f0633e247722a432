use std::collections::BTreeSet;

use sealing::SealedSecret;
use splice::File;

use crate::{
    failure::Failure,
    manifest::{self, Change, Found, Manifest},
    secret::Secret,
};

/// What lies sealed in the file that is written to.
#[derive(Default)]
pub(super) struct Existing<'a> {
    manifest: Option<&'a Manifest>,
    objects: Vec<(Found, SealedSecret)>,
    /// Kinds and names of the other objects.
    others: BTreeSet<String>,
}

impl<'a> Existing<'a> {
    pub(super) fn read(manifest: &'a Manifest) -> Result<Self, Failure> {
        let file = manifest.parse()?;
        let mut objects = Vec::new();
        for found in manifest::sealed_objects(&file) {
            // What cannot be read is not worth keeping: it is sealed anew.
            if let Ok(object) = manifest.sealed(&file, found) {
                objects.push((found, object));
            }
        }
        Ok(Self { manifest: Some(manifest), objects, others: names(&file) })
    }

    pub(super) fn find(&self, secret: &Secret) -> Option<(Found, &SealedSecret)> {
        let mut all = self.objects.iter();
        all.find(|(_, object)| is_of(object, secret)).map(|(found, object)| (*found, object))
    }

    /// The names of what is there and not in the source: sealed Secrets that are none of its Secrets, and other objects.
    pub(super) fn others<'s>(
        &self,
        source: &File<'_>,
        secrets: impl Iterator<Item = &'s Secret> + Clone,
    ) -> Vec<String> {
        let sealed = self.objects.iter().map(|(_, object)| object);
        let sealed = sealed.filter(|object| !secrets.clone().any(|secret| is_of(object, secret)));
        let other = &self.others - &names(source);
        sealed.map(SealedSecret::full_name).chain(other).collect()
    }

    /// The document that an object is the whole of, changed where it changed; `None` where it is an item of a List.
    pub(super) fn document(
        &self,
        found: Found,
        old: &SealedSecret,
        new: &SealedSecret,
    ) -> Result<Option<String>, Failure> {
        let (Some(manifest), Some(document)) = (self.manifest, found.document) else {
            return Ok(None);
        };
        let change = Change { found, old: old.clone(), new: new.clone(), order: Vec::new() };
        let text = manifest::changed(manifest, &manifest.parse()?, &[change])?;
        let span = splice::parse(&text)
            .ok()
            .and_then(|file| Some(file.documents().get(document)?.content()));
        Ok(span.and_then(|span| String::from_utf8(text.get(span)?.to_vec()).ok()))
    }
}

/// Kinds and names of the objects in a file that are no sealed Secrets.
fn names(file: &File<'_>) -> BTreeSet<String> {
    let name = |found: Found| {
        let metadata = file.field(found.node, "metadata")?;
        let kind = file.field_text(found.node, "kind").filter(|kind| kind != sealing::KIND)?;
        let namespace = file.field_text(metadata, "namespace").map(|namespace| namespace + "/");
        let name = file.field_text(metadata, "name")?;
        Some(format!("{kind} {}{name}", namespace.unwrap_or_default()))
    };
    manifest::objects(file).into_iter().filter_map(name).collect()
}

/// Whether an object is what a Secret was sealed as.
fn is_of(object: &SealedSecret, secret: &Secret) -> bool {
    object.name() == secret.name && object.namespace() == secret.namespace.as_deref()
}
