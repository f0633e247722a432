//! A git repository of its own, with a home of its own, no configuration of anybody, and the real programs in it.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

pub(crate) struct Repo {
    folder: tempfile::TempDir,
}

impl Repo {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for inner in ["home", "repo"] {
            fs::create_dir(folder.path().join(inner)).unwrap();
        }
        let repo = Self { folder };
        repo.git(&["init", "-q", "-b", "main"]);
        repo
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join("repo").join(name)
    }

    pub(crate) fn write(&self, name: impl AsRef<Path>, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// A program of the path, which has `strongroom` on it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let ours = Path::new(env!("CARGO_BIN_EXE_strongroom")).parent().unwrap();
        let mut command = Command::new(program);
        command
            .current_dir(self.path(""))
            .env_clear()
            .env("HOME", self.beside("home"))
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", ours.display()))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_EDITOR", "true")
            .envs([
                ("GIT_AUTHOR_NAME", "a"),
                ("GIT_AUTHOR_EMAIL", "a@b.example"),
                ("GIT_COMMITTER_NAME", "a"),
                ("GIT_COMMITTER_EMAIL", "a@b.example"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(program).args(arguments).output().unwrap()
    }

    /// Git, and it goes well; what it printed.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = self.run("git", arguments);
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--no-verify", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Our program, and it goes well; what it printed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run("strongroom", arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What lint finds, and its exit code agrees: rule and `file:line`.
    pub(crate) fn lint(&self, arguments: &[&str]) -> Vec<(String, String)> {
        let findings = self.findings(arguments);
        let text =
            |finding: &serde_json::Value, field: &str| finding[field].as_str().unwrap().to_owned();
        findings
            .iter()
            .map(|finding| {
                (text(finding, "rule"), format!("{}:{}", text(finding, "file"), finding["line"]))
            })
            .collect()
    }

    pub(crate) fn findings(&self, arguments: &[&str]) -> Vec<serde_json::Value> {
        let arguments = [&["lint", "--output", "json"], arguments].concat();
        let output = self.run("strongroom", &arguments);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"));
        let findings = json["findings"].as_array().unwrap().clone();
        let is_error = findings.iter().any(|finding| finding["severity"] == "error");
        assert_eq!(output.status.code(), Some(i32::from(is_error)), "{output:?}");
        findings
    }

    /// The ids of the rules that find something in one file of this name.
    pub(crate) fn rules(&self, name: &str, text: impl AsRef<[u8]>) -> Vec<String> {
        self.write(name, text);
        let found = self.lint(&[name]);
        fs::remove_file(self.path(name)).unwrap();
        found.into_iter().map(|(rule, _)| rule).collect()
    }

    /// Makes a cluster's keys beside the repository, and takes the public ones in.
    pub(crate) fn new_cluster(&self, name: &str) {
        let dir = self.beside(name);
        self.ok(&["sealing-keys", "new", "--cluster", name, "--dir", dir.to_str().unwrap()]);
        self.fetch(name);
    }

    pub(crate) fn fetch(&self, cluster: &str) {
        let list = self.beside(&format!("{cluster}/{cluster}.yaml"));
        self.ok(&["sealing-keys", "fetch", list.to_str().unwrap()]);
    }

    /// Seals a Secret into a file.
    pub(crate) fn seal(&self, name: &str, options: &[&str]) {
        self.write("plain.tmp", secret("db"));
        self.ok(&[&["seal", "plain.tmp", "-o", name], options].concat());
        fs::remove_file(self.path("plain.tmp")).unwrap();
    }

    pub(crate) fn script(&self, path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

pub(crate) fn secret(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  namespace: prod\nstringData:\n  password: {VALUE}\n"
    )
}

/// A value that no message may have in it.
pub(crate) const VALUE: &str = "correct-horse-7-battery";
