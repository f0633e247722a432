//! What becomes of one file: its objects opened, sealed, and written in memory. Nothing here writes a file.

use envelope::SystemRandom;
use sealing::{At, KeyRing, Opened, Recipient, SealedSecret, Slot};
use serde_json::Value as Json;
use splice::{File, Place, Splice, SpliceError};
use subtle::ConstantTimeEq as _;

use super::{
    edit::edits,
    report::{Outcome, Row},
};
use crate::{
    bitnami_keys::BitnamiKeys,
    bitnami_secret::{BitnamiSecret, is_bitnami},
    failure::Failure,
    manifest::{self, Found, Manifest},
    secret::Unfit,
};

/// What objects are opened and sealed with.
pub(super) struct Means<'a> {
    pub(super) keys: &'a BitnamiKeys,
    /// Opens what was sealed, to compare; nothing is compared without.
    pub(super) ring: Option<&'a KeyRing>,
    /// Of objects that name none.
    pub(super) namespace: Option<&'a str>,
}

/// A file as it is, and as it is to be.
pub(super) struct Plan {
    pub(super) manifest: Manifest,
    /// `None` where nothing in it can be migrated.
    pub(super) new: Option<Vec<u8>>,
    pub(super) rows: Vec<Row>,
}

/// An object that can be migrated.
struct Object {
    /// Which of the file's, counted from 0.
    number: usize,
    /// Which row it has.
    row: usize,
    found: Found,
    ours: SealedSecret,
    opened: Opened,
}

/// What a file is to be, where anything in it can be migrated, and a row for each of its objects.
pub(super) type Made = (Option<Vec<u8>>, Vec<Row>);

impl Plan {
    /// Opens and seals everything in a file that can be.
    pub(super) fn make(
        manifest: &Manifest,
        recipients: &[Recipient],
        means: &Means<'_>,
    ) -> Result<Made, Failure> {
        let mut rows = Vec::new();
        let new = Self::new_text(manifest, recipients, means, &mut rows)?;
        Ok((new, rows))
    }

    fn new_text(
        manifest: &Manifest,
        recipients: &[Recipient],
        means: &Means<'_>,
        rows: &mut Vec<Row>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let file = match splice::parse(&manifest.text) {
            Ok(file) => file,
            Err(error) => {
                let failure = Failure::new("", error.problem.to_string(), UNREADABLE);
                rows.push(Row::refused(&manifest.shown, error.place, None, failure));
                return Ok(None);
            }
        };
        let mut objects = Vec::new();
        for (number, found) in manifest::objects(&file).into_iter().enumerate() {
            if !is_bitnami(&file, found.node) {
                continue;
            }
            match object(&file, found, recipients, means) {
                Ok((theirs, ours, opened)) => {
                    objects.push(Object { number, row: rows.len(), found, ours, opened });
                    rows.push(row(manifest, file.node(found.node).place(), &theirs));
                }
                Err(Refusal { place, why, next }) => {
                    let failure = Failure::new("", why, next);
                    rows.push(Row::refused(&manifest.shown, place, name(&file, found), failure));
                }
            }
        }
        let new = text(&file, &mut objects, |object, error| {
            if let Some(row) = rows.get_mut(object.row) {
                let failure = Failure::new("", error.refusal.to_string(), PLAINLY);
                *row = Row::refused(&manifest.shown, error.place, row.object.take(), failure);
            }
        });
        if objects.is_empty() {
            return Ok(None);
        }
        verify(manifest, &new, &objects, means.ring)?;
        Ok(Some(new))
    }
}

const UNREADABLE: &str = "correct it, or leave the file out; what a template of Helm makes is migrated where it is rendered";
const PLAINLY: &str = "write that part out plainly";

/// Why an object is refused, and where. Nothing of a value is in it.
struct Refusal {
    place: Place,
    why: String,
    next: String,
}

fn object(
    file: &File<'_>,
    found: Found,
    recipients: &[Recipient],
    means: &Means<'_>,
) -> Result<(BitnamiSecret, SealedSecret, Opened), Refusal> {
    let here = file.node(found.node).place();
    let json: Json = manifest::json(file, found.node).map_err(|(place, why)| Refusal {
        place,
        why: why.to_owned(),
        next: "correct it there".to_owned(),
    })?;
    let at = |at: &At, why: &str, next: &str| Refusal {
        place: manifest::find(file, found.node, at),
        why: format!("{at} {why}"),
        next: next.to_owned(),
    };
    let theirs = BitnamiSecret::parse(&json, means.namespace)
        .map_err(|Unfit { at: place, why, next }| at(&place, why, next))?;
    let mut opened = Opened::new();
    for (key, value) in &theirs.values {
        let plaintext = means.keys.open(&theirs.place(), value).ok_or_else(|| {
            let place = At::default().field("spec").field("encryptedData").field(key.as_str());
            let why = format!(
                "opens with none of the {} keys given, as {}",
                means.keys.len(),
                described(&theirs)
            );
            at(&place, &why, CLOSED)
        })?;
        opened.insert(key.clone(), plaintext);
    }
    let mut ours = SealedSecret::new(
        theirs.scope,
        theirs.namespace.as_deref(),
        &theirs.name,
        theirs.template.clone(),
    );
    let values: Vec<_> = opened.iter().map(|(key, value)| (key.clone(), value)).collect();
    ours.set(&values, recipients, &SystemRandom).map_err(|error| Refusal {
        place: here,
        why: error.to_string(),
        next: "correct it there".to_owned(),
    })?;
    Ok((theirs, ours, opened))
}

