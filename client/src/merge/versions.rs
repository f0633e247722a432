//! The sealed Secrets of three versions of a file, and what is to become of them.

use std::collections::{BTreeMap, BTreeSet};

use sealing::{DataKey, Kid, SealedSecret, SlotId};
use splice::{File, Splice};

use super::{
    labels::Labels,
    plan::{One, Plan},
    text::{Side, Texts},
};
use crate::{
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
    objects: BTreeMap<String, Object>,
}

/// A sealed Secret of a version.
#[derive(Clone)]
pub(super) struct Object {
    pub(super) sealed: SealedSecret,
    pub(super) labels: Labels,
    /// Which object of the file it is.
    position: usize,
    /// The keys of its values as they stand in the file.
    order: Vec<DataKey>,
    /// The document that it is; `None` for an item of a List.
    document: Option<usize>,
}

impl Object {
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.sealed.says_the_same(&other.sealed) && self.labels == other.labels
    }
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
            for object in [ours, theirs].into_iter().flatten() {
                for key in &object.order {
                    if !order.contains(key) {
                        order.push(key.clone());
                    }
                }
            }
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
    /// else. Refused where theirs has lines besides that would be lost.
    pub(super) fn texts_in_our_layout(&self, plan: &Plan) -> Result<[Vec<u8>; 3], Failure> {
        let ours = Version::read(&self.ours.changed(Side::Ours, plan)?, self.ours.shown())?;
        let [base, ours_, theirs] = [&self.base, &ours, &self.theirs]
            .map(|version| version.changed(Side::Base, plan).map(|text| (version, text)));
        let (base, ours_, theirs) = (base?, ours_?, theirs?);
        for name in self.theirs.objects.keys().filter(|name| plan.is_merged(name)) {
            // The three say the same here: what differs but for its order, somebody wrote.
            let [in_base, in_ours, in_theirs] = [&base, &ours_, &theirs]
                .map(|(version, text)| version.document(name, text).map(|text| sorted(&text)));
            if in_theirs.is_none() || in_theirs != in_base && in_theirs != in_ours {
                return Err(Failure::new(
                    format!("{name} cannot be laid out as our side has it"),
                    "their side changed other lines of it too",
                    "",
                ));
            }
        }
        let base = self.base.with_documents_of(&ours, &ours_.1, plan)?;
        let wanted = ours.changed(Side::Theirs, plan)?;
        let theirs = self.theirs.with_documents_of(&ours, &wanted, plan)?;
        Ok([base, ours.manifest.text, theirs])
    }
}

/// The lines of a document in whatever order they stand. Quotes around the key of a value follow those of its neighbours, and are left out.
fn sorted(text: &str) -> Vec<String> {
    let bare = |line: &str| match line.split_once(": ") {
        Some((_, value)) if is_value(value) => line.replace(['"', '\''], ""),
        _ => line.to_owned(),
    };
    let mut lines: Vec<_> = text.lines().map(bare).collect();
    lines.sort_unstable();
    lines
}

fn is_value(text: &str) -> bool {
    let text = text.trim_matches(['"', '\'']);
    text.split_once('.').is_some_and(|(slot, _)| SlotId::parse(slot).is_some())
}

