//! `strongroom audit`: who did what, and whether the record of it was changed.

mod file;
mod verify;

use std::{io::BufReader, path::PathBuf, process::ExitCode};

use clap::Subcommand;
use proto::admin::{self as api, export_audit_response::Part};
use serde::Serialize;
use tonic::Request;

use self::file::{Key, Line};
use super::{Admin, Connection, question};
use crate::{
    failure::Failure,
    output::{self, As},
    table::table,
    time::time,
};

pub(crate) const EXAMPLES: &str = "\
Every change of the ledger writes a record that carries the hash of the one before; checkpoints,
signed every hour, say where the chain stood. The key that signs stands in the first line of
`audit export`: keep it apart from the ledger.

Examples:
  strongroom audit log
  strongroom audit log --limit 500 --output json | jq '.records[]|select(.action==\"denied\")'
  strongroom audit export > audit.jsonl
  strongroom audit verify audit.jsonl --public-key 3b6a27bc…   offline";

#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Print the newest records
    Log {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// Those after record N, instead of the newest
        #[arg(long, value_name = "N")]
        after: Option<u64>,
        #[command(flatten)]
        format: As,
    },
    /// Write the whole chain with its checkpoints to stdout, as JSON lines
    Export,
    /// Verify an export, offline: hashes, numbers, links, signatures; names the first row that is wrong
    Verify {
        /// What `audit export` wrote
        file: PathBuf,
        /// The key that signs, 64 hexadecimal digits, from where whoever owns the ledger cannot change it
        #[arg(long, value_name = "HEX", value_parser = file::key)]
        public_key: Option<Key>,
        #[command(flatten)]
        format: As,
    },
}

#[derive(Serialize)]
struct Listed {
    schema: &'static str,
    total: u64,
    records: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    seq: u64,
    at: u64,
    actor: String,
    action: String,
    subject: String,
    detail: String,
}

impl Audit {
    pub(crate) fn run(self, connection: &Connection) -> Result<ExitCode, Failure> {
        match self {
            Self::Log { limit, after, format } => {
                connection.run(async |admin| log(admin, limit, after, format).await)
            }
            Self::Export => connection.run(async |admin| export(admin).await),
            Self::Verify { file, public_key, format } => {
                let opened = std::fs::File::open(&file).map_err(|error| {
                    Failure::new(
                        format!("{} could not be read", file.display()),
                        error.to_string(),
                        "name a file that `strongroom audit export` wrote",
                    )
                })?;
                let report = verify::verify(BufReader::new(opened), public_key);
                format.print(&report, verify::Report::render)?;
                Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
        }
    }
}

async fn log(
    admin: &Admin,
    limit: u32,
    after: Option<u64>,
    format: As,
) -> Result<ExitCode, Failure> {
    let mut grpc = admin.grpc.clone();
    let newest = after.is_none();
    let request =
        question(api::ListAuditRequest { after: after.unwrap_or_default(), limit, newest });
    let answer = admin.ask("the records could not be listed", grpc.list_audit(request)).await?;
    let entry = |record: api::AuditRecord| {
        let api::AuditRecord { seq, at, actor, action, subject, detail, .. } = record;
        Entry { seq, at, actor, action, subject, detail }
    };
    let listed = Listed {
        schema: "strongroom.dev/audit-log/v1",
        total: answer.total,
        records: answer.records.into_iter().map(entry).collect(),
    };
    format.print(&listed, |listed| {
        let rows = listed.records.iter().map(|entry| {
            let Entry { seq, at, actor, action, subject, detail } = entry;
            [
                seq.to_string(),
                time(*at),
                actor.clone(),
                action.clone(),
                subject.clone(),
                detail.clone(),
            ]
        });
        table(["record", "at", "who", "did", "to", "detail"], rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn export(admin: &Admin) -> Result<ExitCode, Failure> {
    let what = "the audit chain was not exported";
    let mut grpc = admin.grpc.clone();
    let answer = grpc.export_audit(Request::new(api::ExportAuditRequest {}));
    let mut parts = admin.ask(what, answer).await?;
    let strange =
        || Failure::new(what, "the daemon sent something else", "update this command line");
    while let Some(answer) = parts.message().await.map_err(|status| admin.explain(what, &status))? {
        let line = match answer.part.ok_or_else(strange)? {
            Part::Header(header) => Line::header(header),
            Part::Record(record) => Line::record(record),
            Part::Checkpoint(checkpoint) => Line::checkpoint(checkpoint),
        };
        output::result((output::line(&line.ok_or_else(strange)?)? + "\n").as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}
