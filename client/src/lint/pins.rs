//! Rules for `.strongroom`: whom the Secrets of a tree are to be sealed for, and what changed of that.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    finding::{Finding, Found, TOP},
    rule::{self, Rule},
};
use crate::{
    git::Entry,
    repository::{FOLDER, Repository},
};

/// The pins of a tree, by the folder that has a `.strongroom`.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    folders: BTreeMap<PathBuf, Folder>,
    refused: Vec<Found>,
}

#[derive(Debug, Default)]
struct Folder {
    repository: Repository,
    /// A file of it was refused: nobody knows whom it would have named.
    is_partial: bool,
}

/// The folder that a file has pins for; `None` where it is no file of pins.
pub(crate) fn folder_of(path: &Path) -> Option<&Path> {
    let parent = path.parent()?;
    let is_yaml = path.extension().is_some_and(|ending| ending == "yaml");
    let folder = match parent.file_name() {
        Some(name) if name == "clusters" && is_yaml => parent.parent()?,
        _ if path.file_name().is_some_and(|name| name == "escrow.yaml") => parent,
        _ => return None,
    };
    folder.file_name().filter(|name| *name == FOLDER)?;
    folder.parent()
}

/// What stands in place of pins and is compared with nothing, although it is read where somebody seals.
pub(crate) fn astray(entries: &[Entry]) -> Vec<Found> {
    let why = |entry: &Entry| {
        let path = &entry.blob.path;
        let lower = PathBuf::from(path.to_string_lossy().to_ascii_lowercase());
        let is_pins = |path: &Path| path.iter().any(|name| name == FOLDER);
        if !is_pins(&lower) {
            None
        } else if !entry.is_file {
            Some("it is no file but a link or a submodule: what that leads to changes unseen")
        } else if !is_pins(path) || folder_of(&lower).is_some() && folder_of(path).is_none() {
            Some("where file names have no case, it is read as another file")
        } else {
            None
        }
    };
    let found =
        |entry: &Entry| Some(found(entry.blob.path.clone(), &rule::PINS, why(entry)?.to_owned()));
    entries.iter().filter_map(found).collect()
}

impl Pins {
    /// Takes one file in; `shown` is how it is named to people.
    pub(crate) fn add(&mut self, path: &Path, shown: &Path, bytes: &[u8]) {
        let Some(root) = folder_of(path) else { return };
        let folder = self.folders.entry(root.to_owned()).or_default();
        if let Err(failure) = folder.repository.add(path, bytes) {
            folder.is_partial = true;
            self.refused.push(found(shown.to_owned(), &rule::PINS, failure.why));
        }
    }

    /// Whom Secrets are to be sealed for at a path: the pins of the nearest folder. `None` where that is not known.
    pub(crate) fn of(&self, path: &Path) -> Option<&Repository> {
        let folder = path.ancestors().skip(1).find_map(|folder| self.folders.get(folder))?;
        (!folder.is_partial).then_some(&folder.repository)
    }

    /// The files that are refused.
    pub(crate) fn refused(&self) -> Vec<Found> {
        self.refused.clone()
    }

    /// What changed since `base`, and nobody accepted.
    pub(crate) fn changes_since(&self, base: &Self, accepted: &[String]) -> Vec<Found> {
        let (none, mut out) = (Folder::default(), Vec::new());
        let roots: std::collections::BTreeSet<_> =
            self.folders.keys().chain(base.folders.keys()).collect();
        for root in roots {
            let (now, before) =
                (self.folders.get(root).unwrap_or(&none), base.folders.get(root).unwrap_or(&none));
            let folder = root.join(FOLDER);
            for (name, keys) in &now.repository.clusters {
                let path = folder.join("clusters").join(format!("{name}.yaml"));
                if let Some((rule, detail)) =
                    cluster(name, keys, before.repository.clusters.get(name), accepted)
                {
                    out.push(found(path, rule, detail));
                }
            }
            // Where a file is refused, that is the finding.
            let gone = before.repository.clusters.iter().filter(|(name, keys)| {
                !now.is_partial
                    && !now.repository.clusters.contains_key(*name)
                    && !accepted.contains(&data_encoding::BASE64.encode(&keys.identity))
            });
            out.extend(gone.map(|(name, keys)| {
                let path = folder.join("clusters").join(format!("{name}.yaml"));
                let identity = data_encoding::BASE64.encode(&keys.identity);
                let detail = format!(
                    "cluster {name} is gone, and Secrets are sealed without it: {identity}"
                );
                found(path, &rule::IDENTITY, detail)
            }));
            if let Some(detail) =
                escrow(&now.repository, &before.repository, accepted).filter(|_| !now.is_partial)
            {
                out.push(found(folder.join("escrow.yaml"), &rule::ESCROW, detail));
            }
        }
        out
    }
}

fn cluster(
    name: &str,
    now: &sealing::SealingKeys,
    before: Option<&sealing::SealingKeys>,
    accepted: &[String],
) -> Option<(&'static Rule, String)> {
    let identity = data_encoding::BASE64.encode(&now.identity);
    let Some(before) = before.filter(|before| before.identity == now.identity) else {
        let what = if before.is_some() { "another identity than before" } else { "a new identity" };
        return (!accepted.contains(&identity))
            .then(|| (&rule::IDENTITY, format!("cluster {name} has {what}: {identity}")));
    };
    if now.serial < before.serial {
        let (now, before) = (now.serial, before.serial);
        return Some((
            &rule::OLDER,
            format!("list {now} of cluster {name} comes after list {before}"),
        ));
    }
    // An identity signs each number once; two lists of one number are meant for two kinds of readers.
    let is_other = now.serial == before.serial && now.signature() != before.signature();
    is_other
        .then(|| (&rule::OLDER, format!("cluster {name} has two lists of number {}", now.serial)))
}

fn escrow(now: &Repository, before: &Repository, accepted: &[String]) -> Option<String> {
    let kid = |repository: &Repository| {
        repository.escrow.as_ref().map(|escrow| escrow.recipient.kid().to_string())
    };
    let (now, before) = (kid(now), kid(before));
    let (what, kid) = match (&now, &before) {
        (Some(now), Some(before)) if now == before => return None,
        (Some(now), Some(_)) => ("another escrow key than before", now),
        (Some(now), None) => ("a new escrow key", now),
        (None, Some(before)) => {
            ("the escrow key is gone, and Secrets are sealed without one", before)
        }
        (None, None) => return None,
    };
    (!accepted.contains(kid)).then(|| format!("{what}: {kid}"))
}

fn found(path: PathBuf, rule: &'static Rule, detail: String) -> Found {
    Found { path, commit: None, finding: Finding::new(rule, TOP, detail) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_pins_are_told_by_where_they_lie() {
        for (path, folder) in [
            (".strongroom/escrow.yaml", Some("")),
            (".strongroom/clusters/prod.yaml", Some("")),
            ("a/b/.strongroom/clusters/prod.yaml", Some("a/b")),
            ("a/.strongroom/clusters/prod.yml", None),
            ("a/.strongroom/clusters/x/prod.yaml", None),
            ("a/.strongroom/other.yaml", None),
            ("clusters/prod.yaml", None),
            ("escrow.yaml", None),
        ] {
            assert_eq!(folder_of(Path::new(path)), folder.map(Path::new), "{path}");
        }
    }
}
