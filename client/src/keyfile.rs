//! Private keys in files: one key a line, as escrow text; `#` begins a comment.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use clap::Args;
use envelope::KeyMaterial;
use sealing::{KeyRing, SealingKey, parse_escrow_text};
use zeroize::Zeroizing;

use crate::{failure::Failure, output};

/// Some hundred keys with their comments.
const MOST: u64 = 1 << 20;

/// The keys to open with.
#[derive(Args, Debug, Clone)]
pub(crate) struct Keys {
    /// A file with private keys, one escrow text a line; - reads them from stdin; may be given more than once
    #[arg(long = "key", id = "key", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

impl Keys {
    /// Reads all of them.
    pub(crate) fn read(&self) -> Result<KeyRing, Failure> {
        read_ring(&self.files)
    }
}

/// The private keys in these files.
pub(crate) fn read_ring(files: &[PathBuf]) -> Result<KeyRing, Failure> {
    let mut ring = KeyRing::default();
    for file in files {
        for seed in read_seeds(file)? {
            ring.add(SealingKey::from_seed(seed));
        }
    }
    Ok(ring)
}

/// The seeds in a file, in its order; at least one.
pub(crate) fn read_seeds(path: &Path) -> Result<Vec<KeyMaterial>, Failure> {
    let shown = path.display();
    let text = read(path, MOST, "name the file that your key is in")?;
    let mut seeds = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.split_once('#').map_or(line, |(before, _)| before).trim();
        if !line.is_empty() {
            seeds.push(parse_escrow_text(line).map_err(|error| {
                Failure::new(
                    format!("{shown}:{}: no private key", i + 1),
                    error.to_string(),
                    "compare the line with what was printed; a key has 14 groups of four",
                )
            })?);
        }
    }
    if seeds.is_empty() {
        return Err(Failure::new(
            format!("{shown} has no key in it"),
            "all of its lines are empty or comments",
            "name the file that your key is in",
        ));
    }
    Ok(seeds)
}

/// Says so where private keys, or what they opened, lie in a repository: the next `git add` takes them along.
pub(crate) fn beware(path: &Path) {
    let real = path.canonicalize().unwrap_or_default();
    if real.ancestors().any(|folder| folder.join(".git").exists()) {
        output::note(&format!(
            "{} lies in a git repository: move it out, before somebody commits it",
            path.display()
        ));
    }
}

/// The text of a file that only its owner may read, or of stdin where `path` is `-`; what is longer than `most` is cut. Where it
/// cannot be read, `next` says what to do.
pub(crate) fn read(path: &Path, most: u64, next: &str) -> Result<Zeroizing<String>, Failure> {
    let shown = path.display();
    let failed =
        |error: io::Error| Failure::new(format!("{shown} cannot be read"), error.to_string(), next);
    // Of the right size at once, so that nothing is left behind by one that grows.
    let mut text = Zeroizing::new(String::with_capacity(1 << 16));
    if path == Path::new("-") {
        io::stdin().take(most).read_to_string(&mut text).map_err(failed)?;
        return Ok(text);
    }
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o777;
    if metadata.is_file() && mode & 0o077 != 0 {
        return Err(Failure::new(
            format!("{shown} is not read"),
            format!("others may read it (mode {mode:03o}), and private keys are nobody else's"),
            format!(
                "if that is the right file: chmod 600 {shown}\nwhere modes cannot be changed, as on a stick: copy it, or --key - < {shown}"
            ),
        ));
    }
    file.take(most).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}
