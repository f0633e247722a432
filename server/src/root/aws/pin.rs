use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use envelope::AwsKeyArn;

use crate::config::{AwsKey, AwsKms};

/// Which key an alias stood for when it was first asked, in a file beside the bundle:
///
/// ```text
/// aws-kms.<profile>.<region>.<alias>.pin = <ARN of the key> ‖ "\n"
/// ```
///
/// Whoever may move an alias must not thereby choose the key that wraps ours: from the first time on, the file decides.
#[derive(Debug, Clone)]
pub(super) struct Pin {
    path: PathBuf,
}

impl Pin {
    pub(super) fn of(configured: &AwsKms, alias: &str) -> Self {
        let profile = configured.profile.as_deref().unwrap_or("default");
        let region = match &configured.key {
            AwsKey::Alias { region, .. } => region,
            AwsKey::Arn(arn) => arn.region(),
        };
        let name = format!("aws-kms.{profile}.{region}.{}.pin", alias.replace([':', '/'], "."));
        Self { path: configured.pins.join(name) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The key that was written down, if one was.
    pub(super) async fn read(&self) -> Result<Option<AwsKeyArn>, PinError> {
        self.apart(|path| match durable::read(path, AwsKeyArn::MAX_LEN + 1) {
            Ok(bytes) => {
                let text = str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n'));
                let arn = text.and_then(|text| AwsKeyArn::parse(text).ok());
                arn.map(Some).ok_or_else(|| PinError::Damaged { path: path.into() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PinError::Io { path: path.into(), source }),
        })
        .await
    }

    /// Writes it down, where nothing is.
    pub(super) async fn write(&self, arn: &AwsKeyArn) -> Result<(), PinError> {
        let line = format!("{arn}\n");
        self.apart(move |path| {
            let folder = path.parent().unwrap_or(Path::new("/"));
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .and_then(|()| durable::create(path, line.as_bytes(), 0o600, &|_| {}))
                .map_err(|source| PinError::Io { path: path.into(), source })
        })
        .await
    }

    /// Away from the serving thread: a disk can hang.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> Result<T, PinError> + Send + 'static,
    ) -> Result<T, PinError> {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || work(&path)).await.unwrap_or_else(|error| {
            Err(PinError::Io { path: self.path.clone(), source: error.into() })
        })
    }
}

/// It is not known which key an alias stands for. Every message ends with what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// What is written down is no key.
    #[error(
        "{} is damaged: it names the key that an alias stands for. Copy it from another node, or, where you know that the alias points to \
         the key that the bundle was made with, remove it",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read or written.
    #[error(
        "{} cannot be read or written: {source}. It names the key that an alias stands for; the daemon must be able to write in its bundle folder",
        path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
