//! What lies in folders, as far as git does not ignore it, and what it has although it ignores it.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    Looked,
    finding::{Finding, Found, TOP},
    judge::judge,
    pins::{self, Pins},
    rule,
    subject::{Subject, Tree, is_looked_at, is_wanted},
};
use crate::{
    failure::Failure,
    git, input, parallel,
    repository::FOLDER,
    walk::{self, folder_of},
};

/// Looks at all files in or below `paths`; below the current folder, where there are none.
pub(crate) fn look(paths: &[PathBuf]) -> Result<Looked, Failure> {
    let here = [PathBuf::from(".")];
    let (stdin, named): (Vec<_>, Vec<_>) =
        paths.iter().cloned().partition(|path| path == Path::new("-"));
    let mut files = walk::not_ignored(if paths.is_empty() { &here } else { &named }, is_looked_at)?;
    files.extend(stdin.first().cloned());
    if paths.is_empty() {
        files.extend(git::tracked_but_ignored().into_iter().filter(|path| is_looked_at(path)));
    }
    files.retain(|path| !git::is_below(path, FOLDER));
    let pinned = Pinned::read(&files)?;
    let mut found = pinned.pins.refused();
    let is_named = |path: &Path| named.iter().any(|named| named == path);
    for of_file in parallel::map(&files, "looking", |path| file(path, is_named(path), &pinned)) {
        found.extend(of_file?);
    }
    Ok(Looked { found, files: files.len() })
}

fn file(path: &Path, is_named: bool, pinned: &Pinned) -> Result<Vec<Found>, Failure> {
    let shown = path.strip_prefix(".").unwrap_or(path);
    let mut findings = findings(path, pinned)?;
    findings.retain(|finding| is_named || is_wanted(path, finding));
    let found = |finding| Found { path: shown.to_owned(), commit: None, finding };
    Ok(findings.into_iter().map(found).collect())
}

fn findings(path: &Path, pinned: &Pinned) -> Result<Vec<Finding>, Failure> {
    let bytes = match input::read(path, git::MOST as usize) {
        Ok(bytes) if bytes.len() as u64 > git::MOST => {
            return Ok(vec![Finding::new(&rule::TOO_LONG, TOP, "")]);
        }
        Ok(bytes) => bytes,
        // Somebody took it away meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(Failure::new(
                format!("{} cannot be read", path.display()),
                error.to_string(),
                "check its permissions: what cannot be read is not looked at",
            ));
        }
    };
    let subject =
        Subject { path, bytes: &bytes, pins: pinned.of(path), is_current: true, tree: &WorkTree };
    Ok(judge(&subject))
}

/// The files as they lie there.
struct WorkTree;

impl Tree for WorkTree {
    fn file(&self, path: &Path) -> Option<Vec<u8>> {
        if git::is_ignored(path) {
            return None;
        }
        fs::read(path).ok().filter(|bytes| bytes.len() as u64 <= git::MOST)
    }
}

/// The pins of the folders that files lie in, each read once.
#[derive(Default)]
struct Pinned {
    pins: Pins,
    /// Each folder by its real path: pins are looked for upwards, out of what was named.
    real: BTreeMap<PathBuf, PathBuf>,
}

impl Pinned {
    fn read(files: &[PathBuf]) -> Result<Self, Failure> {
        let mut out = Self::default();
        let mut seen = std::collections::BTreeSet::new();
        let here = Path::new(".").canonicalize().unwrap_or_default();
        for path in files {
            let folder = folder_of(path);
            if out.real.contains_key(folder) {
                continue;
            }
            let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
            for root in real.ancestors() {
                // What is above a folder that was seen was seen too.
                if !seen.insert(root.to_owned()) {
                    break;
                }
                if root.join(FOLDER).is_dir() {
                    out.add(root, &here)?;
                }
            }
            out.real.insert(folder.to_owned(), real);
        }
        Ok(out)
    }

    fn add(&mut self, root: &Path, here: &Path) -> Result<(), Failure> {
        let wanted = [root.join(FOLDER).join("clusters"), root.join(FOLDER)];
        for folder in wanted.iter().filter(|folder| folder.is_dir()) {
            let failed = |error: io::Error| {
                Failure::new(
                    format!("{} cannot be read", folder.display()),
                    error.to_string(),
                    "check its permissions",
                )
            };
            let mut paths = fs::read_dir(folder)
                .and_then(|entries| {
                    entries
                        .map(|entry| entry.map(|entry| entry.path()))
                        .collect::<io::Result<Vec<_>>>()
                })
                .map_err(failed)?;
            paths.sort();
            for path in paths.iter().filter(|path| pins::folder_of(path).is_some()) {
                let bytes = durable::read(path, git::MOST as usize).map_err(failed)?;
                self.pins.add(path, path.strip_prefix(here).unwrap_or(path), &bytes);
            }
        }
        Ok(())
    }

    fn of(&self, path: &Path) -> Option<&crate::repository::Repository> {
        self.pins.of(&self.real.get(folder_of(path))?.join(path.file_name()?))
    }
}
