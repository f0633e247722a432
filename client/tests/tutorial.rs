//! docs/sealing.md, as somebody who types what it says.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

#[test]
fn every_command_of_the_tutorial_does_what_it_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sealing.md");
    let page = fs::read_to_string(page).unwrap();
    let blocks: Vec<_> =
        page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 10, "{} blocks", blocks.len());
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    // What kubectl prints of a Secret that it is to make; tests/ has the real one with its cluster.
    let kubectl = "#!/bin/sh\ncat <<'END'\napiVersion: v1\ndata:\n  user: c2hvcA==\nkind: Secret\nmetadata:\n  creationTimestamp: null\n  name: db\n  namespace: prod\nEND\n";
    fs::write(bin.join("kubectl"), kubectl).unwrap();
    fs::set_permissions(bin.join("kubectl"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_strongroom"), bin.join("strongroom")).unwrap();
    // Each command on its own line is to succeed, or, behind an exclamation mark, to fail.
    let script: String = blocks.concat().lines().fold(String::from("set -e\n"), |script, line| match line.strip_prefix("! ") {
        Some(command) => format!("{script}if {command}; then echo 'this should have failed: {command}' >&2; exit 9; fi\n"),
        None => format!("{script}{line}\n"),
    });
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env_clear()
        .env("HOME", folder.path())
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()))
        .envs([
            ("GIT_AUTHOR_NAME", "a"),
            ("GIT_AUTHOR_EMAIL", "a@example.org"),
            ("GIT_COMMITTER_NAME", "a"),
            ("GIT_COMMITTER_EMAIL", "a@example.org"),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let stopped = said.matches("SR101 Secret web has a value in clear text").count();
    assert_eq!(stopped, 1, "the hook stops the commit with a Secret in clear text, once: {said}");
    assert_eq!(fs::read_dir(folder.path().join("recovered")).unwrap().count(), 2);
    let web = fs::read_to_string(folder.path().join("shop/web.yaml")).unwrap();
    assert!(
        web.starts_with("# what the shop shows\napiVersion: v1\nkind: ConfigMap\n")
            && web.contains("# and what it does not\n"),
        "{web}"
    );
    assert!(!web.contains("correct horse"), "{web}");
}
