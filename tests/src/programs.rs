//! etcd, kube-apiserver and kubectl: found, or built once from the pinned sources in `tests/cluster`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, bail};
use ring::digest::{SHA256, digest};

use crate::golang::Go;

/// What is built, with the package that makes it.
const PACKAGES: [(&str, &str); 3] = [
    ("etcd", "go.etcd.io/etcd/server/v3"),
    ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
];

/// A folder that has all three.
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Finds them, in this order: the folder that `KUBEBUILDER_ASSETS` names; the cache; built into the cache.
    pub fn find() -> Result<&'static Self> {
        static FOUND: OnceLock<Result<Programs, String>> = OnceLock::new();
        let found = FOUND.get_or_init(|| find().map_err(|error| format!("{error:#}")));
        found.as_ref().map_err(|error| anyhow!("{error}"))
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The program.
    pub fn etcd(&self) -> PathBuf {
        self.folder.join("etcd")
    }

    /// The program.
    pub fn kube_apiserver(&self) -> PathBuf {
        self.folder.join("kube-apiserver")
    }

    /// The program.
    pub fn kubectl(&self) -> PathBuf {
        self.folder.join("kubectl")
    }
}

fn find() -> Result<Programs> {
    if let Some(folder) = variable("KUBEBUILDER_ASSETS") {
        return given(PathBuf::from(folder));
    }
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster");
    let cache = cache()?;
    let folder = cache.join(format!("cluster-{}", fingerprint(&sources)?));
    if !folder.is_dir() {
        build(&sources, &cache, &folder)?;
    }
    Ok(Programs { folder })
}

fn given(folder: PathBuf) -> Result<Programs> {
    let missing: Vec<&str> = PACKAGES
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| !folder.join(name).is_file())
        .collect();
    if !missing.is_empty() {
        bail!("KUBEBUILDER_ASSETS names {}, which lacks {missing:?}", folder.display());
    }
    Ok(Programs { folder })
}

/// The folder appears complete or not at all: it is built under another name. A lock lets only one process build.
fn build(sources: &Path, cache: &Path, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(cache)
        .with_context(|| format!("{} cannot be made", cache.display()))?;
    let lock = File::create(cache.join("lock")).context("the cache cannot be locked")?;
    lock.lock().context("the cache cannot be locked")?;
    if folder.is_dir() {
        return Ok(());
    }
    let go = Go::find(cache)?;
    let partial = folder.with_extension("partial");
    if partial.exists() {
        std::fs::remove_dir_all(&partial).context("a killed build cannot be removed")?;
    }
    for (name, package) in PACKAGES {
        say(&format!("building {name} from {package}: minutes if Go never did, seconds else"));
        go.build(sources, package, &partial.join(name))?;
    }
    go.clean()?;
    std::fs::rename(&partial, folder).context("what was built cannot be moved to its place")
}

/// `$XDG_CACHE_HOME/strongroom` or `~/.cache/strongroom`: outside `target`, so that `cargo clean` costs seconds.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = match (variable("XDG_CACHE_HOME"), variable("HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, Some(home)) => Path::new(&home).join(".cache"),
        (None, None) => bail!("neither XDG_CACHE_HOME nor HOME is set"),
    };
    Ok(base.join("strongroom"))
}

fn fingerprint(sources: &Path) -> Result<String> {
    let mut both = Vec::new();
    for name in ["go.mod", "go.sum"] {
        let path = sources.join(name);
        both.extend(
            std::fs::read(&path).with_context(|| format!("{} is missing", path.display()))?,
        );
    }
    let hash = digest(&SHA256, &both);
    Ok(hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

#[expect(
    clippy::disallowed_methods,
    reason = "where programs and caches lie is said by the environment"
)]
fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Tells whoever waits what takes its time.
#[expect(clippy::print_stderr, reason = "progress of set-up; the test harness captures it")]
pub(crate) fn say(what: &str) {
    eprintln!("testbed: {what}");
}
