//! Attacks on `durable`: two writers at once, and what a creation that was killed leaves for ever.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use envelope::SystemRandom;
use strongroomd::{
    durable::{self, Step},
    root::LocalFile,
};

fn wait(gate: &Receiver<()>) {
    gate.recv_timeout(Duration::from_secs(10)).unwrap();
}

/// Two `init` at once. What `create` returns Ok for must be what it was given (module doc: "what these functions return Ok
/// for is on disk").
#[test]
fn creation_that_succeeds_published_its_own_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.key");
    let (theirs_wrote, wait_theirs): (Sender<()>, _) = channel();
    let (ours_done, wait_ours) = channel();
    thread::scope(|scope| {
        let wait_theirs = wait_theirs;
        let path = &path;
        let (begin, begun) = channel();
        scope.spawn(move || {
            wait(&begun);
            let _ = durable::create(path, b"theirs", 0o600, &|step| {
                if step == Step::SyncFile {
                    theirs_wrote.send(()).unwrap();
                    wait(&wait_ours);
                }
            });
        });
        let made = durable::create(path, b"ours", 0o600, &|step| {
            if step == Step::Publish {
                begin.send(()).unwrap();
                wait(&wait_theirs);
            }
        });
        let there = fs::read(path).unwrap();
        ours_done.send(()).unwrap();
        assert!(
            made.is_err() || there == b"ours",
            "create said {made:?}, and the file holds {:?}",
            String::from_utf8_lossy(&there)
        );
    });
}

/// Two daemons on one bundle folder accept at once. The one that is cut short must not have published the other's half file.
#[test]
fn replacing_beside_another_never_publishes_a_file_that_is_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("etcd.accepted");
    durable::create(&path, b"1\n", 0o600, &|_| {}).unwrap();
    // The other writer has begun: its temporary file exists and is empty (killed, or out of disk, right there).
    let other = |step| {
        if step == Step::Publish {
            let tmp = folder.path().join(".etcd.accepted.tmp");
            fs::remove_file(&tmp).unwrap();
            fs::File::create_new(&tmp).unwrap();
        }
    };
    let _ = durable::replace(&path, b"2\n", 0o600, &other);
    let there = fs::read(&path).unwrap();
    assert!(there == b"1\n" || there == b"2\n", "neither old nor new: {there:?}");
}

/// Somebody else is faster, with the same function: that is AlreadyExists (`dev` counts on it), not NotFound.
#[test]
fn creation_that_loses_a_race_says_already_exists() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let race = |step| {
        if step == Step::Publish {
            durable::create(&path, b"theirs", 0o600, &|_| {}).unwrap();
        }
    };
    let error = durable::create(&path, b"ours", 0o600, &race).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{error}");
}

/// Killed between link(2) and unlink(2): the root key has a second name, `.root.key.tmp`, for ever, because `create` returns
/// before it looks. Whoever shreds or rotates root.key later leaves a copy behind.
#[test]
fn second_name_of_a_root_key_that_a_killed_creation_left_goes_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.key");
    LocalFile::create(&path, &SystemRandom).unwrap();
    // The state on disk after SIGKILL between durable.rs:55 and :56.
    fs::hard_link(&path, folder.path().join(".root.key.tmp")).unwrap();
    assert!(LocalFile::create(&path, &SystemRandom).is_err(), "it exists");
    assert_eq!(fs::metadata(&path).unwrap().nlink(), 1, ".root.key.tmp still holds the key");
}
