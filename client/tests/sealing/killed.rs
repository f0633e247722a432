//! Killed at any moment, a command leaves the old file or the new one.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::repo::{Repo, secret};

/// Kills each command at moments spread over the time that it takes; wherever that hits, the file is whole, and the next run goes well.
#[test]
fn files_are_old_or_new() {
    let repo = Repo::new();
    let values: Vec<_> = (0..40).map(|i| (format!("k{i}"), "x".repeat(4096))).collect();
    let values: Vec<_> = values.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    repo.write("plain.yaml", secret("db", &values));
    repo.ok(&["seal", "plain.yaml", "-o", "db.yaml"]);
    let keys = repo.keys("prod");
    let commands: [&[&str]; 4] = [
        &["seal", "plain.yaml", "-o", "db.yaml", "--fresh"],
        &["set", "db.yaml", "k7", "--generate"],
        &["compact", "db.yaml", "--key", &keys],
        &["reseal", "db.yaml", "--fresh", "--key", &keys],
    ];
    for command in commands {
        let begun = Instant::now();
        repo.ok(command);
        let whole = begun.elapsed();
        let (mut old, mut new) = (0, 0);
        for moment in 0..25 {
            let before = repo.read("db.yaml");
            let mut child = repo.start(command);
            let until = Instant::now() + whole.mul_f64(f64::from(moment) / 20.0);
            while Instant::now() < until && child.try_wait().unwrap().is_none() {
                std::thread::park_timeout(Duration::from_micros(200));
            }
            child.kill().unwrap();
            child.wait().unwrap();
            if repo.read("db.yaml") == before {
                old += 1
            } else {
                new += 1
            }
            assert!(repo.value("db.yaml", &keys, "k0").is_some(), "{command:?} killed at {moment}");
        }
        repo.ok(command);
        assert!(old > 0, "{command:?} was never killed before its end ({new} times behind it)");
    }
    // What was half written goes with the next run.
    let left: Vec<_> =
        fs::read_dir(repo.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "{left:?}: .git, .strongroom, plain.yaml, db.yaml");
    // The cache is whole, too: the next sealing is quiet.
    repo.ok(&["seal", "plain.yaml", "-o", "db.yaml"]);
    let before = repo.read("db.yaml");
    repo.ok(&["seal", "plain.yaml", "-o", "db.yaml"]);
    assert_eq!(repo.read("db.yaml"), before);
}
