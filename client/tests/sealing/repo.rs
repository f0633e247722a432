//! A repository of its own, with a home of its own, and the real program in it.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

/// A folder that is a repository for one cluster, `prod`, whose private keys lie beside it.
pub(crate) struct Repo {
    folder: tempfile::TempDir,
}

impl Repo {
    pub(crate) fn new() -> Self {
        let repo = Self::without_keys();
        repo.new_cluster("prod");
        repo
    }

    pub(crate) fn without_keys() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for inner in ["home", "repo", "repo/.git"] {
            fs::create_dir(folder.path().join(inner)).unwrap();
        }
        Self { folder }
    }

    /// Makes a cluster's keys, and takes the public ones in.
    pub(crate) fn new_cluster(&self, name: &str) {
        let keys = self.folder.path().join(name);
        self.ok(&["sealing-keys", "new", "--cluster", name, "--dir", keys.to_str().unwrap()]);
        self.fetch(name);
    }

    pub(crate) fn fetch(&self, cluster: &str) {
        self.ok(&[
            "sealing-keys",
            "fetch",
            self.beside(&format!("{cluster}/{cluster}.yaml")).to_str().unwrap(),
        ]);
    }

    /// Where the private keys of a cluster lie.
    pub(crate) fn keys(&self, cluster: &str) -> String {
        self.beside(&format!("{cluster}/sealing.keys")).to_str().unwrap().to_owned()
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("repo").join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command
            .args(arguments)
            .current_dir(self.path(""))
            .env_clear()
            .env("HOME", self.beside("home"));
        command
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The same with something on stdin.
    pub(crate) fn run_with(&self, arguments: &[&str], stdin: &[u8]) -> Output {
        let mut child = self.start(arguments);
        // A program that needs no more of it closes its end.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        child.wait_with_output().unwrap()
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdin(Stdio::piped()).spawn().unwrap()
    }

    /// Runs it, and it goes well; what it printed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        stdout(arguments, &self.run(arguments))
    }

    pub(crate) fn ok_with(&self, arguments: &[&str], stdin: &[u8]) -> String {
        stdout(arguments, &self.run_with(arguments, stdin))
    }

    /// Runs it, and it is refused with this exit code; what it said.
    pub(crate) fn refused(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// A value of a sealed Secret, opened with a key file.
    pub(crate) fn value(&self, file: &str, key_file: &str, key: &str) -> Option<Vec<u8>> {
        let json = self.ok(&["unseal", file, "--key", key_file, "--output", "json"]);
        let list: serde_json::Value = serde_json::from_str(&json).unwrap();
        let text = list["items"][0]["data"][key].as_str()?;
        Some(data_encoding::BASE64.decode(text.as_bytes()).unwrap())
    }
}

fn stdout(arguments: &[&str], output: &Output) -> String {
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A Secret with these values.
pub(crate) fn secret(name: &str, values: &[(&str, &str)]) -> String {
    let values: String =
        values.iter().map(|(key, value)| format!("  {key}: \"{value}\"\n")).collect();
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  namespace: prod\nstringData:\n{values}"
    )
}

/// Lines that are in one text and not at the same place in the other, by a longest common subsequence.
pub(crate) fn changed_lines(before: &str, after: &str) -> (Vec<String>, Vec<String>) {
    let (a, b): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let mut table = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            table[i][j] = if a[i] == b[j] {
                table[i + 1][j + 1] + 1
            } else {
                table[i + 1][j].max(table[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut removed, mut added) = (0, 0, Vec::new(), Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && table[i + 1][j] >= table[i][j + 1]) {
            removed.push(a[i].to_owned());
            i += 1;
        } else {
            added.push(b[j].to_owned());
            j += 1;
        }
    }
    (removed, added)
}

/// Whether anything below a folder has these bytes in it.
pub(crate) fn found_below(folder: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let mut open = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if fs::read(&path).unwrap().windows(needle.len()).any(|window| window == needle) {
            found.push(path);
        }
    }
    found
}
