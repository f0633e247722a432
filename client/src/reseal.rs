//! `strongroom reseal`: every sealed Secret for exactly those that it is to be for now.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueHint};
use envelope::SystemRandom;
use sealing::{KeyRing, Kid, Recipient, SealedSecret};
use serde::Serialize;

use crate::{
    change::refused,
    failure::Failure,
    keyfile,
    manifest::{self, Change, Manifest},
    output::{self, As},
    parallel,
    repository::{ByFolder, Clusters, Repository},
    table::table,
    walk,
};

pub(crate) const EXAMPLES: &str = "\
Examples:
  After a rotation: wrap what is sealed for the new key; only `wraps` lines change, and no value is opened
      strongroom reseal --all --key ~/prod-keys/sealing.keys
  Is everything sealed for whom it is to be? (CI; needs no key)
      strongroom reseal --all --check
  After a key leaked: new DEKs too. The old file stays in git's history: change the passwords as well
      strongroom reseal --all --fresh --key ~/prod-keys/sealing.keys
  Would it go well? Opens everything, writes nothing
      strongroom reseal --all --key ~/prod-keys/sealing.keys --dry-run
  For the other clusters as well
      strongroom reseal db.yaml --all-clusters --key ~/prod-keys/sealing.keys";

#[derive(Args)]
pub(crate) struct Reseal {
    /// Files, and folders with all that is in them
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath, required_unless_present = "all")]
    paths: Vec<PathBuf>,
    /// Everything in and below the current folder
    #[arg(long, conflicts_with = "paths")]
    all: bool,
    /// Say which sealed Secrets are not for whom they are to be, and change nothing
    #[arg(long, conflicts_with_all = ["fresh", "key"])]
    check: bool,
    /// Open and wrap everything, say what would be changed, and write nothing
    #[arg(long, conflicts_with = "check")]
    dry_run: bool,
    /// Seal every value anew, not only its key
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    clusters: Clusters,
    /// A file with private keys, one escrow text a line; - reads them from stdin; may be given more than once
    #[arg(long = "key", id = "key", value_name = "FILE", required_unless_present = "check")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    format: As,
}

/// A sealed Secret, and whether it is for whom it is to be.
#[derive(Serialize)]
struct Row {
    file: String,
    object: String,
    missing: Vec<String>,
    superfluous: Vec<String>,
}

impl Reseal {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        if !self.check && !self.dry_run {
            Manifest::no_stdin(&self.paths)?;
        }
        let ring = if self.check { KeyRing::default() } else { keyfile::read_ring(&self.files)? };
        let paths = if self.all { vec![PathBuf::from(".")] } else { self.paths.clone() };
        let files = walk::each_once(walk::manifests(&paths)?);
        let repositories = ByFolder::make(files.iter().map(PathBuf::as_path), Ok)?;
        let resealed = parallel::map(&files, "wrapping", |path| match repositories.get(path) {
            Some(repository) => self.file(path, repository, &ring),
            None => Ok(Vec::new()),
        });
        // Files that went well stay; each that did not is told.
        let (rows, failures) = parallel::sorted(resealed);
        let named = |kids: &[String]| if kids.is_empty() { "-".to_owned() } else { kids.join(" ") };
        let wrong = rows.len();
        self.format.print(&rows, |rows| {
            if rows.is_empty() {
                let all = failures.is_empty();
                return if all { "every sealed Secret is for whom it is to be\n" } else { "" }
                    .to_owned();
            }
            let rows = rows.iter().map(|row| {
                [row.file.clone(), row.object.clone(), named(&row.missing), named(&row.superfluous)]
            });
            table(
                [
                    "FILE",
                    "SEALED SECRET",
                    if self.check { "NOT FOR" } else { "NOW FOR" },
                    if self.check { "STILL FOR" } else { "NO LONGER FOR" },
                ],
                rows,
            )
        })?;
        if self.check && wrong > 0 {
            output::note(&format!(
                "{wrong} are not for whom they are to be; next: strongroom reseal --all --key FILE"
            ));
        }
        if self.dry_run {
            output::note("dry run: nothing was written");
        }
        output::all_failures(failures)?;
        Ok(if self.check && wrong > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn file(
        &self,
        path: &Path,
        repository: &Repository,
        ring: &KeyRing,
    ) -> Result<Vec<Row>, Failure> {
        let manifest = Manifest::read(path)?;
        if !manifest.mentions(sealing::KIND) {
            return Ok(Vec::new());
        }
        let file = manifest.parse()?;
        let mut rows = Vec::new();
        let mut changes = Vec::new();
        for found in manifest::sealed_objects(&file) {
            let old = manifest.sealed(&file, found)?;
            let recipients = repository.recipients_like(&old, &self.clusters)?;
            let row = compare(&manifest, &old, &recipients);
            let right = row.missing.is_empty() && row.superfluous.is_empty();
            if right && !self.fresh {
                continue;
            }
            rows.push(row);
            if self.check {
                continue;
            }
            let mut new = old.clone();
            let changed = if self.fresh {
                new.reseal(ring, &recipients, &SystemRandom)
            } else {
                new.rewrap(ring, &recipients, &SystemRandom)
            };
            changed.map_err(|error| {
                let Failure { why, next, .. } = refused(&error);
                manifest.failure(
                    file.node(found.node).place(),
                    &format!("{} stays as it is", old.full_name()),
                    why,
                    next,
                )
            })?;
            changes.push(Change { found, old, new, order: Vec::new() });
        }
        if !changes.is_empty() && !self.dry_run {
            manifest.replace(&manifest::changed(&manifest, &file, &changes)?)?;
        }
        Ok(rows)
    }
}

fn compare(manifest: &Manifest, object: &SealedSecret, recipients: &[Recipient]) -> Row {
    let wanted: BTreeSet<Kid> = recipients.iter().map(Recipient::kid).collect();
    let (mut missing, mut superfluous) = (BTreeSet::new(), BTreeSet::new());
    for slot in object.used_slots() {
        let there: BTreeSet<Kid> = slot.wraps().iter().map(sealing::Wrap::kid).collect();
        missing.extend(wanted.difference(&there).copied());
        superfluous.extend(there.difference(&wanted).copied());
    }
    let texts = |kids: BTreeSet<Kid>| kids.iter().map(Kid::to_string).collect();
    Row {
        file: manifest.shown.clone(),
        object: object.full_name(),
        missing: texts(missing),
        superfluous: texts(superfluous),
    }
}
