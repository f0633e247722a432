//! An export is the whole ledger, and nothing else is taken for one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/dumped.rs"]
mod ring;

use envelope::{KeyId, KeyMaterial, LedgerKey, RingName, audit::Checkpoint};
use strongroomd::ledger::{
    Dump,
    export::{ExportError, Reader, lines, verify},
};

fn written(dump: &Dump) -> Vec<String> {
    lines(dump).unwrap().collect()
}

fn read(lines: &[String]) -> Result<Dump, ExportError> {
    let mut reader = Reader::default();
    reader.push(lines.concat().as_bytes())?;
    reader.finish()
}

#[test]
fn what_is_exported_is_read_back_and_verifies() {
    for dump in [ring::genesis(), ring::lived()] {
        let lines = written(&dump);
        let again = read(&lines).unwrap();
        assert_eq!(again, dump);
        assert_eq!(written(&again), lines);
        verify(&again, &ring::ledger_key()).unwrap();
    }
}

#[test]
fn it_is_read_in_pieces_of_any_size() {
    let dump = ring::lived();
    let text = written(&dump).concat();
    for size in [1, 7, 100, text.len()] {
        let mut reader = Reader::default();
        text.as_bytes().chunks(size).for_each(|piece| reader.push(piece).unwrap());
        assert_eq!(reader.finish().unwrap(), dump, "{size} bytes at a time");
    }
}

#[test]
fn what_was_reported_and_leased_is_not_taken_along() {
    let mut dump = ring::lived();
    let bare = dump.clone();
    dump.rows.reports = vec![ring::report(&dump.rows, ring::BEGAN)];
    assert_eq!(read(&written(&dump)).unwrap(), bare);
}

#[test]
fn every_byte_that_is_changed_is_found_and_its_line_named() {
    let good = written(&ring::lived());
    for (number, line) in good.iter().enumerate() {
        for at in 0..line.len() - 1 {
            let mut bytes = line.clone().into_bytes();
            bytes[at] ^= 1;
            let mut reader = Reader::default();
            let pushed = reader
                .push(good[..number].concat().as_bytes())
                .and_then(|()| reader.push(&bytes))
                .and_then(|()| reader.push(good[number + 1..].concat().as_bytes()));
            let error = pushed.and_then(|()| reader.finish().map(drop)).unwrap_err();
            let named = matches!(&error, ExportError::Line { line, .. } if *line == number + 1);
            assert!(named, "line {}, byte {at}: {error}", number + 1);
        }
    }
}

#[test]
fn lines_that_are_taken_out_added_or_moved_are_found() {
    let good = written(&ring::lived());
    let first_wrong = |lines: &[String]| match read(lines).unwrap_err() {
        ExportError::Line { line, .. } => line,
        other => panic!("{other}"),
    };
    for at in 0..good.len() {
        let mut without = good.clone();
        without.remove(at);
        assert_eq!(first_wrong(&without), at + 1, "without line {}", at + 1);
        let mut twice = good.clone();
        twice.insert(at, good[at].clone());
        assert_eq!(first_wrong(&twice), at + 2, "line {} twice", at + 1);
        assert_eq!(first_wrong(&good[..at]), at + 1, "cut off after line {at}");
        if at > 0 {
            let mut moved = good.clone();
            moved.swap(at - 1, at);
            assert_eq!(first_wrong(&moved), at, "lines {at} and {} swapped", at + 1);
        }
    }
}

/// Somebody who can compute sums, but has no ledger key.
#[test]
fn what_only_looks_right_is_found_by_macs_and_hashes() {
    type Forge = fn(&mut Dump);
    let forgeries: [(&str, Forge); 9] = [
        ("versions", |dump| dump.rows.versions[0].changed += 1),
        ("holds", |dump| dump.rows.holds[0].until -= 1),
        ("runs", |dump| dump.rows.runs[0].requested_by = "uid:1".into()),
        ("replicas", |dump| dump.rows.replicas[1].removed = None),
        ("bundles", |dump| dump.history.bundles[0].bytes[20] ^= 1),
        ("activations", |dump| dump.history.activations[0].at += 1),
        ("audit", |dump| dump.audit[1].0.actor = "uid:1".into()),
        ("checkpoints", |dump| dump.history.checkpoints[0].at += 1),
        ("heads", |dump| dump.rows.head.audit_seq += 1),
    ];
    for (table, forge) in forgeries {
        let mut dump = ring::lived();
        forge(&mut dump);
        let read = read(&written(&dump)).unwrap();
        assert_eq!(verify(&read, &ring::ledger_key()).unwrap_err().table, table);
    }
}

#[test]
fn a_chain_that_was_written_anew_is_found_by_the_head() {
    let mut dump = ring::lived();
    let (cluster, name) = (dump.rows.cluster.id.0, dump.rows.ring.as_str().to_owned());
    let mut previous = envelope::audit::START;
    for (record, hash) in &mut dump.audit {
        record.actor = "uid:1".into();
        record.previous = previous;
        *hash = record.hash(&cluster, &name);
        previous = *hash;
    }
    dump.rows.last_audit = dump.audit.last().cloned();
    let error = verify(&dump, &ring::ledger_key()).unwrap_err();
    assert_eq!((error.table, error.what), ("audit", "was changed by hand"));
}

#[test]
fn a_checkpoint_that_another_key_signed_is_found() {
    let key = KeyMaterial::copy_from(&[4; 32]).unwrap();
    let id = KeyId::derive(RingName::parse(LedgerKey::RING).unwrap(), 1, &key).unwrap();
    let theirs = LedgerKey::new(id, key).unwrap();
    let mut dump = ring::lived();
    let cluster = dump.rows.cluster.id.0;
    let Checkpoint { seq, hash, at, .. } = dump.history.checkpoints[0];
    dump.history.checkpoints[0] =
        Checkpoint::sign(&theirs, &cluster, "etcd", (seq, hash), at).unwrap();
    assert!(dump.history.checkpoints[0].verify(&cluster, "etcd"));
    let error = verify(&dump, &ring::ledger_key()).unwrap_err();
    assert_eq!((error.table, error.what), ("checkpoints", "was not signed by this cluster"));
}

#[test]
fn a_dump_that_was_not_of_one_moment_is_not_exported() {
    let mut dump = ring::lived();
    dump.audit.pop();
    assert!(matches!(lines(&dump).map(drop), Err(ExportError::Inconsistent)));
}
