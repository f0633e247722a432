//! What people and scripts see of the admin API, against a daemon that answers what a test put into it.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test is to end it")]

mod chain;
mod daemon;
mod roots;
mod tls;

use std::{
    path::Path,
    process::{Command, Output},
};

use daemon::{Answers, Serving, serve};
use proto::admin as api;
use serde_json::Value;
use tonic::{Code, Status};

const NOW: u64 = 1_800_000_000;

fn run(daemon: &Serving, arguments: &[&str]) -> Output {
    command(daemon.socket.as_path(), arguments).output().unwrap()
}

fn command(socket: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
    command.args(arguments).env("STRONGROOM_ADMIN", socket);
    command
}

/// Standard output of a command that must go well.
fn said(daemon: &Serving, arguments: &[&str]) -> String {
    let output = run(daemon, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(daemon: &Serving, arguments: &[&str]) -> Value {
    serde_json::from_str(&said(daemon, &[arguments, &["--output", "json"]].concat())).unwrap()
}

fn key(version: u32, state: api::KeyState) -> api::KeyVersion {
    api::KeyVersion {
        id: format!("etcd/v{version}/0123456789ab"),
        version,
        state: state.into(),
        created: NOW - 90_000,
        activated: Some(NOW - 80_000),
        changed: NOW - 3_600,
        age: 90_000,
        roots: vec!["726f6f742d31".into()],
        destruction: None,
        holds: vec![4],
    }
}

fn keys(first: api::KeyVersion) -> api::ListKeysResponse {
    let versions = vec![first, key(2, api::KeyState::Active)];
    let ring = api::Ring { name: "etcd".into(), generation: 7, versions };
    api::ListKeysResponse { cluster: "07".repeat(16), now: NOW, rings: vec![ring] }
}

fn rotation(phase: api::Phase, state: api::RunState) -> api::Rotation {
    let replica = |name: &str, lacks: &str| api::Replica {
        name: name.into(),
        joined: NOW - 9_000,
        reported: lacks.is_empty().then_some(NOW - 2),
        generation: 7,
        serving: 2,
        tested: 3,
        lacks: lacks.into(),
        ..api::Replica::default()
    };
    let apiserver = |name: &str, on_active, error: &str| api::Apiserver {
        name: name.into(),
        key_id_hash: String::new(),
        error: error.into(),
        on_active,
        objects: on_active.then_some(10_234),
    };
    api::Rotation {
        cluster: "07".repeat(16),
        ring: "etcd".into(),
        now: NOW,
        phase: phase.into(),
        generation: 7,
        active: "etcd/v2/0123456789ab".into(),
        run: Some(api::Run {
            id: 3,
            trigger: "manual".into(),
            reason: "quarterly".into(),
            requested_by: "uid:0".into(),
            begun: NOW - 192,
            from: 2,
            to: Some(3),
            state: state.into(),
            ..api::Run::default()
        }),
        replicas: vec![replica("cp-1", ""), replica("cp-2", "has never reported")],
        apiservers: vec![apiserver("cp-1", true, ""), apiserver("cp-2", false, "refused\x1b[2J")],
        steps: Vec::new(),
        waits: vec![api::Wait {
            on: "replica cp-2".into(),
            reason: "has never reported".into(),
            unblock: "strongroom replicas remove cp-2 --reason TEXT".into(),
        }],
        eta: Some(NOW + 540),
        next: Some(NOW + 86_400),
        leader: Some(api::Leader { holder: "cp-1/ab12".into(), epoch: 4, until: NOW + 10 }),
    }
}

fn rotating(rotations: Vec<api::Rotation>) -> Serving {
    serve(Answers { rotations, ..Answers::default() })
}

#[test]
fn status_has_a_line_for_everybody_and_the_command_that_unblocks() {
    let daemon = rotating(vec![rotation(api::Phase::Propagate, api::RunState::Open)]);
    let text = said(&daemon, &["rotate", "status"]);
    let lines = |words: &[&str]| {
        text.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
    };
    for words in [
        &["ring etcd of cluster 0707", "2027-01-15T08:00:00Z"][..],
        &["phase propagate", "etcd/v2/", "generation 7"],
        &["led by cp-1/ab12 (epoch 4)"],
        &["rotation #3 is open", "version 2 to version 3", "manual", "uid:0", "quarterly"],
        &["begun 3m 12s ago"],
        &["cp-1", "up to date", "version 2, generation 7", "2s ago"],
        &["cp-2", "has never reported  ", "never"],
        &["cp-1", "on the active version", "10234"],
        &["cp-2", "not known: refused"],
        &["replicas 1 of 2, apiservers 1 of 2"],
        &["waiting for replica cp-2: has never reported"],
        &["  unblock: strongroom replicas remove cp-2 --reason TEXT"],
        &["this phase ends by itself at 2027-01-15T08:09:00Z, in 9m"],
        &["the next rotation begins by itself at 2027-01-16T08:00:00Z, in 1d"],
    ] {
        assert_eq!(lines(words), 1, "{words:?} in\n{text}");
    }
    assert!(!text.contains('\x1b'), "what comes from elsewhere moves the cursor: {text:?}");
    let value = json(&daemon, &["rotate", "status"]);
    assert_eq!(value["schema"], "strongroom.dev/rotation/v1");
    assert_eq!((&value["phase"], &value["run"]["state"]), (&"propagate".into(), &"open".into()));
    assert_eq!(value["waits"][0]["unblock"], "strongroom replicas remove cp-2 --reason TEXT");
}

#[test]
fn a_watch_is_a_line_for_each_change_and_ends_with_the_run() {
    let open = rotation(api::Phase::Propagate, api::RunState::Open);
    let active = rotation(api::Phase::Converge, api::RunState::Open);
    let cases = [(api::RunState::Done, "done", 0), (api::RunState::Cancelled, "cancelled", 1)];
    for (end, word, code) in cases {
        let last = rotation(api::Phase::Idle, end);
        // What comes after the end is not waited for.
        let daemon = rotating(vec![open.clone(), active.clone(), last, open.clone()]);
        let output = run(&daemon, &["rotate", "status", "--watch"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        let words =
            ["open, phase propagate", "open, phase converge", &format!("{word}, phase idle")];
        assert!(lines.iter().zip(words).all(|(line, word)| line.contains(word)), "{text}");
        assert_eq!(output.status.code(), Some(code));

        let daemon = rotating(vec![open.clone(), rotation(api::Phase::Idle, end)]);
        let output = run(&daemon, &["rotate", "status", "--watch", "--output", "json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let values: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(values.iter().map(|v| &v["phase"]).collect::<Vec<_>>(), ["propagate", "idle"]);
    }
}

#[test]
fn what_is_asked_for_arrives() {
    let daemon = serve(Answers {
        rotations: vec![rotation(api::Phase::Stage, api::RunState::Open)],
        keys: keys(key(1, api::KeyState::Archived)),
        ..Answers::default()
    });
    let cases: [(&[&str], &str); 14] = [
        (
            &["rotate", "start"],
            "StartRotationRequest { reason: \"started by hand\", compromised: false }",
        ),
        (
            &["rotate", "start", "--compromised", "--reason", "broken into"],
            "StartRotationRequest { reason: \"broken into\", compromised: true }",
        ),
        (&["rotate", "pause"], "PauseRotationRequest { reason: \"paused by hand\" }"),
        (&["rotate", "resume"], "ResumeRotationRequest"),
        (
            &["rotate", "cancel", "--reason", "x", "--yes"],
            "CancelRotationRequest { reason: \"x\" }",
        ),
        (
            &["replicas", "remove", "cp-2", "--reason", "x", "--yes"],
            "RemoveReplicaRequest { name: \"cp-2\", reason: \"x\" }",
        ),
        (
            &["keys", "compromise", "1", "--reason", "x", "--yes"],
            "CompromiseKeyRequest { version: 1, reason: \"x\" }",
        ),
        (
            &["keys", "archive", "1", "--reason", "x", "--yes"],
            "ArchiveKeyRequest { version: 1, reason: \"x\" }",
        ),
        (
            &["keys", "restore", "1", "--reason", "x"],
            "RestoreKeyRequest { version: 1, reason: \"x\" }",
        ),
        (
            &["keys", "destroy", "1", "--wait", "14d", "--yes"],
            "ScheduleDestroyRequest { version: 1, wait: 1209600 }",
        ),
        (&["keys", "cancel-destroy", "1"], "CancelDestroyRequest { version: 1 }"),
        (
            &["hold", "add", "--until", "30d", "--reason", "x", "--version", "3"],
            "AddHoldRequest { first: Some(3), last: Some(3), reason: \"x\", end: Some(Lasting(2592000)) }",
        ),
        (
            &["hold", "add", "--until", "1970-01-01", "--reason", "x"],
            "AddHoldRequest { first: None, last: None, reason: \"x\", end: Some(Until(86400)) }",
        ),
        (&["hold", "release", "2", "--reason", "x"], "ReleaseHoldRequest { id: 2, reason: \"x\" }"),
    ];
    for (arguments, request) in cases {
        said(&daemon, arguments);
        assert_eq!(daemon.asked(), [request], "{arguments:?}");
    }
}

#[test]
fn a_version_whose_wait_has_begun_is_destroyed_by_its_id() {
    let mut first = key(1, api::KeyState::DestroyScheduled);
    first.destruction = Some(api::Destruction {
        requested_by: "uid:1000".into(),
        wait: 604_800,
        observed: 86_400,
        approved_by: None,
    });
    let daemon = serve(Answers { keys: keys(first), ..Answers::default() });
    said(&daemon, &["keys", "destroy", "1", "--yes"]);
    let request = "DestroyKeyRequest { version: 1, id: \"etcd/v1/0123456789ab\" }";
    assert_eq!(daemon.asked(), [request]);

    let text = said(&daemon, &["keys", "list"]);
    assert!(text.contains("watched 1d of 7d, 6d to go"), "{text}");
    assert!(text.contains("destroy_scheduled") && text.contains("#4"), "{text}");
    let value = json(&daemon, &["keys", "list"]);
    assert_eq!(value["rings"][0]["versions"][0]["destruction"]["requested_by"], "uid:1000");
}

/// Without a terminal and without --yes nothing is asked of the daemon, and the thing is named.
#[test]
fn what_destroys_is_not_done_without_a_yes() {
    let daemon =
        serve(Answers { keys: keys(key(1, api::KeyState::Archived)), ..Answers::default() });
    let file = daemon.folder.path().join("export.jsonl");
    std::fs::write(&file, "x").unwrap();
    let cases: [(&[&str], &str); 6] = [
        (&["keys", "archive", "1", "--reason", "x"], "etcd/v1/0123456789ab"),
        (&["keys", "destroy", "1"], "etcd/v1/0123456789ab"),
        (&["replicas", "remove", "cp-2", "--reason", "x"], "cp-2"),
        (&["rotate", "cancel", "--reason", "x"], "Cancel the rotation"),
        (&["ledger", "import", file.to_str().unwrap()], "export.jsonl"),
        (&["ledger", "adopt"], "Adopt"),
    ];
    for (arguments, named) in cases {
        let output = run(&daemon, arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(named) && text.contains("--yes"), "{arguments:?}: {text}");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(daemon.asked().is_empty(), "{arguments:?}");
    }
}

#[test]
fn lists_are_tables_and_stable_json() {
    let hold = |id, released: Option<u64>| api::Hold {
        id,
        first: 1,
        last: 2,
        until: NOW + 86_400,
        reason: "etcd backup".into(),
        added_by: "uid:0".into(),
        added: NOW,
        released_by: released.map(|_| "cert:bob".into()),
        released,
    };
    let daemon = serve(Answers {
        holds: api::ListHoldsResponse { now: NOW, holds: vec![hold(1, None), hold(2, Some(NOW))] },
        replicas: api::ListReplicasResponse {
            now: NOW,
            replicas: rotation(api::Phase::Idle, api::RunState::Done).replicas,
        },
        plan: api::PlanRotationResponse { now: NOW, phase: 1, ..Default::default() },
        ..Answers::default()
    });
    let text = said(&daemon, &["hold", "list"]);
    assert!(
        text.contains("#1") && text.contains("1 to 2") && text.contains("holds for 1d"),
        "{text}"
    );
    assert!(text.contains("released by cert:bob"), "{text}");
    assert_eq!(json(&daemon, &["hold", "list"])["holds"][1]["released_by"], "cert:bob");
    assert!(said(&daemon, &["replicas", "list"]).contains("has never reported"));
    assert_eq!(json(&daemon, &["replicas", "list"])["replicas"][1]["name"], "cp-2");
    assert_eq!(
        said(&daemon, &["rotate", "plan"]),
        "phase idle\nnothing to do, nothing is waited for\n"
    );
    assert_eq!(json(&daemon, &["rotate", "plan"])["phase"], "idle");
}

#[test]
fn a_refusal_says_what_why_and_what_next_and_has_its_exit_code() {
    let cases = [
        (Code::PermissionDenied, 1, "ask whoever runs strongroomd"),
        (Code::FailedPrecondition, 1, "do what it says"),
        (Code::InvalidArgument, 1, "mend the command"),
        (Code::Aborted, 1, "run it again"),
        (Code::AlreadyExists, 1, "empty ledger"),
        (Code::DataLoss, 1, "serving goes on with the last good keys"),
        (Code::ResourceExhausted, 1, "wait a moment"),
        (Code::Unimplemented, 1, "update strongroomd"),
        (Code::Unavailable, 3, "serving goes on meanwhile"),
        (Code::DeadlineExceeded, 3, "is not known"),
    ];
    for (code, exit, next) in cases {
        let refusal = Some(Status::new(code, "cp-2 is \x1b[31mdown"));
        let daemon = serve(Answers { refusal, ..Answers::default() });
        for arguments in [&["keys", "list"][..], &["rotate", "start"], &["audit", "export"]] {
            let output = run(&daemon, arguments);
            let text = String::from_utf8(output.stderr).unwrap();
            assert!(text.starts_with("error: the "), "{text}");
            assert!(text.contains("why:  cp-2 is") && text.contains(next), "{code:?}: {text}");
            assert!(!text.contains('\x1b'));
            assert_eq!(output.status.code(), Some(exit), "{code:?}");
            assert!(output.stdout.is_empty());
        }
    }
}

#[test]
fn an_export_is_written_whole_or_not_at_all_and_read_back() {
    let pieces = vec![b"one\ntw".to_vec(), b"o\n".to_vec()];
    let daemon = serve(Answers { export: pieces, ..Answers::default() });
    let file = daemon.folder.path().join("ledger.jsonl");
    let path = file.to_str().unwrap();
    said(&daemon, &["ledger", "export", path]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\ntwo\n");
    let mode = std::os::unix::fs::MetadataExt::mode(&file.metadata().unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let text = said(&daemon, &["ledger", "import", path, "--yes"]);
    assert!(text.contains("2 key versions, generation 3, 9 audit records"), "{text}");
    assert_eq!(daemon.asked(), ["one\ntwo\n"]);
    // Nothing is overwritten.
    let output = run(&daemon, &["ledger", "export", path]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\ntwo\n");

    let refusal = Some(Status::permission_denied("no"));
    let refusing = serve(Answers { refusal, ..Answers::default() });
    let file = refusing.folder.path().join("ledger.jsonl");
    let output = run(&refusing, &["ledger", "export", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!file.exists());
}
