//! What git has: staged, or brought by the commits of a range, whatever the work tree looks like now.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    os::unix::ffi::OsStrExt as _,
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
    git::{self, Blob, Change, Content, Contents, Range},
    repository::FOLDER,
};

/// Looks at what is staged, against HEAD.
pub(crate) fn staged(accepted: &[String]) -> Result<Looked, Failure> {
    let changes = git::staged()?;
    let specs = ["", "/**"].map(|inside| format!(":(top,icase,glob)**/{FOLDER}{inside}"));
    let entries = git::staged_entries(&specs.each_ref().map(String::as_str))?;
    let astray = pins::astray(&entries);
    let now: Vec<_> =
        git::files(entries).filter(|blob| git::is_below(&blob.path, FOLDER)).collect();
    let mut accepted = accepted.to_vec();
    if changes.iter().any(|change| git::is_below(&change.path, FOLDER)) {
        accepted.extend(git::configured("strongroom.accept"));
    }
    let history = History { contents: RefCell::new(Contents::start()?), at: ":0:".to_owned() };
    let (pins, mut found) = history.pins(&now, &changes, &accepted)?;
    found.extend(astray);
    history.changes(&changes, &pins, found, |_| true)
}

/// Looks at every content that a commit of a range brought, also where a later one took it out again.
pub(crate) fn range(text: &str, accepted: &[String]) -> Result<Looked, Failure> {
    let range = Range::parse(text)?;
    let changes = range.changes()?;
    let entries = git::entries(&range.tip)?;
    let astray = pins::astray(&entries);
    let there: Vec<_> = git::files(entries).collect();
    let now: Vec<_> =
        there.iter().filter(|blob| git::is_below(&blob.path, FOLDER)).cloned().collect();
    let history =
        History { contents: RefCell::new(Contents::start()?), at: format!("{}:", range.tip) };
    // Against where the sides parted: what the other side pinned since is its own.
    let (pins, mut found) = history.pins(&now, &range.changes_below(FOLDER)?, accepted)?;
    found.extend(astray);
    let there: BTreeSet<_> = there.into_iter().collect();
    history.changes(&changes, &pins, found, |blob| there.contains(blob))
}

/// Contents, and the index or the commit that files are looked up in.
struct History {
    contents: RefCell<Contents>,
    at: String,
}

impl Tree for History {
    fn file(&self, path: &Path) -> Option<Vec<u8>> {
        let name = [self.at.as_bytes(), path.as_os_str().as_bytes()].concat();
        match self.contents.borrow_mut().read(&name) {
            Ok(Content::File(bytes)) => Some(bytes),
            _ => None,
        }
    }
}

impl History {
    /// The pins as they are, and what is wrong with them and with how they changed.
    fn pins(
        &self,
        now: &[Blob],
        changes: &[Change],
        accepted: &[String],
    ) -> Result<(Pins, Vec<Found>), Failure> {
        let mut before: BTreeMap<&PathBuf, &String> =
            now.iter().map(|blob| (&blob.path, &blob.id)).collect();
        let mut is_changed = false;
        for change in changes.iter().filter(|change| git::is_below(&change.path, FOLDER)) {
            is_changed = true;
            match &change.old {
                Some(old) => before.insert(&change.path, old),
                None => before.remove(&change.path),
            };
        }
        let pins = self.read_pins(now.iter().map(|blob| (&blob.path, &blob.id)))?;
        let mut found = pins.refused();
        if is_changed {
            found.extend(pins.changes_since(&self.read_pins(before)?, accepted));
        }
        Ok((pins, found))
    }

    fn read_pins<'a>(
        &self,
        blobs: impl IntoIterator<Item = (&'a PathBuf, &'a String)>,
    ) -> Result<Pins, Failure> {
        let mut pins = Pins::default();
        for (path, id) in blobs {
            if let Content::File(bytes) = self.contents.borrow_mut().read(id.as_bytes())? {
                pins.add(path, path, &bytes);
            }
        }
        Ok(pins)
    }

    /// Judges each content once, as the first commit that brought it.
    fn changes(
        &self,
        changes: &[Change],
        pins: &Pins,
        mut found: Vec<Found>,
        is_current: impl Fn(&Blob) -> bool,
    ) -> Result<Looked, Failure> {
        let mut seen = BTreeSet::new();
        for Change { path, new, commit, .. } in changes {
            let Some(id) = new else { continue };
            let blob = Blob { path: path.clone(), id: id.clone() };
            if git::is_below(path, FOLDER) || !is_looked_at(path) || seen.contains(&blob) {
                continue;
            }
            let content = self.contents.borrow_mut().read(id.as_bytes())?;
            let mut findings = match content {
                Content::File(bytes) => judge(&Subject {
                    path,
                    bytes: &bytes,
                    pins: pins.of(path),
                    is_current: is_current(&blob),
                    tree: self,
                }),
                Content::TooLong => vec![Finding::new(&rule::TOO_LONG, TOP, "")],
                Content::Missing => return Err(missing(path, id)),
            };
            findings.retain(|finding| is_wanted(path, finding));
            found.extend(findings.into_iter().map(|finding| Found {
                path: path.clone(),
                commit: commit.clone(),
                finding,
            }));
            seen.insert(blob);
        }
        Ok(Looked { found, files: seen.len() })
    }
}

fn missing(path: &Path, id: &str) -> Failure {
    Failure::new(
        format!("the content of {} is not here", path.display()),
        format!("git has no {id}"),
        "fetch it (a partial clone leaves contents out), or check the repository: git fsck",
    )
}
