//! Rules for sealed Secrets.

use std::collections::BTreeSet;

use sealing::{Binding, KeyState, Kid, SealedSecret, Wrap};
use splice::{File, NodeId};

use super::{
    finding::Finding,
    rule::{self, Rule},
    subject::Subject,
};
use crate::{manifest, repository::Repository};

/// What is wrong with the sealed Secrets of a file.
pub(crate) fn check(subject: &Subject<'_>, file: &File<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    for found in manifest::sealed_objects(file) {
        // Bitnami's have the same kind, and a group of their own.
        let version = file.field_text(found.node, "apiVersion");
        if version.is_none_or(|version| version.starts_with("strongroom.dev/")) {
            out.extend(object(file, found.node, subject.pins));
        }
    }
    out
}

fn object(file: &File<'_>, root: NodeId, pins: Option<&Repository>) -> Vec<Finding> {
    let parsed = match manifest::json(file, root) {
        Ok(json) => SealedSecret::parse(&json).map_err(|error| {
            let place = manifest::find(file, root, &error.at);
            Finding::new(&rule::MALFORMED, place, error.to_string())
        }),
        Err((place, why)) => Err(Finding::new(&rule::MALFORMED, place, why)),
    };
    let object = match parsed {
        Ok(object) => object,
        Err(finding) => return vec![finding],
    };
    let mut out = Vec::new();
    let at = |path: &[&str]| place_of(file, root, path);
    for (field, sealed, now) in object.moved() {
        let path: &[&str] =
            if field == "type" { &["spec", "template", "type"] } else { &["metadata", field] };
        let detail = format!("sealed for {field} {}, and now has {}", quoted(sealed), quoted(now));
        out.push(Finding::new(&rule::MOVED, at(path), detail));
    }
    if object.place().is_none() {
        let detail = "its scope binds a namespace, and it has none";
        out.push(Finding::new(&rule::MOVED, at(&["metadata"]), detail));
    }
    if let Some(detail) = other_scope(object.binding()) {
        out.push(Finding::new(&rule::SCOPE, at(&["spec", "binding", "scope"]), detail));
    }
    if let Err(error) = object.check_template() {
        out.push(Finding::new(&rule::RENDER, at(&["spec", "template", "data"]), error.to_string()));
    }
    for slot in object.slots().iter().filter(|slot| slot.wraps().iter().any(Wrap::is_low_order)) {
        let detail = format!("slot {} has a wrap that nobody made honestly", slot.id());
        out.push(Finding::new(&rule::LOW_ORDER, at(&["spec", "slots"]), detail));
    }
    let place = at(&["spec", "slots"]);
    out.extend(
        recipients(&object, pins)
            .into_iter()
            .map(|(rule, detail)| Finding::new(rule, place, detail)),
    );
    out
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}

/// How the record shows that the scope was another one when values were sealed: what seals records exactly what its scope binds.
fn other_scope(binding: &Binding) -> Option<String> {
    let Binding { scope, namespace, name, secret_type } = binding;
    for (field, recorded, bound) in [
        ("a namespace", namespace.is_some(), scope.binds_namespace()),
        ("a name", name.is_some(), scope.binds_name()),
    ] {
        if recorded && !bound {
            return Some(format!(
                "the record has {field}, which scope {} does not bind",
                scope.as_str()
            ));
        }
        // Who leaves the record out leaves all of it out.
        if bound && !recorded && secret_type.is_some() {
            return Some(format!(
                "scope {} binds {field}, which the record does not have",
                scope.as_str()
            ));
        }
    }
    None
}

/// Whom an object is for, against whom it is to be for. Each finding once, however many slots have it.
fn recipients(
    object: &SealedSecret,
    pins: Option<&Repository>,
) -> BTreeSet<(&'static Rule, String)> {
    let mut out = BTreeSet::new();
    let slots: Vec<Vec<Kid>> =
        object.used_slots().map(|slot| slot.wraps().iter().map(Wrap::kid).collect()).collect();
    let pins = pins.filter(|pins| !pins.is_empty());
    // Of a cluster any key counts, for slots of different times; a key that nobody knows counts for itself.
    let owner = |kid: &Kid| match pins.map(|pins| (pins.state(*kid), pins.is_escrow(*kid))) {
        Some((Some((cluster, _)), _)) => format!("cluster {cluster}"),
        Some((None, true)) => "the escrow".to_owned(),
        _ => kid.to_string(),
    };
    let all: BTreeSet<String> = slots.iter().flatten().map(owner).collect();
    for (kids, slot) in slots.iter().zip(object.used_slots()) {
        let has: BTreeSet<String> = kids.iter().map(owner).collect();
        for missing in all.difference(&has).filter(|owner| *owner != "the escrow") {
            let detail = format!("slot {} is not for {missing}, as others are", slot.id());
            out.insert((&rule::UNEVEN, detail));
        }
        let Some(pins) = pins else { continue };
        if pins.escrow.is_some() && !has.contains("the escrow") {
            out.insert((&rule::NO_ESCROW, format!("slot {} is not for the escrow key", slot.id())));
        }
        out.extend(kids.iter().filter_map(|kid| outdated(*kid, kids, pins)));
    }
    out
}

/// What is wrong with one recipient of a slot.
fn outdated(kid: Kid, kids: &[Kid], pins: &Repository) -> Option<(&'static Rule, String)> {
    let Some((cluster, state)) = pins.state(kid) else {
        return (!pins.is_escrow(kid))
            .then(|| (&rule::STRANGER, format!("{kid} is not in .strongroom")));
    };
    let rule = match state {
        KeyState::Retired => &rule::RETIRED,
        KeyState::Retiring => &rule::RETIRING,
        KeyState::Pending | KeyState::Active => return None,
    };
    let is_newer = |other: &Kid| {
        pins.state(*other).is_some_and(|(name, state)| name == cluster && state == KeyState::Active)
    };
    let detail = || format!("{kid} of cluster {cluster} is {state}, and no newer one is there");
    (!kids.iter().any(is_newer)).then(|| (rule, detail()))
}

/// Where a field is, or what is nearest to it.
fn place_of(file: &File<'_>, root: NodeId, path: &[&str]) -> splice::Place {
    let at = path.iter().fold(sealing::At::default(), |at, field| at.field(field));
    manifest::find(file, root, &at)
}
