//! Git's own merge of three texts.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::failure::Failure;

/// A version of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Base,
    Ours,
    Theirs,
}

/// What stands in place of a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Favour {
    /// Both sides, between markers.
    Neither,
    Ours,
    Theirs,
}

/// The three versions of a file.
pub(super) struct Texts {
    pub(super) base: Vec<u8>,
    pub(super) ours: Vec<u8>,
    pub(super) theirs: Vec<u8>,
    pub(super) marker_size: u8,
}

impl Texts {
    /// Whether something in one of them may be a sealed Secret.
    pub(super) fn any_sealed(&self) -> bool {
        [&self.base, &self.ours, &self.theirs]
            .iter()
            .any(|text| memchr::memmem::find(text, sealing::KIND.as_bytes()).is_some())
    }

    /// What `git merge-file` makes of them, and how many conflicts there are.
    pub(super) fn merge(&self, favour: Favour) -> Result<(Vec<u8>, i32), Failure> {
        let folder = Folder::make().map_err(|error| failed(&error.to_string()))?;
        for (name, text) in [("ours", &self.ours), ("base", &self.base), ("theirs", &self.theirs)] {
            fs::write(folder.0.join(name), text).map_err(|error| failed(&error.to_string()))?;
        }
        let mut command = Command::new("git");
        // The names of the files are the labels of the markers.
        command.args(["merge-file", "-p", "-q", "-L", "ours", "-L", "base", "-L", "theirs"]);
        command.arg(format!("--marker-size={}", self.marker_size));
        match favour {
            Favour::Neither => {}
            Favour::Ours => _ = command.arg("--ours"),
            Favour::Theirs => _ = command.arg("--theirs"),
        }
        for name in ["ours", "base", "theirs"] {
            command.arg(folder.0.join(name));
        }
        let output =
            command.stdin(Stdio::null()).output().map_err(|error| failed(&error.to_string()))?;
        match output.status.code() {
            // From 128 on it is an error; more conflicts than that are told as 127.
            Some(conflicts @ 0..=127) => Ok((output.stdout, conflicts)),
            _ => Err(failed(String::from_utf8_lossy(&output.stderr).trim())),
        }
    }
}

fn failed(why: &str) -> Failure {
    Failure::new(
        "git merge-file failed",
        why,
        "check that git is installed, and that there is room for temporary files",
    )
}

/// A folder of our own for what git is to read; what lies in it lies in the repository as well.
struct Folder(PathBuf);

impl Folder {
    fn make() -> io::Result<Self> {
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        let name = format!("strongroom-merge-{}", data_encoding::HEXLOWER.encode(&random));
        let path: &Path = &std::env::temp_dir();
        let path = path.join(name);
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind is in the repository anyway.
        let _ = fs::remove_dir_all(&self.0);
    }
}
