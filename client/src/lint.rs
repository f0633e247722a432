//! `strongroom lint`: what must not be committed, found offline.
//!
//! ```text
//! work_tree, history       what is looked at: files, what is staged, what commits brought
//!   judge                  one file, by all rules
//!     plain, lines, settings, credential, literal     clear text: objects, templates, lines, forms, names with values
//!     sealed               sealed Secrets, against themselves and against the pins
//!     silence              comments that allow
//!   pins                   whom a tree seals for, and what changed of that
//! rule, finding            what can be found
//! report, sarif            how it is said
//! ```
//!
//! Promise: no message repeats a value. What cannot be read is said, and never passed over.

mod credential;
mod finding;
mod history;
mod judge;
mod lines;
mod literal;
mod pins;
mod plain;
mod report;
mod rule;
mod sarif;
mod sealed;
mod settings;
mod silence;
mod subject;
mod work_tree;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum, ValueHint};

use self::{finding::Found, rule::Severity};
use crate::{failure::Failure, output};

/// What stands below the options in the help.
pub(crate) fn help() -> String {
    rule::help() + EXAMPLES
}

const EXAMPLES: &str = "
A finding is silenced in its file, on its line or the one above, with a reason:
  # strongroom:allow SR105 a public test account of the vendor

JSON (--output json); fields are added, never renamed:
  {
    \"schema\": \"strongroom.dev/lint/v1\",
    \"files\": 12,                     looked at
    \"findings\": [
      {
        \"rule\": \"SR101\",             stable: select by it
        \"name\": \"plaintext-secret\",
        \"severity\": \"error\",         error or warning
        \"file\": \"prod/db.yaml\",      from the root of the repository for --staged and --range
        \"line\": 6, \"column\": 3,      from 1, in characters
        \"commit\": null,              that brought it, for --range
        \"message\": \"...\", \"next\": \"...\"    for people
      }
    ]
  }

Exit codes:
  0  nothing was found, or warnings only
  1  something must not be committed, or something could not be read
  2  the command line is wrong

Examples:
  strongroom lint                             everything here that git does not ignore
  strongroom lint --staged                    what is about to be committed; `strongroom hook install` does it each time
  strongroom lint --range origin/main..HEAD   every file of every commit, also what a later commit took out again
  strongroom lint --output sarif > lint.sarif";

#[derive(Args)]
pub(crate) struct Lint {
    /// Files, and folders with all that git does not ignore in them; - is stdin
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath, conflicts_with_all = ["staged", "range"])]
    paths: Vec<PathBuf>,
    /// Look at what is staged, as it is staged, against HEAD
    #[arg(long, conflicts_with = "range")]
    staged: bool,
    /// Look at everything that the commits of a range brought, against where it begins
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
    /// SARIF 2.1.0, for code hosts
    Sarif,
}

/// What was found, and in how many files.
struct Looked {
    found: Vec<Found>,
    files: usize,
}

impl Lint {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let Looked { mut found, files } = match &self.range {
            Some(range) => history::range(range, &self.accept)?,
            None if self.staged => history::staged(&self.accept)?,
            None => work_tree::look(&self.paths)?,
        };
        found.sort_by(|a, b| {
            let key = |found: &Found| (found.finding.place, found.finding.rule.id);
            (&a.path, &a.commit, key(a)).cmp(&(&b.path, &b.commit, key(b)))
        });
        match self.output {
            Form::Text => {
                output::result(report::text(&found).as_bytes())?;
                // A hook that found nothing says nothing.
                if !self.staged || !found.is_empty() {
                    output::note(&report::summary(&found, files));
                }
            }
            Form::Json => json(&report::json(&found, files))?,
            Form::Sarif => json(&sarif::log(&found))?,
        }
        let is_error = found.iter().any(|found| found.finding.rule.severity == Severity::Error);
        Ok(if is_error { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn json(value: &serde_json::Value) -> Result<(), Failure> {
    output::result((output::json(value)? + "\n").as_bytes())
}
