//! A repository of git with one cluster of Strongroom's, a home of its own, and the real `strongroom`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use testbed::{binary, folder::Folder, process::complete};

pub(crate) struct Repo {
    folder: Folder,
}

impl Repo {
    pub(crate) fn new() -> Result<Self> {
        let repo = Self { folder: Folder::make()? };
        repo.folder.part("home")?;
        let tree = repo.folder.part("repo")?;
        complete(Command::new("git").args(["init", "-q"]).arg(&tree))?;
        let keys = repo.beside("keys").display().to_string();
        repo.ok(&["sealing-keys", "new", "--cluster", "prod", "--dir", &keys])?;
        repo.ok(&["sealing-keys", "fetch", &format!("{keys}/prod.yaml")])?;
        Ok(repo)
    }

    /// The private keys of the cluster.
    pub(crate) fn keys(&self) -> String {
        self.beside("keys/sealing.keys").display().to_string()
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("repo").join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path(name);
        fs::create_dir_all(path.parent().context("no folder")?)?;
        fs::write(&path, text).with_context(|| format!("{name} cannot be written"))
    }

    /// A file that only its owner reads, outside of the repository; its path.
    pub(crate) fn private(&self, name: &str, text: &str) -> Result<String> {
        let path = self.beside(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(path.display().to_string())
    }

    pub(crate) fn read(&self, name: &str) -> Result<String> {
        fs::read_to_string(self.path(name)).with_context(|| format!("no {name}"))
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary::path("strongroom")?);
        command
            .args(arguments)
            .current_dir(self.path(""))
            .env_clear()
            .env("HOME", self.beside("home"))
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(command)
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Result<Child> {
        self.command(arguments)?.spawn().context("strongroom does not start")
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Output> {
        self.command(arguments)?.output().context("strongroom does not start")
    }

    pub(crate) fn run_with(&self, arguments: &[&str], stdin: &str) -> Result<Output> {
        let mut child = self.command(arguments)?.stdin(Stdio::piped()).spawn()?;
        child.stdin.take().context("no stdin")?.write_all(stdin.as_bytes())?;
        child.wait_with_output().context("strongroom does not end")
    }

    /// Runs it, and it goes well; what it printed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        ensure!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).context("not text")
    }

    /// Runs it, and it ends with this code; what it printed, and what it said.
    pub(crate) fn ends(&self, code: i32, arguments: &[&str]) -> Result<(String, String)> {
        let output = self.run(arguments)?;
        ensure!(output.status.code() == Some(code), "{arguments:?}: {output:?}");
        Ok((String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
    }

    /// The Secrets of a file, opened with the cluster's keys: name, data key and value, in order.
    pub(crate) fn values(&self, file: &str) -> Result<Vec<(String, String, String)>> {
        let json = self.ok(&["unseal", file, "--key", &self.keys(), "--output", "json"])?;
        let list: Value = serde_json::from_str(&json)?;
        let mut out = Vec::new();
        for secret in list["items"].as_array().context("no items")? {
            let name = secret["metadata"]["name"].as_str().context("no name")?;
            for (key, value) in secret["data"].as_object().context("no data")? {
                let bytes = STANDARD.decode(value.as_str().context("no text")?)?;
                out.push((name.to_owned(), key.clone(), String::from_utf8(bytes)?));
            }
        }
        Ok(out)
    }

    /// Whether there is a journal of this number.
    pub(crate) fn has_journal(&self, number: usize) -> bool {
        self.path(&format!(".git/strongroom-migrate-{number}")).exists()
    }
}

/// The files below a folder that have these bytes in them.
pub(crate) fn found_below(folder: &Path, needle: &[u8]) -> Result<Vec<PathBuf>> {
    let (mut open, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        } else if fs::read(&path)?.windows(needle.len()).any(|window| window == needle) {
            found.push(path);
        }
    }
    Ok(found)
}
