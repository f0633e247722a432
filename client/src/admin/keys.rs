//! `strongroom keys`: the versions of the ring, and the end of their lives.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use proto::admin as api;
use serde::Serialize;

use super::{Admin, Connection, question};
use crate::{
    failure::Failure,
    output::{self, As},
    table::table,
    time::{duration, span},
};

pub(crate) const EXAMPLES: &str = "\
The life of a key version:
  pre_active → active → deactivated → archived → destroy_scheduled → destroyed
  A rotation takes a version to active; the one before becomes deactivated, and still decrypts.
  archive, restore, destroy and cancel-destroy do the rest, by hand. compromise closes a version
  that somebody else may have: first replace it (rotate start --compromised) and rewrite what it encrypts.

Examples:
  strongroom keys list
  strongroom keys list --output json | jq -r '.rings[].versions[]|select(.state==\"active\").id'
  strongroom keys archive 3 --reason \"inventory of 2026-11-20 counts none on it\"
  strongroom keys destroy 3 --wait 14d      the first of two people: the wait begins
  strongroom keys destroy 3                 the second, after the wait: gone for ever";

#[derive(Subcommand)]
pub(crate) enum Keys {
    /// List every key version with its state, age, roots and holds
    List {
        #[command(flatten)]
        format: As,
    },
    /// Refuse decryption under a version that nothing needs any more; `restore` undoes it
    Archive {
        #[command(flatten)]
        version: Version,
        /// How you know that nothing needs it; the audit chain keeps it
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        yes: Yes,
    },
    /// Refuse decryption under a version that somebody else may have; `restore` undoes it
    ///
    /// Not on the active version: `strongroom rotate start --compromised` replaces that one at once, and when nothing is encrypted under it any more this closes it.
    Compromise {
        #[command(flatten)]
        version: Version,
        /// How that is known; the audit chain keeps it
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        yes: Yes,
    },
    /// Let an archived or compromised version decrypt again
    Restore {
        #[command(flatten)]
        version: Version,
        /// Why; the audit chain keeps it
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Destroy an archived version for ever: two people, and a wait between them
    ///
    /// On an archived version this asks for its destruction, and the wait begins. On one whose destruction was asked for, and whose wait is over, it destroys it:
    /// that takes somebody else than who asked. What is still encrypted under it, also in backups, can then never be read again.
    Destroy {
        #[command(flatten)]
        version: Version,
        /// How long it must be watched to wait: 7d to 30d
        #[arg(long, value_name = "TIME", default_value = "7d", value_parser = duration)]
        wait: u64,
        #[command(flatten)]
        yes: Yes,
    },
    /// Take back that a version shall be destroyed; it is archived again
    CancelDestroy {
        #[command(flatten)]
        version: Version,
    },
}

#[derive(Args)]
pub(crate) struct Version {
    /// Number of the version, as in `keys list`
    #[arg(value_name = "VERSION", value_parser = clap::value_parser!(u32).range(1..))]
    version: u32,
}

#[derive(Args)]
pub(crate) struct Yes {
    /// Do not ask: for scripts
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Serialize)]
struct Listed {
    schema: &'static str,
    cluster: String,
    now: u64,
    rings: Vec<Ring>,
}

#[derive(Serialize)]
struct Ring {
    name: String,
    generation: u64,
    versions: Vec<Key>,
}

#[derive(Serialize)]
struct Key {
    id: String,
    version: u32,
    state: String,
    created: u64,
    activated: Option<u64>,
    changed: u64,
    age: u64,
    roots: Vec<String>,
    holds: Vec<u64>,
    destruction: Option<Destruction>,
}

#[derive(Serialize)]
struct Destruction {
    requested_by: String,
    wait: u64,
    observed: u64,
    approved_by: Option<String>,
}

impl Keys {
    pub(crate) fn run(self, connection: &Connection) -> Result<ExitCode, Failure> {
        connection.run(async |admin| match self {
            Self::List { format } => list(admin, format).await,
            Self::Archive { version: Version { version }, reason, yes } => {
                let key = find(admin, version).await?;
                confirm_closing(&format!("Archive {}", key.id), &yes)?;
                let request = question(api::ArchiveKeyRequest { version, reason });
                let mut grpc = admin.grpc.clone();
                let answer = admin.ask("the version was not archived", grpc.archive_key(request));
                told(answer.await?.key)
            }
            Self::Compromise { version: Version { version }, reason, yes } => {
                let key = find(admin, version).await?;
                confirm_closing(&format!("Mark {} as compromised", key.id), &yes)?;
                let request = question(api::CompromiseKeyRequest { version, reason });
                let mut grpc = admin.grpc.clone();
                let what = "the version was not marked as compromised";
                told(admin.ask(what, grpc.compromise_key(request)).await?.key)
            }
            Self::Restore { version: Version { version }, reason } => {
                let request = question(api::RestoreKeyRequest { version, reason });
                let mut grpc = admin.grpc.clone();
                let answer = admin.ask("the version was not restored", grpc.restore_key(request));
                told(answer.await?.key)
            }
            Self::Destroy { version: Version { version }, wait, yes } => {
                destroy(admin, version, wait, yes.yes).await
            }
            Self::CancelDestroy { version: Version { version } } => {
                let request = question(api::CancelDestroyRequest { version });
                let mut grpc = admin.grpc.clone();
                let answer =
                    admin.ask("the destruction was not taken back", grpc.cancel_destroy(request));
                told(answer.await?.key)
            }
        })
    }
}

