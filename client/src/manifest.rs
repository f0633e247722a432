//! Files with Kubernetes objects: read, found in, changed where they must change, and replaced whole.
//!
//! Invariant: what is written was made from what is on disk at that moment, byte for byte; else nothing is written.

mod json;
mod template;
mod texts;
mod unreadable;
mod write;

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use sealing::{At, ParseError, SealedSecret};
use serde_json::Value as Json;
use splice::{File, NodeId};

pub(crate) use self::{
    json::{find, json},
    texts::{Texts, all_texts, text_edits},
    unreadable::Unreadable,
    write::{Change, binding, changed, document, encode, slot},
};
use crate::{bitnami_secret, failure::Failure, input};

/// 16 MiB: etcd takes objects of 1.5, and a file may have several.
const MOST: usize = 16 << 20;

/// A file, or stdin, as it was read.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// How it is named to people; `-` is stdin.
    pub(crate) shown: String,
    path: Option<PathBuf>,
    mode: u32,
    pub(crate) text: Vec<u8>,
}

/// An object in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    /// Its root.
    pub(crate) node: NodeId,
    /// Which document of the file it is, counted from 0; `None` for an item of a List.
    pub(crate) document: Option<usize>,
}

impl Manifest {
    /// Reads a file whole, or stdin where `path` is `-`.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        let unreadable = |error: io::Error| {
            Failure::new(
                format!("{shown} cannot be read"),
                error.to_string(),
                "name a file that you may read, or - for stdin",
            )
        };
        if path == Path::new("-") {
            let text = input::read(path, MOST).map_err(unreadable)?;
            return Self { shown: "-".to_owned(), path: None, mode: 0, text }.not_too_long();
        }
        if path.is_dir() {
            return Err(Failure::new(
                format!("{shown} is a folder"),
                "this takes files one by one",
                "name the files in it that are meant",
            ));
        }
        // What a link leads to is what is to be changed.
        let real = path.canonicalize().map_err(unreadable)?;
        let text = durable::read(&real, MOST).map_err(unreadable)?;
        let mode = fs::metadata(&real).map_err(unreadable)?.permissions().mode() & 0o777;
        Self { shown, path: Some(real), mode, text }.not_too_long()
    }

    /// Refuses stdin among the files that a command writes back.
    pub(crate) fn no_stdin(paths: &[PathBuf]) -> Result<(), Failure> {
        if !paths.iter().any(|path| path == Path::new("-")) {
            return Ok(());
        }
        Err(Failure::new(
            "stdin cannot be changed",
            "each file is written back to where it was read",
            "name files and folders",
        )
        .usage())
    }

    /// A text that was read elsewhere, and is not to be replaced.
    pub(crate) fn of(shown: String, text: Vec<u8>) -> Result<Self, Failure> {
        Self { shown, path: None, mode: 0, text }.not_too_long()
    }

    /// The file itself, where links lead, and its permission bits; `None` for stdin.
    pub(crate) fn file(&self) -> Option<(&Path, u32)> {
        self.path.as_deref().map(|path| (path, self.mode))
    }

    /// Whether the file stays there under a second name when it is replaced under this one.
    pub(crate) fn has_another_name(&self) -> bool {
        let metadata = self.path.as_deref().and_then(|path| fs::metadata(path).ok());
        metadata.is_some_and(|metadata| metadata.nlink() > 1)
    }

    fn not_too_long(self) -> Result<Self, Failure> {
        if self.text.len() > MOST {
            return Err(Failure::new(
                format!("{} is too long", self.shown),
                "it has over 16 MiB, which no manifest of Kubernetes has",
                "split it",
            ));
        }
        Ok(self)
    }

    /// Whether `word` stands in it anywhere: what does not have it need not be taken apart.
    pub(crate) fn mentions(&self, word: &str) -> bool {
        memchr::memmem::find(&self.text, word.as_bytes()).is_some()
    }

    /// Takes it apart. Where that fails, the line is not shown: what looks like a key there may be a part of a value.
    pub(crate) fn parse(&self) -> Result<File<'_>, Failure> {
        splice::parse(&self.text).map_err(|error| {
            let Unreadable { place, why, next } = Unreadable::explain(&self.text, error);
            let splice::Place { line, column } = place;
            let what = format!("{}:{line}:{column}: cannot be read as YAML", self.shown);
            Failure::new(what, why, next)
        })
    }

    /// Puts `new` in place of what was read, if that is still there.
    pub(crate) fn replace(&self, new: &[u8]) -> Result<(), Failure> {
        let Some(path) = &self.path else { return Ok(()) };
        if new == self.text {
            return Ok(());
        }
        match durable::replace_if(path, &self.text, new, self.mode, &|_| {}) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::new(
                format!("{} was changed meanwhile", self.shown),
                "somebody else wrote it after it was read; what they wrote is kept",
                "run the command again",
            )),
            Err(error) => Err(Failure::new(
                format!("{} cannot be written", self.shown),
                error.to_string(),
                "check the folder's permissions, and that the disk has room; the file is as it was",
            )),
        }
    }

    /// What is wrong at a place: `file:line:column`, with the line.
    pub(crate) fn failure(
        &self,
        place: splice::Place,
        what: &str,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Failure {
        let line = String::from_utf8_lossy(&self.text);
        let line = line.lines().nth(place.line.saturating_sub(1)).map(shown).unwrap_or_default();
        Failure::new(
            format!("{}:{}:{}: {what}", self.shown, place.line, place.column),
            format!("{}\n{:>4} | {line}", why.into(), place.line),
            next,
        )
    }

    /// What is wrong with a node of an object.
    pub(crate) fn at(
        &self,
        file: &File<'_>,
        root: NodeId,
        at: &At,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Failure {
        self.failure(find(file, root, at), &at.to_string(), why, next)
    }

    /// Takes a sealed Secret in.
    pub(crate) fn sealed(&self, file: &File<'_>, found: Found) -> Result<SealedSecret, Failure> {
        let json = self.json(file, found.node)?;
        SealedSecret::parse(&json).map_err(|ParseError { at, refused }| {
            self.at(
                file,
                found.node,
                &at,
                refused.to_string(),
                "put it back as it was sealed (git log -p), or seal it anew",
            )
        })
    }

    /// An object as data.
    pub(crate) fn json(&self, file: &File<'_>, node: NodeId) -> Result<Json, Failure> {
        json(file, node).map_err(|(place, why)| {
            self.failure(place, "cannot be read without guessing", why, "correct it there")
        })
    }
}

/// All objects of a file, those in Lists one by one, also in Lists of Lists.
pub(crate) fn objects(file: &File<'_>) -> Vec<Found> {
    let documents = file.documents().iter().enumerate();
    let roots = documents
        .filter_map(|(i, document)| document.root().map(|node| Found { node, document: Some(i) }));
    let (mut open, mut out): (Vec<_>, _) = (roots.collect(), Vec::new());
    open.reverse();
    while let Some(found) = open.pop() {
        match items(file, found.node) {
            Some(items) => {
                let items: Vec<_> = file.items(items).collect();
                open.extend(items.into_iter().rev().map(|node| Found { node, document: None }));
            }
            None => out.push(found),
        }
    }
    out
}

/// The items of a List.
fn items(file: &File<'_>, node: NodeId) -> Option<NodeId> {
    let is_list = file.field_text(node, "kind").is_some_and(|kind| kind.ends_with("List"));
    file.field(node, "items").filter(|_| is_list)
}

/// The sealed Secrets of a file. Those of Bitnami's have the same kind, and are left alone.
pub(crate) fn sealed_objects(file: &File<'_>) -> Vec<Found> {
    let mut all = objects(file);
    all.retain(|found| {
        file.field_text(found.node, "kind").as_deref() == Some(sealing::KIND)
            && !bitnami_secret::is_bitnami(file, found.node)
    });
    all
}

/// What to say of a file without a sealed Secret, where `next` is for one that has nothing like it.
pub(crate) fn none_sealed(
    manifest: &Manifest,
    file: &File<'_>,
    next: impl Into<String>,
) -> Failure {
    let shown = &manifest.shown;
    let what = format!("{shown} has no sealed Secret in it");
    if objects(file).iter().any(|found| bitnami_secret::is_bitnami(file, found.node)) {
        return Failure::new(
            what,
            "its SealedSecret is Bitnami's",
            format!("take it over first: strongroom migrate {shown} --bitnami-keys FILE"),
        );
    }
    Failure::new(what, format!("there is no object of kind {}", sealing::KIND), next)
}

/// The one object of a file that has nothing else, as data.
pub(crate) fn one_object(text: &[u8]) -> Result<Json, String> {
    let file = splice::parse(text).map_err(|error| error.to_string())?;
    let found = objects(&file);
    let [object] = found.as_slice() else {
        return Err(format!("it has {} objects, not one", found.len()));
    };
    json(&file, object.node).map_err(|(place, why)| format!("{place}: {why}"))
}

/// A line as it may be shown: what stands behind a key may be a value of a Secret.
fn shown(line: &str) -> String {
    let behind = line.trim_start_matches([' ', '-']);
    let key = behind.split_once(':').map(|(key, _)| key).filter(|key| {
        key.trim_matches(['"', '\''])
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
    });
    match key {
        Some(key) => {
            let indent = line.len() - behind.len();
            format!("{}{key}: …", line.get(..indent).unwrap_or_default())
        }
        None => "…".to_owned(),
    }
}
