//! A temporary folder that goes when it is dropped, or with the process.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::guard;

/// A folder of its own for each cluster. With `STRONGROOM_KEEP=1` it stays, to be looked at.
pub struct Folder(TempDir);

impl Folder {
    /// Makes an empty one. Its path is short: that of a Unix socket ends at 107 bytes.
    pub fn make() -> Result<Self> {
        let mut temp = tempfile::Builder::new()
            .prefix("strongroom-")
            .tempdir()
            .context("no temporary folder can be made")?;
        if keep() {
            temp.disable_cleanup(true);
        } else {
            guard::folder(temp.path())?;
        }
        Ok(Self(temp))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes a folder inside, for one of the cluster's parts.
    pub fn part(&self, name: &str) -> Result<PathBuf> {
        let path = self.path().join(name);
        std::fs::create_dir_all(&path)
            .with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(path)
    }
}

#[expect(clippy::disallowed_methods, reason = "a switch for whoever debugs a test")]
fn keep() -> bool {
    std::env::var_os("STRONGROOM_KEEP").is_some_and(|value| value != "0")
}
