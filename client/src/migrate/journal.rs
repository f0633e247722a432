//! What undoes a migration: each file as it was and as it became, on disk before the first of them is written.
//!
//! Invariant: nothing is in it but what lay in the files: sealed values, both times. Which of the two a file is now is told by the file.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{failure::Failure, git};

const SCHEMA: &str = "strongroom.dev/migration/v1";
const FILE: &str = "journal.json";
/// 4,000 files of 100 KiB, twice.
const MOST: usize = 1 << 30;

/// All files of one migration.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Journal {
    schema: String,
    pub(super) files: Vec<Entry>,
}

/// One of its files.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Its whole path.
    pub(super) path: PathBuf,
    mode: u32,
    before: String,
    after: String,
}

/// What a file of a journal is now.
#[derive(Serialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it was before.
    Old,
    /// As the migration left it.
    New,
    /// Neither: somebody changed it since, or it is gone.
    Changed,
}

impl State {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Old => "as it was before",
            Self::New => "migrated",
            Self::Changed => "changed since",
        }
    }
}

impl Entry {
    /// `None` where a path or a text is not UTF-8, which JSON does not hold.
    pub(super) fn new(path: &Path, mode: u32, before: &[u8], after: &[u8]) -> Option<Self> {
        path.to_str()?;
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
        Some(Self { path: path.to_owned(), mode, before: text(before)?, after: text(after)? })
    }

    /// What the file is now.
    pub(super) fn state(&self) -> State {
        let most = self.before.len().max(self.after.len());
        match durable::read(&self.path, most) {
            Ok(text) if text == self.after.as_bytes() => State::New,
            Ok(text) if text == self.before.as_bytes() => State::Old,
            _ => State::Changed,
        }
    }

    /// Puts the file back, if it is as the migration left it. False where somebody wrote it meanwhile.
    pub(super) fn undo(&self) -> io::Result<bool> {
        let (after, before) = (self.after.as_bytes(), self.before.as_bytes());
        durable::replace_if(&self.path, after, before, self.mode, &|_| {})
    }
}

impl Journal {
    /// Writes it, whole, into a new folder; its path.
    pub(super) fn begin(
        folder: Option<&Path>,
        paths: &[PathBuf],
        files: Vec<Entry>,
    ) -> Result<PathBuf, Failure> {
        let folder = match folder {
            Some(folder) => make(folder)
                .map(|()| folder.to_owned())
                .map_err(|error| unwritable(folder, &error))?,
            None => numbered(&beside(paths)?)?,
        };
        let journal = Self { schema: SCHEMA.to_owned(), files };
        let mut text =
            serde_json::to_vec(&journal).map_err(|error| unwritable(&folder, &error.into()))?;
        text.push(b'\n');
        durable::create(&folder.join(FILE), &text, 0o600, &|_| {})
            .and_then(|()| {
                fs::File::open(
                    folder
                        .parent()
                        .filter(|parent| !parent.as_os_str().is_empty())
                        .unwrap_or(Path::new(".")),
                )?
                .sync_all()
            })
            .map_err(|error| unwritable(&folder, &error))?;
        Ok(folder)
    }

    /// Reads it from its folder.
    pub(super) fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(FILE);
        let text = durable::read(&path, MOST).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if folder.is_dir() => Failure::new(
                format!("{} has no journal", folder.display()),
                "the migration was ended before it was written; until then no file is",
                "there is nothing to undo: remove the folder",
            ),
            _ => Failure::new(
                format!("{} cannot be read", path.display()),
                error.to_string(),
                "name the folder that migrate printed: strongroom-migrate-1 or so, in .git",
            ),
        })?;
        let journal: Self =
            serde_json::from_slice(&text).map_err(|error| no_journal(&path, error.to_string()))?;
        if journal.schema != SCHEMA {
            return Err(no_journal(&path, format!("its schema is not {SCHEMA}")));
        }
        Ok(journal)
    }
}

/// The folder of git that the first of the paths belongs to.
fn beside(paths: &[PathBuf]) -> Result<PathBuf, Failure> {
    let first = paths.first().map_or(Path::new("."), PathBuf::as_path);
    let folder = if first.is_dir() {
        first
    } else {
        first.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    };
    git::own_folder(folder).map_err(|Failure { why, .. }| {
        Failure::new(
            "there is no place for what undoes the migration",
            format!("{} lies in no repository of git: {why}", folder.display()),
            "name a new folder for it with --undo-dir",
        )
        .usage()
    })
}

fn numbered(git: &Path) -> Result<PathBuf, Failure> {
    for number in 1..=9999 {
        let folder = git.join(format!("strongroom-migrate-{number}"));
        match make(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unwritable(&folder, &error)),
        }
    }
    Err(unwritable(git, &io::ErrorKind::AlreadyExists.into()))
}

fn make(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(folder)
}

fn unwritable(folder: &Path, error: &io::Error) -> Failure {
    Failure::new(
        format!("{} cannot be written, so nothing was migrated", folder.display()),
        error.to_string(),
        "name a folder that does not exist, where you may write, with --undo-dir",
    )
}

fn no_journal(path: &Path, why: String) -> Failure {
    Failure::new(
        format!("{} is no journal of a migration", path.display()),
        why,
        "name the folder that migrate printed; git has the files as they were committed, too",
    )
}
