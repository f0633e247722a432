//! `.strongroom`: whom a repository seals for.
//!
//! ```text
//! .strongroom/clusters/<cluster>.yaml     the sealing keys of a cluster, signed by its identity
//! .strongroom/escrow.yaml                 the escrow key
//! ```
//!
//! Invariant: nothing is sealed for a key that is not in here, and nothing in here is used whose signature does not verify.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fs, io,
    path::{Path, PathBuf},
};

use sealing::{EscrowKey, KeyState, Kid, PinError, Recipient, SealedSecret, SealingKeys, Wrap};

use crate::{completion, failure::Failure, manifest, walk::folder_of};

/// The folder of the pins, at the root of a repository.
pub(crate) const FOLDER: &str = ".strongroom";
/// A cluster's list holds some thirty keys of 1.7 KiB.
const MOST: usize = 1 << 20;

/// Whom a repository seals for.
#[derive(Debug, Default)]
pub(crate) struct Repository {
    /// The folder that [`FOLDER`] lies in.
    pub(crate) root: PathBuf,
    /// The keys of each cluster, by its name.
    pub(crate) clusters: BTreeMap<String, SealingKeys>,
    /// The escrow key, where there is one.
    pub(crate) escrow: Option<EscrowKey>,
}

/// Which clusters something new is sealed for.
#[derive(clap::Args, Debug, Clone, Default)]
pub(crate) struct Clusters {
    /// Seal for this cluster of .strongroom; may be given more than once
    #[arg(long = "cluster", value_name = "NAME", conflicts_with = "all_clusters", add = completion::clusters())]
    pub(crate) names: Vec<String>,
    /// Seal for every cluster of .strongroom
    #[arg(long = "all-clusters", id = "all_clusters")]
    pub(crate) all: bool,
}

impl Repository {
    /// The repository that `path` lies in: the nearest folder upwards with a [`FOLDER`]. One without pins where there is none.
    pub(crate) fn find(path: &Path) -> Result<Self, Failure> {
        Self::root_of(path)?.map_or_else(|| Ok(Self::default()), |root| Self::read(&root))
    }

    fn root_of(path: &Path) -> Result<Option<PathBuf>, Failure> {
        let start =
            path.canonicalize().or_else(|_| Path::new(".").canonicalize()).map_err(|error| {
                Failure::new(
                    "the current folder cannot be found",
                    error.to_string(),
                    "change into a folder that exists",
                )
            })?;
        Ok(start.ancestors().find(|folder| is_there(&folder.join(FOLDER))).map(Path::to_owned))
    }

    /// What `root` has pinned.
    fn read(root: &Path) -> Result<Self, Failure> {
        let mut out = Self { root: root.to_owned(), ..Self::default() };
        for path in out.files()? {
            let bytes = durable::read(&path, MOST).map_err(|error| unreadable(&path, &error))?;
            out.add(&path, &bytes)?;
        }
        Ok(out)
    }

