//! Rules for sealed Secrets.

use std::collections::{BTreeMap, BTreeSet};

use sealing::{KeyState, Kid, SealedSecret};
use splice::{File, NodeId};

use super::{finding::Finding, rule};
use crate::{manifest, repository::Repository};

/// What is wrong with the sealed Secrets of a file. `repository` is whom they are to be for, where that is known.
pub(crate) fn check(file: &File<'_>, repository: Option<&Repository>) -> Vec<Finding> {
    let mut out = Vec::new();
    for found in manifest::sealed_objects(file) {
        let at = |rule, detail: String| Finding::new(rule, file.node(found.node).place(), detail);
        let parsed = match manifest::json(file, found.node) {
            Ok(json) => SealedSecret::parse(&json)
                .map_err(|error| (manifest::find(file, found.node, &error.at), error.to_string())),
            Err((place, why)) => Err((place, why.to_owned())),
        };
        let object = match parsed {
            Ok(object) => object,
            Err((place, why)) => {
                out.push(Finding::new(&rule::MALFORMED, place, why));
                continue;
            }
        };
        for (field, sealed, now) in object.moved() {
            let detail = format!("sealed for {field} {sealed:?}, and now has {now:?}");
            out.push(Finding::new(&rule::MOVED, place_of(file, found.node, field), detail));
        }
        if object.place().is_none() {
            out.push(at(&rule::MOVED, "its scope binds a namespace, and it has none".to_owned()));
        }
        let lengths = object
            .values()
            .iter()
            .map(|(key, value)| (key.as_str(), value.plaintext_at_most()))
            .collect();
        if let Err(error) = object.template().check(&lengths) {
            out.push(at(&rule::RENDER, error.to_string()));
        }
        for slot in object
            .slots()
            .iter()
            .filter(|slot| slot.wraps().iter().any(sealing::Wrap::is_low_order))
        {
            out.push(at(
                &rule::LOW_ORDER,
                format!("slot {} has a wrap that nobody made honestly", slot.id()),
            ));
        }
        out.extend(
            recipients(&object, repository).into_iter().map(|(rule, detail)| at(rule, detail)),
        );
    }
    out
}

/// Whom an object is for, against whom it is to be for.
fn recipients(
    object: &SealedSecret,
    repository: Option<&Repository>,
) -> Vec<(&'static rule::Rule, String)> {
    let mut out = Vec::new();
    let slots: Vec<BTreeSet<Kid>> = object
        .used_slots()
        .map(|slot| slot.wraps().iter().map(sealing::Wrap::kid).collect())
        .collect();
    if slots.iter().any(|kids| Some(kids) != slots.first()) {
        out.push((&rule::UNEVEN, String::new()));
    }
    let Some(repository) = repository.filter(|repository| !repository.is_empty()) else {
        return out;
    };
    // Each finding once, however many slots have it.
    let mut found: BTreeMap<(&'static str, String), &'static rule::Rule> = BTreeMap::new();
    for kids in &slots {
        for kid in kids {
            let Some((cluster, state)) = repository.state(*kid) else {
                if !repository.is_escrow(*kid) {
                    found.insert(
                        (rule::STRANGER.id, format!("{kid} is not in .strongroom")),
                        &rule::STRANGER,
                    );
                }
                continue;
            };
            let rule = match state {
                KeyState::Retired => &rule::RETIRED,
                KeyState::Retiring => &rule::RETIRING,
                _ => continue,
            };
            let newer = kids.iter().any(|other| {
                repository
                    .state(*other)
                    .is_some_and(|(name, state)| name == cluster && state == KeyState::Active)
            });
            if !newer {
                found.insert(
                    (
                        rule.id,
                        format!("{kid} of cluster {cluster} is {state}, and no newer one is there"),
                    ),
                    rule,
                );
            }
        }
        if repository.escrow.is_some() && !kids.iter().any(|kid| repository.is_escrow(*kid)) {
            found.insert((rule::NO_ESCROW.id, String::new()), &rule::NO_ESCROW);
        }
    }
    out.extend(found.into_iter().map(|((_, detail), rule)| (rule, detail)));
    out
}

fn place_of(file: &File<'_>, root: NodeId, field: &str) -> splice::Place {
    let at = match field {
        "type" => sealing::At::default().field("spec").field("template").field("type"),
        field => sealing::At::default().field("metadata").field(field),
    };
    manifest::find(file, root, &at)
}
