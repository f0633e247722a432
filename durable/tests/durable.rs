//! Writes that are killed at each step. The process that dies is this test program itself, started again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    clippy::disallowed_methods,
    reason = "the environment tells the second process what to do"
)]

use std::{
    env, fs, io,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::ExitStatusExt,
    },
    path::Path,
    process::Command,
    thread,
};

use durable::Step;
use rustix::process::{Signal, getpid, kill_process};

const PATH: &str = "STRONGROOM_TEST_PATH";
const STEP: &str = "STRONGROOM_TEST_STEP";
const CREATE: &str = "STRONGROOM_TEST_CREATE";

/// Writes `new` to the path of the environment and dies at its step; a plain write where there is none.
#[test]
fn write_that_nobody_stops_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let path = env::var_os(PATH).map_or_else(|| folder.path().join("file"), Into::into);
    let step = env::var(STEP).ok();
    let die = |at: Step| {
        if step.as_deref() == Some(&format!("{at:?}")) {
            kill_process(getpid(), Signal::KILL).unwrap();
        }
    };
    if env::var_os(CREATE).is_some() {
        durable::create(&path, b"new", 0o600, &die).unwrap();
    } else {
        durable::replace(&path, b"new", 0o600, &die).unwrap();
    }
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
}

fn killed_at(step: Step, path: &Path, create: bool) {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "write_that_nobody_stops_is_published"]);
    child.env(PATH, path).env(STEP, format!("{step:?}"));
    if create {
        child.env(CREATE, "1");
    }
    let status = child.output().unwrap().status;
    assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{step:?}: {status}");
}

#[test]
fn replacing_that_is_killed_leaves_old_or_new() {
    for step in Step::ALL {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        durable::create(&path, b"old", 0o600, &|_| {}).unwrap();
        killed_at(step, &path, false);
        let expected: &[u8] = if step == Step::SyncFolder { b"new" } else { b"old" };
        assert_eq!(fs::read(&path).unwrap(), expected, "{step:?}");

        // The next write is not in the way of what the killed one left.
        durable::replace(&path, b"newer", 0o600, &|_| {}).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"newer");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn creation_that_is_killed_leaves_nothing_or_new() {
    for step in Step::ALL {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        killed_at(step, &path, true);
        if step == Step::SyncFolder {
            assert_eq!(fs::read(&path).unwrap(), b"new");
        } else {
            assert!(path.symlink_metadata().is_err(), "{step:?}");
            durable::create(&path, b"new", 0o600, &|_| {}).unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn creation_never_overwrites() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    durable::create(&path, b"old", 0o600, &|_| {}).unwrap();
    let error = durable::create(&path, b"new", 0o600, &|_| {}).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&path).unwrap(), b"old");

    // Somebody else is faster, between the look and the link.
    let raced = folder.path().join("raced");
    let race = |step| {
        if step == Step::Publish {
            fs::write(&raced, "theirs").unwrap();
        }
    };
    let error = durable::create(&raced, b"ours", 0o600, &race).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&raced).unwrap(), b"theirs");
}

/// Killed between link(2) and unlink(2), an earlier version left the key under a second name.
#[test]
fn what_a_killed_creation_left_goes_away_although_the_file_exists() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.key");
    durable::create(&path, b"key", 0o600, &|_| {}).unwrap();
    fs::hard_link(&path, folder.path().join(".root.key.tmp")).unwrap();
    let error = durable::create(&path, b"key", 0o600, &|_| {}).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::metadata(&path).unwrap().nlink(), 1);
}

#[test]
fn writers_at_once_publish_whole_files_and_one_creation_wins() {
    for _ in 0..50 {
        let folder = tempfile::tempdir().unwrap();
        let (made, replaced) = (folder.path().join("made"), folder.path().join("replaced"));
        let contents: Vec<Vec<u8>> = (1..=4).map(|n| vec![n; 1000 * usize::from(n)]).collect();
        let created: Vec<_> = thread::scope(|scope| {
            let write = |content: &[u8]| {
                durable::replace(&replaced, content, 0o600, &|_| {}).unwrap();
                durable::create(&made, content, 0o600, &|_| {}).map_err(|error| error.kind())
            };
            let threads: Vec<_> =
                contents.iter().map(|content| scope.spawn(move || write(content))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winners: Vec<_> =
            created.iter().zip(&contents).filter(|(made, _)| made.is_ok()).collect();
        assert_eq!(winners.len(), 1, "{created:?}");
        assert!(
            created.iter().all(|made| made.is_ok() || *made == Err(io::ErrorKind::AlreadyExists))
        );
        assert_eq!(fs::read(&made).unwrap(), *winners[0].1);
        assert!(contents.contains(&fs::read(&replaced).unwrap()));
    }
}
