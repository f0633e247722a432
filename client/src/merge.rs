//! `strongroom merge`: three versions of a file become one, sealed values key by key, for git.
//!
//! Invariants:
//! - What is called merged was read again: each sealed Secret in it says what the merge of its three versions says, value by value, each
//!   with its slot. What cannot be shown is a conflict.
//! - A value of neither side is lost: what is not in the result stands between markers, or the file stays as ours is.
//! - Nothing is opened, and no key is needed.

mod labels;
mod plan;
mod text;
mod versions;

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueHint};

use self::{
    plan::Plan,
    text::{Favour, Side, Texts},
    versions::Versions,
};
use crate::{
    driver::{Driver, Install},
    failure::Failure,
    output,
};

pub(crate) const EXAMPLES: &str = "\
Examples:
  Let git merge, rebase and cherry-pick use it, in this repository
      strongroom merge --install
  By hand, with the three versions of a file that is in conflict
      git show :1:db.yaml > base; git show :2:db.yaml > ours
      git show :3:db.yaml > theirs
      strongroom merge base ours theirs --path db.yaml && cp ours db.yaml

Branches that changed different values of one sealed Secret merge by themselves. Where both changed
the same one, its two lines stand between conflict markers: take one out, with the markers. What
belongs to the other is in the file already.

Exit codes: 0 merged, 1 something is left to decide.";

#[derive(Args)]
pub(crate) struct Merge {
    /// What both sides come from (git: %O)
    #[arg(value_name = "BASE", required_unless_present = "install", conflicts_with = "install", value_hint = ValueHint::FilePath)]
    base: Option<PathBuf>,
    /// Our side; the result is written here (git: %A)
    #[arg(value_name = "OURS", required_unless_present = "install", value_hint = ValueHint::FilePath)]
    ours: Option<PathBuf>,
    /// Their side (git: %B)
    #[arg(value_name = "THEIRS", required_unless_present = "install", value_hint = ValueHint::FilePath)]
    theirs: Option<PathBuf>,
    /// What the file is called in messages (git: %P)
    #[arg(long, value_name = "PATH")]
    path: Option<PathBuf>,
    /// How long conflict markers are (git: %L)
    #[arg(long, value_name = "LENGTH", default_value_t = 7, value_parser = clap::value_parser!(u8).range(3..=80))]
    marker_size: u8,
    #[command(flatten)]
    install: Install,
}

const DRIVER: Driver<'_> = Driver {
    kind: "merge",
    settings: &[
        ("name", "sealed Secrets, value by value"),
        ("driver", "$ merge %O %A %B --path=%P --marker-size=%L"),
    ],
};

impl Merge {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let (Some(base), Some(ours), Some(theirs)) = (&self.base, &self.ours, &self.theirs) else {
            self.install.run(&DRIVER)?;
            return Ok(ExitCode::SUCCESS);
        };
        let shown = self.path.as_ref().unwrap_or(ours).display().to_string();
        let texts = Texts {
            base: read(base, &shown)?,
            ours: read(ours, &shown)?,
            theirs: read(theirs, &shown)?,
            marker_size: self.marker_size,
        };
        let done = merge(&texts, &shown)?;
        if done.text != texts.ours {
            write(ours, &done.text, &shown)?;
        }
        for note in &done.notes {
            output::note(note);
        }
        match done.left {
            Some(failure) => Err(failure),
            None if done.conflicts > 0 => Ok(ExitCode::FAILURE),
            None => Ok(ExitCode::SUCCESS),
        }
    }
}

/// What becomes of our side.
struct Done {
    text: Vec<u8>,
    /// How many conflicts of git stand in it, between markers.
    conflicts: i32,
    notes: Vec<String>,
    /// What a person must decide, or could not be done.
    left: Option<Failure>,
}

fn merge(texts: &Texts, shown: &str) -> Result<Done, Failure> {
    let merged_as_text = |left| {
        let (text, conflicts) = texts.merge(Favour::Neither)?;
        Ok(Done { text, conflicts, notes: Vec::new(), left })
    };
    if !texts.any_sealed() {
        return merged_as_text(None);
    }
    let versions = match Versions::read(texts, shown) {
        Ok(versions) => versions,
        // Markers of an earlier merge, a template of Helm, a slip: git's own merge is the best there is.
        Err(failure) => {
            return merged_as_text(Some(Failure::new(
                format!("{shown} was merged as text only"),
                format!("{}\n{}", failure.what, failure.why),
                "see that each value still has its slot (strongroom lint), then git add",
            )));
        }
    };
    match sealed(&versions, texts, shown) {
        Ok(done) => Ok(done),
        Err(failure) => Ok(Done {
            text: texts.ours.clone(),
            conflicts: 0,
            notes: Vec::new(),
            left: Some(Failure::new(
                format!("{shown} is as our side has it: it could not be merged for certain"),
                format!("{}\n{}", failure.what, failure.why),
                format!(
                    "take from their side what is missing (git show :3:'{shown}'; strongroom set), then git add"
                ),
            )),
        }),
    }
}

/// The three texts are made to say the same of sealed Secrets, but for conflicts; then git merges them, and what comes out is read again.
fn sealed(versions: &Versions, texts: &Texts, shown: &str) -> Result<Done, Failure> {
    let plan = versions.plan()?;
    let prove = |[base, ours, theirs]: [Vec<u8>; 3]| {
        proven(&Texts { base, ours, theirs, marker_size: texts.marker_size }, &plan, shown)
    };
    let done = versions.texts(&plan).and_then(prove);
    if done.as_ref().is_ok_and(|done| done.conflicts == 0) {
        return done;
    }
    // What both sides say may stand in another order on each, and then git sees more conflicts than there are, or repeats a line.
    let other = versions.texts_in_our_layout(&plan).and_then(prove);
    match (&done, &other) {
        (Ok(done), Ok(other)) if other.conflicts > done.conflicts => {}
        (Ok(_), Err(_)) => {}
        _ => return other,
    }
    done
}

/// Git's merge, if it says what is planned.
fn proven(texts: &Texts, plan: &Plan, shown: &str) -> Result<Done, Failure> {
    let (text, conflicts) = texts.merge(Favour::Neither)?;
    for (side, favour) in [(Side::Ours, Favour::Ours), (Side::Theirs, Favour::Theirs)] {
        let one_sided = if conflicts > 0 { texts.merge(favour)?.0 } else { text.clone() };
        // What is in conflict and left no markers is not what one of the sides says.
        plan.check(side, &one_sided, conflicts > 0, shown)?;
    }
    Ok(Done { text, conflicts, notes: plan.notes(), left: plan.left(shown) })
}

/// Larger files are no manifests; git merges those itself.
const MOST: usize = 64 << 20;

fn read(path: &Path, shown: &str) -> Result<Vec<u8>, Failure> {
    durable::read(path, MOST).map_err(|error| {
        Failure::new(
            format!("a version of {shown} cannot be read: {}", path.display()),
            error.to_string(),
            "name three files that you may read",
        )
    })
}

fn write(path: &Path, text: &[u8], shown: &str) -> Result<(), Failure> {
    let mode = fs::metadata(path).map(|metadata| metadata.permissions().mode() & 0o777);
    let written = mode.and_then(|mode| durable::replace(path, text, mode, &|_| {}));
    written.map_err(|error: io::Error| {
        Failure::new(
            format!("the merge of {shown} cannot be written to {}", path.display()),
            error.to_string(),
            "check the folder's permissions, and that the disk has room; our side is as it was",
        )
    })
}
