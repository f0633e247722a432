//! Our own programs, as cargo built them.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

/// `strongroomd` or `strongroom`, from the folder that cargo put the running test or xtask into.
pub fn path(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe().context("the path of this program is unknown")?;
    let mut folder = this.parent().context("this program lies in no folder")?;
    // Tests lie in target/<profile>/deps, binaries one above.
    if folder.ends_with("deps") {
        folder = folder.parent().context("deps lies in no folder")?;
    }
    let path = folder.join(name);
    if !path.is_file() {
        let profile = if folder.ends_with("release") { " --release" } else { "" };
        bail!("{} is missing; `cargo build --bins{profile}` makes it", path.display());
    }
    Ok(path)
}
