//! What a test needs and a machine may lack: installed where that can be done without asking.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use rustix::process::geteuid;

use crate::process::complete;
use crate::programs::say;

/// Installs a package, as root with apt-get; elsewhere says how.
pub fn install(package: &str) -> Result<()> {
    let advice = format!(
        "install it (Debian, Ubuntu: `sudo apt-get install {package}`), and run this again"
    );
    let has_apt = Command::new("apt-get").arg("--version").output().is_ok();
    if !(geteuid().is_root() && has_apt) {
        bail!("{package} is missing: {advice}");
    }
    say(&format!("installing {package} with apt-get"));
    let apt = |arguments: &[&str]| {
        complete(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update", "--quiet"])
        .and_then(|_| apt(&["install", "--quiet", "--yes", "--no-install-recommends", package]))
        .map(drop)
        .with_context(|| format!("{package}: {advice}"))
}
