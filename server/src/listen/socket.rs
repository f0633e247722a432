use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
};

/// Where a socket is bound, and by which setting the operator chose it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its path.
    pub path: &'a Path,
    /// Its owner, a uid; absent: ours.
    pub owner: Option<u32>,
    /// Its group, a gid; absent: ours.
    pub group: Option<u32>,
    /// What an error tells the operator to change.
    pub setting: &'static str,
}

/// The listening socket, with the lock that says it is ours.
///
/// Bound and listening under another name, then renamed into place: who sees it can connect. (kube-apiserver waits a second
/// after a refused connection.)
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    file: SocketFile,
}

/// The name of the socket in the file system. Dropping it removes the name, where it still is ours.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: u64,
    /// Held for as long as we serve; the kernel lets go of it however we die.
    _lock: File,
}

impl Socket {
    /// Binds a socket of the configuration. Its folder is made with mode 0750 where there is none.
    ///
    /// # Errors
    /// [`BindError`]; whoever serves there already, and whatever else lies there, is left untouched.
    pub fn bind<'a>(place: impl Into<Place<'a>>) -> Result<Self, BindError> {
        let Place { path, owner, group, setting } = place.into();
        let failed = |what| move |source| BindError::Io { path: path.into(), what, source };
        if let Some(folder) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o750)
                .create(folder)
                .map_err(failed("its folder cannot be made"))?;
        }
        let lock = lock(path, setting)?;
        refuse_occupied(path, setting)?;

        let new = beside(path, "new");
        remove_socket(&new).map_err(failed("the socket of an earlier start cannot be removed"))?;
        let listener = UnixListener::bind(&new).map_err(failed("it cannot be bound"))?;
        chown(&new, owner, group).map_err(failed("its owner cannot be set"))?;
        fs::set_permissions(&new, Permissions::from_mode(0o660))
            .map_err(failed("its mode cannot be set"))?;
        let inode = new.symlink_metadata().map_err(failed("it cannot be read"))?.ino();
        fs::rename(&new, path).map_err(failed("it cannot be renamed into place"))?;
        let file = SocketFile { path: path.into(), inode, _lock: lock };
        Ok(Self { listener, file })
    }

    pub(crate) fn into_parts(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.path.symlink_metadata().is_ok_and(|metadata| metadata.ino() == self.inode) {
            // Nothing to do where it fails: the next start replaces a socket that nobody serves.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn lock(path: &Path, setting: &'static str) -> Result<File, BindError> {
    let lock_path = beside(path, "lock");
    let failed = |source| BindError::Io {
        path: lock_path.clone(),
        what: "the lock file cannot be used",
        source,
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock_path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BindError::Served { path: path.into(), setting }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Refuses to replace anything but a socket that nobody serves.
fn refuse_occupied(path: &Path, setting: &'static str) -> Result<(), BindError> {
    let unreadable =
        |source| BindError::Io { path: path.into(), what: "it cannot be examined", source };
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(unreadable(source)),
    };
    if !metadata.file_type().is_socket() {
        return Err(BindError::NotSocket { path: path.into(), setting });
    }
    match connect_now(path) {
        // AGAIN: somebody listens, and his queue is full.
        Ok(()) | Err(Errno::AGAIN) => Err(BindError::Served { path: path.into(), setting }),
        Err(Errno::CONNREFUSED) => Ok(()),
        Err(error) => Err(unreadable(error.into())),
    }
}

/// Connects without waiting for a place in the queue.
fn connect_now(path: &Path) -> Result<(), Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let probe = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(probe, &SocketAddrUnix::new(path)?)
}

fn remove_socket(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// The socket is not ours to serve. Every message says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Somebody serves there.
    #[error(
        "another daemon serves {}: stop it first, or give this one a socket of its own ({setting})",
        path.display()
    )]
    Served {
        /// The socket.
        path: PathBuf,
        /// What to change.
        setting: &'static str,
    },
    /// Something else lies there.
    #[error(
        "{} exists and is not a socket, so it is left alone: move it away, or choose another path ({setting})",
        path.display()
    )]
    NotSocket {
        /// The path.
        path: PathBuf,
        /// What to change.
        setting: &'static str,
    },
    /// The system refused.
    #[error("the socket {}: {what}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}
