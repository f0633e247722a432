//! `strongroom probe` against plugins that break the contract, each in one way, over a real socket.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test is to end it")]

mod plugin;

use std::{
    path::Path,
    process::{Command, Output},
};

use plugin::{Behaviour, Serving, listen, serve};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tonic::Code;

/// A name, how the plugin differs, and the checks that must say so.
type Case = (&'static str, fn(&mut Behaviour), &'static [&'static str]);

#[test]
fn a_plugin_that_keeps_the_contract_passes_every_check() {
    let plugin = serve(Behaviour::default());
    let (report, output) = probe(&plugin.socket, &[]);
    assert_eq!(named(&report, "fail"), [""; 0], "{report:#}");
    assert_eq!(named(&report, "warn"), [""; 0], "{report:#}");
    assert_eq!(named(&report, "skipped"), [""; 0], "{report:#}");
    assert_eq!(report["result"], "ok");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
}

#[test]
fn each_violation_fails_the_check_that_names_it() {
    const VIOLATIONS: &[Case] = &[
        ("speaks version v1", |p| p.version = "v1".into(), &["status.version"]),
        ("has no version", |p| p.version.clear(), &["status.version"]),
        ("is healthy in capitals", |p| p.healthz = "OK".into(), &["status.healthz"]),
        ("has no health", |p| p.healthz.clear(), &["status.healthz"]),
        ("has no key_id", |p| p.key_id.clear(), &["status.key_id"]),
        ("has a key_id of 1025 bytes", |p| p.key_id = "k".repeat(1025), &["status.key_id"]),
        (
            "has a key_id that is not UTF-8",
            |p| p.raw_status = Some(b"\x0a\x02v2\x12\x02ok\x1a\x02\xc3\x28".to_vec()),
            &["status.key_id", "encrypt.key_id"],
        ),
        ("answers Status with an error", |p| p.status_code = Code::Unavailable, &["status.call"]),
        (
            "answers Encrypt with an error",
            |p| p.encrypt_code = Code::Unavailable,
            &["encrypt.call"],
        ),
        (
            "encrypts under another key than Status says",
            |p| p.encrypt_key_id = Some("etcd/v2/ba9876543210".into()),
            &["encrypt.key_id"],
        ),
        (
            "gives no ciphertext",
            |p| p.seal = |_, _| Vec::new(),
            &["encrypt.ciphertext", "encrypt.fresh", "decrypt.call"],
        ),
        (
            "gives a ciphertext of 1025 bytes",
            |p| p.seal = |_, number| [number.to_be_bytes().to_vec(), vec![7; 1017]].concat(),
            &["encrypt.ciphertext"],
        ),
        (
            "has an annotation with a slash",
            |p| p.annotations = annotation("strongroom.dev/kek", 1),
            &["encrypt.annotations"],
        ),
        (
            "has an annotation in capitals",
            |p| p.annotations = annotation("KEK.strongroom.dev", 1),
            &["encrypt.annotations"],
        ),
        (
            "has an annotation of one label",
            |p| p.annotations = annotation("kek", 1),
            &["encrypt.annotations"],
        ),
        (
            "has an annotation without a name",
            |p| p.annotations = annotation("", 1),
            &["encrypt.annotations"],
        ),
        (
            "has more than 32 KiB of annotations",
            |p| p.annotations = annotation("a.b", 32 * 1024),
            &["encrypt.annotations"],
        ),
        ("encrypts without a nonce", |p| p.seal = |_, _| vec![9; 73], &["encrypt.fresh"]),
        (
            "does not encrypt",
            |p| p.seal = |plaintext, number| [&number.to_be_bytes(), plaintext].concat(),
            &["encrypt.opaque"],
        ),
        (
            "cannot open what it sealed",
            |p| p.decrypt_code = Code::FailedPrecondition,
            &["decrypt.call"],
        ),
        (
            "opens to other bytes",
            |p| {
                p.open = |mut plaintext| {
                    plaintext.reverse();
                    plaintext
                }
            },
            &["decrypt.plaintext"],
        ),
        (
            "opens to too few bytes",
            |p| {
                p.open = |mut plaintext| {
                    plaintext.pop();
                    plaintext
                }
            },
            &["decrypt.plaintext"],
        ),
        ("opens a changed ciphertext", |p| p.changed = Code::Ok, &["refuses.changed_ciphertext"]),
        (
            "blames itself for a changed ciphertext",
            |p| p.changed = Code::Internal,
            &["refuses.changed_ciphertext"],
        ),
        (
            "has no word for a changed ciphertext",
            |p| p.changed = Code::Unknown,
            &["refuses.changed_ciphertext"],
        ),
        ("tries its keys", |p| p.other_key = Code::Ok, &["refuses.changed_key_id"]),
        (
            "blames itself for another key_id",
            |p| p.other_key = Code::Internal,
            &["refuses.changed_key_id"],
        ),
        ("opens nothing", |p| p.empty_ciphertext = Code::Ok, &["refuses.empty_ciphertext"]),
        ("fails on nothing", |p| p.empty_ciphertext = Code::Unknown, &["refuses.empty_ciphertext"]),
        (
            "opens a mebibyte",
            |p| p.oversized_ciphertext = Code::Ok,
            &["refuses.oversized_ciphertext"],
        ),
        (
            "fails on a mebibyte to open",
            |p| p.oversized_ciphertext = Code::Internal,
            &["refuses.oversized_ciphertext"],
        ),
        (
            "fails on nothing to seal",
            |p| p.empty_plaintext = Code::Unknown,
            &["refuses.empty_plaintext"],
        ),
        (
            "seals a mebibyte",
            |p| p.oversized_plaintext = Code::Ok,
            &["refuses.oversized_plaintext"],
        ),
        ("falls ill from a wrong request", |p| p.is_harmed = true, &["status.unharmed"]),
        ("changes its key_id at will", |p| p.is_restless = true, &["status.stable"]),
    ];
    for (name, change, expected) in VIOLATIONS {
        let mut behaviour = Behaviour::default();
        change(&mut behaviour);
        let plugin = serve(behaviour);
        let (report, output) = probe(&plugin.socket, &[]);
        assert_eq!(named(&report, "fail"), *expected, "a plugin that {name}: {report:#}");
        assert_eq!(report["result"], "fail", "a plugin that {name}");
        assert_eq!(output.status.code(), Some(1), "a plugin that {name}");
    }
}

#[test]
fn an_abstract_socket_is_probed_by_its_name_and_has_no_file_to_judge() {
    let name = format!("@strongroom-test-{}", std::process::id());
    let plugin = serve(Behaviour { abstract_name: Some(name.clone()), ..Behaviour::default() });
    for address in [name.clone(), format!("unix:///{name}")] {
        let (report, output) = probe(Path::new(&address), &[]);
        assert_eq!(named(&report, "fail"), [""; 0], "{report:#}");
        let skipped = ["socket.type", "socket.mode", "socket.folder", "socket.owner"];
        assert_eq!(named(&report, "skipped"), skipped, "{report:#}");
        // Without a slash to encode, every kube-apiserver sends an authority that HTTP/2 takes.
        assert!(detail(&report, "authority.path").starts_with("accepted"), "{report:#}");
        assert_eq!(output.status.code(), Some(0));
    }
    drop(plugin);
}

#[test]
fn what_kube_apiserver_puts_up_with_is_a_warning() {
    const ODDITIES: &[Case] = &[
        ("speaks the old version", |p| p.version = "v2beta1".into(), &["status.version"]),
        ("seals nothing", |p| p.empty_plaintext = Code::Ok, &["refuses.empty_plaintext"]),
        (
            "calls itself ill for a wrong key_id",
            |p| p.other_key = Code::Unavailable,
            &["refuses.changed_key_id"],
        ),
        (
            "is open to every user",
            |p| (p.socket_mode, p.folder_mode) = (0o666, 0o755),
            &["socket.mode"],
        ),
        ("lies in a folder of everybody", |p| p.folder_mode = 0o777, &["socket.folder"]),
        ("lies in a folder like /tmp", |p| p.folder_mode = 0o1777, &["socket.folder"]),
    ];
    for (name, change, expected) in ODDITIES {
        let mut behaviour = Behaviour::default();
        change(&mut behaviour);
        let plugin = serve(behaviour);
        let (report, output) = probe(&plugin.socket, &[]);
        assert_eq!(named(&report, "warn"), *expected, "a plugin that {name}: {report:#}");
        assert_eq!(named(&report, "fail"), [""; 0], "a plugin that {name}: {report:#}");
        assert_eq!(output.status.code(), Some(0), "a plugin that {name}");
    }
}

#[test]
fn a_plugin_that_does_not_answer_in_time_fails_that_call_alone() {
    for (method, failed, unasked) in [
        ("Status", "status.call", "encrypt.call"),
        ("Encrypt", "encrypt.call", "decrypt.call"),
        ("Decrypt", "decrypt.call", "refuses.changed_ciphertext"),
    ] {
        let plugin = serve(Behaviour { silent: Some(method), ..Behaviour::default() });
        let (report, output) = probe(&plugin.socket, &["--timeout", "1s"]);
        assert_eq!(named(&report, "fail"), [failed], "{method}: {report:#}");
        assert_eq!(check(&report, unasked)["result"], "skipped", "{method}");
        assert!(detail(&report, failed).starts_with("no answer within 1s"), "{method}: {report:#}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn a_peer_that_is_dropped_is_told_who_it_is() {
    let plugin = listen(&Behaviour::default(), |listener| async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
        }
    });
    let (report, _) = probe(&plugin.socket, &[]);
    assert_eq!(named(&report, "fail"), ["authority.localhost"], "{report:#}");
    assert!(detail(&report, "authority.localhost").contains("you are uid"), "{report:#}");
}

#[test]
fn what_does_not_speak_http_2_is_no_plugin() {
    let plugin = listen(&Behaviour::default(), |listener| async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ =
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
    let (report, output) = probe(&plugin.socket, &["--timeout", "500ms"]);
    assert_eq!(named(&report, "fail"), ["authority.localhost"], "{report:#}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn json_names_every_check_also_when_nobody_serves() {
    let plugin = serve(Behaviour::default());
    let (served, _) = probe(&plugin.socket, &[]);
    let (missing, output) = probe(Path::new("/nonexistent/kms.sock"), &[]);
    let ids = |report: &Value| -> Vec<String> {
        let checks = report["checks"].as_array().unwrap().iter();
        checks.map(|check| check["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&served), ids(&missing));
    assert_eq!(named(&missing, "fail"), ["socket.type"]);
    assert_eq!(output.status.code(), Some(1));
    for report in [served, missing] {
        assert_eq!(report["schema"], "strongroom.dev/probe/v1");
        assert!(report["microseconds"].is_u64());
        let keys = ["id", "what", "result", "detail", "microseconds"];
        for check in report["checks"].as_array().unwrap() {
            let check = check.as_object().unwrap();
            assert_eq!(check.len(), keys.len());
            assert!(keys.iter().all(|key| check.contains_key(*key)), "{check:?}");
        }
    }
}

#[test]
fn the_table_has_no_colours_in_a_pipe_and_ends_with_what_it_means() {
    let plugin = serve(Behaviour::default());
    let output = run(&["probe", "--socket", plugin.socket.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains('\x1b'));
    assert!(text.contains("decrypt.plaintext"));
    assert!(text.trim_end().ends_with("kube-apiserver can use this plugin"), "{text}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_socket_that_its_plugin_left_behind_is_told_from_one_that_is_missing() {
    let Serving { socket, .. } = &serve(Behaviour::default());
    let stale = socket.with_file_name("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let output = run(&["probe", "--socket", stale.to_str().unwrap()]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("error: nobody is serving"), "{text}");
    assert!(output.stdout.is_empty());
    assert_eq!(output.status.code(), Some(1));
}

fn annotation(key: &str, size: usize) -> std::collections::HashMap<String, Vec<u8>> {
    [(key.to_owned(), vec![1; size])].into()
}

fn probe(socket: &Path, more: &[&str]) -> (Value, Output) {
    let arguments =
        [&["probe", "--output", "json", "--socket", socket.to_str().unwrap()], more].concat();
    let output = run(&arguments);
    let report = serde_json::from_slice(&output.stdout);
    (report.unwrap_or_else(|error| panic!("{error}: {output:?}")), output)
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_strongroom")).args(arguments).output().unwrap()
}

fn named(report: &Value, result: &str) -> Vec<String> {
    let checks = report["checks"].as_array().unwrap().iter();
    let checks = checks.filter(|check| check["result"] == result);
    checks.map(|check| check["id"].as_str().unwrap().to_owned()).collect()
}

fn check<'a>(report: &'a Value, id: &str) -> &'a Value {
    report["checks"].as_array().unwrap().iter().find(|check| check["id"] == id).unwrap()
}

fn detail<'a>(report: &'a Value, id: &str) -> &'a str {
    check(report, id)["detail"].as_str().unwrap()
}
