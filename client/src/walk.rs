//! The files of a repository that may have objects of Kubernetes in them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ignore::WalkState;

use crate::{failure::Failure, repository::FOLDER};

/// Every YAML and JSON file in or below `paths`, in order, those that git ignores too: a sealed Secret may lie in one. What is
/// named itself is taken whatever its ending.
pub(crate) fn manifests(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let (files, failures) = manifests_that_can_be_found(paths);
    failures.into_iter().next().map_or(Ok(files), Err)
}

/// The same, and why there may be others.
pub(crate) fn manifests_that_can_be_found(paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<Failure>) {
    let (mut out, mut failures) = (Vec::new(), Vec::new());
    for path in paths {
        if !path.is_dir() {
            out.push(path.clone());
            continue;
        }
        let walk = ignore::WalkBuilder::new(path)
            .standard_filters(false)
            .filter_entry(|entry| {
                entry.depth() == 0 || entry.file_name() != ".git" && entry.file_name() != FOLDER
            })
            .sort_by_file_name(Ord::cmp)
            .build();
        for entry in walk {
            match entry {
                Ok(entry) => {
                    let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
                    if is_file && is_manifest(entry.path()) {
                        out.push(entry.into_path());
                    }
                }
                Err(error) => failures.push(Failure::new(
                    format!("{} cannot be looked through", path.display()),
                    error.to_string(),
                    "check the permissions of its folders",
                )),
            }
        }
    }
    (out, failures)
}

/// Each file once, by whatever names it is there: what replaces a file does it once.
pub(crate) fn each_once(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    files.retain(|path| path.canonicalize().map_or(true, |real| seen.insert(real)));
    files
}

/// Every file in or below `paths` that git does not ignore and that is wanted, in order. What is named itself is taken whatever it is.
pub(crate) fn not_ignored(
    paths: &[PathBuf],
    is_wanted: fn(&Path) -> bool,
) -> Result<Vec<PathBuf>, Failure> {
    let (Some(first), rest) = (paths.first(), paths.get(1..).unwrap_or_default()) else {
        return Ok(Vec::new());
    };
    let mut walk = ignore::WalkBuilder::new(first);
    for path in rest {
        walk.add(path);
    }
    // Hidden folders are looked at: .github has workflows. Files that only other tools ignore by are none of git's.
    walk.hidden(false)
        .ignore(false)
        .filter_entry(|entry| entry.depth() == 0 || entry.file_name() != ".git");
    let found = Mutex::new(Ok(Vec::new()));
    walk.build_parallel().run(|| {
        Box::new(|entry| {
            let Ok(mut found) = found.lock() else { return WalkState::Quit };
            match entry {
                Ok(entry) => {
                    let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
                    if let Ok(found) = &mut *found
                        && is_file
                        && (entry.depth() == 0 || is_wanted(entry.path()))
                    {
                        found.push(entry.into_path());
                    }
                    WalkState::Continue
                }
                Err(error) => {
                    *found = Err(error);
                    WalkState::Quit
                }
            }
        })
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut out = found.map_err(|error| {
        Failure::new(
            "not everything can be looked through",
            error.to_string(),
            "name files and folders that exist, and that you may read",
        )
        .usage()
    })?;
    out.sort();
    out.dedup();
    Ok(out)
}

/// The folder that a file lies in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// By its ending.
pub(crate) fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|ending| {
        ["yaml", "yml", "json"].iter().any(|known| ending.eq_ignore_ascii_case(known))
    })
}
