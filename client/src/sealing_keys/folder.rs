//! The private keys of a cluster, in a folder of their own.
//!
//! ```text
//! identity.key      the seed of its identity, as escrow text
//! sealing.keys      the seeds of its sealing keys, one escrow text a line; what `--key` takes
//! <cluster>.yaml    the public list, signed: what repositories take in
//! ```
//!
//! Invariant: a key is in `sealing.keys`, on disk, before it is in the list.

use std::{
    fmt::Display,
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use envelope::{KeyMaterial, SystemRandom};
use sealing::{ClusterIdentity, KeyState, Kid, PinnedKey, SealingKey, SealingKeys, escrow_text};
use zeroize::Zeroizing;

use super::{encode, with_active};
use crate::{failure::Failure, keyfile::read_seeds, manifest, time};

/// The folder, opened.
pub(super) struct Folder {
    path: PathBuf,
    identity: ClusterIdentity,
    list: SealingKeys,
}

impl Folder {
    /// Makes the keys of a new cluster.
    pub(super) fn make(path: &Path, cluster: &str) -> Result<Self, Failure> {
        let failed = |error: io::Error| unwritable(path, &error);
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(failed)?,
        }
        let identity =
            ClusterIdentity::from_seed(KeyMaterial::make(&SystemRandom).map_err(no_random)?);
        let key = SealingKey::make(&SystemRandom).map_err(no_random)?;
        let now = time::now();
        let first = PinnedKey {
            recipient: key.recipient().clone(),
            state: KeyState::Active,
            since: now.clone(),
        };
        let list = SealingKeys::sign(&identity, cluster, 1, vec![first]).map_err(|error| {
            Failure::new(
                format!("no keys were made for {cluster:?}"),
                error.to_string(),
                "choose another name",
            )
            .usage()
        })?;
        let head = format!(
            "# identity of cluster {cluster}, made {now}: who has it can tell repositories whom to seal for\n"
        );
        create(&path.join("identity.key"), &line(&head, identity.seed()))?;
        let head = format!(
            "# sealing keys of cluster {cluster}: who has one opens what is sealed for it\n"
        );
        create(&path.join("sealing.keys"), &line(&(head + &comment(key.kid(), &now)), key.seed()))?;
        let folder = Self { path: path.to_owned(), identity, list };
        durable::create(&folder.published(), encode(&folder.list).as_bytes(), 0o644, &|_| {})
            .map_err(failed)?;
        Ok(folder)
    }

    /// Opens a folder that [`Self::make`] made.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let key = path.join("identity.key");
        if !key.exists() {
            return Err(no_list(path, "there is no identity.key in it"));
        }
        let mut seeds = read_seeds(&key)?;
        let seed = seeds.pop().filter(|_| seeds.is_empty()).ok_or_else(|| {
            Failure::new(
                format!("{} has more than one key in it", path.join("identity.key").display()),
                "a cluster has one identity",
                "put the file back as it was made",
            )
        })?;
        let identity = ClusterIdentity::from_seed(seed);
        let list = published(path)?;
        if list.identity != identity.public() {
            return Err(no_list(path, "it was signed by another identity"));
        }
        Ok(Self { path: path.to_owned(), identity, list })
    }

    /// The file that repositories take in.
    pub(super) fn published(&self) -> PathBuf {
        self.path.join(format!("{}.yaml", self.list.cluster))
    }

    /// Makes a new key the active one.
    pub(super) fn rotate(self) -> Result<Kid, Failure> {
        let key = SealingKey::make(&SystemRandom).map_err(no_random)?;
        let now = time::now();
        // A link to another disk stays one: the keys are to lie there and nowhere else.
        let path = self.path.join("sealing.keys");
        let path = path.canonicalize().map_err(|error| unwritable(&path, &error))?;
        let failed = |error: io::Error| unwritable(&path, &error);
        let old = Zeroizing::new(durable::read(&path, 1 << 20).map_err(failed)?);
        let mut new = Zeroizing::new(Vec::with_capacity(old.len() + 256));
        new.extend_from_slice(&old);
        new.extend_from_slice(&line(&comment(key.kid(), &now), key.seed()));
        self.written(durable::replace_if(&path, &old, &new, 0o600, &|_| {}).map_err(failed)?)?;
        let keys = with_active(&self.list, key.recipient().clone(), &now);
        self.publish(keys)?;
        Ok(key.kid())
    }

    /// Ends the life of a key that is retiring.
    pub(super) fn retire(self, kid: Kid) -> Result<(), Failure> {
        let mut keys = self.list.keys.clone();
        let key = keys
            .iter_mut()
            .find(|key| key.recipient.kid() == kid && key.state == KeyState::Retiring);
        let key = key.ok_or_else(|| {
            Failure::new(
                format!("{kid} is not retiring"),
                "only a key that another one took over from can be retired",
                format!(
                    "see which are: {}; take over from the active one: strongroom sealing-keys rotate --dir {}",
                    self.published().display(),
                    self.path.display()
                ),
            )
        })?;
        (key.state, key.since) = (KeyState::Retired, time::now());
        self.publish(keys)
    }

    fn publish(self, keys: Vec<PinnedKey>) -> Result<(), Failure> {
        let path = self.published();
        let old = encode(&self.list);
        let list =
            SealingKeys::sign(&self.identity, &self.list.cluster, self.list.serial + 1, keys)
                .map_err(|error| {
                    Failure::new(
                        "the new list would not be valid",
                        error.to_string(),
                        "this is a bug: report it",
                    )
                })?;
        let replaced =
            durable::replace_if(&path, old.as_bytes(), encode(&list).as_bytes(), 0o644, &|_| {});
        self.written(replaced.map_err(|error| unwritable(&path, &error))?)
    }

    fn written(&self, done: bool) -> Result<(), Failure> {
        if done {
            return Ok(());
        }
        Err(Failure::new(
            format!("{} was changed meanwhile", self.path.display()),
            "somebody else works on these keys too, or edited a file by hand",
            "run the command again",
        ))
    }
}

