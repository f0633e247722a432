//! `strongroom lint`: what must not be committed, found offline.

mod credential;
mod finding;
mod pins;
mod plain;
mod rule;
mod sarif;
mod sealed;
mod silence;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, ValueEnum, ValueHint};
use serde_json::json;

use self::{finding::Finding, rule::Severity};
use crate::{
    failure::Failure,
    git::{self, Blob, Contents},
    output, parallel,
    repository::{FOLDER, Repository},
    walk,
};

/// What stands below the options in the help.
pub(crate) fn help() -> String {
    rule::help() + EXAMPLES
}

const EXAMPLES: &str = "
A finding is silenced in its file, on its line or the one above, with a reason:
  # strongroom:allow SR105 a public test account of the vendor

Exit codes:
  0  nothing was found, or warnings only
  1  something must not be committed
  2  the command line is wrong

Examples:
  strongroom lint                             everything here
  strongroom lint --staged                    what is about to be committed; `strongroom hook install` does it each time
  strongroom lint --range origin/main..HEAD   every file of every commit, also what a later commit took out again
  strongroom lint --output sarif > lint.sarif";

#[derive(Args)]
pub(crate) struct Lint {
    /// Files, and folders with all that git does not ignore in them
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath, conflicts_with_all = ["staged", "range"])]
    paths: Vec<PathBuf>,
    /// Look at what is staged, as it is staged, against HEAD
    #[arg(long, conflicts_with = "range")]
    staged: bool,
    /// Look at everything that the commits of a range brought, against its beginning
    #[arg(long, value_name = "A..B")]
    range: Option<String>,
    /// Accept this identity or escrow key, new or changed; may be given more than once
    #[arg(long, value_name = "IDENTITY|KID")]
    accept: Vec<String>,
    /// How to print what was found
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Form::Text)]
    output: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A line each, and what to do next
    Text,
    /// For scripts; stable
    Json,
    /// SARIF 2.1.0
    Sarif,
}

/// A finding in a file.
#[derive(Debug)]
pub(crate) struct Found {
    path: String,
    commit: Option<String>,
    finding: Finding,
}

