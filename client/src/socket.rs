//! Where a plugin listens, and why it cannot be reached.

use std::{
    fmt, fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use tokio::net::{UnixStream, unix::UCred};

use crate::failure::Failure;

/// A Unix socket, by path or by abstract name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Path(PathBuf),
    /// A name in Linux's abstract namespace: no file, no modes.
    Abstract(String),
}

impl Address {
    /// Connects, or says why not. `patience` bounds a listener whose queue is full.
    pub(crate) async fn connect(&self, patience: Duration) -> Result<UnixStream, Unreachable> {
        let name = match self {
            Self::Path(path) => path.clone(),
            Self::Abstract(name) => format!("\0{name}").into(),
        };
        match tokio::time::timeout(patience, UnixStream::connect(name)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(Unreachable::diagnose(self, error)),
            Err(_) => Err(Unreachable::Silent { address: self.clone(), patience }),
        }
    }

    /// What the file system says; nothing for an abstract name.
    pub(crate) fn facts(&self) -> Result<Option<Facts>, Unreachable> {
        let Self::Path(path) = self else { return Ok(None) };
        let look =
            |path: &Path| fs::metadata(path).map_err(|error| Unreachable::diagnose(self, error));
        let file = look(path)?;
        if !file.file_type().is_socket() {
            return Err(Unreachable::NotASocket { path: path.clone(), kind: kind(&file) });
        }
        let parent = look(parent(path))?;
        Ok(Some(Facts {
            mode: file.mode() & 0o7777,
            uid: file.uid(),
            gid: file.gid(),
            parent_mode: parent.mode() & 0o7777,
        }))
    }
}

impl FromStr for Address {
    type Err = String;

