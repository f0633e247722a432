//! What `strongroom roots` says.

use proto::admin as api;

use crate::{
    daemon::{Answers, serve},
    json, run, said,
};

const OLD: &str = "0a0a0a0a0a0a";
const NEW: &str = "0b0b0b0b0b0b";
const GONE: &str = "0c0c0c0c0c0c";

/// The ledger key under two roots, version 1 under the old one alone, version 2 also under one that is not configured.
fn custody() -> api::Custody {
    let root = |id: &str, name: &str, away: &str| api::Root {
        id: id.into(),
        name: name.into(),
        away: away.into(),
    };
    let key = |id: &str, state: api::KeyState, roots: &[&str]| api::WrappedKey {
        id: id.into(),
        state: state.into(),
        roots: roots.iter().copied().map(Into::into).collect(),
        holds: Vec::new(),
    };
    api::Custody {
        ring: "etcd".into(),
        generation: 7,
        roots: vec![root(OLD, "/old.key", ""), root(NEW, "/new.key", "")],
        keys: vec![
            key("state/v1/0123456789ab", api::KeyState::Unspecified, &[OLD, NEW]),
            key("etcd/v1/0123456789ab", api::KeyState::Archived, &[OLD]),
            key("etcd/v2/0123456789ab", api::KeyState::Active, &[OLD, NEW, GONE]),
        ],
    }
}

fn tried(root: &str, problem: &str) -> api::TriedKey {
    api::TriedKey {
        key: "etcd/v2/0123456789ab".into(),
        root: root.into(),
        problem: problem.into(),
        microseconds: 1234,
    }
}

#[test]
fn list_points_out_what_lacks_a_root_what_hangs_on_one_and_what_is_not_configured() {
    let daemon = serve(Answers { custody: custody(), ..Answers::default() });
    let text = said(&daemon, &["roots", "list"]);
    for words in [
        "/new.key",
        "ledger key",
        "1 of 3 keys do not lie under every root that is open here: strongroom roots rewrap",
        "1 of 3 keys hang on root key 0a0a0a0a0a0a alone",
        "root key 0c0c0c0c0c0c wraps 1 keys and is not open here",
        "strongroom roots remove 0c0c0c0c0c0c",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let listed = json(&daemon, &["roots", "list"]);
    assert_eq!(listed["schema"], "strongroom.dev/roots/v1");
    assert_eq!(listed["keys"][1]["lacks"][0], NEW);
    assert!(listed["keys"][0]["state"].is_null());
}

#[test]
fn check_fails_where_a_root_does_not_open_or_is_away_and_only_there() {
    let check = |custody: api::Custody, tried: Vec<api::TriedKey>| {
        let daemon = serve(Answers { custody, tried, ..Answers::default() });
        let output = run(&daemon, &["roots", "check"]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = check(custody(), vec![tried(OLD, ""), tried(NEW, "")]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("1.234 ms") && text.contains("opens"), "{text}");
    let (code, text) = check(custody(), vec![tried(OLD, ""), tried(NEW, "denied\x1b[2J")]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("denied") && !text.contains('\x1b'), "{text:?}");
    let mut away = custody();
    away.roots.push(api::Root { away: "it is missing".into(), ..api::Root::default() });
    let (code, text) = check(away, vec![tried(OLD, "")]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("a root key is away: it is missing"), "{text}");
}

#[test]
fn rewrap_says_what_it_did_and_fails_where_a_key_was_not_wrapped() {
    let rewrap = |problem: &str, arguments: &[&str]| {
        let keys = vec![api::RewrappedKey {
            key: "etcd/v1/0123456789ab".into(),
            roots: vec![NEW.into()],
            problem: problem.into(),
        }];
        let daemon = serve(Answers { custody: custody(), rewrapped: keys, ..Answers::default() });
        let output = run(&daemon, arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text, daemon.asked())
    };
    let (code, text, asked) = rewrap("", &["roots", "rewrap"]);
    assert_eq!((code, asked), (Some(0), vec!["RewrapKeysRequest { dry_run: false }".into()]));
    assert!(text.contains("is also under") && text.contains(NEW), "{text}");
    let (code, text, asked) = rewrap("", &["roots", "rewrap", "--dry-run"]);
    assert_eq!((code, asked), (Some(0), vec!["RewrapKeysRequest { dry_run: true }".into()]));
    assert!(text.contains("would come under"), "{text}");
    let (code, text, _) = rewrap("throttled", &["roots", "rewrap"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("throttled"), "{text}");
}

#[test]
fn remove_names_what_is_destroyed_and_asks_first() {
    let daemon = serve(Answers { custody: custody(), ..Answers::default() });
    let arguments = ["roots", "remove", GONE, "--reason", "never came back"];
    let output = run(&daemon, &arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    for words in
        ["REMOVE root key 0c0c0c0c0c0c FOR EVER", "etcd/v2/0123456789ab", "annotation", "--yes"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(daemon.asked().is_empty(), "nothing was asked for");
    said(&daemon, &[&arguments[..], &["--yes"]].concat());
    let asked = daemon.asked();
    assert!(asked[0].contains(GONE) && asked[0].contains("never came back"), "{asked:?}");

    let output = run(&daemon, &["roots", "remove", "0d0d0d0d0d0d", "--reason", "x", "--yes"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("no key is wrapped under it"));
}
