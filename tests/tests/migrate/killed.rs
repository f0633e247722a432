//! Killed at any moment, each file is old or new, the journal says which, and what was begun is completed or undone.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{
    OBJECTS,
    bitnami::{Controller, Object},
    repo::Repo,
};

const FILES: usize = 12;
/// How often it is killed before it writes.
const EARLY: usize = 6;

#[test]
fn each_file_is_old_or_new_and_the_journal_says_which() -> Result<()> {
    let (repo, controller) = (Repo::new()?, Controller::get()?);
    let [first, ..] = &OBJECTS;
    let names: Vec<String> = (0..FILES).map(|i| format!("db{i:02}")).collect();
    let objects: Vec<_> = names.iter().map(|name| Object { name, ..*first }).collect();
    let texts = controller.sealed(&objects)?;
    let files: Vec<String> = names.iter().map(|name| format!("{name}.yaml")).collect();
    let backup = repo.private("backup.yaml", &controller.backup(&["small"])?)?;
    let migrate = ["migrate", ".", "--bitnami-keys", &backup];
    let put = || files.iter().zip(&texts).try_for_each(|(file, text)| repo.write(file, text));

    put()?;
    let begun = Instant::now();
    repo.ok(&migrate)?;
    let whole = begun.elapsed();
    let (mut none, mut some, mut all) = (0, 0, 0);
    // First at moments before anything is written; then once the journal is there, and once each file is another.
    for moment in 0..EARLY + 1 + FILES {
        put()?;
        for number in [1, 2] {
            let _ = fs::remove_dir_all(repo.path(&format!(".git/strongroom-migrate-{number}")));
        }
        let before: Vec<u64> =
            files.iter().map(|file| inode(&repo, file)).collect::<Result<_>>()?;
        let begun = Instant::now();
        let mut child = repo.start(&migrate)?;
        let is_due = || match moment.checked_sub(EARLY) {
            None => begun.elapsed() >= whole.mul_f64(moment as f64 / (2 * EARLY) as f64),
            Some(0) => repo.path(".git/strongroom-migrate-1/journal.json").exists(),
            Some(number) => {
                inode(&repo, &files[number - 1]).ok() != before.get(number - 1).copied()
            }
        };
        while !is_due() && child.try_wait()?.is_none() {
            std::thread::park_timeout(Duration::from_micros(20));
        }
        child.kill()?;
        child.wait()?;
        let mut new = Vec::new();
        for (file, text) in files.iter().zip(&texts) {
            if repo.read(file)? != *text {
                new.push(file.as_str());
            }
        }
        match new.len() {
            0 => none += 1,
            FILES => all += 1,
            _ => some += 1,
        }
        if !new.is_empty() {
            assert_eq!(opened(&repo, &new)?, new.len(), "one of them is neither old nor new");
            let states = repo.ok(&[
                "migrate",
                "--undo",
                ".git/strongroom-migrate-1",
                "--dry-run",
                "--output",
                "json",
            ])?;
            let states: Value = serde_json::from_str(&states)?;
            let says: Vec<_> = states["files"]
                .as_array()
                .context("no files")?
                .iter()
                .filter(|file| file["state"] == "new")
                .filter_map(|file| file["file"].as_str()?.rsplit('/').next())
                .collect();
            let mut new = new.clone();
            new.sort();
            assert_eq!(says, new);
        }
        if moment % 2 == 0 {
            repo.ok(&migrate)?;
            let all: Vec<&str> = files.iter().map(String::as_str).collect();
            assert_eq!(opened(&repo, &all)?, FILES);
        }
        // Both, where it took two runs, in either order.
        for number in [2, 1] {
            let folder = format!(".git/strongroom-migrate-{number}");
            if repo.path(&folder).join("journal.json").exists() {
                repo.ok(&["migrate", "--undo", &folder])?;
            }
        }
        for (file, text) in files.iter().zip(&texts) {
            assert_eq!(repo.read(file)?, *text);
        }
    }
    assert!(
        none > 0 && some > FILES / 2,
        "killed before {none}, between {some} and behind {all} writes"
    );
    Ok(())
}

/// A file that is replaced becomes another one of the same name.
fn inode(repo: &Repo, file: &str) -> Result<u64> {
    Ok(fs::metadata(repo.path(file))?.ino())
}

/// How many Secrets these files open to, together.
fn opened(repo: &Repo, files: &[&str]) -> Result<usize> {
    let secrets = repo.ok(&[&["unseal", "--key", &repo.keys()], files].concat())?;
    Ok(secrets.matches("kind: Secret\n").count())
}
