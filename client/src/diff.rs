//! `strongroom diff`: a file as a person compares it, for git.
//!
//! Invariants:
//! - What is printed depends on the content alone: no key, no path, no network, no `.strongroom`. Git runs this on blobs of any age.
//! - Nothing that changes is hidden: each text that is shortened is shown by a fingerprint of it.
//! - It never fails for what a file holds: what is not understood is printed as it is.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueHint};
use sealing::{SealedSecret, SlotId};
use splice::{File, NodeId, Splice, SpliceError};

use crate::{
    driver::{Driver, Install},
    failure::Failure,
    manifest, output,
};

pub(crate) const EXAMPLES: &str = "\
Examples:
  Let `git diff`, `git log -p` and `git show` use it, in this repository
      strongroom diff --install
  Only for some files
      strongroom diff --install --pattern 'secrets/**'
  What git shows of one file
      strongroom diff prod/db.yaml

A sealed value is shown as a fingerprint, its slot, and whom that is sealed for: a value that
changed is a line that changed. `git diff --no-textconv` shows the file itself; so do patches.";

#[derive(Args)]
pub(crate) struct Diff {
    /// The file to print; - is stdin
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath, required_unless_present = "install", conflicts_with = "install")]
    file: Option<PathBuf>,
    #[command(flatten)]
    install: Install,
}

const DRIVER: Driver<'_> = Driver {
    kind: "diff",
    settings: &[
        ("textconv", "$ diff"),
        // The line that stands behind @@: which object it is.
        ("xfuncname", r"^[ -]*kind: .*$"),
    ],
};

impl Diff {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self.file {
            Some(path) => {
                let read = if path == Path::new("-") {
                    let mut text = Vec::new();
                    io::stdin().read_to_end(&mut text).map(|_| text)
                } else {
                    fs::read(&path)
                };
                let text = read.map_err(|error| {
                    Failure::new(
                        format!("{} cannot be read", path.display()),
                        error.to_string(),
                        "name a file that you may read",
                    )
                })?;
                output::result(&shortened(&text).unwrap_or(text))?;
            }
            None => self.install.run(&DRIVER)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The text with everything sealed in it made short. `None` where there is nothing to shorten, or no way to.
fn shortened(text: &[u8]) -> Option<Vec<u8>> {
    // Most files of a repository have nothing sealed in them.
    memchr::memmem::find(text, sealing::KIND.as_bytes())?;
    let file = splice::parse(text).ok()?;
    let mut splice = Splice::new(&file);
    for found in manifest::objects(&file) {
        let Ok(json) = manifest::json(&file, found.node) else { continue };
        if let Ok(object) = SealedSecret::parse(&json) {
            shorten(&file, &mut splice, found.node, &object).ok()?;
        }
    }
    splice.finish().ok().map(String::into_bytes)
}

fn shorten(
    file: &File<'_>,
    splice: &mut Splice<'_>,
    root: NodeId,
    object: &SealedSecret,
) -> Result<(), SpliceError> {
    let Some(spec) = file.field(root, "spec") else { return Ok(()) };
    if let Some(kind) = file.field(root, "kind") {
        splice.set(kind, &headline(object))?;
    }
    let slots = file.field(spec, "slots").map(|slots| file.items(slots)).into_iter().flatten();
    for (node, slot) in slots.zip(object.slots()) {
        if let Some(commit) = file.field(node, "commit") {
            splice.set(commit, &slot.commit().fingerprint().to_string())?;
        }
        let wraps = file.field(node, "wraps").map(|wraps| file.items(wraps)).into_iter().flatten();
        for (node, wrap) in wraps.zip(slot.wraps()) {
            if let Some(ct) = file.field(node, "ct") {
                splice.set(ct, &wrap.fingerprint().to_string())?;
            }
        }
    }
    let Some(values) = file.field(spec, "values") else { return Ok(()) };
    for (key, value) in object.values() {
        if let Some(node) = file.field(values, key.as_str()) {
            let what = format!(
                "{} in {} for {}",
                value.fingerprint(),
                value.slot(),
                recipients(object, value.slot())
            );
            splice.set(node, &what)?;
        }
    }
    Ok(())
}

/// Git shows it above each part of a file that changed.
fn headline(object: &SealedSecret) -> String {
    let (scope, secret_type) = (object.binding().scope, object.template().secret_type());
    format!("{} {}, {scope}, {secret_type}", sealing::KIND, object.full_name())
}

fn recipients(object: &SealedSecret, id: SlotId) -> String {
    let wraps = object.slots().iter().find(|slot| slot.id() == id).map(|slot| slot.wraps());
    let kids: Vec<_> =
        wraps.unwrap_or_default().iter().map(|wrap| wrap.kid().to_string()).collect();
    kids.join(" ")
}
