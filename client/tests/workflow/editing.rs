//! A sandbox with an editor that is a script, and a place in memory for its drafts.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::sandbox::Sandbox;

pub(crate) struct Editing {
    pub(crate) sandbox: Sandbox,
    memory: TempDir,
}

/// What an edit came to.
pub(crate) struct Edited {
    pub(crate) ok: bool,
    pub(crate) said: String,
}

impl Editing {
    pub(crate) fn new(keys: &[&str]) -> Self {
        let memory = tempfile::tempdir_in("/dev/shm").unwrap();
        Self { sandbox: Sandbox::new(keys), memory }
    }

    /// Edits with the key, by a script that gets the draft as `$1`.
    pub(crate) fn edit(&self, script: &str, arguments: &[&str]) -> Edited {
        let key = self.sandbox.key();
        self.edit_without_key(script, &[arguments, &["--key", &key]].concat())
    }

    pub(crate) fn edit_without_key(&self, script: &str, arguments: &[&str]) -> Edited {
        done(&self.command(script, arguments).output().unwrap())
    }

    pub(crate) fn start(&self, script: &str, arguments: &[&str]) -> Child {
        let key = self.sandbox.key();
        let arguments = [arguments, &["--key", &key]].concat();
        let mut command = self.command(script, &arguments);
        command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    pub(crate) fn command(&self, script: &str, arguments: &[&str]) -> Command {
        let path = self.sandbox.path("home/editor");
        fs::write(&path, format!("#!/bin/sh\nset -e\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let arguments = [&["edit"], arguments].concat();
        let mut command = self.sandbox.command(env!("CARGO_BIN_EXE_strongroom"), &arguments);
        command.env("EDITOR", path).env("XDG_RUNTIME_DIR", self.memory.path());
        command
    }

    /// The folder of this user's drafts.
    pub(crate) fn drafts(&self) -> PathBuf {
        let mut entries = fs::read_dir(self.memory.path()).unwrap();
        let only = entries.next().unwrap().unwrap().path();
        assert!(entries.next().is_none());
        only
    }

    /// How many drafts there are.
    pub(crate) fn kept(&self) -> usize {
        fs::read_dir(self.drafts()).unwrap().count()
    }
}

/// What a run of the program came to; nothing of a value is in what it said.
pub(crate) fn done(output: &Output) -> Edited {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let all = said.clone() + &String::from_utf8_lossy(&output.stdout);
    assert!(!all.contains("clear text of") && !all.contains("edited text"), "{all}");
    Edited { ok: output.status.success(), said }
}
