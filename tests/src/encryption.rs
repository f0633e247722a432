//! The EncryptionConfiguration that a kube-apiserver is started with.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;

/// The provider's name; it is part of every stored value.
pub const PROVIDER: &str = "strongroom";

/// What is encrypted through which socket.
#[derive(Clone)]
pub struct Encryption {
    /// The plugin's socket.
    pub socket: PathBuf,
    /// Whether values that were stored before encryption was configured can still be read.
    pub reads_plaintext: bool,
}

impl Encryption {
    /// Secrets and ConfigMaps through this plugin; a value in plaintext is an error.
    pub fn through(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), reads_plaintext: false }
    }

    /// Writes the file (JSON, which is YAML).
    pub fn write(&self, path: &Path) -> Result<()> {
        let endpoint = format!("unix://{}", self.socket.display());
        let kms = json!({ "kms": {
            "apiVersion": "v2", "name": PROVIDER, "endpoint": endpoint, "timeout": "3s",
        } });
        let mut providers = vec![kms];
        if self.reads_plaintext {
            providers.push(json!({ "identity": {} }));
        }
        let file = json!({
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [{ "resources": ["secrets", "configmaps"], "providers": providers }],
        });
        std::fs::write(path, format!("{file:#}"))
            .with_context(|| format!("{} cannot be written", path.display()))
    }
}
