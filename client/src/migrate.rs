//! `strongroom migrate`: SealedSecrets of Bitnami's become ours, under the same names, all or none.
//!
//! ```text
//! read ─► open ─► seal ─► write in memory, read again, compare ─► journal ─► files, one by one
//!                                   nothing is written up to here ┘
//! ```
//!
//! Invariant: each file is old or new at every moment, the journal is whole before the first is new, and running it again completes.

mod edit;
mod journal;
mod plan;
mod report;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueHint};
use sealing::KeyRing;
use serde::Serialize;

use self::{
    journal::{Entry, Journal, State},
    plan::{Means, Plan},
    report::{Outcome, Report},
};
use crate::{
    bitnami_keys::BitnamiKeys,
    bitnami_secret,
    failure::Failure,
    keyfile,
    manifest::Manifest,
    output::{self, As},
    parallel,
    repository::{ByFolder, Clusters},
    table::table,
    walk,
};

pub(crate) const EXAMPLES: &str = "\
Examples:
  What would happen? The keys go from the cluster into the program, and not to the disk
      L=sealedsecrets.bitnami.com/sealed-secrets-key
      kubectl get secret -n kube-system -l $L -o yaml |
          strongroom migrate . --bitnami-keys - --dry-run
  Do it; with a key that opens what is written, each value is compared before anything is written
      strongroom migrate . --bitnami-keys keys.yaml --key ~/prod-keys/sealing.keys
  Take it back; files that were changed since are kept and named
      strongroom migrate --undo .git/strongroom-migrate-1
What was sealed for Bitnami's controller stays in git's history, and opens there for whoever gets one of its keys.";

#[derive(Args)]
pub(crate) struct Migrate {
    /// Files, and folders with all that is in them
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath, required_unless_present = "undo")]
    paths: Vec<PathBuf>,
    /// A backup of their controller's sealing keys: Secrets as YAML or JSON, or PEM; - is stdin; may be given more than once
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, required_unless_present = "undo")]
    bitnami_keys: Vec<PathBuf>,
    /// Open what was sealed with the private keys in this file, and compare each value, before anything is written
    #[arg(long = "key", id = "key", value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// The namespace of objects that name none
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    #[command(flatten)]
    clusters: Clusters,
    /// Migrate what can be, although some is refused; without, any refusal keeps everything as it is
    #[arg(long)]
    keep_going: bool,
    /// Write what undoes it into this new folder [default: .git/strongroom-migrate-N]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    undo_dir: Option<PathBuf>,
    /// Open and seal everything, say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Put back the files of an earlier migration, by the folder that it printed
    #[arg(
        long,
        value_name = "DIR",
        value_hint = ValueHint::DirPath,
        conflicts_with_all = ["paths", "bitnami_keys", "key", "namespace", "Clusters", "keep_going", "undo_dir"]
    )]
    undo: Option<PathBuf>,
    #[command(flatten)]
    format: As,
}

