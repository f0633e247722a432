//! The configuration file, parsed into values that are already right.
//!
//! Invariant: loading it binds, connects and spawns nothing. A key that this program does not know is an error that names its
//! line, because a setting that is silently ignored is a setting that somebody relies on.

mod api;
mod root;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    ledger::ClusterId,
    rotation::{Policy, Schedule, schedule::parse_span},
};

pub use self::{
    api::{Api, Listen, Tls},
    root::{AwsKey, AwsKms, Root},
};

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
    /// Where rotation is tracked; absent: keys stay as the bundle has them.
    pub ledger: Option<Ledger>,
    /// Leading rotations; absent: other replicas do.
    pub rotation: Option<Rotation>,
    /// Health and metrics over HTTP; absent: none.
    pub admin: Option<Admin>,
    /// The admin API; absent: none.
    pub api: Option<Api>,
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

/// `[ledger]`: where rotation is tracked.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawLedger")]
pub struct Ledger {
    /// Which database.
    pub database: Database,
    /// Identity of the cluster; absent: the file `cluster` in the bundle folder, which `init` writes.
    pub cluster: Option<ClusterId>,
    /// Name of this replica in the cluster; absent: the host's.
    pub replica: Option<ReplicaName>,
}

/// A database that a ledger can lie in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A file on this machine. For one node: others cannot see it.
    Sqlite {
        /// The file; made by `init`.
        file: AbsolutePath,
    },
    /// A server, for any number of nodes and clusters.
    Postgres {
        /// `postgres://user@host/database`, without a password.
        url: String,
        /// Certificates of the authorities that may vouch for the server; absent: the system's.
        ca_file: Option<AbsolutePath>,
        /// File with the password; absent: the environment variable `STRONGROOM_LEDGER_PASSWORD`, or none.
        password_file: Option<AbsolutePath>,
        /// Most connections of this daemon.
        max_connections: u32,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLedger {
    file: Option<AbsolutePath>,
    url: Option<String>,
    ca_file: Option<AbsolutePath>,
    password_file: Option<AbsolutePath>,
    max_connections: Option<u32>,
    cluster: Option<ClusterId>,
    replica: Option<ReplicaName>,
}

impl TryFrom<RawLedger> for Ledger {
    type Error = &'static str;

    fn try_from(raw: RawLedger) -> Result<Self, Self::Error> {
        let RawLedger { file, url, ca_file, password_file, max_connections, cluster, replica } =
            raw;
        let of_postgres = ca_file.is_some() || password_file.is_some() || max_connections.is_some();
        let database = match (file, url) {
            (Some(_), None) if of_postgres => {
                return Err("`ca_file`, `password_file` and `max_connections` belong to a `url`");
            }
            (Some(file), None) => Database::Sqlite { file },
            (None, Some(url)) => {
                let max_connections = max_connections.unwrap_or(4);
                if !(2..=64).contains(&max_connections) {
                    return Err("`max_connections` is 2 to 64");
                }
                Database::Postgres { url, ca_file, password_file, max_connections }
            }
            _ => return Err("either `file` (SQLite) or `url` (Postgres) is needed"),
        };
        Ok(Self { database, cluster, replica })
    }
}

impl<'de> Deserialize<'de> for ClusterId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?)
            .ok_or_else(|| D::Error::custom("a cluster identity has 32 hexadecimal digits"))
    }
}

/// Name of a replica: 1 to 63 of `a`–`z`, `0`–`9`, `-` and `.`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ReplicaName(String);

impl std::ops::Deref for ReplicaName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ReplicaName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
        if (1..=63).contains(&name.len()) && name.bytes().all(fits) {
            Ok(Self(name))
        } else {
            Err("the name of a replica has 1 to 63 of a-z, 0-9, '-' and '.'")
        }
    }
}

/// `[rotation]`: when rotations begin by themselves, and how long things are waited for.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawRotation")]
pub struct Rotation {
    /// When a rotation begins by itself.
    pub policy: Policy,
    /// Apiservers whose metrics are read.
    pub apiservers: Vec<Apiserver>,
    /// Resources that kube-apiserver encrypts, to say how many objects are to be rewritten.
    pub resources: Vec<String>,
}

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRotation {
    schedule: Option<String>,
    every: Option<String>,
    window: Option<String>,
    jitter: Option<String>,
    max_age: Option<String>,
    converge_after: Option<String>,
    #[serde(default)]
    follow_provider: bool,
    #[serde(default)]
    apiservers: Vec<Apiserver>,
    #[serde(default = "secrets")]
    resources: Vec<String>,
}

impl TryFrom<RawRotation> for Rotation {
    type Error = String;

    fn try_from(raw: RawRotation) -> Result<Self, String> {
        let named = |field: &'static str| move |error| format!("`{field}`: {error}");
        let span = |field, text: Option<String>| {
            text.map(|text| parse_span(&text).map_err(named(field))).transpose()
        };
        let (window, jitter) = (raw.window.as_deref(), raw.jitter.as_deref());
        let schedule = match (&raw.schedule, &raw.every) {
            (Some(_), Some(_)) => return Err("either `schedule` or `every`, not both".into()),
            (Some(cron), None) => {
                Some(Schedule::parse(cron, window, jitter).map_err(named("schedule"))?)
            }
            (None, Some(every)) => {
                Some(Schedule::parse(every, window, jitter).map_err(named("every"))?)
            }
            (None, None) if window.is_some() || jitter.is_some() => {
                return Err("`window` and `jitter` belong to a `schedule`".into());
            }
            (None, None) => None,
        };
        let converge_after = span("converge_after", raw.converge_after)?;
        let policy = Policy {
            converge_after: converge_after.unwrap_or(Policy::CONVERGE_AFTER),
            schedule,
            max_age: span("max_age", raw.max_age)?,
            follow_provider: raw.follow_provider,
        };
        Ok(Self { policy, apiservers: raw.apiservers, resources: raw.resources })
    }
}

fn secrets() -> Vec<String> {
    vec!["secrets".into()]
}

/// One of `[[rotation.apiservers]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apiserver {
    /// What it is called in `strongroom rotate status`.
    pub name: String,
    /// Its own address, behind no load balancer; absent: the kubeconfig's.
    pub url: Option<String>,
    /// Credentials; absent: the service account of the pod.
    pub kubeconfig: Option<AbsolutePath>,
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

impl Roots {
    fn pin_in(&mut self, folder: &Path) {
        for root in &mut self.0 {
            if let Root::AwsKms(key) = root {
                key.pins = folder.into();
            }
        }
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
        let mut config: Self = toml::from_str(text)?;
        config.roots.pin_in(&config.bundle.dir);
        Ok(config)
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
