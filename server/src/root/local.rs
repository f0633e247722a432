use std::{
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use envelope::{
    Context, KeyMaterial, LocalRoot, Random, RandomError, RootId, SystemRandom, WrappedKey,
};
use rustix::process::geteuid;
use tokio::sync::Semaphore;

use super::{Checked, RootError, RootErrorKind, RootKey};

/// A root key in a file: 32 random bytes, mode 0600 or 0400, owned by the user of the daemon.
///
/// The key is read for each use and wiped after it. The daemon needs it a few times a day; between those it is in no memory
/// image, and a file that was taken away or loosened is noticed by the next probe.
#[derive(Debug)]
pub struct LocalFile {
    path: PathBuf,
    id: RootId,
    /// A load asks for all versions at once; it needs no thread for each of them.
    readers: Arc<Semaphore>,
}

const MAX_READERS: usize = 4;

impl LocalFile {
    /// Makes a new root key in a new file.
    ///
    /// # Errors
    /// [`CreateRootError`]; a file that exists is never changed.
    pub fn create(path: &Path, random: &dyn Random) -> Result<RootId, CreateRootError> {
        let key = KeyMaterial::make(random)?;
        durable::create(path, key.expose_secret(), 0o600, &|_| {})
            .map_err(|source| CreateRootError::Io { path: path.into(), source })?;
        Ok(LocalRoot::new(&key).id())
    }

    /// Opens the file and learns the id of its key.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn open(path: &Path) -> Result<Self, FileError> {
        let readers = Arc::new(Semaphore::new(MAX_READERS));
        let id = apart(&readers, path, read).await?.id();
        Ok(Self { path: path.into(), id, readers })
    }

    async fn read(&self) -> Result<LocalRoot, RootError> {
        let root = apart(&self.readers, &self.path, read).await.map_err(|error| {
            let kind = match error {
                FileError::Missing { .. } | FileError::Io { .. } => RootErrorKind::Unavailable,
                _ => RootErrorKind::Denied,
            };
            self.error(kind, error.to_string())
        })?;
        if root.id() != self.id {
            let message = format!(
                "the file now holds another key, {}, and {} is expected: put the old file back, or restart to use the new one",
                root.id(),
                self.id
            );
            return Err(self.error(RootErrorKind::Corrupt, message));
        }
        Ok(root)
    }

    fn error(&self, kind: RootErrorKind, message: impl Into<String>) -> RootError {
        RootError { name: self.path.display().to_string(), kind, message: message.into() }
    }
}

#[async_trait]
impl RootKey for LocalFile {
    fn id(&self) -> RootId {
        self.id
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    async fn check(&self) -> Result<Checked, RootError> {
        self.read().await.map(|_| Checked::default())
    }

    async fn wrap(&self, key: &KeyMaterial, context: Context<'_>) -> Result<WrappedKey, RootError> {
        let root = self.read().await?;
        root.wrap(key, &context, &SystemRandom)
            .map_err(|error| self.error(RootErrorKind::Unavailable, error.to_string()))
    }

    async fn unwrap(
        &self,
        wrapped: &WrappedKey,
        context: Context<'_>,
    ) -> Result<KeyMaterial, RootError> {
        let root = self.read().await?;
        root.unwrap(wrapped, &context)
            .map_err(|error| self.error(RootErrorKind::Corrupt, error.to_string()))
    }

    /// A file is its material.
    async fn material(&self, _: &WrappedKey, _: Context<'_>) -> Result<Option<String>, RootError> {
        Ok(None)
    }
}

/// Works with the file away from the serving thread: a file system can hang. Who asked may go, and the thread stays as long as it
/// hangs; so it is the thread that is counted.
async fn apart(
    readers: &Arc<Semaphore>,
    path: &Path,
    work: impl FnOnce(&Path) -> Result<LocalRoot, FileError> + Send + 'static,
) -> Result<LocalRoot, FileError> {
    let reader = Arc::clone(readers).acquire_owned().await;
    let owned = path.to_owned();
    tokio::task::spawn_blocking(move || {
        let _reader = reader;
        work(&owned)
    })
    .await
    .unwrap_or_else(|error| Err(FileError::Io { path: path.into(), source: error.into() }))
}

fn read(path: &Path) -> Result<LocalRoot, FileError> {
    let io = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => FileError::Missing { path: path.into() },
        io::ErrorKind::InvalidInput => FileError::NotFile { path: path.into() },
        _ => FileError::Io { path: path.into(), source },
    };
    let mut file = durable::open(path).map_err(io)?;
    // What was opened is what is judged: nobody can change the file in between.
    let metadata = file.metadata().map_err(io)?;
    let mode = metadata.mode() & 0o7777;
    if !matches!(mode, 0o600 | 0o400) {
        return Err(FileError::Mode { path: path.into(), mode });
    }
    let euid = geteuid().as_raw();
    if metadata.uid() != euid {
        return Err(FileError::Owner { path: path.into(), owner: metadata.uid(), euid });
    }
    if metadata.len() != KeyMaterial::LEN as u64 {
        return Err(FileError::Length { path: path.into(), len: metadata.len() });
    }
    let key = KeyMaterial::try_build(|bytes| file.read_exact(bytes)).map_err(io)?;
    Ok(LocalRoot::new(&key))
}

/// The root key file cannot be used. Every message ends with what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// There is no file.
    #[error(
        "the root key {path} is missing: restore it from your backup, or, on a node that never had one, run strongroomd init --config FILE", path = .path.display()
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// It is something else.
    #[error("the root key {path} is not a regular file", path = .path.display())]
    NotFile {
        /// What was opened.
        path: PathBuf,
    },
    /// Others could read it.
    #[error("the root key {path} has mode {mode:04o}, which is not 0600 or 0400: run chmod 0600 {path}", path = .path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("the root key {path} belongs to uid {owner}, and this daemon runs as {euid}: run chown {euid} {path}", path = .path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        euid: u32,
    },
    /// It is no key.
    #[error("the root key {path} has {len} bytes, and a key has 32: restore it from your backup", path = .path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length.
        len: u64,
    },
    /// It could not be read.
    #[error("the root key {path} cannot be read: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// No new root key was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateRootError {
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// It could not be written.
    #[error("the root key {path} cannot be made: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
        time::Duration,
    };

    use tokio::time::timeout;

    use super::*;

    /// As on a file system that hangs: whoever reads waits, and whoever asked has gone.
    #[tokio::test]
    async fn file_system_that_hangs_takes_a_few_threads_and_not_one_more_for_each_question() {
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        let readers = Arc::new(Semaphore::new(MAX_READERS));
        let (hangs, back) = mpsc::channel::<()>();
        let back = Arc::new(Mutex::new(back));
        for _ in 0..3 * MAX_READERS {
            let back = Arc::clone(&back);
            let question = apart(&readers, Path::new("/hangs"), move |path| {
                BEGUN.fetch_add(1, Ordering::SeqCst);
                let _ = back.lock().map(|back| back.recv());
                Err(FileError::Missing { path: path.into() })
            });
            assert!(timeout(Duration::from_millis(20), question).await.is_err());
        }
        drop(hangs);
        let asked = apart(&readers, Path::new("/nonexistent"), read).await;
        assert!(
            matches!(asked, Err(FileError::Missing { .. })),
            "it is asked again once it is back"
        );
        assert_eq!(BEGUN.load(Ordering::SeqCst), MAX_READERS);
    }
}
