//! `strongroom sealing-keys inventory`: what is sealed for whom, from the files alone.

use std::{collections::BTreeMap, path::PathBuf};

use clap::{Args, ValueHint};
use sealing::Kid;
use serde::Serialize;

use crate::{
    failure::Failure,
    manifest::{self, Manifest},
    output::As,
    parallel,
    repository::Repository,
    table::table,
    walk,
};

#[derive(Args)]
pub(crate) struct Inventory {
    /// Files, and folders with all that is in them
    #[arg(value_name = "PATH", default_value = ".", value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    format: As,
}

/// A key, and how much it opens.
#[derive(Serialize)]
struct Row {
    kid: String,
    owner: Option<String>,
    secrets: usize,
    slots: usize,
}

impl Inventory {
    pub(super) fn run(self) -> Result<(), Failure> {
        let files = walk::manifests(&self.paths)?;
        let mut counts: BTreeMap<Kid, (usize, usize)> = BTreeMap::new();
        for counted in parallel::map(&files, "counting", |path| count(path)) {
            for (kid, slots) in counted? {
                let entry = counts.entry(kid).or_default();
                *entry = (entry.0 + 1, entry.1 + slots);
            }
        }
        let repository =
            Repository::find(self.paths.first().map_or(".".as_ref(), PathBuf::as_path))?;
        let rows: Vec<_> = counts
            .into_iter()
            .map(|(kid, (secrets, slots))| Row {
                kid: kid.to_string(),
                owner: repository.owner(kid),
                secrets,
                slots,
            })
            .collect();
        self.format.print(&rows, |rows| {
            let owner = |row: &Row| {
                row.owner.clone().unwrap_or_else(|| "nobody's in .strongroom".to_owned())
            };
            table(
                ["KEY", "WHOSE", "SEALED SECRETS", "SLOTS"],
                rows.iter().map(|row| {
                    [row.kid.clone(), owner(row), row.secrets.to_string(), row.slots.to_string()]
                }),
            )
        })
    }
}

/// The keys of each sealed Secret of a file, with the number of its used slots that are for them.
fn count(path: &std::path::Path) -> Result<Vec<(Kid, usize)>, Failure> {
    let manifest = Manifest::read(path)?;
    if !manifest.mentions(sealing::KIND) {
        return Ok(Vec::new());
    }
    let file = manifest.parse()?;
    let mut out = Vec::new();
    for found in manifest::sealed_objects(&file) {
        let mut of_object: BTreeMap<Kid, usize> = BTreeMap::new();
        for wrap in manifest.sealed(&file, found)?.used_slots().flat_map(sealing::Slot::wraps) {
            *of_object.entry(wrap.kid()).or_default() += 1;
        }
        out.extend(of_object);
    }
    Ok(out)
}
