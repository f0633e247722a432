//! `strongroom ledger`: the whole of it, out and in again. Keys stay as the roots wrapped them.

use std::{
    fs::{self, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Subcommand;
use proto::admin as api;
use tonic::Request;

use super::{Admin, Connection, keys::Yes, question};
use crate::{failure::Failure, output};

pub(crate) const EXAMPLES: &str = "\
An export has every key version as the roots wrapped it, the rows, and the audit chain.
Without a root it opens nothing.

Examples:
  strongroom ledger export ledger.jsonl
  After a lost database, or from SQLite to Postgres: into an empty ledger
      strongroom ledger import ledger.jsonl
  The database was restored from an old backup, and this node knows better
      strongroom ledger adopt";

/// Bytes of one piece.
const CHUNK: usize = 256 << 10;
/// An import is as long as its export, and is verified before it is answered.
const IMPORT_DEADLINE: Duration = Duration::from_secs(900);

#[derive(Subcommand)]
pub(crate) enum Ledger {
    /// Write the whole ledger into a new file
    Export {
        /// The file, which must not exist; mode 0600
        file: PathBuf,
    },
    /// Write an export into an empty ledger, after all of it was verified
    Import {
        /// The file that `ledger export` wrote
        file: PathBuf,
        #[command(flatten)]
        yes: Yes,
    },
    /// Publish the keys of the node that is asked into a ledger that was restored from an older backup
    ///
    /// Nodes refuse a ledger that is older than what they serve. This makes the ledger as new as the node that is asked: ask the one with the highest
    /// generation (metric strongroom_bundle_generation).
    Adopt {
        #[command(flatten)]
        yes: Yes,
    },
}

impl Ledger {
    pub(crate) fn run(self, connection: &Connection) -> Result<ExitCode, Failure> {
        connection.run(async |admin| match self {
            Self::Export { file } => export(admin, &file).await,
            Self::Import { file, yes } => import(admin, &file, yes.yes).await,
            Self::Adopt { yes } => adopt(admin, yes.yes).await,
        })
    }
}

async fn export(admin: &Admin, path: &Path) -> Result<ExitCode, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            format!("{} could not be written", path.display()),
            error.to_string(),
            "name a new file in a folder with room that you may write to",
        )
    };
    let what = "the ledger was not exported";
    let mut grpc = admin.grpc.clone();
    let request = Request::new(api::ExportLedgerRequest {});
    let mut pieces = admin.ask(what, grpc.export_ledger(request)).await?;
    let mut first = pieces.message().await.map_err(|status| admin.explain(what, &status))?;
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let written = async {
        let mut len = 0;
        while let Some(piece) = first.take() {
            file.write_all(&piece.chunk).map_err(failed)?;
            len += piece.chunk.len();
            first = pieces.message().await.map_err(|status| admin.explain(what, &status))?;
        }
        file.sync_all().map_err(failed)?;
        Ok(len)
    };
    match written.await {
        Ok(len) => {
            let text = format!("{}: {len} bytes; keep it with your backups\n", path.display());
            output::result(text.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            // Half an export must not be taken for one.
            let _ = fs::remove_file(path);
            Err(failure)
        }
    }
}

async fn import(admin: &Admin, path: &Path, yes: bool) -> Result<ExitCode, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            format!("{} could not be read", path.display()),
            error.to_string(),
            "name a file that `strongroom ledger export` wrote",
        )
    };
    let mut file = fs::File::open(path).map_err(failed)?;
    output::confirm(
        &format!("Import {} into the daemon's ledger, which must be empty.", path.display()),
        yes,
    )?;
    let (to, pieces) = tokio::sync::mpsc::channel(1);
    let reading = async move {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            (&mut file).take(CHUNK as u64).read_to_end(&mut chunk).map_err(failed)?;
            // A daemon that has refused it reads no more, and says why in its answer.
            if chunk.is_empty() || to.send(api::ImportLedgerRequest { chunk }).await.is_err() {
                return Ok(());
            }
        }
    };
    let mut grpc = admin.grpc.clone();
    let mut request = Request::new(tokio_stream::wrappers::ReceiverStream::new(pieces));
    request.set_timeout(IMPORT_DEADLINE);
    let answering = async { grpc.import_ledger(request).await };
    let (read, answer): (Result<(), Failure>, _) = tokio::join!(reading, answering);
    read?;
    let answer = answer.map_err(|status| admin.explain("the ledger was not imported", &status))?;
    let api::ImportLedgerResponse { cluster, ring, generation, versions, records } =
        answer.into_inner();
    output::result(
        format!(
            "imported cluster {cluster}, ring {ring}: {versions} key versions, generation {generation}, {records} audit records\n"
        )
        .as_bytes(),
    )?;
    Ok(ExitCode::SUCCESS)
}

async fn adopt(admin: &Admin, yes: bool) -> Result<ExitCode, Failure> {
    output::confirm(
        "Adopt: the keys of the node that is asked become the newest of the ledger. Every other node then follows it.",
        yes,
    )?;
    let mut grpc = admin.grpc.clone();
    let request = question(api::AdoptRequest {});
    let answer = admin.ask("the bundle was not adopted", grpc.adopt(request)).await?;
    let api::AdoptResponse { cluster, ring, generation, active } = answer;
    output::result(
        format!("the ledger of cluster {cluster}, ring {ring} is at generation {generation} now; {active} is active\n")
            .as_bytes(),
    )?;
    Ok(ExitCode::SUCCESS)
}