impl Migrate {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match &self.undo {
            Some(folder) => self.undo(folder),
            None => self.migrate(),
        }
    }

    fn migrate(&self) -> Result<ExitCode, Failure> {
        if !self.dry_run {
            Manifest::no_stdin(&self.paths)?;
        }
        let keys = BitnamiKeys::read(&self.bitnami_keys)?;
        let ring = match self.files.as_slice() {
            [] => None,
            files => Some(keyfile::read_ring(files)?),
        };
        let mut plans = self.plans(&keys, ring.as_ref())?;
        let refused =
            plans.iter().flat_map(|plan| &plan.rows).any(|row| row.result == Outcome::Refused);
        let held = self.dry_run || refused && !self.keep_going;
        let any = plans.iter().any(|plan| plan.new.is_some());
        let (mut journal, mut failures) = (None, Vec::new());
        if any && !held {
            let folder = Journal::begin(self.undo_dir.as_deref(), &self.paths, entries(&plans)?)?;
            for plan in &mut plans {
                failures.extend(plan.write().err());
            }
            journal = Some(folder);
        }
        let report = Report {
            schema: "strongroom.dev/migrate/v1",
            written: journal.is_some(),
            journal: journal.as_ref().map(|folder| folder.display().to_string()),
            objects: plans.into_iter().flat_map(|plan| plan.rows).collect(),
        };
        self.format.print(&report, Report::table)?;
        failures.iter().for_each(output::failure);
        output::note(&self.summary(&report, ring.is_some()));
        let well = !refused && failures.is_empty();
        Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// What becomes of each file that has something to migrate.
    fn plans(&self, keys: &BitnamiKeys, ring: Option<&KeyRing>) -> Result<Vec<Plan>, Failure> {
        let mut work = Vec::new();
        for path in walk::each_once(walk::manifests(&self.paths)?) {
            let manifest = Manifest::read(&path)?;
            if manifest.mentions(bitnami_secret::API_VERSION) {
                work.push((path, manifest));
            }
        }
        let recipients =
            ByFolder::make(work.iter().map(|(path, _)| path.as_path()), |repository| {
                repository.recipients(&self.clusters)
            })?;
        let means = Means { keys, ring, namespace: self.namespace.as_deref() };
        // Opening a value costs milliseconds of RSA.
        let made = parallel::map(&work, "opening and sealing", |(path, manifest)| {
            let recipients = recipients.get(path).map(Vec::as_slice).unwrap_or_default();
            Plan::make(manifest, recipients, &means)
        });
        let mut plans = Vec::new();
        for ((_, manifest), made) in work.into_iter().zip(made) {
            let (new, rows) = made?;
            // A file may mention them in a comment.
            if !rows.is_empty() {
                plans.push(Plan { manifest, new, rows });
            }
        }
        Ok(plans)
    }

    fn summary(&self, report: &Report, compared: bool) -> String {
        let (ready, migrated) = (report.count(Outcome::Ready), report.count(Outcome::Migrated));
        let (refused, unwritten) =
            (report.count(Outcome::Refused), report.count(Outcome::Unwritten));
        let compared = if compared {
            "opened again and compared"
        } else {
            "not opened again: no --key was given"
        };
        if report.objects.is_empty() {
            return "nothing was written".to_owned();
        }
        match &report.journal {
            Some(folder) => format!(
                "{migrated} migrated ({compared}), {refused} refused, {unwritten} not written; to undo: strongroom migrate --undo {folder}"
            ),
            None if self.dry_run => format!(
                "{ready} can be migrated ({compared}), {refused} refused; nothing was written"
            ),
            None => format!(
                "nothing was written, because {refused} of {} are refused; correct them, or add --keep-going",
                report.objects.len()
            ),
        }
    }

    fn undo(&self, folder: &Path) -> Result<ExitCode, Failure> {
        let journal = Journal::read(folder)?;
        let (mut files, mut failures) = (Vec::new(), Vec::new());
        for entry in &journal.files {
            let mut state = entry.state();
            let mut undone = false;
            if state == State::New && !self.dry_run {
                match entry.undo() {
                    Ok(true) => (state, undone) = (State::Old, true),
                    Ok(false) => state = State::Changed,
                    Err(error) => failures.push(Failure::new(
                        format!("{} cannot be written", entry.path.display()),
                        error.to_string(),
                        "check the folder's permissions, and run the command again",
                    )),
                }
            }
            files.push(Undone { file: entry.path.display().to_string(), state, undone });
        }
        let report = Undo { schema: "strongroom.dev/migrate-undo/v1", files };
        self.format.print(&report, Undo::table)?;
        failures.iter().for_each(output::failure);
        let changed = report.files.iter().filter(|file| file.state == State::Changed).count();
        let undone = report.files.iter().filter(|file| file.undone).count();
        output::note(&format!(
            "put back: {undone}; kept because they were changed since: {changed}"
        ));
        let well = changed == 0 && failures.is_empty();
        Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// What undoing came to.
#[derive(Serialize)]
struct Undo {
    schema: &'static str,
    files: Vec<Undone>,
}

#[derive(Serialize)]
struct Undone {
    file: String,
    /// As it is now.
    state: State,
    /// Whether this run put it back.
    undone: bool,
}

impl Undo {
    fn table(&self) -> String {
        let rows = self.files.iter().map(|file| {
            let what = if file.undone { "put back" } else { file.state.as_str() };
            [file.file.clone(), what.to_owned()]
        });
        table(["FILE", ""], rows)
    }
}

impl Plan {
    /// Puts the new text in place of the old one, and says so in the rows.
    fn write(&mut self) -> Result<(), Failure> {
        let Some(new) = &self.new else { return Ok(()) };
        let written = self.manifest.replace(new);
        let result = if written.is_ok() { Outcome::Migrated } else { Outcome::Unwritten };
        for row in self.rows.iter_mut().filter(|row| row.result == Outcome::Ready) {
            row.result = result;
        }
        written
    }
}

/// What the journal holds of each file that changes.
fn entries(plans: &[Plan]) -> Result<Vec<Entry>, Failure> {
    let changing = plans.iter().filter_map(|plan| Some((&plan.manifest, plan.new.as_ref()?)));
    changing
        .map(|(manifest, new)| {
            let (path, mode) = manifest.file().ok_or_else(|| {
                Failure::new(
                    "stdin cannot be migrated",
                    "there is no file to put the result into",
                    "name files or folders",
                )
                .usage()
            })?;
            Entry::new(path, mode, &manifest.text, new).ok_or_else(|| {
                Failure::new(
                    format!("the name of {} is not UTF-8, so nothing was migrated", manifest.shown),
                    "what undoes the migration could not name it",
                    "rename it, or leave it out",
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::Row;

    const PLACE: splice::Place = splice::Place { line: 1, column: 1 };

    #[test]
    fn what_somebody_wrote_meanwhile_is_kept_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db.yaml");
        std::fs::write(&path, "before\n").unwrap();
        let manifest = Manifest::read(&path).unwrap();
        let mut row = Row::refused("db.yaml", PLACE, None, Failure::new("", "", ""));
        row.result = Outcome::Ready;
        let mut plan = Plan { manifest, new: Some(b"after\n".to_vec()), rows: vec![row] };
        std::fs::write(&path, "meanwhile\n").unwrap();
        assert!(plan.write().unwrap_err().what.contains("was changed meanwhile"));
        assert!(plan.rows.iter().all(|row| row.result == Outcome::Unwritten));
        assert_eq!(std::fs::read(&path).unwrap(), b"meanwhile\n");
    }
}
