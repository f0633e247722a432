//! The sealed Secrets of three versions of a file, and what is to become of them.

use std::collections::{BTreeMap, BTreeSet};

use sealing::{DataKey, Kid, SealedSecret};
use serde_json::Value as Json;
use splice::{File, Splice};

use super::{
    plan::{One, Plan},
    text::{Side, Texts},
};
use crate::{
    change::full_name,
    failure::Failure,
    manifest::{self, Change, Found, Manifest},
};

/// Three versions, taken apart.
pub(super) struct Versions {
    base: Version,
    ours: Version,
    theirs: Version,
}

/// One version.
pub(super) struct Version {
    manifest: Manifest,
    objects: BTreeMap<String, (SealedSecret, Vec<DataKey>)>,
}

impl Versions {
    pub(super) fn read(texts: &Texts, shown: &str) -> Result<Self, Failure> {
        Ok(Self {
            base: Version::read(&texts.base, format!("{shown} (base)"))?,
            ours: Version::read(&texts.ours, format!("{shown} (ours)"))?,
            theirs: Version::read(&texts.theirs, format!("{shown} (theirs)"))?,
        })
    }

    /// What is to become of each sealed Secret.
    pub(super) fn plan(&self) -> Result<Plan, Failure> {
        let versions = [&self.base, &self.ours, &self.theirs];
        let names: BTreeSet<&String> =
            versions.iter().flat_map(|version| version.objects.keys()).collect();
        let mut objects = BTreeMap::new();
        for name in names {
            let [base, ours, theirs] = versions.map(|version| version.objects.get(name));
            let mut order = Vec::new();
            for (_, keys) in [ours, theirs].into_iter().flatten() {
                order.extend(
                    keys.iter().filter(|key| !order.contains(*key)).cloned().collect::<Vec<_>>(),
                );
            }
            let [base, ours, theirs] =
                [base, ours, theirs].map(|object| object.map(|(object, _)| object));
            objects.insert(name.clone(), One::decide(name, [base, ours, theirs], order)?);
        }
        Ok(Plan { objects })
    }

    /// Base, ours and theirs, each with its sealed Secrets made to say what the plan says.
    pub(super) fn texts(&self, plan: &Plan) -> Result<[Vec<u8>; 3], Failure> {
        Ok([
            self.base.changed(Side::Base, plan)?,
            self.ours.changed(Side::Ours, plan)?,
            self.theirs.changed(Side::Theirs, plan)?,
        ])
    }

    /// The same, but with the documents of sealed Secrets as ours has them, so that they differ where they are in conflict and nowhere
    /// else. Refused where theirs says something else outside of what is planned: it would be lost.
    pub(super) fn texts_in_our_layout(&self, plan: &Plan) -> Result<[Vec<u8>; 3], Failure> {
        let ours = Version::read(&self.ours.changed(Side::Ours, plan)?, self.ours.shown())?;
        let base = self.in_layout(&self.base, ours.changed(Side::Base, plan)?, plan)?;
        let theirs = self.in_layout(&self.theirs, ours.changed(Side::Theirs, plan)?, plan)?;
        Ok([base, ours.manifest.text, theirs])
    }

    /// A version with the documents of merged objects as they are in `layout`, which has those of ours.
    fn in_layout(
        &self,
        version: &Version,
        layout: Vec<u8>,
        plan: &Plan,
    ) -> Result<Vec<u8>, Failure> {
        let layout = Manifest::of(version.shown(), layout)?;
        let (from, to) = (layout.parse()?, version.manifest.parse()?);
        let mut splice = Splice::new(&to);
        for name in version.objects.keys().filter(|name| plan.is_merged(name)) {
            let [said, in_base, in_ours] =
                [version, &self.base, &self.ours].map(|version| version.said_besides(name));
            let said = said?;
            if said != in_base? && said != in_ours? {
                return Err(no_layout(name, "their side changed what is not sealed in it"));
            }
            let number = (self.ours.document(name)?, version.document(name)?);
            let (Some(in_ours), Some(here)) = number else {
                return Err(no_layout(name, "it is an item of a List"));
            };
            let span = from.documents().get(in_ours).map(splice::Document::span);
            let text = span.and_then(|span| std::str::from_utf8(layout.text.get(span)?).ok());
            splice
                .replace_document(here, text.unwrap_or_default())
                .map_err(|error| no_layout(name, &error.to_string()))?;
        }
        splice.finish().map_err(|error| no_layout(&version.manifest.shown, &error.to_string()))
    }
}

