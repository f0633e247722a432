//! Killed at any moment, a command leaves the old file or the new one.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::repo::{Repo, secret};

const MOMENTS: u32 = 15;

/// Runs a command to its end, and then again and again, killed at moments spread over the time that this took. `arguments` makes
/// everything ready for a run; `look` sees what each one left.
fn killed(repo: &Repo, arguments: impl Fn(u32) -> Vec<String>, mut look: impl FnMut()) {
    let first = arguments(0);
    let begun = Instant::now();
    repo.ok(&words(&first));
    let whole = begun.elapsed();
    look();
    for moment in 0..MOMENTS {
        let mut child = repo.start(&words(&arguments(moment + 1)));
        let until = Instant::now() + whole.mul_f64(f64::from(moment) / 12.0);
        while Instant::now() < until && child.try_wait().unwrap().is_none() {
            std::thread::park_timeout(Duration::from_micros(200));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        look();
    }
    // What was half written does not stand in the way.
    repo.ok(&words(&arguments(MOMENTS + 1)));
    look();
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn files_are_old_or_new() {
    let repo = Repo::new();
    repo.new_cluster("dev");
    let values: Vec<_> = (0..40).map(|i| (format!("k{i}"), "x".repeat(4096))).collect();
    let values: Vec<_> = values.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let plain = secret("db", &values);
    repo.write("plain.yaml", &plain);
    repo.ok(&["seal", "plain.yaml", "-o", "sealed.yaml", "--cluster", "prod"]);
    let sealed = repo.read("sealed.yaml");
    for (file, key) in [("ours.yaml", "k7"), ("theirs.yaml", "k9")] {
        repo.write(file, &sealed);
        repo.ok(&["set", file, key, "--generate"]);
    }
    let (ours, keys) = (repo.read("ours.yaml"), repo.keys("prod"));
    let commands: [(&[&str], &str); 9] = [
        (&["seal", "-i", "db.yaml", "--cluster", "prod"], &plain),
        (&["seal", "plain.yaml", "-o", "db.yaml", "--fresh", "--cluster", "prod"], &sealed),
        (&["set", "db.yaml", "k7", "--generate"], &sealed),
        (&["unset", "db.yaml", "k7", "k8"], &sealed),
        (&["rename", "db.yaml", "k7", "new", "--key", &keys], &sealed),
        (&["compact", "db.yaml", "--key", &keys], &sealed),
        (&["reseal", "db.yaml", "--all-clusters", "--key", &keys], &sealed),
        (&["reseal", "db.yaml", "--fresh", "--key", &keys], &sealed),
        (&["merge", "sealed.yaml", "db.yaml", "theirs.yaml"], &ours),
    ];
    for (command, before) in commands {
        let (mut old, mut new) = (0, 0);
        let ready = |_| {
            repo.write("db.yaml", before);
            owned(command)
        };
        killed(&repo, ready, || {
            if repo.read("db.yaml") == before {
                old += 1;
            } else {
                new += 1;
                assert!(repo.value("db.yaml", &keys, "k0").is_some(), "{command:?}");
            }
        });
        assert!(old > 0 && new > 0, "{command:?}: {old} times old, {new} times new");
    }
    let mut left: Vec<_> =
        fs::read_dir(repo.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    let expected =
        [".git", ".strongroom", "db.yaml", "ours.yaml", "plain.yaml", "sealed.yaml", "theirs.yaml"];
    assert_eq!(left, expected, "what was half written goes with the next run");
    // The cache is whole, too: the next sealing is quiet.
    let again = ["seal", "plain.yaml", "-o", "db.yaml", "--cluster", "prod"];
    repo.ok(&again);
    let before = repo.read("db.yaml");
    repo.ok(&again);
    assert_eq!(repo.read("db.yaml"), before);
}

#[test]
fn nothing_is_sealed_for_a_key_that_is_lost() {
    let repo = Repo::new();
    let folder = repo.beside("prod").to_str().unwrap().to_owned();
    let list = repo.beside("prod/prod.yaml");
    repo.write("plain.yaml", secret("db", &[("a", "b")]));
    let seal = || repo.ok(&["seal", "plain.yaml", "-o", "db.yaml", "--fresh"]);

    let rotate = |_| owned(&["sealing-keys", "rotate", "--dir", &folder]);
    killed(&repo, rotate, || {
        repo.fetch("prod");
        seal();
        assert!(repo.value("db.yaml", &repo.keys("prod"), "a").is_some());
    });

    let pinned = || repo.read(".strongroom/clusters/prod.yaml");
    let before = std::cell::RefCell::new(String::new());
    let fetch = |_| {
        repo.ok(&["sealing-keys", "rotate", "--dir", &folder]);
        *before.borrow_mut() = pinned();
        owned(&["sealing-keys", "fetch", list.to_str().unwrap()])
    };
    killed(&repo, fetch, || {
        let now = pinned();
        assert!(now == *before.borrow() || now == fs::read_to_string(&list).unwrap(), "{now}");
    });

    let file = |number| repo.beside(&format!("escrow-{number}")).to_str().unwrap().to_owned();
    let escrow = |number| owned(&["escrow", "new", "--replace", "--to-file", &file(number)]);
    killed(&repo, escrow, || {
        let escrow: serde_json::Value =
            serde_json::from_str(&repo.ok(&["sealing-keys", "list", "--output", "json"])).unwrap();
        let escrow = escrow.as_array().unwrap().iter().find(|key| key["state"] == "escrow");
        let kid = escrow.unwrap()["kid"].as_str().unwrap();
        let has_it = |file: &String| fs::read_to_string(file).is_ok_and(|text| text.contains(kid));
        let file = (0..=MOMENTS + 1).map(file).find(has_it).unwrap();
        seal();
        assert!(repo.value("db.yaml", &file, "a").is_some());
    });
}
