//! A repository of its own, with keys, drivers and a home that nobody else has.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use sealing::{KeyRing, SealingKey, parse_escrow_text};
use tempfile::TempDir;

use crate::rewrap::rewrap;

pub(crate) struct Sandbox {
    folder: TempDir,
    /// Somebody who is not in `.strongroom`.
    other: SealingKey,
}

impl Sandbox {
    /// A repository with one cluster's keys, the drivers, and `db.yaml`, sealed, with these values.
    pub(crate) fn new(values: &[&str]) -> Self {
        let other = SealingKey::make(&envelope::SystemRandom).unwrap();
        let sandbox = Self { folder: tempfile::tempdir().unwrap(), other };
        fs::create_dir_all(sandbox.path("home")).unwrap();
        fs::create_dir_all(sandbox.root()).unwrap();
        sandbox.git(&["init", "-q", "-b", "main"]);
        let keys = sandbox.path("home/keys");
        let keys = keys.to_str().unwrap();
        sandbox.strongroom(&["sealing-keys", "new", "--cluster", "prod", "--dir", keys]);
        sandbox.strongroom(&["sealing-keys", "fetch", &format!("{keys}/prod.yaml")]);
        sandbox.strongroom(&["diff", "--install"]);
        sandbox.strongroom(&["merge", "--install"]);
        sandbox.seal("db.yaml", "db", values);
        sandbox.commit("seal");
        sandbox
    }

    /// The file of the key that opens everything.
    pub(crate) fn key(&self) -> String {
        self.path("home/keys/sealing.keys").to_str().unwrap().to_owned()
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path("repository")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A sealed Secret with a value for each key, `clear text of <key>`, and comments.
    pub(crate) fn seal(&self, file: &str, name: &str, keys: &[&str]) {
        let mut text = format!(
            "# who to ask: the database team\napiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  namespace: prod\n  labels:\n    app: db\nstringData:\n"
        );
        for key in keys {
            text += &format!("  {key}: clear text of {key}\n");
        }
        self.write(file, &text);
        self.strongroom(&["seal", "-i", file]);
    }

    pub(crate) fn set(&self, file: &str, key: &str, value: &str) {
        self.write("../value", value);
        self.strongroom(&["set", file, key, "--from-file", "../value"]);
    }

    /// Wraps every slot for the cluster, and for somebody else too.
    pub(crate) fn rewrap(&self, file: &str, other_too: bool) {
        let keys = fs::read_to_string(self.path("home/keys/sealing.keys")).unwrap();
        let seed = keys.lines().find(|line| !line.starts_with('#')).unwrap();
        let key = SealingKey::from_seed(parse_escrow_text(seed).unwrap());
        let mut recipients = vec![key.recipient().clone()];
        recipients.extend(other_too.then(|| self.other.recipient().clone()));
        let ring: KeyRing = [key].into_iter().collect();
        self.write(file, &rewrap(&self.read(file), &ring, &recipients));
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.root().join(file), text).unwrap();
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.root().join(file)).unwrap()
    }

    /// What opens, by key.
    pub(crate) fn opened(&self, file: &str) -> BTreeMap<String, String> {
        let key = self.path("home/keys/sealing.keys");
        let out =
            self.strongroom(&["unseal", file, "--key", key.to_str().unwrap(), "--output", "json"]);
        let list: serde_json::Value = serde_json::from_str(&out).unwrap();
        let data = list["items"][0]["data"].as_object().unwrap().clone();
        data.into_iter()
            .map(|(key, value)| {
                let bytes = data_encoding::BASE64.decode(value.as_str().unwrap().as_bytes());
                (key, String::from_utf8(bytes.unwrap()).unwrap())
            })
            .collect()
    }

    /// A commit of all there is.
    pub(crate) fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
    }

    /// A branch from the first commit, with what `change` does in one more.
    pub(crate) fn branch(&self, name: &str, change: impl FnOnce(&Self)) {
        self.git(&["checkout", "-q", "-b", name, "main"]);
        change(self);
        self.commit(name);
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        succeeded(self.run("git", arguments))
    }

    pub(crate) fn strongroom(&self, arguments: &[&str]) -> String {
        succeeded(self.run(env!("CARGO_BIN_EXE_strongroom"), arguments))
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(program, arguments).output().unwrap()
    }

    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_strongroom"));
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", binary.parent().unwrap().display());
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.root())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.path("home"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "A")
            .env("GIT_AUTHOR_EMAIL", "a@example.com")
            .env("GIT_COMMITTER_NAME", "A")
            .env("GIT_COMMITTER_EMAIL", "a@example.com")
            .stdin(Stdio::null());
        command
    }
}

pub(crate) fn succeeded(output: Output) -> String {
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