impl Version {
    pub(super) fn read(text: &[u8], shown: String) -> Result<Self, Failure> {
        let manifest = Manifest::of(shown, text.to_vec())?;
        let file = manifest.parse()?;
        let mut objects = BTreeMap::new();
        for (found, object) in sealed(&manifest, &file)? {
            let name = full_name(&object);
            let order = order(&file, found);
            if objects.insert(name.clone(), (object, order)).is_some() {
                return Err(manifest.failure(
                    file.node(found.node).place(),
                    &format!("{name} is there twice"),
                    "which of them is meant cannot be told",
                    "take one out",
                ));
            }
        }
        drop(file);
        Ok(Self { manifest, objects })
    }

    fn changed(&self, side: Side, plan: &Plan) -> Result<Vec<u8>, Failure> {
        let file = self.manifest.parse()?;
        let all = sealed(&self.manifest, &file)?;
        let changes: Vec<_> = all
            .iter()
            .filter_map(|(found, old)| {
                let one = plan.objects.get(&full_name(old))?;
                let new = one.wanted(side)?;
                let (new, order) = (new.clone(), one.order.clone());
                Some(Change { found: *found, old: old.clone(), new, order })
            })
            .collect();
        manifest::changed(&self.manifest, &file, &changes)
    }

    fn shown(&self) -> String {
        self.manifest.shown.clone()
    }

    /// The number of the document that an object is; `None` where it is an item of a List, or not there.
    fn document(&self, name: &str) -> Result<Option<usize>, Failure> {
        let file = self.manifest.parse()?;
        let all = sealed(&self.manifest, &file)?;
        let found = all.iter().find(|(_, object)| full_name(object) == name);
        Ok(found.and_then(|(found, _)| found.document))
    }

    /// What an object says outside of its spec; nothing where it is not there.
    fn said_besides(&self, name: &str) -> Result<Option<Json>, Failure> {
        let file = self.manifest.parse()?;
        let all = sealed(&self.manifest, &file)?;
        let found = all.iter().find(|(_, object)| full_name(object) == name);
        found
            .map(|(found, _)| {
                let mut json = self.manifest.json(&file, found.node)?;
                json.as_object_mut().map(|object| object.remove("spec"));
                Ok(json)
            })
            .transpose()
    }

    /// The sealed Secrets, by namespace and name.
    pub(super) fn objects(&self) -> impl Iterator<Item = (&String, &SealedSecret)> {
        self.objects.iter().map(|(name, (object, _))| (name, object))
    }
}

fn sealed(manifest: &Manifest, file: &File<'_>) -> Result<Vec<(Found, SealedSecret)>, Failure> {
    manifest::objects(file)
        .into_iter()
        .filter(|found| {
            file.field_text(found.node, "kind").as_deref() == Some(sealing::KIND)
                && file.field_text(found.node, "apiVersion").as_deref()
                    == Some(sealing::API_VERSION)
        })
        .map(|found| Ok((found, manifest.sealed(file, found)?)))
        .collect()
}

/// The keys of the values as they stand in the file.
fn order(file: &File<'_>, found: Found) -> Vec<DataKey> {
    let values = file.field(found.node, "spec").and_then(|spec| file.field(spec, "values"));
    let keys = values.map(|values| file.entries(values)).into_iter().flatten();
    keys.filter_map(|(key, _)| DataKey::parse(&file.node(key).text())).collect()
}

fn no_layout(name: &str, why: &str) -> Failure {
    Failure::new(format!("{name} cannot be laid out as our side has it"), why, "")
}

/// Whom each slot of an object is sealed for that is used.
pub(super) fn audiences(object: &SealedSecret) -> BTreeSet<BTreeSet<Kid>> {
    object.used_slots().map(|slot| slot.wraps().iter().map(|wrap| wrap.kid()).collect()).collect()
}