const CLOSED: &str = "give a backup with all keys, also those that are no longer in use; if the object was renamed or moved, or its scope changed, put that back";

/// Where its values are bound to, for people.
fn described(theirs: &BitnamiSecret) -> String {
    match (theirs.scope, theirs.namespace.as_deref()) {
        (sealing::Scope::Strict, namespace) => {
            format!("{}/{} in strict scope", namespace.unwrap_or_default(), theirs.name)
        }
        (sealing::Scope::Namespace, namespace) => {
            format!("any name in namespace {}", namespace.unwrap_or_default())
        }
        (sealing::Scope::Cluster, _) => "any name in the cluster".to_owned(),
    }
}

/// The file with all objects in their new form. One that cannot be written so is reported to `refuse`, and no longer among them.
fn text(
    file: &File<'_>,
    objects: &mut Vec<Object>,
    mut refuse: impl FnMut(&Object, SpliceError),
) -> Vec<u8> {
    let spliced = |objects: &[Object]| {
        let mut splice = Splice::new(file);
        objects
            .iter()
            .try_for_each(|object| edits(file, &mut splice, object.found.node, &object.ours))?;
        splice.finish().map(String::into_bytes)
    };
    if let Ok(text) = spliced(objects) {
        return text;
    }
    // Which of them is it?
    objects.retain(|object| match spliced(std::slice::from_ref(object)) {
        Ok(_) => true,
        Err(error) => {
            refuse(object, error);
            false
        }
    });
    spliced(objects).unwrap_or_else(|error| {
        objects.drain(..).for_each(|object| refuse(&object, error));
        Vec::new()
    })
}

/// Reads what is to be written, and compares it with what was sealed; with keys, opens it and compares what was opened, too.
fn verify(
    manifest: &Manifest,
    new: &[u8],
    objects: &[Object],
    ring: Option<&KeyRing>,
) -> Result<(), Failure> {
    let new = Manifest::of(manifest.shown.clone(), new.to_vec())?;
    let file = new.parse()?;
    let all = manifest::objects(&file);
    for Object { number, ours, opened, .. } in objects {
        let found = all.get(*number).copied();
        let read = found.map(|found| new.sealed(&file, found)).transpose()?;
        let same = read.as_ref().is_some_and(|read| {
            read.name() == ours.name()
                && read.namespace() == ours.namespace()
                && read.binding() == ours.binding()
                && read.template() == ours.template()
                && read.values() == ours.values()
                && read.slots().len() == ours.slots().len()
                && read.slots().iter().zip(ours.slots()).all(|(read, ours)| same_slot(read, ours))
        });
        if !same {
            return Err(unequal(manifest, ours, "it does not read as it was sealed".to_owned()));
        }
        let (Some(read), Some(ring)) = (read, ring) else { continue };
        let again = read.open(ring).map_err(|error| unequal(manifest, ours, error.to_string()))?;
        let equal = again.len() == opened.len()
            && again.iter().zip(opened).all(|((key, again), (name, value))| {
                key == name && bool::from(again.expose_secret().ct_eq(value.expose_secret()))
            });
        if !equal {
            return Err(unequal(manifest, ours, "it opens to something else".to_owned()));
        }
    }
    Ok(())
}

fn same_slot(a: &Slot, b: &Slot) -> bool {
    a.id() == b.id()
        && a.commit().bytes() == b.commit().bytes()
        && a.wraps().len() == b.wraps().len()
        && a.wraps()
            .iter()
            .zip(b.wraps())
            .all(|(a, b)| a.kid() == b.kid() && a.bytes() == b.bytes())
}

fn unequal(manifest: &Manifest, ours: &SealedSecret, why: String) -> Failure {
    Failure::new(
        format!(
            "{}: {} could not be verified, so nothing was written",
            manifest.shown,
            ours.name()
        ),
        why,
        "check that --key names a key that the repository seals for; if it does, this is a bug: report it",
    )
}

fn row(manifest: &Manifest, place: Place, theirs: &BitnamiSecret) -> Row {
    Row {
        file: manifest.shown.clone(),
        line: place.line,
        column: place.column,
        object: Some(theirs.namespace.as_ref().map_or_else(
            || theirs.name.clone(),
            |namespace| format!("{namespace}/{}", theirs.name),
        )),
        scope: Some(theirs.scope.as_str()),
        values: theirs.values.len(),
        result: Outcome::Ready,
        why: None,
        next: None,
        notes: theirs
            .foreign
            .iter()
            .map(|name| {
                format!(
                    "annotation {name} is for their controller, and means nothing to Strongroom's"
                )
            })
            .collect(),
    }
}

/// What an object calls itself, as far as that can be read.
fn name(file: &File<'_>, found: Found) -> Option<String> {
    let metadata = file.field(found.node, "metadata")?;
    let name = file.field_text(metadata, "name")?;
    Some(match file.field_text(metadata, "namespace") {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.into_owned(),
    })
}
