//! `strongroomd dev`: everything in one folder, for a first try on one machine.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use crate::failure::Failure;

/// What a first try needs, in one folder.
#[derive(Debug)]
pub struct Folder {
    /// The folder, absolute.
    pub path: PathBuf,
}

impl Folder {
    /// Makes the folder with a configuration and an EncryptionConfiguration. What exists is kept.
    ///
    /// # Errors
    /// [`Failure::Dev`].
    pub fn prepare(path: &Path) -> Result<Self, Failure> {
        let failed = |source| Failure::Dev { path: path.into(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let folder = Self { path: path.canonicalize().map_err(failed)? };
        let text = folder.path.to_str().filter(|text| !text.contains(['"', '\\', '\n']));
        let text = text.ok_or_else(|| {
            failed(io::Error::other("its path has a character that YAML or TOML would misread"))
        })?;
        keep_or_create(&folder.config(), &config(text))?;
        keep_or_create(&folder.encryption_config(), &encryption_config(text))?;
        Ok(folder)
    }

    /// The daemon's configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// What kube-apiserver reads.
    #[must_use]
    pub fn encryption_config(&self) -> PathBuf {
        self.path.join("encryption-config.yaml")
    }

    /// What to do next, for the person who started it.
    #[must_use]
    pub fn next_steps(&self) -> String {
        format!(
            "\
strongroomd serves in {folder}

  look at it   strongroom probe --socket {folder}/kms.sock
               curl http://127.0.0.1:9464/readyz
  use it       start kube-apiserver on this machine with
                 --encryption-provider-config={encryption_config}
               then encrypt what was stored before:
                 kubectl get secrets,configmaps -A -o json | kubectl replace -f -
  rotate it    strongroom rotate start --admin {folder}/admin.sock
               strongroom rotate status --watch --admin {folder}/admin.sock
  keep it      {folder}/root.key opens every Secret written from now on:
               without it they are lost

For a real cluster see deploy/ and README.md. Stop with Ctrl-C.
",
            folder = self.path.display(),
            encryption_config = self.encryption_config().display(),
        )
    }
}

fn keep_or_create(path: &Path, content: &str) -> Result<(), Failure> {
    match durable::create(path, content.as_bytes(), 0o600, &|_| {}) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(Failure::Dev { path: path.into(), source })
        }
        _ => Ok(()),
    }
}

fn config(folder: &str) -> String {
    format!(
        r#"# Written by `strongroomd dev`; yours to change. deploy/strongroomd.toml explains every setting.

[kms]
socket = "{folder}/kms.sock"

[bundle]
dir = "{folder}"

[[roots]]
kind = "local"
file = "{folder}/root.key"

[ledger]
file = "{folder}/ledger.db"

# A rotation waits this long for kube-apiserver to see the new key version: in earnest it is 9 minutes, or its metrics.
[rotation]
converge_after = "5s"

[api]
socket = "{folder}/admin.sock"

[admin]
listen = "127.0.0.1:9464"
"#
    )
}

fn encryption_config(folder: &str) -> String {
    format!(
        r#"# Written by `strongroomd dev`, for kube-apiserver --encryption-provider-config on this machine.
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets, configmaps]
    providers:
      - kms:
          apiVersion: v2
          name: strongroom
          endpoint: "unix://{folder}/kms.sock"
          timeout: 3s
      - identity: {{}} # last: only reads what was stored before
"#
    )
}
