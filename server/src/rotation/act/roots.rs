//! A key comes under another root, or a root is given up.

use std::collections::{BTreeMap, BTreeSet};

use envelope::{Bundle, KeyId, RootId, WrappedKey};

use super::{Refused, destruction::known_everywhere, entry, given, refuse};
use crate::{
    ledger::{Draft, State, VersionRow},
    rotation::wrapped,
};

/// Adds wraps. What is destroyed meanwhile, or has a wrap of that root already, stays as it is.
pub(super) fn rewrap(
    draft: &mut Draft,
    actor: &str,
    made: &BTreeMap<KeyId, Vec<WrappedKey>>,
) -> Result<(), Refused> {
    let state = draft.state().clone();
    let mut changed = Vec::new();
    for key in wrapped(&state) {
        let mut wraps = key.wraps.to_vec();
        let mut added = BTreeSet::new();
        for wrap in made.get(key.id).into_iter().flatten() {
            if !key.is_under(wrap.root()) && added.insert(wrap.root()) {
                wraps.push(wrap.clone());
            }
        }
        if added.is_empty() {
            continue;
        }
        if wraps.len() > Bundle::MAX_ROOTS {
            return refuse(format!(
                "{} would be wrapped under {} root keys, and can be under {}. Remove one that nothing needs: strongroom roots \
                 list, then strongroom roots remove ROOT",
                key.id,
                wraps.len(),
                Bundle::MAX_ROOTS
            ));
        }
        wraps.sort_by_key(WrappedKey::root);
        changed.push((key.id, wraps, format!("under root key {}", ids(&added))));
    }
    for (id, wraps, detail) in changed {
        put(draft, &state, id, wraps, ["key.rewrapped", "ledger_key.rewrapped"], (actor, &detail));
    }
    Ok(())
}

/// Gives up every wrap of `root`. `proven` are keys that another root was seen to open just before.
pub(super) fn remove(
    draft: &mut Draft,
    actor: &str,
    root: RootId,
    reason: &str,
    proven: &BTreeMap<KeyId, RootId>,
) -> Result<(), Refused> {
    given(reason, "why the root key is not needed any more,")?;
    let state = draft.state().clone();
    let under: Vec<_> = wrapped(&state).filter(|key| key.is_under(root)).collect();
    if under.is_empty() {
        return refuse(format!("no key is wrapped under root key {root}: strongroom roots list"));
    }
    for key in &under {
        let others = key.wraps.iter().map(WrappedKey::root).filter(|other| *other != root);
        let others: BTreeSet<RootId> = others.collect();
        let id = key.id;
        if others.is_empty() {
            let held =
                key.state.and_then(|_| state.held(id.version())).map_or_else(String::new, |hold| {
                    format!(
                        ", and hold {} of {} keeps it ({})",
                        hold.id, hold.added_by, hold.reason
                    )
                });
            return refuse(format!(
                "root key {root} is the only one that opens {id}{held}: without it {id} is lost. First wrap it under another: \
                 configure that in [[roots]] of every node, then strongroom roots rewrap"
            ));
        }
        if !proven.get(id).is_some_and(|by| others.contains(by)) {
            return refuse(format!(
                "root key {root} cannot be removed: {id} is also wrapped under {}, but none of these was seen to open it just \
                 now. strongroom roots check says why; when one opens it: strongroom roots remove {root}",
                ids(&others)
            ));
        }
    }
    // A node that cannot open what comes next keeps what it has; one that has not even what is there now may know better.
    known_everywhere(&state, &format!("root key {root}"), "removed")?;
    for key in &under {
        let wraps = key.wraps.iter().filter(|wrap| wrap.root() != root).cloned().collect();
        let actions = ["key.wrap_removed", "ledger_key.wrap_removed"];
        put(draft, &state, key.id, wraps, actions, (actor, &format!("of root key {root}")));
    }
    draft.record(entry(actor, "root.removed", format!("root key {root}"), reason));
    draft.let_go();
    Ok(())
}

/// Writes the wraps of a version, or of the ledger key.
fn put(
    draft: &mut Draft,
    state: &State,
    id: &KeyId,
    wraps: Vec<WrappedKey>,
    [of_version, of_ledger_key]: [&'static str; 2],
    (actor, detail): (&str, &str),
) {
    match state.version(id.version()).filter(|row| row.id == *id) {
        Some(row) => {
            let record = entry(actor, of_version, id.to_string(), detail);
            draft.put_version(VersionRow { wraps, ..row.clone() }, record);
        }
        None => draft.put_ledger_key(wraps, entry(actor, of_ledger_key, id.to_string(), detail)),
    }
}

fn ids(roots: &BTreeSet<RootId>) -> String {
    roots.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
