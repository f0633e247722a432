//! The sealed Secrets of three versions of a file, and what is to become of them.

use std::collections::{BTreeMap, BTreeSet};

use sealing::{DataKey, Kid, SealedSecret};
use splice::File;

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

    /// A version, its sealed Secrets made to say what the plan says.
    pub(super) fn text(&self, side: Side, plan: &Plan) -> Result<Vec<u8>, Failure> {
        match side {
            Side::Base => &self.base,
            Side::Ours => &self.ours,
            Side::Theirs => &self.theirs,
        }
        .changed(side, plan)
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

/// Whom each slot of an object is sealed for that is used.
pub(super) fn audiences(object: &SealedSecret) -> BTreeSet<BTreeSet<Kid>> {
    object.used_slots().map(|slot| slot.wraps().iter().map(|wrap| wrap.kid()).collect()).collect()
}
