//! `strongroom roots`: which root keys wrap which key, and how one comes or goes.

mod add;
mod custody;

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use proto::admin as api;
use serde::Serialize;

use self::custody::Custody;
use super::{Admin, Connection, keys::Yes, question};
use crate::{
    failure::Failure,
    output::{self, As},
    table::table,
};

pub(crate) const EXAMPLES: &str = "\
A root key wraps every key version, and the ledger key; any one of the roots opens them all.
Which roots there are is configured on each node ([[roots]] of strongroomd); what lies under
them is in the ledger. So a root comes in three steps, and goes in three:
  add     configure it on every node, restart each, then `strongroom roots rewrap`
  remove  take it out of the configuration of every node, restart each, then `strongroom roots remove ROOT`

Examples:
  strongroom roots list
  strongroom roots check --output json | jq -r '.tried[]|select(.problem!=\"\").root'
  strongroom roots add local /etc/strongroom/second.key      the steps, and what to write into the configuration
  strongroom roots add aws-kms arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab
  strongroom roots rewrap --dry-run
  strongroom roots rewrap
  strongroom roots remove 4f0c2b9d8e11 --reason \"moved to AWS\"";

#[derive(Subcommand)]
pub(crate) enum Roots {
    /// List the root keys of the daemon that answers, and which key lies under which
    List {
        #[command(flatten)]
        format: As,
    },
    /// Have every root really unwrap every key that it wraps: which opens, which does not, why, how long it took
    Check {
        #[command(flatten)]
        format: As,
    },
    /// Say what to do to add a root key; changes nothing
    ///
    /// Roots are configured in the file of each node, which no command changes. This prints what to write there, and the steps.
    Add {
        /// What kind of root
        #[arg(value_enum)]
        kind: Kind,
        /// Where it is: the path of a local root key, the ARN of a key of AWS KMS
        #[arg(value_name = "WHERE")]
        place: String,
    },
    /// Wrap every key under every root of the daemon that answers, where it is not yet; safe to repeat
    ///
    /// Nothing is taken away. A new wrap counts once its root has opened it again. Broken off, it has done a part, and the next one does the rest.
    Rewrap {
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        format: As,
    },
    /// Give up every wrap of a root key that is configured nowhere any more
    ///
    /// Refused while it is the only one that opens a key, while no other root was seen to open each key just before, and while a replica does not serve
    /// what the ledger has.
    Remove {
        /// Its id, as in `roots list`
        #[arg(value_name = "ROOT")]
        root: String,
        /// Why; the audit chain keeps it
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        yes: Yes,
    },
}

/// Kinds of roots that this command knows to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A key in a file
    Local,
    /// A key of AWS KMS
    AwsKms,
}

#[derive(Serialize)]
struct Checked {
    schema: &'static str,
    #[serde(flatten)]
    custody: Custody,
    tried: Vec<Tried>,
}

#[derive(Serialize)]
struct Tried {
    key: String,
    root: String,
    problem: String,
    microseconds: u64,
}

#[derive(Serialize)]
struct Rewrapped {
    schema: &'static str,
    dry_run: bool,
    #[serde(flatten)]
    custody: Custody,
    rewrapped: Vec<Key>,
}

#[derive(Serialize)]
struct Key {
    key: String,
    roots: Vec<String>,
    problem: String,
}

impl Roots {
    pub(crate) fn run(self, connection: &Connection) -> Result<ExitCode, Failure> {
        if let Self::Add { kind, place } = &self {
            let steps = match kind {
                Kind::Local => add::local(place)?,
                Kind::AwsKms => add::aws_kms(place)?,
            };
            output::result(steps.as_bytes())?;
            return Ok(ExitCode::SUCCESS);
        }
        connection.run(async |admin| match self {
            Self::List { format } => list(admin, format).await,
            Self::Check { format } => check(admin, format).await,
            Self::Rewrap { dry_run, format } => rewrap(admin, dry_run, format).await,
            Self::Remove { root, reason, yes } => remove(admin, root, reason, yes.yes).await,
            Self::Add { .. } => Ok(ExitCode::SUCCESS),
        })
    }
}

async fn read(admin: &Admin) -> Result<Custody, Failure> {
    let mut grpc = admin.grpc.clone();
    let request = question(api::ListRootsRequest {});
    let answer = admin.ask("the root keys could not be listed", grpc.list_roots(request)).await?;
    Ok(Custody::from(answer.custody.unwrap_or_default()))
}

