//! Killed at any moment, each file is old or new, the journal says which, and what was begun is completed or undone.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{
    OBJECTS,
    bitnami::{Controller, Object},
    repo::Repo,
};

const FILES: usize = 24;

#[test]
fn each_file_is_old_or_new_and_the_journal_says_which() -> Result<()> {
    let (repo, controller) = (Repo::new()?, Controller::get()?);
    let [first, ..] = &OBJECTS;
    let names: Vec<String> = (0..FILES).map(|i| format!("db{i}")).collect();
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
    for moment in 0..40 {
        put()?;
        std::fs::remove_dir_all(repo.path(".git/strongroom-migrate-1")).context("no journal")?;
        let _ = std::fs::remove_dir_all(repo.path(".git/strongroom-migrate-2"));
        let mut child = repo.start(&migrate)?;
        let until = Instant::now() + whole.mul_f64(f64::from(moment) / 38.0);
        while Instant::now() < until && child.try_wait()?.is_none() {
            std::thread::park_timeout(Duration::from_micros(100));
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
        std::fs::create_dir_all(repo.path(".git/strongroom-migrate-1"))?;
    }
    assert!(none > 0 && some > 0, "killed before {none}, between {some} and behind {all} writes");
    Ok(())
}

/// How many Secrets these files open to, together.
fn opened(repo: &Repo, files: &[&str]) -> Result<usize> {
    let secrets = repo.ok(&[&["unseal", "--key", &repo.keys()], files].concat())?;
    Ok(secrets.matches("kind: Secret\n").count())
}