impl Version {
    pub(super) fn read(text: &[u8], shown: String) -> Result<Self, Failure> {
        let manifest = Manifest::of(shown, text.to_vec())?;
        let file = manifest.parse()?;
        let mut objects = BTreeMap::new();
        for (position, found, sealed) in sealed(&manifest, &file)? {
            let name = sealed.full_name();
            let labels = Labels::read(&manifest.json(&file, found.node)?);
            let (order, document) = (order(&file, found), found.document);
            let object = Object { sealed, labels, position, order, document };
            if objects.insert(name.clone(), object).is_some() {
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
            .filter_map(|(_, found, old)| {
                let one = plan.objects.get(&old.full_name())?;
                let (new, _) = one.wanted(side)?;
                let (new, order) = (new.clone(), one.order.clone());
                Some(Change { found: *found, old: old.clone(), new, order })
            })
            .collect();
        self.labelled(manifest::changed(&self.manifest, &file, &changes)?, side, plan)
    }

    /// This version, changed to `text`, with the labels that are planned.
    fn labelled(&self, text: Vec<u8>, side: Side, plan: &Plan) -> Result<Vec<u8>, Failure> {
        let wanted = |(name, object)| {
            let (_, labels) = plan.objects.get(name)?.wanted(side)?;
            Some((object, labels))
                .filter(|(object, labels): &(&Object, _)| object.labels != **labels)
        };
        let changes: Vec<_> = self.objects.iter().filter_map(wanted).collect();
        if changes.is_empty() {
            return Ok(text);
        }
        let manifest = Manifest::of(self.shown(), text)?;
        let file = manifest.parse()?;
        let objects = manifest::objects(&file);
        let mut splice = Splice::new(&file);
        let edited = changes.into_iter().try_for_each(|(object, labels)| {
            let Some(found) = objects.get(object.position) else { return Ok(()) };
            object.labels.edits(labels, &file, &mut splice, found.node)
        });
        edited.and_then(|()| splice.finish()).map(String::into_bytes).map_err(|error| {
            manifest.failure(error.place, "cannot be labelled", error.to_string(), "")
        })
    }

    fn shown(&self) -> String {
        self.manifest.shown.clone()
    }

    /// The number of the document that an object is; `None` where it is an item of a List, or not there.
    fn number(&self, name: &str) -> Option<usize> {
        self.objects.get(name).and_then(|object| object.document)
    }

    /// The document of an object in `text`, which is this version changed.
    fn document(&self, name: &str, text: &[u8]) -> Option<String> {
        let file = splice::parse(text).ok()?;
        let span = file.documents().get(self.number(name)?)?.content();
        String::from_utf8(text.get(span)?.to_vec()).ok()
    }

    /// This version, with each merged object's document as `text` has it, which is `other` changed.
    fn with_documents_of(
        &self,
        other: &Self,
        text: &[u8],
        plan: &Plan,
    ) -> Result<Vec<u8>, Failure> {
        let file = self.manifest.parse()?;
        let mut splice = Splice::new(&file);
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(
                format!("{} cannot be laid out as our side has it", self.manifest.shown),
                error.to_string(),
                "",
            )
        };
        for name in self.objects.keys().filter(|name| plan.is_merged(name)) {
            let (Some(number), Some(text)) = (self.number(name), other.document(name, text)) else {
                return Err(failed(&format!("{name} is an item of a List")));
            };
            splice.replace_document(number, &text).map_err(|error| failed(&error))?;
        }
        splice.finish().map(String::into_bytes).map_err(|error| failed(&error))
    }

    /// The sealed Secrets, by namespace and name.
    pub(super) fn objects(&self) -> &BTreeMap<String, Object> {
        &self.objects
    }
}

/// The sealed Secrets of a file, each with its number among all of its objects.
fn sealed(
    manifest: &Manifest,
    file: &File<'_>,
) -> Result<Vec<(usize, Found, SealedSecret)>, Failure> {
    let is =
        |found: &Found, field, text| file.field_text(found.node, field).as_deref() == Some(text);
    manifest::objects(file)
        .into_iter()
        .enumerate()
        .filter(|(_, found)| {
            is(found, "kind", sealing::KIND) && is(found, "apiVersion", sealing::API_VERSION)
        })
        .map(|(position, found)| Ok((position, found, manifest.sealed(file, found)?)))
        .collect()
}

/// The keys of the values as they stand in the file.
fn order(file: &File<'_>, found: Found) -> Vec<DataKey> {
    let values = file.field(found.node, "spec").and_then(|spec| file.field(spec, "values"));
    let keys = values.map(|values| file.entries(values)).into_iter().flatten();
    keys.filter_map(|(key, _)| DataKey::parse(&file.node(key).text())).collect()
}

/// Whom each slot of an object is sealed for that is used.
pub(super) fn audiences(object: &SealedSecret) -> BTreeSet<BTreeSet<Kid>> {
    object.used_slots().map(|slot| slot.wraps().iter().map(|wrap| wrap.kid()).collect()).collect()
}
