//! `strongroom sealing-keys`: whom sealed Secrets are for. Made, published, taken in, looked at.

mod fetch;
mod folder;
mod inventory;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use sealing::{KeyState, Kid, PinnedKey, SealingKeys};
use serde::Serialize;

use self::folder::Folder;
pub(crate) use self::{fetch::root_of_work_tree, folder::published};
use crate::{
    completion,
    failure::Failure,
    keyfile,
    output::{self, As},
    repository::Repository,
    table::table,
};

pub(crate) const EXAMPLES: &str = "\
The life of a sealing key:
  pending → active → retiring → retired
  What is sealed is sealed for the active key. A retiring one still opens; `reseal --all` wraps
  anew what is sealed for it, and then it is retired.

Examples:
  Make the keys of a cluster, and take the public halves into this repository
      strongroom sealing-keys new --cluster prod --dir ~/prod-keys
      strongroom sealing-keys fetch ~/prod-keys/prod.yaml
  Rotate: a new key, then every file, then the old key goes
      strongroom sealing-keys rotate --dir ~/prod-keys
      strongroom sealing-keys fetch ~/prod-keys/prod.yaml
      strongroom reseal --all --key ~/prod-keys/sealing.keys
      strongroom sealing-keys retire k9d1c2f44a0b7e6d3 --dir ~/prod-keys
  Whom does this repository seal for? What does each of these keys open?
      strongroom sealing-keys list
      strongroom sealing-keys inventory";

#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Make the identity of a cluster and its first sealing key, in a folder that only you can read
    New {
        /// The name of the cluster: 1 to 63 of a-z, 0-9 and '-'
        #[arg(long, value_name = "NAME")]
        cluster: String,
        #[command(flatten)]
        at: At,
    },
    /// Make a new sealing key the active one; the one before is retiring
    Rotate {
        #[command(flatten)]
        at: At,
    },
    /// Let a retiring key be retired: nothing shall be sealed for it any more
    Retire {
        /// The key
        #[arg(value_name = "KID", value_parser = kid, add = completion::retiring())]
        kid: Kid,
        #[command(flatten)]
        at: At,
    },
    /// Take the public keys of a cluster into this repository, from a file or over TLS
    ///
    /// The list is signed by the cluster's identity. The first one that is taken in pins that identity; from then on only lists that it signed, and that are
    /// newer, are taken.
    Fetch(fetch::Fetch),
    /// List the keys that this repository seals for
    List {
        #[command(flatten)]
        format: As,
    },
    /// Count what is sealed for each key: what a key that is retired, or that leaked, still opens
    Inventory(inventory::Inventory),
}

/// Where private keys lie.
#[derive(Args)]
pub(crate) struct At {
    /// The folder of the cluster's private keys; keep it out of every repository, and back it up
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

impl Keys {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::New { cluster, at } => {
                let folder = Folder::make(&at.dir, &cluster)?;
                keyfile::beware(&at.dir);
                output::note(&format!(
                    "made the identity of cluster {cluster} and its first sealing key in {}\n\
                     back that folder up now: without sealing.keys nobody opens what is sealed for it\n\
                     next: strongroom sealing-keys fetch {}",
                    at.dir.display(),
                    folder.published().display()
                ));
            }
            Self::Rotate { at } => {
                let folder = Folder::open(&at.dir)?;
                let list = folder.published();
                let kid = folder.rotate()?;
                output::note(&format!(
                    "{kid} is active now; back {} up again\n\
                     next: take the list into each repository: strongroom sealing-keys fetch {}\n\
                     \x20     and wrap anew there: strongroom reseal --all --key {}",
                    at.dir.display(),
                    list.display(),
                    at.dir.join("sealing.keys").display()
                ));
            }
            Self::Retire { kid, at } => {
                let folder = Folder::open(&at.dir)?;
                let list = folder.published();
                folder.retire(kid)?;
                output::note(&format!(
                    "{kid} is retired\nnext: take the list into each repository: strongroom sealing-keys fetch {}",
                    list.display()
                ));
            }
            Self::Fetch(fetch) => fetch.run()?,
            Self::List { format } => list(format)?,
            Self::Inventory(inventory) => inventory.run()?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A key id on the command line.
pub(crate) fn kid(text: &str) -> Result<Kid, String> {
    Kid::parse(text).ok_or_else(|| "expected k and 16 lower-case hexadecimal digits".to_owned())
}

/// A public key as JSON and in the table.
#[derive(Serialize)]
struct Listed {
    kid: String,
    cluster: Option<String>,
    state: String,
    since: String,
}

fn list(format: As) -> Result<(), Failure> {
    let repository = Repository::find(Path::new("."))?;
    let of_cluster = |keys: &SealingKeys| {
        let cluster = keys.cluster.clone();
        keys.keys
            .iter()
            .map(move |key: &PinnedKey| Listed {
                kid: key.recipient.kid().to_string(),
                cluster: Some(cluster.clone()),
                state: key.state.to_string(),
                since: key.since.clone(),
            })
            .collect::<Vec<_>>()
    };
    let mut all: Vec<_> = repository.clusters.values().flat_map(of_cluster).collect();
    all.extend(repository.escrow.iter().map(|escrow| Listed {
        kid: escrow.recipient.kid().to_string(),
        cluster: None,
        state: "escrow".to_owned(),
        since: escrow.since.clone(),
    }));
    if all.is_empty() {
        output::note(
            "nobody to seal for yet; next: strongroom sealing-keys fetch FILE|URL, then strongroom escrow new",
        );
    }
    format.print(&all, |all| {
        table(
            ["KEY", "CLUSTER", "STATE", "SINCE"],
            all.iter().map(|key| {
                let cluster = key.cluster.clone().unwrap_or_else(|| "-".to_owned());
                [key.kid.clone(), cluster, key.state.clone(), key.since.clone()]
            }),
        )
    })
}

/// A list as it is published: YAML, one key a line.
pub(crate) fn encode(keys: &SealingKeys) -> String {
    let base64 = |bytes: &[u8]| data_encoding::BASE64.encode(bytes);
    let lines: String = keys
        .keys
        .iter()
        .map(|key| {
            let (kid, public) = (key.recipient.kid(), base64(key.recipient.bytes()));
            format!(
                "- {{kid: {kid}, state: {}, since: \"{}\", publicKey: {public}}}\n",
                key.state, key.since
            )
        })
        .collect();
    format!(
        "# The sealing keys of a cluster, signed by its identity. Not to be edited by hand.\n\
         apiVersion: {}\nkind: {}\ncluster: \"{}\"\nidentity: {}\nserial: {}\nkeys:\n{lines}signature: {}\n",
        sealing::API_VERSION,
        SealingKeys::KIND,
        keys.cluster,
        base64(&keys.identity),
        keys.serial,
        base64(keys.signature())
    )
}

/// The keys of a list with another one active: the one before is retiring.
fn with_active(keys: &SealingKeys, recipient: sealing::Recipient, now: &str) -> Vec<PinnedKey> {
    let mut out: Vec<_> = keys
        .keys
        .iter()
        .map(|key| match key.state {
            KeyState::Active => {
                PinnedKey { state: KeyState::Retiring, since: now.to_owned(), ..key.clone() }
            }
            _ => key.clone(),
        })
        .collect();
    out.push(PinnedKey { recipient, state: KeyState::Active, since: now.to_owned() });
    out
}
