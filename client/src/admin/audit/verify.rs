//! Whether an export of the audit chain is what strongroom wrote. Reads nothing but the file.

use std::io::BufRead;

use envelope::audit;
use serde::Serialize;

use super::file::{Checkpoint, FORMAT, Header, Key, Line, Record};
use crate::output::plain;

/// Longest line in bytes.
const MAX_LINE: u64 = 64 << 10;

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    schema: &'static str,
    result: &'static str,
    /// The first row that is wrong.
    wrong: Option<Wrong>,
    cluster: String,
    ring: String,
    public_key: String,
    /// Whether the key came with the file.
    key_from_file: bool,
    /// Records that were verified.
    records: u64,
    /// Records up to the last signature.
    signed: u64,
    checkpoints: u64,
}

/// A row that is wrong.
#[derive(Debug, Serialize)]
struct Wrong {
    /// Counts from 1.
    line: u64,
    /// Which row it should be, or says that it is.
    row: String,
    why: String,
}

impl Report {
    pub(super) fn is_good(&self) -> bool {
        self.wrong.is_none()
    }

    pub(super) fn render(&self) -> String {
        let Self { records, signed, checkpoints, public_key, .. } = self;
        let mut text = format!(
            "cluster {}, ring {}: {records} records, {checkpoints} checkpoints\n",
            self.cluster, self.ring
        );
        if let Some(Wrong { line, row, why }) = &self.wrong {
            text += &format!(
                "WRONG at line {line}, {row}: {why}\nWhat stands before it is in order; nothing from there on is proved.\n"
            );
            return plain(&text);
        }
        if *checkpoints == 0 {
            text += "The chain is whole, but nothing signs it: whoever owns the ledger could have written all of it anew.\n";
        } else {
            text += &format!("Records 1 to {signed} are signed by {public_key}.\n");
            if records > signed {
                text += &format!(
                    "Records {} to {records} are chained and not signed yet: the next checkpoint does.\n",
                    signed + 1
                );
            }
        }
        if self.key_from_file {
            text += "The key stands in the file itself: whoever forged the file could have put it there.\nGive the key that you kept apart with --public-key to prove more.\n";
        }
        plain(&text)
    }
}

/// Looks at every line. `key` is the key that must have signed, where the caller knows it.
pub(super) fn verify(mut file: impl BufRead, key: Option<Key>) -> Report {
    let mut walk = Walk {
        header: None,
        key,
        line: 0,
        hashes: Vec::new(),
        checkpoints: 0,
        signed: 0,
        signed_at: 0,
    };
    let wrong = walk.file(&mut file).err();
    let header = walk.header.as_ref();
    let signer = walk.key.or_else(|| header.map(|header| header.public_key));
    Report {
        schema: "strongroom.dev/audit-verify/v1",
        result: if wrong.is_some() { "wrong" } else { "ok" },
        wrong,
        cluster: header.map(|header| header.cluster.hex()).unwrap_or_default(),
        ring: header.map(|header| header.ring.clone()).unwrap_or_default(),
        public_key: signer.map(|key| key.hex()).unwrap_or_default(),
        key_from_file: walk.key.is_none(),
        records: walk.hashes.len() as u64,
        signed: walk.signed,
        checkpoints: walk.checkpoints,
    }
}

struct Walk {
    header: Option<Header>,
    key: Option<Key>,
    line: u64,
    /// Of every record so far.
    hashes: Vec<audit::Hash>,
    checkpoints: u64,
    /// The last record that a checkpoint signs, and when it did.
    signed: u64,
    signed_at: u64,
}

impl Walk {
    fn file(&mut self, file: &mut impl BufRead) -> Result<(), Wrong> {
        loop {
            self.line += 1;
            let mut line = String::new();
            let read = std::io::Read::take(&mut *file, MAX_LINE).read_line(&mut line);
            match read {
                Ok(0) => return self.end(),
                Ok(_) => {}
                Err(error) => {
                    return Err(self.wrong("no row", format!("it cannot be read: {error}")));
                }
            }
            let Some(line) = line.strip_suffix('\n') else {
                return Err(self.wrong(
                    "no row",
                    "the line has no end: the file was cut off, or it is no export",
                ));
            };
            let parsed = serde_json::from_str(line).map_err(|error| {
                self.wrong(self.expected(), format!("not a line of an export: {error}"))
            })?;
            match (parsed, &self.header) {
                (Line::Header(header), None) => self.header(header)?,
                (Line::Header(_), Some(_)) => {
                    return Err(self.wrong("header", "a second header: two exports in one file"));
                }
                (_, None) => {
                    return Err(
                        self.wrong("header", "the first line must be the header of an export")
                    );
                }
                (Line::Record(record), Some(header)) => {
                    let hash = self.record(header, record)?;
                    self.hashes.push(hash);
                }
                (Line::Checkpoint(checkpoint), Some(header)) => {
                    let (seq, at) = self.checkpoint(header, &checkpoint)?;
                    (self.signed, self.signed_at) = (seq, at);
                    self.checkpoints += 1;
                }
            }
        }
    }

