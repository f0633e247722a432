//! A Python with pinned packages, for the second implementation of the formats and for what comes as a wheel.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use ring::digest::{SHA256, digest};

use crate::debian;
use crate::process::complete;
use crate::programs::{cache, say};

/// The interpreter of a virtual environment in the cache that has these packages, with these hashes, and no others.
pub fn with_packages(requirements: &Path) -> Result<PathBuf> {
    let text = std::fs::read(requirements)
        .with_context(|| format!("{} cannot be read", requirements.display()))?;
    let hash = digest(&SHA256, &text);
    let name: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let cache = cache()?;
    std::fs::create_dir_all(&cache)
        .with_context(|| format!("{} cannot be made", cache.display()))?;
    // One installs, whoever else needs the same waits.
    let lock = File::create(cache.join("python.lock")).context("the cache cannot be locked")?;
    lock.lock().context("the cache cannot be locked")?;
    let venv = cache.join(format!("python-{name}"));
    let python = venv.join("bin/python");
    // Written last, so that an installation that was cut short is made again.
    let complete_mark = venv.join("complete");
    if !complete_mark.is_file() {
        say(&format!("installing {} into {}", requirements.display(), venv.display()));
        make_venv(&venv)?;
        let mut pip = Command::new(venv.join("bin/pip"));
        complete(pip.args(["install", "--quiet", "--require-hashes", "-r"]).arg(requirements))?;
        std::fs::write(&complete_mark, "")?;
    }
    Ok(python)
}

/// An empty virtual environment, in place of whatever is there. Installs Python's venv module where it is missing.
pub fn make_venv(venv: &Path) -> Result<()> {
    let make =
        || complete(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv)).map(drop);
    if let Err(error) = make() {
        debian::install("python3-venv").with_context(|| format!("{error:#}"))?;
        make()?;
    }
    Ok(())
}