    /// Takes a path, `@name`, and the `endpoint` of an EncryptionConfiguration (`unix:///path`, `unix:///@name`).
    fn from_str(text: &str) -> Result<Self, String> {
        let (path, is_endpoint) = match text.split_once("://") {
            None => (text, false),
            Some(("unix", path)) if path.starts_with('/') => (path, true),
            Some(_) => {
                return Err(
                    "expected a path, @name, or unix:///path as in an EncryptionConfiguration"
                        .to_owned(),
                );
            }
        };
        let name = if is_endpoint { path.strip_prefix("/@") } else { path.strip_prefix('@') };
        match name {
            Some("") => Err("expected a name after @".to_owned()),
            Some(name) => Ok(Self::Abstract(name.to_owned())),
            None if path.is_empty() => Err("expected a path".to_owned()),
            None => Ok(Self::Path(path.into())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

/// Modes and owner of a socket file, and the modes of its folder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) parent_mode: u32,
}

/// Who listens, by the kernel's word.
pub(crate) fn listener(stream: &UnixStream) -> Option<UCred> {
    stream.peer_cred().ok()
}

/// Why there is nobody to talk to. Each case names another person to act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Unreachable {
    #[error("no such socket: {}", path.display())]
    Missing { path: PathBuf },
    #[error("no such socket: {}", address)]
    MissingName { address: Address },
    #[error("not a socket: {} is {kind}", path.display())]
    NotASocket { path: PathBuf, kind: &'static str },
    #[error("permission denied: {}", path.display())]
    Denied { path: PathBuf },
    #[error("nobody is serving {address}")]
    Refused { address: Address },
    #[error("no answer from {address}")]
    Silent { address: Address, patience: Duration },
    #[error("cannot connect to {address}")]
    Other {
        address: Address,
        #[source]
        source: io::Error,
    },
}

impl Unreachable {
    fn diagnose(address: &Address, error: io::Error) -> Self {
        match (address, error.kind()) {
            (Address::Path(path), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Self::Missing { path: path.clone() }
            }
            (Address::Path(path), io::ErrorKind::PermissionDenied) => {
                Self::Denied { path: path.clone() }
            }
            // Abstract names know only "refused": there is no file that could be missing.
            (Address::Abstract(_), io::ErrorKind::ConnectionRefused) => {
                Self::MissingName { address: address.clone() }
            }
            (Address::Path(_), io::ErrorKind::ConnectionRefused) => {
                Self::Refused { address: address.clone() }
            }
            _ => Self::Other { address: address.clone(), source: error },
        }
    }

    /// Why, and what to do next.
    pub(crate) fn explain(&self) -> Failure {
        let (why, next) = match self {
            Self::Missing { path } if parent(path).is_dir() => (
                "its folder is there, the socket is not: the plugin does not run, or listens elsewhere".to_owned(),
                format!("{START}\nor compare the path with `endpoint` in kube-apiserver's EncryptionConfiguration"),
            ),
            Self::Missing { path } => (
                format!("the folder {} does not exist (or is hidden from uid {})", parent(path).display(), uid()),
                format!("check the path, and inside a container that the folder is mounted;\n{START}"),
            ),
            Self::MissingName { .. } => (
                "no process of this network namespace listens on that abstract name".to_owned(),
                format!("{START}\nabstract names do not cross network namespaces: probe from the host's"),
            ),
            Self::NotASocket { .. } => (
                "a plugin listens on a Unix socket; something else lies in its place, and a careful plugin will not remove it".to_owned(),
                "check the path; if the file is not needed, move it away and start the plugin again".to_owned(),
            ),
            Self::Denied { path } => (denied(path), "run this as a user who may: root, or a member of the socket's group\n(kube-apiserver needs the same permission)".to_owned()),
            Self::Refused { .. } => (
                "the socket lies there, but no process listens on it: the one that made it has ended".to_owned(),
                format!("{START}\na stale socket need not be removed first: strongroomd replaces it"),
            ),
            Self::Silent { patience, .. } => (
                format!("the listener did not accept within {patience:?}: it hangs, or its queue is full"),
                "look at the plugin's log and CPU; restart it if it hangs".to_owned(),
            ),
            Self::Other { source, .. } => (source.to_string(), "check the path (at most 107 bytes) and the system's limits, then try again".to_owned()),
        };
        Failure::new(self.to_string(), why, next)
    }
}

const START: &str =
    "start the plugin: `strongroomd serve --config FILE` (or `systemctl start strongroomd`)";

fn denied(path: &Path) -> String {
    let of = |path: &Path| {
        let facts = fs::metadata(path).ok()?;
        Some(format!(
            "{} has mode {:04o}, owner {}:{}",
            path.display(),
            facts.mode() & 0o7777,
            facts.uid(),
            facts.gid()
        ))
    };
    let shut = of(path).or_else(|| of(parent(path)));
    format!(
        "you are uid {}, gid {}{}",
        uid(),
        rustix::process::getgid().as_raw(),
        shut.map(|shut| format!("; {shut}")).unwrap_or_default()
    )
}

fn uid() -> u32 {
    rustix::process::getuid().as_raw()
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

fn kind(file: &fs::Metadata) -> &'static str {
    let kind = file.file_type();
    if kind.is_dir() {
        "a folder"
    } else if kind.is_file() {
        "a regular file"
    } else {
        "a device or pipe"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_kube_apiserver_reads_its_endpoint() {
        let path = |path: &str| Ok(Address::Path(path.into()));
        let name = |name: &str| Ok(Address::Abstract(name.to_owned()));
        assert_eq!("/run/kms.sock".parse(), path("/run/kms.sock"));
        assert_eq!("unix:///run/kms.sock".parse(), path("/run/kms.sock"));
        assert_eq!("unix:///@strongroom".parse(), name("strongroom"));
        assert_eq!("@strongroom".parse(), name("strongroom"));
        assert_eq!("./@odd".parse(), path("./@odd"));
        for wrong in [
            "",
            "@",
            "unix:///@",
            "unix://",
            "unix://relative",
            "http://localhost",
            "tcp://127.0.0.1:1",
        ] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong:?} was taken for an address");
        }
    }
}
