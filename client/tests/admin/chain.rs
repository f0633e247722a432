//! Exports of the audit chain: whole ones, and every way to tamper with one.

use envelope::{
    KeyId, KeyMaterial, LedgerKey, RingName,
    audit::{self, START},
};
use proto::admin::{self as api, export_audit_response::Part};
use serde_json::Value;

use crate::{
    NOW,
    daemon::{Answers, Serving, serve},
    run, said,
};

const CLUSTER: [u8; 16] = [7; 16];
const RECORDS: u64 = 6;

fn signer(seed: u8) -> LedgerKey {
    let key = KeyMaterial::copy_from(&[seed; 32]).unwrap();
    let id = KeyId::derive(RingName::parse(LedgerKey::RING).unwrap(), 1, &key).unwrap();
    LedgerKey::new(id, key).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Six records, checkpoints after the second and the fifth.
fn chain(key: &LedgerKey, actor: &str) -> Vec<api::ExportAuditResponse> {
    let (mut records, mut checkpoints, mut previous) = (Vec::new(), Vec::new(), START);
    for seq in 1..=RECORDS {
        let record = audit::Record {
            seq,
            at: NOW + seq,
            actor: actor.into(),
            action: "begin".into(),
            subject: format!("run {seq}"),
            detail: "quarterly".into(),
            previous,
        };
        previous = record.hash(&CLUSTER, "etcd");
        let audit::Record { seq, at, actor, action, subject, detail, previous: before } = record;
        records.push(Part::Record(api::AuditRecord {
            seq,
            at,
            actor,
            action,
            subject,
            detail,
            previous: before.to_vec(),
            hash: previous.to_vec(),
        }));
        if matches!(seq, 2 | 5) {
            let signed = audit::Checkpoint::sign(key, &CLUSTER, "etcd", (seq, previous), at);
            let audit::Checkpoint { seq, hash, at, public_key, signature } = signed.unwrap();
            checkpoints.push(Part::Checkpoint(api::AuditCheckpoint {
                seq,
                hash: hash.to_vec(),
                at,
                public_key: public_key.to_vec(),
                signature: signature.to_vec(),
            }));
        }
    }
    let header = Part::Header(api::AuditHeader {
        cluster: hex(&CLUSTER),
        ring: "etcd".into(),
        public_key: audit::Checkpoint::public_key(key, &CLUSTER).unwrap().to_vec(),
        records: RECORDS,
    });
    let parts = [vec![header], records, checkpoints].concat();
    parts.into_iter().map(|part| api::ExportAuditResponse { part: Some(part) }).collect()
}

/// The lines that `audit export` writes.
fn exported(key: &LedgerKey, actor: &str) -> (Serving, Vec<String>) {
    let daemon = serve(Answers { audit: chain(key, actor), ..Answers::default() });
    let lines = said(&daemon, &["audit", "export"]).lines().map(str::to_owned).collect();
    (daemon, lines)
}

fn verify(daemon: &Serving, lines: &[String], more: &[&str]) -> (Value, String, Option<i32>) {
    let file = daemon.folder.path().join("audit.jsonl");
    std::fs::write(&file, lines.iter().map(|line| line.clone() + "\n").collect::<String>())
        .unwrap();
    let path = file.to_str().unwrap();
    let output = run(daemon, &[&["audit", "verify", path, "--output", "json"], more].concat());
    let value = serde_json::from_slice(&output.stdout).unwrap();
    let table = run(daemon, &[&["audit", "verify", path], more].concat());
    (value, String::from_utf8(table.stdout).unwrap(), output.status.code())
}

fn public(key: &LedgerKey) -> String {
    hex(&audit::Checkpoint::public_key(key, &CLUSTER).unwrap())
}

#[test]
fn a_whole_chain_verifies_and_says_what_it_proves() {
    let key = signer(3);
    let (daemon, lines) = exported(&key, "uid:0");
    assert_eq!(lines.len(), 1 + 6 + 2);
    let (value, text, code) = verify(&daemon, &lines, &["--public-key", &public(&key)]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(
        (&value["result"], &value["records"], &value["signed"]),
        (&"ok".into(), &6.into(), &5.into())
    );
    assert!(text.contains("Records 1 to 5 are signed by"), "{text}");
    assert!(text.contains("Records 6 to 6 are chained and not signed yet"), "{text}");
    assert!(!text.contains("in the file itself"), "{text}");

    let (value, text, code) = verify(&daemon, &lines, &[]);
    assert_eq!((code, &value["key_from_file"]), (Some(0), &true.into()));
    assert!(text.contains("The key stands in the file itself"), "{text}");
}

#[test]
fn tampering_is_found_and_the_first_row_named() {
    type Tamper = fn(&mut Vec<String>);
    fn edit(line: &mut String, from: &str, to: &str) {
        assert!(line.contains(from));
        *line = line.replacen(from, to, 1);
    }
    // Lines: 0 header, 1 to 6 records, 7 and 8 checkpoints.
    let cases: &[(&str, Tamper, u64, &str)] = &[
        ("a record is edited", |l| edit(&mut l[3], "run 3", "run 9"), 4, "record 3"),
        ("a time is edited", |l| edit(&mut l[1], "1800000001", "1800000000"), 2, "record 1"),
        ("the actor of the last is edited", |l| edit(&mut l[6], "uid:0", "uid:1"), 7, "record 6"),
        (
            "a stored hash is edited",
            |l| edit(&mut l[4], "\"hash\":\"", "\"hash\":\"0000"),
            5,
            "record 4",
        ),
        ("a record is deleted", |l| drop(l.remove(3)), 4, "record 3"),
        ("the first record is deleted", |l| drop(l.remove(1)), 2, "record 1"),
        ("two records are swapped", |l| l.swap(2, 3), 3, "record 2"),
        ("a record stands twice", |l| l.insert(3, l[2].clone()), 4, "record 3"),
        ("the last record is cut off", |l| drop(l.remove(6)), 7, "record 6"),
        ("everything from record 3 is cut off", |l| l.truncate(3), 4, "record 3"),
        (
            "the end is cut off, and the header says so",
            |l| {
                drop(l.drain(5..7));
                edit(&mut l[0], "\"records\":6", "\"records\":4");
            },
            7,
            "checkpoint of record 5",
        ),
        (
            "a signature is edited",
            |l| {
                let at = l[8].find("\"signature\":\"").unwrap() + 13;
                let other = if &l[8][at..=at] == "0" { "1" } else { "0" };
                l[8].replace_range(at..=at, other);
            },
            9,
            "checkpoint of record 5",
        ),
        (
            "a checkpoint is moved to another time",
            |l| edit(&mut l[7], "\"at\":1800000002", "\"at\":1800000003"),
            8,
            "checkpoint of record 2",
        ),
        (
            "a checkpoint names another record",
            |l| edit(&mut l[8], "\"seq\":5", "\"seq\":6"),
            9,
            "checkpoint of record 6",
        ),
        ("checkpoints are swapped", |l| l.swap(7, 8), 9, "checkpoint of record 2"),
        ("a checkpoint stands among records", |l| l.swap(6, 7), 7, "record 6"),
        ("a second header", |l| l.insert(4, l[0].clone()), 5, "header"),
        ("no header", |l| drop(l.remove(0)), 1, "header"),
        ("nothing", Vec::clear, 1, "header"),
        ("a field too many", |l| edit(&mut l[2], "\"seq\":2", "\"seq\":2,\"x\":1"), 3, "record 2"),
        ("no JSON", |l| l[5] = "record 5 was here".into(), 6, "record 5"),
        ("another ring", |l| edit(&mut l[0], "etcd", "seal"), 2, "record 1"),
        ("another cluster", |l| edit(&mut l[0], "0707", "0708"), 2, "record 1"),
    ];
    let key = signer(3);
    let (daemon, good) = exported(&key, "uid:0");
    for (name, tamper, line, row) in cases {
        let mut lines = good.clone();
        tamper(&mut lines);
        for more in [&[][..], &["--public-key", &public(&key)]] {
            let (value, text, code) = verify(&daemon, &lines, more);
            let found = (value["wrong"]["line"].as_u64(), value["wrong"]["row"].as_str());
            assert!(found.1.is_some_and(|found| found.starts_with(row)), "{name}: {value}");
            assert_eq!((found.0, code), (Some(*line), Some(1)), "{name}: {value}");
            assert!(text.contains(&format!("WRONG at line {line}, {row}")), "{name}: {text}");
        }
    }
}

/// Whoever writes the chain anew with a key of his own is found by the key that an auditor kept, and by nothing else.
#[test]
fn a_chain_written_anew_is_found_by_the_key_that_was_kept() {
    let (ours, theirs) = (signer(3), signer(4));
    let (daemon, forged) = exported(&theirs, "uid:1");
    assert_eq!(verify(&daemon, &forged, &[]).2, Some(0));
    let (value, _, code) = verify(&daemon, &forged, &["--public-key", &public(&ours)]);
    assert_eq!((value["wrong"]["row"].as_str(), code), (Some("header"), Some(1)));

    // With our key in the header, the signatures tell.
    let mut lines = forged.clone();
    lines[0] = lines[0].replace(&public(&theirs), &public(&ours));
    for more in [&[][..], &["--public-key", &public(&ours)]] {
        let (value, ..) = verify(&daemon, &lines, more);
        assert_eq!(value["wrong"]["row"], "checkpoint of record 2");
    }
    // With our own signatures, of what stood there before.
    let mut kept = exported(&ours, "uid:1").1;
    kept.splice(7.., exported(&ours, "uid:0").1.split_off(7));
    for more in [&[][..], &["--public-key", &public(&ours)]] {
        let (value, text, code) = verify(&daemon, &kept, more);
        assert_eq!((value["wrong"]["line"].as_u64(), code), (Some(8), Some(1)), "{text}");
        assert!(text.contains("records up to it were written anew"), "{text}");
    }
    // Without signatures, that none is left.
    lines.truncate(7);
    assert!(verify(&daemon, &lines, &[]).1.contains("nothing signs it"));
    let (value, _, code) = verify(&daemon, &lines, &["--public-key", &public(&ours)]);
    assert_eq!((value["wrong"]["row"].as_str(), code), (Some("no checkpoint"), Some(1)));
}

#[test]
fn the_log_shows_records_and_asks_for_the_newest() {
    let (daemon, _) = exported(&signer(3), "uid:0");
    let text = said(&daemon, &["audit", "log", "--limit", "6"]);
    assert!(text.contains("2027-01-15T08:00:01Z") && text.contains("run 6"), "{text}");
    said(&daemon, &["audit", "log", "--after", "3"]);
    assert_eq!(
        daemon.asked(),
        [
            "ListAuditRequest { after: 0, limit: 6, newest: true }",
            "ListAuditRequest { after: 3, limit: 50, newest: false }",
        ]
    );
}