    /// The row that should come next.
    fn expected(&self) -> String {
        match self.header {
            None => "header".into(),
            Some(_) => format!("record {}", self.hashes.len() + 1),
        }
    }

    fn wrong(&self, row: impl Into<String>, why: impl Into<String>) -> Wrong {
        Wrong { line: self.line, row: row.into(), why: why.into() }
    }

    fn header(&mut self, header: Header) -> Result<(), Wrong> {
        if header.format != FORMAT {
            return Err(self.wrong("header", "of another format: update this command line"));
        }
        if self.key.is_some_and(|key| key != header.public_key) {
            let why =
                format!("names the key {}, and not the one that you gave", header.public_key.hex());
            return Err(self.wrong("header", why));
        }
        self.header = Some(header);
        Ok(())
    }

    fn record(&self, header: &Header, record: Record) -> Result<audit::Hash, Wrong> {
        let Record { seq, at, actor, action, subject, detail, previous, hash } = record;
        let expected = self.hashes.len() as u64 + 1;
        let wrong = |why: String| Err(self.wrong(format!("record {expected}"), why));
        if seq != expected {
            return wrong(format!("is not there; record {seq} stands in its place"));
        }
        let last = self.hashes.last().copied().unwrap_or(audit::START);
        if previous.0 != last {
            return wrong(format!(
                "does not follow record {}: one of the two was changed",
                expected - 1
            ));
        }
        let record = audit::Record { seq, at, actor, action, subject, detail, previous: last };
        let computed = record.hash(&header.cluster.0, &header.ring);
        if computed != hash.0 {
            return wrong("was changed: its hash is another".into());
        }
        Ok(computed)
    }

    fn checkpoint(&self, header: &Header, row: &Checkpoint) -> Result<(u64, u64), Wrong> {
        let Checkpoint { seq, hash, at, public_key, signature } = row;
        let wrong = |why: &str| Err(self.wrong(format!("checkpoint of record {seq}"), why));
        if self.hashes.len() as u64 != header.records {
            return Err(self.cut_off(header));
        }
        if *public_key != self.key.unwrap_or(header.public_key) {
            return wrong("was signed by another key");
        }
        let checkpoint = audit::Checkpoint {
            seq: *seq,
            hash: hash.0,
            at: *at,
            public_key: public_key.0,
            signature: signature.0,
        };
        if !checkpoint.verify(&header.cluster.0, &header.ring) {
            return wrong("is forged: the signature is not that key's");
        }
        if (*seq, *at) < (self.signed, self.signed_at) {
            return wrong("stands after a later one: rows were moved");
        }
        let of = usize::try_from(*seq).ok().and_then(|seq| seq.checked_sub(1));
        match of.and_then(|at| self.hashes.get(at)) {
            Some(known) if *known == hash.0 => Ok((*seq, *at)),
            Some(_) => wrong("signs another history: records up to it were written anew"),
            None => wrong("signs a record that is not there: the end of the chain was cut off"),
        }
    }

    fn end(&self) -> Result<(), Wrong> {
        let Some(header) = &self.header else {
            return Err(self.wrong("header", "the file is empty"));
        };
        if self.hashes.len() as u64 != header.records {
            return Err(self.cut_off(header));
        }
        if self.key.is_some() && self.checkpoints == 0 {
            return Err(self.wrong("no checkpoint", "nothing is signed by the key that you gave: the chain is younger than an hour, or checkpoints were taken out"));
        }
        Ok(())
    }

    fn cut_off(&self, header: &Header) -> Wrong {
        let (found, said) = (self.hashes.len(), header.records);
        self.wrong(
            format!("record {}", found + 1),
            format!("the header says {said} records, and there are {found}: the end of the chain was cut off, or rows were added"),
        )
    }
}
