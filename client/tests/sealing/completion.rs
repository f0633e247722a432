//! What a shell offers at a Tab, asked through the script that it was given.

use std::{io, path::Path, process::Command};

use crate::repo::{Repo, secret};

/// What bash offers for the last of these words; its own options left out.
fn offered(repo: &Repo, words: &[&str]) -> Vec<String> {
    let program = Path::new(env!("CARGO_BIN_EXE_strongroom"));
    let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
    let script = r#"
        source <(strongroom completions bash)
        COMP_WORDS=(strongroom "$@") COMP_CWORD=$# COMP_TYPE=9
        _clap_complete_strongroom strongroom "${COMP_WORDS[COMP_CWORD]}" ""
        printf '%s\013' "${COMPREPLY[@]}"
    "#;
    // Whoever read stdin would wait for ever.
    let (stdin, _open) = io::pipe().unwrap();
    let output = Command::new("bash")
        .args(["--norc", "-c", script, "tab"])
        .args(words)
        .current_dir(repo.path(""))
        .env_clear()
        .env("HOME", repo.beside("home"))
        .env("PATH", path)
        .stdin(stdin)
        .output()
        .unwrap();
    // `compopt` says that nobody pressed a key.
    let said = String::from_utf8(output.stdout).unwrap();
    said.split(['\u{b}', '\n'])
        .filter(|word| !word.is_empty() && !word.starts_with('-'))
        .map(str::to_owned)
        .collect()
}

fn two_objects(repo: &Repo) {
    let db = secret("db", &[("password", "a"), ("user", "b")]);
    repo.write("app.yaml", format!("{db}---\n{}", secret("web", &[("session", "c")])));
    repo.ok(&["seal", "-i", "app.yaml"]);
}

#[test]
fn data_keys_of_the_file_are_offered() {
    let repo = Repo::new();
    two_objects(&repo);
    assert_eq!(offered(&repo, &["set", "app.yaml", ""]), ["password", "user", "session"]);
    assert_eq!(offered(&repo, &["set", "app.yaml", "pa"]), ["password"]);
    assert_eq!(offered(&repo, &["unset", "app.yaml", "user", "se"]), ["session"]);
    assert_eq!(offered(&repo, &["rename", "app.yaml", "u"]), ["user"]);
    assert_eq!(offered(&repo, &["set", "app.yaml", "--object", "web", ""]), ["session"]);
    let whole = ["set", "app.yaml", "--object", "prod/db", ""];
    assert_eq!(offered(&repo, &whole), ["password", "user"]);
}

#[test]
fn objects_of_the_file_are_offered() {
    let repo = Repo::new();
    two_objects(&repo);
    for command in ["set", "unset", "rename", "compact", "edit"] {
        let names = offered(&repo, &[command, "app.yaml", "--object", ""]);
        assert_eq!(names, ["prod/db", "prod/web"], "{command}");
    }
}

#[test]
fn files_are_offered() {
    let repo = Repo::new();
    two_objects(&repo);
    repo.write("apps/other.yaml", "a: b\n");
    for command in ["seal", "unseal", "set", "edit", "reseal", "lint", "diff"] {
        let files = offered(&repo, &[command, "app"]);
        assert_eq!(files, ["app.yaml", "apps/"], "{command}");
    }
    assert_eq!(offered(&repo, &["unseal", "app.yaml", "--key", "app"]), ["app.yaml", "apps/"]);
}

#[test]
fn clusters_and_keys_are_offered() {
    let repo = Repo::new();
    repo.new_cluster("lab");
    assert_eq!(offered(&repo, &["seal", "--cluster", ""]), ["lab", "prod"]);
    assert_eq!(offered(&repo, &["sealing-keys", "retire", ""]), Vec::<String>::new());

    let folder = repo.beside("prod").to_str().unwrap().to_owned();
    let list = repo.ok(&["sealing-keys", "list", "--output", "json"]);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let first = list
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["cluster"] == "prod")
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .unwrap();
    repo.ok(&["sealing-keys", "rotate", "--dir", &folder]);
    // The folder knows before the repository does.
    assert_eq!(offered(&repo, &["sealing-keys", "retire", ""]), Vec::<String>::new());
    let there = ["sealing-keys", "retire", "--dir", &folder, ""];
    assert_eq!(offered(&repo, &there), [first.as_str()]);
    repo.fetch("prod");
    assert_eq!(offered(&repo, &["sealing-keys", "retire", "k"]), [first.as_str()]);
}

#[test]
fn what_cannot_be_read_offers_nothing_and_says_nothing() {
    let repo = Repo::new();
    repo.write("broken.yaml", "a: [\n");
    repo.write("plain.yaml", secret("db", &[("password", "hunter2")]));
    for file in ["-", "missing.yaml", "broken.yaml", "plain.yaml", "/dev/stdin"] {
        assert_eq!(offered(&repo, &["set", file, ""]), Vec::<String>::new(), "{file}");
    }
}