fn comment(kid: Kid, now: &str) -> String {
    format!("# {kid}, made {now}\n")
}

fn line(head: &str, seed: &KeyMaterial) -> Zeroizing<Vec<u8>> {
    let text = escrow_text(seed);
    let mut out = Zeroizing::new(Vec::with_capacity(head.len() + text.len() + 1));
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
    out
}

/// The public list in a folder that [`Folder::make`] made; reads no private key.
pub(crate) fn published(path: &Path) -> Result<SealingKeys, Failure> {
    let refused = |error: &dyn Display| no_list(path, error);
    let entries = fs::read_dir(path).map_err(|error| refused(&error))?;
    let mut lists = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    let (Some(list), None) = (lists.next(), lists.next()) else {
        return Err(refused(&"there is not exactly one file <cluster>.yaml"));
    };
    let bytes = fs::read(&list).map_err(|error| refused(&error))?;
    let json = manifest::one_object(&bytes).map_err(|error| refused(&error))?;
    SealingKeys::parse(&json).map_err(|error| refused(&error))
}

fn no_list(path: &Path, why: impl Display) -> Failure {
    Failure::new(
        format!("{} has no list of sealing keys that its identity signed", path.display()),
        why.to_string(),
        "name the folder that `strongroom sealing-keys new` made, or put <cluster>.yaml back as it was",
    )
}

fn create(path: &Path, content: &[u8]) -> Result<(), Failure> {
    durable::create(path, content, 0o600, &|_| {}).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(
            format!("{} is there already", path.display()),
            "keys are never overwritten",
            "choose another folder with --dir, or go on with the keys in this one",
        ),
        _ => unwritable(path, &error),
    })
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        format!("{} cannot be written", path.display()),
        error.to_string(),
        "check the folder's permissions, and that the disk has room",
    )
}

fn no_random(error: envelope::RandomError) -> Failure {
    Failure::new(
        "no key was made",
        error.to_string(),
        "check whether a seccomp profile forbids getrandom",
    )
}
