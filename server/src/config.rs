//! The configuration file, parsed into values that are already right.
//!
//! Invariant: loading it binds, connects and spawns nothing. A key that this program does not know is an error that names its
//! line, because a setting that is silently ignored is a setting that somebody relies on.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// Longest path of a unix socket: `sun_path` has 108 bytes, one of them NUL, and we bind under a name 4 bytes longer first.
const MAX_SOCKET_PATH: usize = 103;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Serving kube-apiserver.
    pub kms: Kms,
    /// Where bundles lie on this node.
    pub bundle: BundleFolder,
    /// Root keys, the preferred one first.
    pub roots: Roots,
    /// Health and metrics over HTTP; absent: none.
    pub admin: Option<Admin>,
}

/// `[kms]`: the socket that kube-apiserver talks to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kms {
    /// Path of the unix socket.
    pub socket: SocketPath,
    /// Owner of the socket, a uid; absent: the daemon's.
    pub owner: Option<u32>,
    /// Group of the socket, a gid; absent: the daemon's.
    pub group: Option<u32>,
    /// Peers that may connect, by uid. Where neither list is given: root and the daemon's own user.
    pub allow_uids: Option<Uids>,
    /// Peers that may connect, by gid.
    #[serde(default)]
    pub allow_gids: Vec<u32>,
    /// Whether Encrypt adds the wrapped key version, so that an etcd backup and a root are enough to recover.
    #[serde(default = "yes")]
    pub annotation: bool,
}

fn yes() -> bool {
    true
}

/// At least one uid: an empty list would admit nobody and look as if it admitted everybody.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<u32>")]
pub struct Uids(Vec<u32>);

impl std::ops::Deref for Uids {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        &self.0
    }
}

impl TryFrom<Vec<u32>> for Uids {
    type Error = &'static str;

    fn try_from(uids: Vec<u32>) -> Result<Self, Self::Error> {
        if uids.is_empty() {
            return Err("an empty list admits nobody: name a uid, or leave the key out");
        }
        Ok(Self(uids))
    }
}

/// `[bundle]`: where bundles lie on this node.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleFolder {
    /// The folder; the daemon writes there.
    pub dir: AbsolutePath,
}

/// One of `[[roots]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawRoot")]
pub enum Root {
    /// A key file on this machine.
    Local {
        /// The file.
        file: AbsolutePath,
    },
}

/// As it is written. (An enum with a tag would lose the lines of what is inside.)
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoot {
    kind: RootKind,
    file: Option<AbsolutePath>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RootKind {
    Local,
}

impl TryFrom<RawRoot> for Root {
    type Error = &'static str;

    fn try_from(raw: RawRoot) -> Result<Self, Self::Error> {
        let RootKind::Local = raw.kind;
        let file = raw.file.ok_or("missing field `file`: a local root key is a file")?;
        Ok(Self::Local { file })
    }
}

/// `[admin]`: `/livez`, `/readyz` and `/metrics`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Address and port. It answers to everybody who can reach it and tells no secret; loopback is advised.
    pub listen: SocketAddr,
}

/// At least one root, none twice.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Vec<Root>")]
pub struct Roots(Vec<Root>);

impl std::ops::Deref for Roots {
    type Target = [Root];

    fn deref(&self) -> &[Root] {
        &self.0
    }
}

impl TryFrom<Vec<Root>> for Roots {
    type Error = &'static str;

    fn try_from(roots: Vec<Root>) -> Result<Self, Self::Error> {
        if roots.is_empty() {
            return Err("at least one root key is needed");
        }
        let repeated = roots
            .iter()
            .enumerate()
            .any(|(i, root)| roots.iter().skip(i + 1).any(|other| other == root));
        if repeated { Err("a root key stands here twice") } else { Ok(Self(roots)) }
    }
}

/// A path that means the same from every working directory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "PathBuf")]
pub struct AbsolutePath(PathBuf);

impl std::ops::Deref for AbsolutePath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl TryFrom<PathBuf> for AbsolutePath {
    type Error = &'static str;

    fn try_from(path: PathBuf) -> Result<Self, Self::Error> {
        if path.is_absolute() { Ok(Self(path)) } else { Err("the path must be absolute") }
    }
}

/// A path that a unix socket can have.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "AbsolutePath")]
pub struct SocketPath(AbsolutePath);

impl std::ops::Deref for SocketPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl TryFrom<AbsolutePath> for SocketPath {
    type Error = String;

    fn try_from(path: AbsolutePath) -> Result<Self, Self::Error> {
        let len = path.as_os_str().len();
        if len > MAX_SOCKET_PATH {
            return Err(format!(
                "the path of a socket can have {MAX_SOCKET_PATH} bytes, and this one has {len}: choose a shorter folder"
            ));
        }
        if path.file_name().is_none() {
            return Err("the path must name a file".into());
        }
        Ok(Self(path))
    }
}

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// [`ConfigError`], with line and key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.into(), source })?;
        Self::parse(&text).map_err(|source| ConfigError::Parse { path: path.into(), source })
    }

    /// Checks the text of a file.
    ///
    /// # Errors
    /// What is wrong, with line and key.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {path} cannot be read: {source}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its text is not a configuration.
    #[error("the configuration {path} is wrong: {source}", path = .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: toml::de::Error,
    },
}
