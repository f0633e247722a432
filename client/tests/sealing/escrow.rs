//! The key for the safe: made once, and sealed for only where somebody has it.

use std::{fs, io, process::Stdio};

use crate::repo::Repo;

#[test]
fn key_that_nobody_took_is_not_sealed_for() {
    let repo = Repo::new();
    let (reader, no_reader) = io::pipe().unwrap();
    drop(reader);
    // What is closed when a program starts leads to /dev/null: a shell's `>&-` comes to that, too.
    for (stdout, expected) in [
        (Stdio::from(no_reader), "no such program behind the pipe?"),
        (Stdio::null(), "the only copy of the key would be lost"),
    ] {
        let output = repo.command(&["escrow", "new"]).stdout(stdout).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(!repo.path(".strongroom/escrow.yaml").exists());
    }
}

#[test]
fn second_key_is_asked_for_by_name() {
    let repo = Repo::new();
    repo.ok(&["escrow", "new"]);
    let before = repo.read(".strongroom/escrow.yaml");
    let said = repo.refused(1, &["escrow", "new"]);
    assert!(said.contains("already") && said.contains("--replace"), "{said}");
    assert_eq!(repo.read(".strongroom/escrow.yaml"), before);
    repo.ok(&["escrow", "new", "--replace"]);
    assert_ne!(repo.read(".strongroom/escrow.yaml"), before);
}

#[test]
fn of_two_keys_made_at_once_one_is_told_to_be_none() {
    let repo = Repo::new();
    for round in 0..8 {
        let _ = fs::remove_file(repo.path(".strongroom/escrow.yaml"));
        let files = ["left", "right"].map(|name| repo.beside(&format!("{name}{round}")));
        let running: Vec<_> = files
            .iter()
            .map(|file| repo.start(&["escrow", "new", "--to-file", file.to_str().unwrap()]))
            .collect();
        let outputs: Vec<_> =
            running.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        let pinned = repo.read(".strongroom/escrow.yaml");
        let kid = pinned.lines().find_map(|line| line.strip_prefix("kid: ")).unwrap();
        for (file, output) in files.iter().zip(&outputs) {
            let told = String::from_utf8(output.stderr.clone()).unwrap();
            let is_pinned = fs::read_to_string(file).is_ok_and(|text| text.contains(kid));
            assert_eq!(is_pinned, output.status.success(), "{told}");
        }
    }
}
