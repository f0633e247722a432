//! `strongroom replicas`: the daemons that must acknowledge.

use std::process::ExitCode;

use clap::Subcommand;
use proto::admin as api;
use serde::Serialize;

use super::{Connection, keys::Yes, question};
use crate::{
    failure::Failure,
    output::{self, As},
    table::table,
    time::span,
};

pub(crate) const EXAMPLES: &str = "\
A rotation makes no version active before every replica has it. One that is gone for good must
be removed; it joins again by itself when it comes back, and reads what it missed.

Examples:
  strongroom replicas list
  strongroom replicas remove cp-2 --reason \"machine was scrapped\"";

#[derive(Subcommand)]
pub(crate) enum Replicas {
    /// List every daemon that ever joined, and what it said last
    List {
        #[command(flatten)]
        format: As,
    },
    /// Do not wait for a daemon any more
    Remove {
        /// Its name, as in `replicas list`
        name: String,
        /// Why; the audit chain keeps it
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        yes: Yes,
    },
}

#[derive(Serialize)]
struct Listed {
    schema: &'static str,
    now: u64,
    replicas: Vec<Replica>,
}

/// A daemon, as it said last.
#[derive(Serialize)]
pub(crate) struct Replica {
    pub(crate) name: String,
    joined: u64,
    removed_by: Option<String>,
    removed: Option<u64>,
    reported: Option<u64>,
    generation: u64,
    serving: u32,
    tested: u32,
    pub(crate) lacks: String,
}

impl From<api::Replica> for Replica {
    fn from(replica: api::Replica) -> Self {
        let api::Replica {
            name,
            joined,
            removed_by,
            removed,
            reported,
            generation,
            serving,
            tested,
            lacks,
        } = replica;
        Self { name, joined, removed_by, removed, reported, generation, serving, tested, lacks }
    }
}

impl Replica {
    /// Its columns in a table: name, how it is, what it serves, when it said so.
    pub(crate) fn columns(&self, now: u64) -> [String; 4] {
        let how = match (&self.removed_by, self.lacks.is_empty()) {
            (Some(by), _) => format!("removed by {by}"),
            (None, true) => "up to date".into(),
            (None, false) => self.lacks.clone(),
        };
        let serves = match self.reported {
            Some(_) => format!("version {}, generation {}", self.serving, self.generation),
            None => String::new(),
        };
        let ago = self.reported.map(|at| format!("{} ago", span(now.saturating_sub(at))));
        [self.name.clone(), how, serves, ago.unwrap_or_else(|| "never".into())]
    }
}

impl Replicas {
    pub(crate) fn run(self, connection: &Connection) -> Result<ExitCode, Failure> {
        connection.run(async |admin| {
            let mut grpc = admin.grpc.clone();
            match self {
                Self::List { format } => {
                    let request = question(api::ListReplicasRequest {});
                    let what = "the replicas could not be listed";
                    let answer = admin.ask(what, grpc.list_replicas(request)).await?;
                    let listed = Listed {
                        schema: "strongroom.dev/replicas/v1",
                        now: answer.now,
                        replicas: answer.replicas.into_iter().map(Replica::from).collect(),
                    };
                    format.print(&listed, |listed| {
                        let rows = listed.replicas.iter().map(|one| one.columns(listed.now));
                        table(["replica", "is", "serves", "reported"], rows)
                    })?;
                }
                Self::Remove { name, reason, yes } => {
                    output::confirm(
                        &format!(
                            "Remove {name}: a rotation will not wait for it, and if it still serves, its kube-apiserver may not read what others write."
                        ),
                        yes.yes,
                    )?;
                    let request = question(api::RemoveReplicaRequest { name: name.clone(), reason });
                    admin.ask("the replica was not removed", grpc.remove_replica(request)).await?;
                    output::result(format!("{name} is not waited for any more\n").as_bytes())?;
                }
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}
