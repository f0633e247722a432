//! Where drafts lie: in memory, in a folder that nobody else enters.
//!
//! ```text
//! $XDG_RUNTIME_DIR or /dev/shm        tmpfs or ramfs, else nothing is written
//!   strongroom-<uid>/                 0700, ours
//!     edit-<random>/                  0700, one draft
//!       about.json                    of what, and locked while it is edited
//!       sealed                        the file that it was made of, as it was
//!       draft.yaml                    clear text
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use clap::{Args, ValueHint};
use sealing::{DataKey, Opened, SealedSecret};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Of statfs(2).
const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;
/// Larger drafts were not made of a manifest.
const MOST: usize = 16 << 20;

/// Where drafts are to lie.
#[derive(Args, Debug)]
pub(super) struct Place {
    /// Keep the draft in this folder, which must be in memory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    private_dir: Option<PathBuf>,
    #[arg(long = "xdg-runtime-dir", env = "XDG_RUNTIME_DIR", hide = true)]
    runtime: Option<PathBuf>,
}

impl Place {
    /// The folder of all drafts of this user.
    pub(super) fn open(&self) -> Result<Drafts, Failure> {
        let shared = Path::new("/dev/shm");
        let candidates: Vec<&Path> = match &self.private_dir {
            Some(only) => vec![only],
            None => self.runtime.as_deref().into_iter().chain([shared]).collect(),
        };
        let Some(memory) = candidates.iter().find(|path| is_memory(path)) else {
            let listed: Vec<_> = candidates.iter().map(|path| path.display().to_string()).collect();
            return Err(Failure::new(
                "there is no place in memory for the draft",
                format!(
                    "no tmpfs or ramfs is mounted at {}; clear text is not written to disk",
                    listed.join(" or ")
                ),
                "mount one (mount -t tmpfs -o size=16m,mode=0700,noswap tmpfs DIR) and name it with --private-dir; \
                 or change values one by one: strongroom set",
            ));
        };
        let uid = rustix::process::geteuid().as_raw();
        let path = memory.join(format!("strongroom-{uid}"));
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(|error| unusable(&path, &error.to_string()))?,
        }
        // In /dev/shm anybody could have made it first, or a link in its place.
        let metadata =
            path.symlink_metadata().map_err(|error| unusable(&path, &error.to_string()))?;
        if !is_memory(&path)
            || !metadata.is_dir()
            || metadata.uid() != uid
            || metadata.mode() & 0o077 != 0
        {
            return Err(unusable(&path, "it is not a folder that only you may enter (mode 0700)"));
        }
        Ok(Drafts(path))
    }
}

fn is_memory(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|found| [TMPFS, RAMFS].contains(&(found.f_type as u64)))
}

/// All drafts of a user.
pub(super) struct Drafts(PathBuf);

/// What a draft is of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct About {
    schema: u8,
    pub(super) file: PathBuf,
    pub(super) shown: String,
    pub(super) object: String,
    /// The data keys that stand in it in clear text.
    pub(super) open: Vec<String>,
}

const SCHEMA: u8 = 1;

impl About {
    pub(super) fn new(file: &Path, object: &SealedSecret, opened: &Opened) -> Self {
        Self {
            schema: SCHEMA,
            file: real(file),
            shown: file.display().to_string(),
            object: object.full_name(),
            open: opened.keys().map(DataKey::to_string).collect(),
        }
    }
}

/// One draft, held: nobody else edits it meanwhile.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) about: About,
    _lock: File,
}

impl Drafts {
    /// A new draft.
    pub(super) fn make(
        &self,
        about: About,
        sealed: &[u8],
        draft: &[u8],
    ) -> Result<Folder, Failure> {
        let mut random = [0; 8];
        let path = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .map(|_| self.0.join(format!("edit-{}", data_encoding::HEXLOWER.encode(&random))))
            .map_err(|error| unusable(&self.0, &error.to_string()))?;
        let made = || -> io::Result<File> {
            fs::DirBuilder::new().mode(0o700).create(&path)?;
            write(&path.join("sealed"), sealed)?;
            write(&path.join("draft.yaml"), draft)?;
            // Last: a draft that has it is whole.
            let lock = write(&path.join("about.json"), &serde_json::to_vec(&about)?)?;
            lock.lock()?;
            Ok(lock)
        };
        match made() {
            Ok(lock) => Ok(Folder { path, about, _lock: lock }),
            Err(error) => {
                let _ = wipe(&path);
                Err(unusable(&path, &error.to_string()))
            }
        }
    }

    /// The one draft that was kept, of those that fit.
    pub(super) fn kept(
        &self,
        file: Option<&Path>,
        object: Option<&str>,
    ) -> Result<Folder, Failure> {
        let all = self.all()?;
        let fits = |(_, about): &(PathBuf, About)| {
            file.is_none_or(|file| real(file) == about.file)
                && object.is_none_or(|name| {
                    about.object == name || about.object.rsplit('/').next() == Some(name)
                })
        };
        let mut fitting: Vec<_> = all.iter().filter(|draft| fits(draft)).collect();
        if fitting.is_empty() && file.is_some_and(Path::exists) {
            // The file was moved: what is left to go by is that there is one draft.
            fitting = all.iter().filter(|(_, about)| !about.file.exists()).collect();
        }
        let listed = || {
            let each = all.iter().map(|(path, about)| {
                format!("{} of {}, in {}", about.object, about.file.display(), path.display())
            });
            each.collect::<Vec<_>>().join("\n")
        };
        match fitting.as_slice() {
            [(path, about)] => hold(path, about),
            [] if all.is_empty() => Err(Failure::new(
                "there is no draft",
                format!("{} is empty", self.0.display()),
                "begin with strongroom edit FILE",
            )),
            [] => Err(Failure::new(
                "there is no draft of this",
                listed(),
                "name the file of one of these",
            )
            .usage()),
            _ => Err(Failure::new(
                "there are several drafts",
                listed(),
                "say which: strongroom edit --resume FILE, with --object NAME where a file has several",
            )
            .usage()),
        }
    }

