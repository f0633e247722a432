//! `strongroom rotate`: the rotation of the key.

mod status;

use std::{process::ExitCode, time::Duration};

use clap::Subcommand;
use proto::admin as api;
use serde::Serialize;
use tonic::Request;

use self::status::{Planned, Rotation};
use super::{Admin, Connection, keys::Yes, question};
use crate::{
    failure::Failure,
    output::{self, As},
};

pub(crate) const EXAMPLES: &str = "\
A rotation makes a new key version, waits until every replica has tested it, makes it active,
and waits until every kube-apiserver uses it. Reads and writes of Secrets go on throughout.
Before the new version is active it can be cancelled; afterwards there is only forward.

Examples:
  strongroom rotate plan                            what would be done now; changes nothing
  strongroom rotate start --reason \"quarterly\"
  strongroom rotate status --watch                  looks on until it is done
  strongroom rotate status --output json | jq -r '.waits[]|.unblock'
  strongroom rotate start --compromised --reason \"node cp-2 was broken into\"";

/// How long a daemon that went away is looked for, and how often.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 150;

#[derive(Subcommand)]
pub(crate) enum Rotate {
    /// Show what would be done now and what is waited for; changes nothing
    Plan {
        #[command(flatten)]
        format: As,
    },
    /// Begin a rotation
    Start {
        /// Why; the audit chain keeps it
        #[arg(long, value_name = "TEXT", default_value = "started by hand")]
        reason: String,
        /// Somebody else may have the active version: the rotation ends with what to rewrite, and how to close that version
        #[arg(long, requires = "reason")]
        compromised: bool,
    },
    /// Show where the rotation is: every replica and kube-apiserver, what blocks it, and the command that unblocks
    Status {
        /// Look on until the rotation ends: redrawn on a terminal, a line for each change elsewhere
        #[arg(long)]
        watch: bool,
        #[command(flatten)]
        format: As,
    },
    /// Let the rotation wait where it is
    Pause {
        /// Why; the audit chain keeps it
        #[arg(long, value_name = "TEXT", default_value = "paused by hand")]
        reason: String,
    },
    /// Let it go on
    Resume,
    /// Give the rotation up, while its version is not active yet; that version is never used
    Cancel {
        /// Why; the audit chain keeps it
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        yes: Yes,
    },
}

impl Rotate {
    pub(crate) fn run(self, connection: &Connection) -> Result<ExitCode, Failure> {
        connection.run(async |admin| {
            let mut grpc = admin.grpc.clone();
            let run = match self {
                Self::Plan { format } => return plan(admin, format).await,
                Self::Status { watch: false, format } => {
                    let rotation = read(admin).await?;
                    format.print(&rotation, Rotation::render)?;
                    return Ok(ExitCode::SUCCESS);
                }
                Self::Status { watch: true, format } => return watch(admin, format).await,
                Self::Start { reason, compromised } => {
                    let request = question(api::StartRotationRequest { reason, compromised });
                    let answer = grpc.start_rotation(request);
                    admin.ask("the rotation was not started", answer).await?.run
                }
                Self::Pause { reason } => {
                    let request = question(api::PauseRotationRequest { reason });
                    let answer = grpc.pause_rotation(request);
                    admin.ask("the rotation was not paused", answer).await?.run
                }
                Self::Resume => {
                    let answer = grpc.resume_rotation(question(api::ResumeRotationRequest {}));
                    admin.ask("the rotation was not resumed", answer).await?.run
                }
                Self::Cancel { reason, yes } => {
                    output::confirm(
                        "Cancel the rotation: the version that it made is never used, and a new one begins from the start.",
                        yes.yes,
                    )?;
                    let request = question(api::CancelRotationRequest { reason });
                    let answer = grpc.cancel_rotation(request);
                    admin.ask("the rotation was not cancelled", answer).await?.run
                }
            };
            let text = run.map_or_else(|| "done\n".to_owned(), |run| {
                let run = status::Run::from(run);
                let next = if run.is_open() { "; look on with `strongroom rotate status --watch`" } else { "" };
                format!("rotation #{} is {}{next}\n", run.id, run.state)
            });
            output::result(text.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        })
    }
}

async fn read(admin: &Admin) -> Result<Rotation, Failure> {
    let mut grpc = admin.grpc.clone();
    let what = "the rotation cannot be shown";
    let answer = grpc.rotation_status(question(api::RotationStatusRequest {}));
    known(what, admin.ask(what, answer).await?.rotation)
}

fn known(what: &str, rotation: Option<api::Rotation>) -> Result<Rotation, Failure> {
    rotation.map(Rotation::from).ok_or_else(|| {
        Failure::new(
            what,
            "the daemon said nothing about it",
            "update strongroomd and this command line",
        )
    })
}

async fn plan(admin: &Admin, format: As) -> Result<ExitCode, Failure> {
    let mut grpc = admin.grpc.clone();
    let answer = grpc.plan_rotation(question(api::PlanRotationRequest {}));
    let planned = admin.ask("the plan cannot be shown", answer).await?;
    format.print(&Planned::from(planned), Planned::render)?;
    Ok(ExitCode::SUCCESS)
}

/// Looks on until no rotation is under way, also past a daemon that is started again.
async fn watch(admin: &Admin, format: As) -> Result<ExitCode, Failure> {
    let mut shown = Shown { format, drawn: false, last: None };
    let mut left = ATTEMPTS;
    loop {
        let failure = match look_on(admin, &mut shown).await {
            Ok(code) => return Ok(code),
            Err(failure) => failure,
        };
        left = left.saturating_sub(1);
        if !failure.is_unreachable() || left == 0 || shown.last.is_none() {
            return Err(failure);
        }
        output::progress(&format!("{}: {}. Still looking", failure.what, failure.why));
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn look_on(admin: &Admin, shown: &mut Shown) -> Result<ExitCode, Failure> {
    let what = "the rotation cannot be watched";
    let mut grpc = admin.grpc.clone();
    // Without a deadline: a rotation takes as long as it takes.
    let answer = grpc.watch_rotation(Request::new(api::WatchRotationRequest {}));
    let mut changes = admin.ask(what, answer).await?;
    loop {
        let change = changes.message().await.map_err(|status| admin.explain(what, &status))?;
        let change = change.ok_or_else(|| {
            Failure::new(what, "the daemon ended the stream", "run the command again").unreachable()
        })?;
        let rotation = known(what, change.rotation)?;
        shown.show(&rotation)?;
        match &rotation.run {
            Some(run) if run.is_open() => {}
            Some(run) if run.is_cancelled() && shown.seen_open() => return Ok(ExitCode::FAILURE),
            _ => return Ok(ExitCode::SUCCESS),
        }
        shown.last = Some(true);
    }
}

/// What was printed before.
struct Shown {
    format: As,
    drawn: bool,
    /// Whether the rotation was under way.
    last: Option<bool>,
}

impl Shown {
    fn seen_open(&self) -> bool {
        self.last == Some(true)
    }

    fn show(&mut self, rotation: &Rotation) -> Result<(), Failure> {
        if self.format.is_for_machines() || !output::is_watched() {
            return self.format.print_line(rotation, Rotation::line);
        }
        if !std::mem::replace(&mut self.drawn, true) {
            output::clear()?;
        }
        output::redraw(&rotation.render())
    }
}

/// A thing that is done, with its reason.
#[derive(Serialize)]
struct Step {
    what: String,
    reason: String,
}
