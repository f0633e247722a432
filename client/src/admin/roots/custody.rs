//! Roots, the keys under them, and what a person should look at.

use std::collections::BTreeSet;

use proto::admin as api;
use serde::Serialize;

use crate::{admin::keys::state, table::table};

#[derive(Serialize)]
pub(super) struct Custody {
    ring: String,
    pub(super) generation: u64,
    roots: Vec<Root>,
    keys: Vec<Key>,
}

#[derive(Serialize)]
struct Root {
    id: Option<String>,
    name: Option<String>,
    away: Option<String>,
}

#[derive(Serialize)]
struct Key {
    id: String,
    /// None for the ledger key.
    state: Option<String>,
    roots: Vec<String>,
    /// Roots that are open here and do not wrap it.
    lacks: Vec<String>,
    holds: Vec<u64>,
}

impl From<api::Custody> for Custody {
    fn from(custody: api::Custody) -> Self {
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let root = |root: api::Root| Root {
            id: some(root.id),
            name: some(root.name),
            away: some(root.away),
        };
        let roots: Vec<Root> = custody.roots.into_iter().map(root).collect();
        let key = |key: api::WrappedKey| Key {
            state: match key.state() {
                api::KeyState::Unspecified => None,
                known => Some(state(known)),
            },
            lacks: roots
                .iter()
                .filter_map(|root| root.id.clone())
                .filter(|id| !key.roots.contains(id))
                .collect(),
            id: key.id,
            roots: key.roots,
            holds: key.holds,
        };
        let keys = custody.keys.into_iter().map(key).collect();
        Self { ring: custody.ring, generation: custody.generation, roots, keys }
    }
}

impl Custody {
    /// Why roots are not open.
    pub(super) fn away(&self) -> impl Iterator<Item = &str> {
        self.roots.iter().filter_map(|root| root.away.as_deref())
    }

    /// The keys that `root` wraps.
    pub(super) fn under<'a>(&'a self, root: &str) -> impl Iterator<Item = &'a str> {
        self.keys
            .iter()
            .filter(move |key| key.roots.iter().any(|id| id == root))
            .map(|key| key.id.as_str())
    }

    pub(super) fn roots_table(&self) -> String {
        let rows = self.roots.iter().map(|root| {
            let is = root.away.as_ref().map_or("open", |why| why).to_owned();
            [root.id.clone().unwrap_or_default(), root.name.clone().unwrap_or_default(), is]
        });
        table(["root", "configured here as", "is"], rows)
    }

    pub(super) fn keys_table(&self) -> String {
        let rows = self.keys.iter().map(|key| {
            [
                key.id.clone(),
                key.state.clone().unwrap_or_else(|| "ledger key".into()),
                key.roots.join(" "),
                key.lacks.join(" "),
                key.holds.iter().map(|id| format!("#{id}")).collect::<Vec<_>>().join(" "),
            ]
        });
        table(["key", "state", "under root", "not under", "holds"], rows)
    }

    /// What somebody should do, each with its command; nothing where all is well.
    pub(super) fn advice(&self) -> String {
        let mut lines: Vec<String> =
            self.away().map(|why| format!("a root key is away: {why}")).collect();
        let lacking = self.keys.iter().filter(|key| !key.lacks.is_empty()).count();
        if lacking > 0 {
            lines.push(format!("{lacking} of {} keys do not lie under every root that is open here: strongroom roots rewrap", self.keys.len()));
        }
        let alone: BTreeSet<&String> = self
            .keys
            .iter()
            .filter(|key| key.roots.len() == 1)
            .flat_map(|key| &key.roots)
            .collect();
        for root in alone {
            let count = self.keys.iter().filter(|key| key.roots == [root.as_str()]).count();
            lines.push(format!("{count} of {} keys hang on root key {root} alone, and are lost with it: strongroom roots add --help", self.keys.len()));
        }
        let open: BTreeSet<&String> =
            self.roots.iter().filter_map(|root| root.id.as_ref()).collect();
        let others: BTreeSet<&String> = self
            .keys
            .iter()
            .flat_map(|key| &key.roots)
            .filter(|root| !open.contains(root))
            .collect();
        for root in others {
            lines.push(format!(
                "root key {root} wraps {} keys and is not open here. Where it is away, bring it back; where it is kept in a safe, all is well; where no \
                 node has it configured any more: strongroom roots remove {root}",
                self.under(root).count()
            ));
        }
        lines.iter().map(|line| format!("\n{line}\n")).collect()
    }
}