    /// Refuses a second draft of one object: the first one has work in it.
    pub(super) fn refuse_second(&self, file: &Path, object: &str) -> Result<(), Failure> {
        let path = real(file);
        let all = self.all()?;
        match all.iter().find(|(_, about)| about.file == path && about.object == object) {
            None => Ok(()),
            Some((path, about)) => {
                drop(hold(path, about)?);
                Err(Failure::new(
                    format!("there is a draft of {object} already"),
                    format!(
                        "an earlier edit was not brought to its end; it is in {}",
                        path.display()
                    ),
                    format!(
                        "go on with it: strongroom edit --resume {0}; or drop it: strongroom edit --discard {0}",
                        file.display()
                    ),
                ))
            }
        }
    }

    fn all(&self) -> Result<Vec<(PathBuf, About)>, Failure> {
        let unreadable = |error: io::Error| unusable(&self.0, &error.to_string());
        let mut out = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let about = durable::read(&path.join("about.json"), MOST)
                .ok()
                .and_then(|bytes| serde_json::from_slice::<About>(&bytes).ok())
                .filter(|about| about.schema == SCHEMA);
            out.extend(about.map(|about| (path, about)));
        }
        out.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(out)
    }
}

fn hold(path: &Path, about: &About) -> Result<Folder, Failure> {
    let lock = durable::open(&path.join("about.json"))
        .map_err(|error| unusable(path, &error.to_string()))?;
    lock.try_lock().map_err(|_| {
        Failure::new(
            format!("{} is being edited", about.object),
            format!("another strongroom edit has its draft open, in {}", path.display()),
            "close that editor first",
        )
    })?;
    Ok(Folder { path: path.to_owned(), about: about.clone(), _lock: lock })
}

impl Folder {
    /// Where the editor works.
    pub(super) fn draft(&self) -> PathBuf {
        self.path.join("draft.yaml")
    }

    /// What the editor left.
    pub(super) fn text(&self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        self.read("draft.yaml").map(Zeroizing::new)
    }

    /// The file that the draft was made of.
    pub(super) fn sealed(&self) -> Result<Vec<u8>, Failure> {
        self.read("sealed")
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, Failure> {
        let path = self.path.join(name);
        durable::read(&path, MOST).map_err(|error| {
            Failure::new(
                format!("{} cannot be read", path.display()),
                error.to_string(),
                "put it back, or drop the draft: strongroom edit --discard",
            )
        })
    }

    /// Whether the editor left something beside the draft: what it saves when it crashes, say.
    pub(super) fn has_more(&self) -> bool {
        let ours = ["about.json", "sealed", "draft.yaml"];
        let others = fs::read_dir(&self.path).into_iter().flatten().flatten();
        others.into_iter().any(|entry| !ours.iter().any(|name| entry.file_name() == *name))
    }

    /// Nothing is left of it.
    pub(super) fn wipe(self) -> Result<(), Failure> {
        wipe(&self.path).map_err(|error| {
            Failure::new(
                format!("the draft in {} could not be wiped", self.path.display()),
                error.to_string(),
                "remove that folder by hand: it has clear text in it",
            )
        })
    }

    /// The same failure, and where the draft is.
    pub(super) fn kept(&self, failure: Failure) -> Failure {
        let file = &self.about.shown;
        let next = format!(
            "{}\nyour draft is kept, in memory until the next restart: {}\n\
             go on with it: strongroom edit --resume {file}; or drop it: strongroom edit --discard {file}",
            failure.next,
            self.draft().display()
        );
        failure.with_next(next)
    }
}

/// What a link leads to, where it leads to something.
fn real(file: &Path) -> PathBuf {
    file.canonicalize().unwrap_or_else(|_| file.to_owned())
}

/// Zeros over every file, also those that an editor left beside ours, then they go.
fn wipe(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let metadata = path.symlink_metadata()?;
        if metadata.is_dir() {
            wipe(&path)?;
        } else {
            if metadata.is_file() {
                // What cannot be written over can still be removed.
                let _ = OpenOptions::new().write(true).open(&path).and_then(|mut file| {
                    io::copy(&mut io::Read::take(io::repeat(0), metadata.len()), &mut file)
                });
            }
            fs::remove_file(&path)?;
        }
    }
    fs::remove_dir(path)
}

fn write(path: &Path, content: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    Ok(file)
}

fn unusable(path: &Path, why: &str) -> Failure {
    Failure::new(
        format!("{} cannot be used for drafts", path.display()),
        why,
        "remove what is there, or name another folder in memory with --private-dir",
    )
}