impl Lint {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let mut found = match &self.range {
            Some(range) => self.range(range)?,
            None if self.staged => self.staged()?,
            None => self.work_tree()?,
        };
        found.sort_by(|a, b| {
            (&a.path, a.finding.place, a.finding.rule.id).cmp(&(
                &b.path,
                b.finding.place,
                b.finding.rule.id,
            ))
        });
        match self.output {
            Form::Text => output::result(text(&found).as_bytes())?,
            Form::Json => output::result((output::json(&list(&found))? + "\n").as_bytes())?,
            Form::Sarif => output::result((output::json(&sarif::log(&found))? + "\n").as_bytes())?,
        }
        let errors = found.iter().any(|found| found.finding.rule.severity == Severity::Error);
        Ok(if errors { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn work_tree(&self) -> Result<Vec<Found>, Failure> {
        let paths =
            if self.paths.is_empty() { vec![PathBuf::from(".")] } else { self.paths.clone() };
        let files = walk::tracked(&paths)?;
        let mut repositories: BTreeMap<PathBuf, Option<Repository>> = BTreeMap::new();
        let mut out = Vec::new();
        for path in &files {
            let folder = path.parent().unwrap_or(path).to_owned();
            if repositories.contains_key(&folder) {
                continue;
            }
            // One that is refused is a finding, once, and not a reason to find nothing else.
            let repository = match Repository::find(path) {
                Ok(repository) => Some(repository),
                Err(failure) => {
                    let finding = Finding::new(
                        &rule::PINS,
                        splice::Place { line: 1, column: 1 },
                        failure.why,
                    );
                    if !out.iter().any(|found: &Found| found.finding == finding) {
                        out.push(Found { path: FOLDER.to_owned(), commit: None, finding });
                    }
                    None
                }
            };
            repositories.insert(folder, repository);
        }
        let read = |path: &PathBuf| {
            let bytes = durable::read(path, git::MOST as usize).ok()?;
            let repository =
                path.parent().and_then(|folder| repositories.get(folder)).and_then(Option::as_ref);
            let shown = path.strip_prefix(".").unwrap_or(path).to_string_lossy().into_owned();
            Some(
                check(&shown, &bytes, repository, true)
                    .into_iter()
                    .map(|finding| Found { path: shown.clone(), commit: None, finding })
                    .collect::<Vec<_>>(),
            )
        };
        out.extend(parallel::map(&files, "looking", read).into_iter().flatten().flatten());
        Ok(out)
    }

    fn staged(&self) -> Result<Vec<Found>, Failure> {
        let staged = git::staged()?;
        let mut accepted = self.accept.clone();
        accepted.extend(git::configured("strongroom.accept"));
        let mut contents = Contents::start()?;
        let base = if git::has_head() {
            read_pins(&mut contents, &git::files_below("HEAD", FOLDER)?)?
        } else {
            Vec::new()
        };
        let now = read_pins(&mut contents, &git::staged_below(FOLDER)?)?;
        blobs(&staged, &mut contents, (base, now), &accepted, |_| true)
    }

    fn range(&self, range: &str) -> Result<Vec<Found>, Failure> {
        let brought = git::brought_by(range)?;
        let (from, to) = range.split_once("..").unwrap_or((range, "HEAD"));
        let (from, to) = (from, to.trim_start_matches('.'));
        let (from, to) =
            (if from.is_empty() { "HEAD" } else { from }, if to.is_empty() { "HEAD" } else { to });
        let mut contents = Contents::start()?;
        let base = read_pins(&mut contents, &git::files_below(from, FOLDER)?)?;
        let now = read_pins(&mut contents, &git::files_below(to, FOLDER)?)?;
        // What was sealed rightly for a key of its time is judged only where it still is.
        let there: BTreeSet<_> =
            git::files_below(to, "")?.into_iter().map(|blob| (blob.path, blob.id)).collect();
        blobs(&brought, &mut contents, (base, now), &self.accept, |blob| {
            there.contains(&(blob.path.clone(), blob.id.clone()))
        })
    }
}

/// Files of pins, with what is in them.
type Pins = Vec<(PathBuf, Vec<u8>)>;

/// What is wrong with contents that git has.
fn blobs(
    blobs: &[Blob],
    contents: &mut Contents,
    (base, now): (Pins, Pins),
    accepted: &[String],
    is_there: impl Fn(&Blob) -> bool,
) -> Result<Vec<Found>, Failure> {
    let (base, _) = pins::check(&base, None, &[]);
    let (repository, findings) = pins::check(&now, Some(&base), accepted);
    let mut out: Vec<_> = findings
        .into_iter()
        .map(|(path, finding)| Found {
            path: path.to_string_lossy().into_owned(),
            commit: None,
            finding,
        })
        .collect();
    for blob in
        blobs.iter().filter(|blob| walk::is_manifest(&blob.path) && !blob.path.starts_with(FOLDER))
    {
        let Some(bytes) = contents.read(&blob.id)? else { continue };
        let path = blob.path.to_string_lossy().into_owned();
        let found = check(&path, &bytes, Some(&repository), is_there(blob));
        out.extend(found.into_iter().map(|finding| Found {
            path: path.clone(),
            commit: blob.commit.clone(),
            finding,
        }));
    }
    Ok(out)
}

fn read_pins(contents: &mut Contents, blobs: &[Blob]) -> Result<Vec<(PathBuf, Vec<u8>)>, Failure> {
    let mut out = Vec::new();
    for blob in
        blobs.iter().filter(|blob| blob.path.extension().is_some_and(|ending| ending == "yaml"))
    {
        out.extend(contents.read(&blob.id)?.map(|bytes| (blob.path.clone(), bytes)));
    }
    Ok(out)
}

/// What is wrong with a file.
fn check(
    path: &str,
    bytes: &[u8],
    repository: Option<&Repository>,
    judge_sealed: bool,
) -> Vec<Finding> {
    let text = String::from_utf8_lossy(bytes);
    let mut out = plain::tokens(&text);
    let has = |word: &str| memchr::memmem::find(bytes, word.as_bytes()).is_some();
    if plain::is_values(path) || plain::WORDS.iter().any(|word| has(word)) {
        match splice::parse(bytes) {
            Ok(file) => {
                out.extend(plain::structured(path, &file));
                if judge_sealed && has(sealing::KIND) {
                    out.extend(sealed::check(&file, repository));
                }
            }
            Err(error) => {
                out.extend(plain::template(&text));
                // A sealed Secret that is no YAML is one that no cluster takes.
                if judge_sealed && has(sealing::API_VERSION) && !has("{{") {
                    out.push(Finding::new(
                        &rule::MALFORMED,
                        error.place,
                        error.problem.to_string(),
                    ));
                }
            }
        }
    }
    // One credential, one finding: the rule that knows more of it stays.
    let mut seen = BTreeSet::new();
    out.retain(|finding| seen.insert((finding.place.line, finding.rule.id)));
    silence::apply(&text, out)
}

fn text(found: &[Found]) -> String {
    let mut out = String::new();
    let mut last = "";
    for Found { path, commit, finding } in found {
        let level = if finding.rule.severity == Severity::Error { "error" } else { "warning" };
        let (id, place) = (finding.rule.id, finding.place);
        let commit = commit
            .as_ref()
            .map(|commit| format!(" (commit {})", commit.get(..12).unwrap_or(commit)))
            .unwrap_or_default();
        let path = crate::admin::plain(path);
        out += &format!(
            "{path}:{}:{}: {level} {id} {}{commit}\n",
            place.line,
            place.column,
            finding.message()
        );
        // Said once where the same is found many times.
        if last != id {
            out += &format!("  next: {}\n", finding.rule.next);
        }
        last = id;
    }
    out
}

fn list(found: &[Found]) -> serde_json::Value {
    let findings: Vec<_> = found
        .iter()
        .map(|Found { path, commit, finding }| {
            json!({
                "rule": finding.rule.id,
                "name": finding.rule.name,
                "severity": finding.rule.severity,
                "file": path,
                "line": finding.place.line,
                "column": finding.place.column,
                "commit": commit,
                "message": finding.message(),
                "next": finding.rule.next,
            })
        })
        .collect();
    json!({"schema": "strongroom.dev/lint/v1", "findings": findings})
}