    /// The files with pins, each by its whole path. What is there and cannot be read is no file that is missing: whom it names would be
    /// left out.
    fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        let (folder, mut out) = (self.root.join(FOLDER), Vec::new());
        let clusters = folder.join("clusters");
        fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))?;
        if is_there(&clusters) {
            let failed = |error: io::Error| unreadable(&clusters, &error);
            for entry in fs::read_dir(&clusters).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                if path.extension().is_some_and(|ending| ending == "yaml") {
                    out.push(path);
                }
            }
        }
        out.sort();
        let escrow = self.escrow_path();
        if is_there(&escrow) {
            out.push(escrow);
        }
        Ok(out)
    }

    /// Takes one file of pins in, from wherever it was read.
    pub(crate) fn add(&mut self, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        let refused = |error: &dyn std::fmt::Display| {
            Failure::new(
                format!("{} is not to be trusted", path.display()),
                error.to_string(),
                "look who changed it (git log -p), and put it back; or take the file out, and compare the identity that is pinned then: strongroom sealing-keys fetch FILE|URL",
            )
        };
        let json = manifest::one_object(bytes).map_err(|error| refused(&error))?;
        if path.file_name().is_some_and(|name| name == "escrow.yaml") {
            self.escrow = Some(EscrowKey::parse(&json).map_err(|error: PinError| refused(&error))?);
            return Ok(());
        }
        let keys = SealingKeys::parse(&json).map_err(|error: PinError| refused(&error))?;
        if path.file_stem().is_none_or(|stem| stem != keys.cluster.as_str()) {
            return Err(refused(&format!(
                "it has the keys of cluster {}, and another name",
                keys.cluster
            )));
        }
        self.clusters.insert(keys.cluster.clone(), keys);
        Ok(())
    }

    /// Where the keys of a cluster lie.
    pub(crate) fn cluster_path(&self, cluster: &str) -> PathBuf {
        self.root.join(FOLDER).join("clusters").join(format!("{cluster}.yaml"))
    }

    /// Where the escrow key lies.
    pub(crate) fn escrow_path(&self) -> PathBuf {
        self.root.join(FOLDER).join("escrow.yaml")
    }

    /// Whom something new is sealed for: the active key of each cluster that was named, or of the only one there is, and escrow.
    pub(crate) fn recipients(&self, named: &Clusters) -> Result<Vec<Recipient>, Failure> {
        let names: Vec<&str> = match (named.all, named.names.as_slice(), self.clusters.len()) {
            (false, [], 0) if self.escrow.is_some() => Vec::new(),
            (true, ..) | (false, [], 1) => self.clusters.keys().map(String::as_str).collect(),
            (false, [], 0) => {
                return Err(Failure::new(
                    "there is nobody to seal for",
                    "no folder from here upwards has a .strongroom with the keys of a cluster or an escrow key",
                    "take in the cluster's keys: strongroom sealing-keys fetch FILE|URL; then make an escrow key: strongroom escrow new",
                ));
            }
            (false, [], _) => {
                return Err(Failure::new(
                    "it is not said which clusters to seal for",
                    format!("there are {}", self.listed()),
                    "name each with --cluster NAME, or take all with --all-clusters",
                )
                .usage());
            }
            (false, names, _) => names.iter().map(String::as_str).collect(),
        };
        self.of_clusters(names)
    }

    /// Whom a changed object is sealed for: the clusters that it is sealed for now, each by its active key, and escrow. Refused where none
    /// of these is pinned: for others, it would be for nobody as a whole.
    pub(crate) fn recipients_like(
        &self,
        object: &SealedSecret,
        named: &Clusters,
    ) -> Result<Vec<Recipient>, Failure> {
        if named.all || !named.names.is_empty() {
            return self.recipients(named);
        }
        let kids: BTreeSet<Kid> =
            object.used_slots().flat_map(|slot| slot.wraps()).map(|wrap| wrap.kid()).collect();
        let names: Vec<&str> = self
            .clusters
            .iter()
            .filter(|(_, keys)| keys.keys.iter().any(|key| kids.contains(&key.recipient.kid())))
            .map(|(name, _)| name.as_str())
            .collect();
        if !names.is_empty() {
            return self.of_clusters(names);
        }
        let strangers: Vec<_> =
            kids.iter().filter(|kid| !self.is_escrow(**kid)).map(Kid::to_string).collect();
        if strangers.is_empty() || self.is_empty() {
            return self.recipients(named);
        }
        let name = object.full_name();
        Err(Failure::new(
            format!("{name} is sealed for nobody that is pinned here"),
            format!("it is for {}; pinned are {}", strangers.join(", "), self.listed()),
            "take its cluster's keys in: strongroom sealing-keys fetch FILE|URL; \
             or wrap it for one that is pinned, with --all-clusters for all: strongroom reseal FILE --cluster NAME --key FILE",
        ))
    }

    /// The clusters that could open an object as it was and cannot as it is.
    pub(crate) fn shut_out(&self, old: &SealedSecret, new: &SealedSecret) -> Vec<&str> {
        let opens = |keys: &SealingKeys, object: &SealedSecret| {
            let is_of = |wrap: &Wrap| keys.keys.iter().any(|key| key.recipient.kid() == wrap.kid());
            object.used_slots().all(|slot| slot.wraps().iter().any(is_of))
        };
        let lost = self.clusters.iter().filter(|(_, keys)| opens(keys, old) && !opens(keys, new));
        lost.map(|(name, _)| name.as_str()).collect()
    }

    /// Who could open an object as it was and cannot as it is, and whose keys nobody here knows.
    pub(crate) fn left_out(&self, old: &SealedSecret, new: &SealedSecret) -> Vec<Kid> {
        let lost = openers(old).into_iter().filter(|kid| {
            new.used_slots().any(|slot| slot.wraps().iter().all(|wrap| wrap.kid() != *kid))
        });
        lost.filter(|kid| self.owner(*kid).is_none()).collect()
    }

    fn of_clusters(&self, names: Vec<&str>) -> Result<Vec<Recipient>, Failure> {
        let mut out = Vec::new();
        for name in names {
            let keys = self.clusters.get(name).ok_or_else(|| {
                Failure::new(
                    format!("cluster {name} is not pinned here"),
                    format!("pinned are: {}", self.listed()),
                    "name one of these, or take its keys in: strongroom sealing-keys fetch FILE|URL",
                )
                .usage()
            })?;
            let active = keys.active().ok_or_else(|| {
                Failure::new(
                    format!("cluster {name} has no active sealing key"),
                    "all of its keys are pending, retiring or retired",
                    "take its keys in again: strongroom sealing-keys fetch FILE|URL",
                )
            })?;
            out.push(active.recipient.clone());
        }
        out.extend(self.escrow.iter().map(|escrow| escrow.recipient.clone()));
        Ok(out)
    }

    /// Whether it seals for nobody.
    pub(crate) fn is_empty(&self) -> bool {
        self.clusters.is_empty() && self.escrow.is_none()
    }

    /// The cluster of a key, and how far it is in its life.
    pub(crate) fn state(&self, kid: Kid) -> Option<(&str, KeyState)> {
        self.clusters.iter().find_map(|(name, keys)| {
            let key = keys.keys.iter().find(|key| key.recipient.kid() == kid)?;
            Some((name.as_str(), key.state))
        })
    }

    /// Whether a key is the escrow's.
    pub(crate) fn is_escrow(&self, kid: Kid) -> bool {
        self.escrow.as_ref().is_some_and(|escrow| escrow.recipient.kid() == kid)
    }

    /// Whose key that is, for people.
    pub(crate) fn owner(&self, kid: Kid) -> Option<String> {
        if self.is_escrow(kid) {
            return Some("escrow".to_owned());
        }
        self.state(kid).map(|(cluster, state)| format!("{cluster} ({state})"))
    }

    fn listed(&self) -> String {
        if self.clusters.is_empty() {
            return "none".to_owned();
        }
        self.clusters.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// What holds for files, by the repositories that their folders lie in; each is read once, however many folders it has.
pub(crate) struct ByFolder<T> {
    roots: BTreeMap<PathBuf, Option<PathBuf>>,
    of: BTreeMap<Option<PathBuf>, T>,
}

impl<T> ByFolder<T> {
    /// Looks up all of them before anything is begun.
    pub(crate) fn make<'p>(
        files: impl IntoIterator<Item = &'p Path>,
        make: impl Fn(Repository) -> Result<T, Failure>,
    ) -> Result<Self, Failure> {
        let mut out = Self { roots: BTreeMap::new(), of: BTreeMap::new() };
        for folder in files.into_iter().map(real_folder_of) {
            if out.roots.contains_key(&folder) {
                continue;
            }
            let root = Repository::root_of(&folder)?;
            if let Entry::Vacant(vacant) = out.of.entry(root.clone()) {
                let repository =
                    root.as_deref().map_or_else(|| Ok(Repository::default()), Repository::read);
                vacant.insert(make(repository?)?);
            }
            out.roots.insert(folder, root);
        }
        Ok(out)
    }

    /// What holds for a file that was looked up.
    pub(crate) fn get(&self, file: &Path) -> Option<&T> {
        self.of.get(self.roots.get(&real_folder_of(file))?)
    }
}

/// The folder that a file lies in, and not that of a link to it.
fn real_folder_of(file: &Path) -> PathBuf {
    let real = file.is_symlink().then(|| file.canonicalize().ok()).flatten();
    folder_of(real.as_deref().unwrap_or(file)).to_owned()
}

/// Who opens all values of an object.
fn openers(object: &SealedSecret) -> BTreeSet<Kid> {
    let of_slots = object.used_slots().map(|slot| slot.wraps().iter().map(Wrap::kid).collect());
    of_slots.reduce(|all: BTreeSet<Kid>, of_slot| &all & &of_slot).unwrap_or_default()
}

/// Also where it is a link that leads nowhere.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        format!("{} cannot be read", path.display()),
        error.to_string(),
        "check its permissions, and where it leads if it is a link",
    )
}