async fn list(admin: &Admin, format: As) -> Result<ExitCode, Failure> {
    #[derive(Serialize)]
    struct Listed {
        schema: &'static str,
        #[serde(flatten)]
        custody: Custody,
    }
    let listed = Listed { schema: "strongroom.dev/roots/v1", custody: read(admin).await? };
    format.print(&listed, |listed| {
        let custody = &listed.custody;
        format!("{}\n{}{}", custody.roots_table(), custody.keys_table(), custody.advice())
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn check(admin: &Admin, format: As) -> Result<ExitCode, Failure> {
    let mut grpc = admin.grpc.clone();
    let request = question(api::CheckRootsRequest {});
    output::progress("asking every root for every key");
    let answer = admin.ask("the root keys could not be checked", grpc.check_roots(request)).await?;
    let tried = |tried: api::TriedKey| {
        let api::TriedKey { key, root, problem, microseconds } = tried;
        Tried { key, root, problem, microseconds }
    };
    let checked = Checked {
        schema: "strongroom.dev/roots-check/v1",
        custody: Custody::from(answer.custody.unwrap_or_default()),
        tried: answer.tried.into_iter().map(tried).collect(),
    };
    let well = checked.custody.away().next().is_none()
        && checked.tried.iter().all(|tried| tried.problem.is_empty());
    format.print(&checked, |checked| {
        let rows = checked.tried.iter().map(|tried| {
            let does = if tried.problem.is_empty() { "opens" } else { &tried.problem };
            let took = format!("{}.{:03} ms", tried.microseconds / 1000, tried.microseconds % 1000);
            [tried.key.clone(), tried.root.clone(), does.into(), took]
        });
        let tried = table(["key", "under root", "does", "took"], rows);
        let custody = &checked.custody;
        format!("{}\n{tried}{}", custody.roots_table(), custody.advice())
    })?;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn rewrap(admin: &Admin, dry_run: bool, format: As) -> Result<ExitCode, Failure> {
    let mut grpc = admin.grpc.clone();
    let request = question(api::RewrapKeysRequest { dry_run });
    output::progress("asking the roots for every key");
    let what = "the keys were not wrapped, or not all of them: it is safe to run it again";
    let answer = admin.ask(what, grpc.rewrap_keys(request)).await?;
    let key = |key: api::RewrappedKey| {
        let api::RewrappedKey { key, roots, problem } = key;
        Key { key, roots, problem }
    };
    let done = Rewrapped {
        schema: "strongroom.dev/roots-rewrap/v1",
        dry_run,
        custody: Custody::from(answer.custody.unwrap_or_default()),
        rewrapped: answer.keys.into_iter().map(key).collect(),
    };
    let well = done.custody.away().next().is_none()
        && done.rewrapped.iter().all(|key| key.problem.is_empty());
    format.print(&done, |done| {
        let rows = done.rewrapped.iter();
        let rows = rows.map(|key| [key.key.clone(), key.roots.join(" "), key.problem.clone()]);
        let all = "every key lies under every root that is open here: nothing to do\n";
        let header = if dry_run { "would come under" } else { "is also under" };
        let keys = match done.rewrapped.is_empty() {
            true => all.to_owned(),
            false => table(["key", header, "problem"], rows),
        };
        let advice = if dry_run { String::new() } else { done.custody.advice() };
        format!("{keys}{advice}")
    })?;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn remove(
    admin: &Admin,
    root: String,
    reason: String,
    yes: bool,
) -> Result<ExitCode, Failure> {
    let custody = read(admin).await?;
    let keys: Vec<&str> = custody.under(&root).collect();
    if keys.is_empty() {
        return Err(Failure::new(
            format!("root key {root} was not removed"),
            "no key is wrapped under it",
            "list the roots with `strongroom roots list`",
        ));
    }
    output::confirm(
        &format!(
            "REMOVE root key {root} FOR EVER: its wraps of {} are deleted, with every older bundle in the ledger. What lies in etcd or in a \
             backup with an annotation that names {root} then opens only with a bundle or the ledger, not by its annotation alone, unless you keep \
             that root key.",
            keys.join(", ")
        ),
        yes,
    )?;
    let mut grpc = admin.grpc.clone();
    let request = question(api::RemoveRootRequest { root: root.clone(), reason });
    let answer = admin.ask("the root key was not removed", grpc.remove_root(request)).await?;
    let custody = Custody::from(answer.custody.unwrap_or_default());
    let text = format!(
        "root key {root} wraps nothing any more, as of generation {}\n{}",
        custody.generation,
        custody.advice()
    );
    output::result(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
