//! Rules for `.strongroom`: what changed of whom Secrets are sealed for.

use std::path::{Path, PathBuf};

use splice::Place;

use super::{finding::Finding, rule};
use crate::repository::{FOLDER, Repository};

const TOP: Place = Place { line: 1, column: 1 };

/// What is wrong with files of pins, each with its path: those that are refused, and, against `base`, what nobody accepted.
pub(crate) fn check(
    files: &[(PathBuf, Vec<u8>)],
    base: Option<&Repository>,
    accepted: &[String],
) -> (Repository, Vec<(PathBuf, Finding)>) {
    let mut repository = Repository::default();
    let mut out = Vec::new();
    for (path, bytes) in files {
        if let Err(failure) = repository.add(path, bytes) {
            out.push((path.clone(), Finding::new(&rule::PINS, TOP, failure.why)));
        }
    }
    let Some(base) = base else { return (repository, out) };
    for (name, keys) in &repository.clusters {
        let path = Path::new(FOLDER).join("clusters").join(format!("{name}.yaml"));
        let identity = data_encoding::BASE64.encode(&keys.identity);
        let before = base.clusters.get(name);
        if before.is_none_or(|before| before.identity != keys.identity)
            && !accepted.contains(&identity)
        {
            let what =
                if before.is_some() { "another identity than before" } else { "a new identity" };
            out.push((
                path,
                Finding::new(
                    &rule::IDENTITY,
                    TOP,
                    format!("cluster {name} has {what}: {identity}"),
                ),
            ));
        } else if let Some(before) =
            before.filter(|before| before.identity == keys.identity && before.serial > keys.serial)
        {
            let detail = format!(
                "list {} of cluster {name} comes after list {}",
                keys.serial, before.serial
            );
            out.push((path, Finding::new(&rule::OLDER, TOP, detail)));
        }
    }
    let kid =
        |repository: &Repository| repository.escrow.as_ref().map(|escrow| escrow.recipient.kid());
    if let Some(now) = kid(&repository)
        .filter(|now| kid(base) != Some(*now) && !accepted.contains(&now.to_string()))
    {
        let what =
            if kid(base).is_some() { "another escrow key than before" } else { "a new escrow key" };
        out.push((
            Path::new(FOLDER).join("escrow.yaml"),
            Finding::new(&rule::ESCROW, TOP, format!("{what}: {now}")),
        ));
    }
    (repository, out)
}