fn confirm_closing(what: &str, yes: &Yes) -> Result<(), Failure> {
    let end = "nothing that is encrypted under it can be read until it is restored";
    output::confirm(&format!("{what}: {end}."), yes.yes)
}

async fn read(admin: &Admin) -> Result<Listed, Failure> {
    let mut grpc = admin.grpc.clone();
    let request = question(api::ListKeysRequest {});
    let answer = admin.ask("the keys could not be listed", grpc.list_keys(request)).await?;
    let ring = |ring: api::Ring| Ring {
        name: ring.name,
        generation: ring.generation,
        versions: ring.versions.into_iter().map(Key::from).collect(),
    };
    Ok(Listed {
        schema: "strongroom.dev/keys/v1",
        cluster: answer.cluster,
        now: answer.now,
        rings: answer.rings.into_iter().map(ring).collect(),
    })
}

impl From<api::KeyVersion> for Key {
    fn from(key: api::KeyVersion) -> Self {
        Self {
            state: state(key.state()),
            id: key.id,
            version: key.version,
            created: key.created,
            activated: key.activated,
            changed: key.changed,
            age: key.age,
            roots: key.roots,
            holds: key.holds,
            destruction: key.destruction.map(|destruction| Destruction {
                requested_by: destruction.requested_by,
                wait: destruction.wait,
                observed: destruction.observed,
                approved_by: destruction.approved_by,
            }),
        }
    }
}

pub(crate) fn state(state: api::KeyState) -> String {
    state.as_str_name().trim_start_matches("KEY_STATE_").to_lowercase()
}

async fn list(admin: &Admin, format: As) -> Result<ExitCode, Failure> {
    format.print(&read(admin).await?, |listed| {
        let now = listed.now;
        let rows = listed.rings.iter().flat_map(|ring| &ring.versions).map(|key| {
            [
                key.id.clone(),
                key.state.clone(),
                span(key.age),
                span(now.saturating_sub(key.changed)),
                key.roots.join(" "),
                key.holds.iter().map(|id| format!("#{id}")).collect::<Vec<_>>().join(" "),
                key.destruction.as_ref().map(progress).unwrap_or_default(),
            ]
        });
        table(["version", "state", "age", "in state for", "roots", "holds", "destruction"], rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn progress(destruction: &Destruction) -> String {
    let Destruction { requested_by, wait, observed, approved_by } = destruction;
    match approved_by {
        Some(second) => format!("by {requested_by} and {second}"),
        None if observed < wait => format!(
            "asked for by {requested_by}; watched {} of {}, {} to go",
            span(*observed),
            span(*wait),
            span(wait - observed)
        ),
        None => format!("asked for by {requested_by}; the wait is over"),
    }
}

async fn find(admin: &Admin, version: u32) -> Result<Key, Failure> {
    let listed = read(admin).await?;
    let mut keys = listed.rings.into_iter().flat_map(|ring| ring.versions);
    keys.find(|key| key.version == version).ok_or_else(|| {
        Failure::new(
            format!("there is no version {version}"),
            "the ledger does not know it",
            "list them with `strongroom keys list`",
        )
    })
}

/// The next step towards destruction: to ask for it, or to do it.
async fn destroy(admin: &Admin, version: u32, wait: u64, yes: bool) -> Result<ExitCode, Failure> {
    let key = find(admin, version).await?;
    let mut grpc = admin.grpc.clone();
    if key.destruction.is_none() {
        output::confirm(
            &format!(
                "Ask for the destruction of {}: after {} somebody else can destroy it for ever.",
                key.id,
                span(wait)
            ),
            yes,
        )?;
        let request = question(api::ScheduleDestroyRequest { version, wait });
        let what = "the destruction was not scheduled";
        return told(admin.ask(what, grpc.schedule_destroy(request)).await?.key);
    }
    output::confirm(
        &format!(
            "DESTROY {} FOR EVER: whatever is encrypted under it, also in every backup, can never be read again.",
            key.id
        ),
        yes,
    )?;
    let request = question(api::DestroyKeyRequest { version, id: key.id });
    told(admin.ask("the version was not destroyed", grpc.destroy_key(request)).await?.key)
}

fn told(key: Option<api::KeyVersion>) -> Result<ExitCode, Failure> {
    let key = key.map(Key::from);
    let text = key.map_or_else(
        || "done\n".to_owned(),
        |key| {
            let more = key.destruction.as_ref().map(progress).unwrap_or_default();
            let more = if more.is_empty() { more } else { format!(" ({more})") };
            format!("{} is {} now{more}\n", key.id, key.state)
        },
    );
    output::result(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
