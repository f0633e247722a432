//! `strongroom hold`: what keeps key versions that a backup needs.

use std::process::ExitCode;

use clap::Subcommand;
use proto::admin::{self as api, add_hold_request};
use serde::Serialize;

use super::{Connection, question};
use crate::{
    failure::Failure,
    output::{self, As},
    table::table,
    time::{End, end, span, time},
};

pub(crate) const EXAMPLES: &str = "\
An etcd backup is worth nothing without the key versions that were in use when it was made.
Hold them for as long as you keep it.

Examples:
  strongroom hold add --until 90d --reason \"etcd backup of 2026-11-01\"
  strongroom hold add --until 2027-03-31 --version 3 --reason \"litigation 4711\"
  strongroom hold list
  strongroom hold release 2 --reason \"backup was deleted\"";

#[derive(Subcommand)]
pub(crate) enum Hold {
    /// Keep versions from being archived and destroyed
    Add {
        /// Until when: a date (to its end, in UTC), a time, or a duration from now (30d)
        #[arg(long, value_name = "DATE|DURATION", value_parser = end)]
        until: End,
        /// What needs them; the audit chain keeps it
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Only this version [default: every one that is not destroyed]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        version: Option<u32>,
    },
    /// List holds, also those that were released
    List {
        #[command(flatten)]
        format: As,
    },
    /// Let go of a hold before it ends
    Release {
        /// Its number, as in `hold list`
        id: u64,
        /// Why; the audit chain keeps it
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Serialize)]
struct Listed {
    schema: &'static str,
    now: u64,
    holds: Vec<Held>,
}

#[derive(Serialize)]
struct Held {
    id: u64,
    first: u32,
    last: u32,
    until: u64,
    reason: String,
    added_by: String,
    added: u64,
    released_by: Option<String>,
    released: Option<u64>,
}

impl From<api::Hold> for Held {
    fn from(hold: api::Hold) -> Self {
        let api::Hold { id, first, last, until, reason, added_by, added, released_by, released } =
            hold;
        Self { id, first, last, until, reason, added_by, added, released_by, released }
    }
}

impl Held {
    fn versions(&self) -> String {
        if self.first == self.last {
            self.first.to_string()
        } else {
            format!("{} to {}", self.first, self.last)
        }
    }

    fn how(&self, now: u64) -> String {
        match (&self.released_by, &self.released) {
            (Some(by), Some(at)) => format!("released by {by} at {}", time(*at)),
            _ if self.until > now => format!("holds for {}", span(self.until - now)),
            _ => "has run out; the leader releases it".into(),
        }
    }
}

impl Hold {
    pub(crate) fn run(self, connection: &Connection) -> Result<ExitCode, Failure> {
        connection.run(async |admin| {
            let mut grpc = admin.grpc.clone();
            match self {
                Self::Add { until, reason, version } => {
                    let end = Some(match until {
                        End::At(time) => add_hold_request::End::Until(time),
                        End::After(seconds) => add_hold_request::End::Lasting(seconds),
                    });
                    let request = question(api::AddHoldRequest {
                        first: version,
                        last: version,
                        end,
                        reason,
                    });
                    let answer =
                        admin.ask("the hold was not added", grpc.add_hold(request)).await?;
                    let text = answer.hold.map(Held::from).map_or_else(
                        || "done\n".to_owned(),
                        |hold| {
                            format!(
                                "hold #{} keeps version {} until {}\n",
                                hold.id,
                                hold.versions(),
                                time(hold.until)
                            )
                        },
                    );
                    output::result(text.as_bytes())?;
                }
                Self::List { format } => {
                    let request = question(api::ListHoldsRequest {});
                    let what = "the holds could not be listed";
                    let answer = admin.ask(what, grpc.list_holds(request)).await?;
                    let listed = Listed {
                        schema: "strongroom.dev/holds/v1",
                        now: answer.now,
                        holds: answer.holds.into_iter().map(Held::from).collect(),
                    };
                    format.print(&listed, |listed| {
                        let rows = listed.holds.iter().map(|hold| {
                            [
                                format!("#{}", hold.id),
                                hold.versions(),
                                time(hold.until),
                                hold.how(listed.now),
                                hold.added_by.clone(),
                                hold.reason.clone(),
                            ]
                        });
                        table(["hold", "versions", "until", "is", "by", "reason"], rows)
                    })?;
                }
                Self::Release { id, reason } => {
                    let request = question(api::ReleaseHoldRequest { id, reason });
                    admin.ask("the hold was not released", grpc.release_hold(request)).await?;
                    output::result(format!("hold #{id} is released\n").as_bytes())?;
                }
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}
