//! `strongroom escrow`: the key in the safe, which opens everything that was sealed since it was made.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;
use envelope::SystemRandom;
use sealing::{API_VERSION, EscrowKey, SealingKey, escrow_text};
use zeroize::Zeroizing;

use crate::{
    failure::Failure, keyfile, output, repository::Repository, sealing_keys::root_of_work_tree,
    time,
};

pub(crate) const EXAMPLES: &str = "\
Examples:
  Make one, and print it on paper for two safes
      strongroom escrow new | lp
  Make one into a file on a stick
      strongroom escrow new --to-file /media/stick/escrow.key
  Everything that is sealed already gets it as a recipient too
      strongroom reseal --all --key ~/prod-keys/sealing.keys
  On the day that it is needed: the text, typed
      strongroom recover .";

/// A public key of 1.7 KiB.
const MOST: usize = 1 << 16;

#[derive(Subcommand)]
pub(crate) enum Escrow {
    /// Make an escrow key: its public half goes into .strongroom, its private half to stdout, once
    New {
        /// Write the private half into this file, mode 0600, instead of stdout
        #[arg(long, value_name = "FILE")]
        to_file: Option<PathBuf>,
        /// Put it in the place of the one that is there: that one still opens what was sealed for it
        #[arg(long)]
        replace: bool,
    },
}

impl Escrow {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let Self::New { to_file, replace } = self;
        let to_file = to_file.filter(|file| file != Path::new("-"));
        let mut repository = Repository::find(Path::new("."))?;
        if repository.root.as_os_str().is_empty() {
            repository.root = root_of_work_tree()?;
        }
        let path = repository.escrow_path();
        if let (Some(there), false) = (&repository.escrow, replace) {
            return Err(Failure::new(
                format!("{} has escrow key {} already", path.display(), there.recipient.kid()),
                "a second one would take its place, and new Secrets would no longer be sealed for the first",
                "keep it; or make another with --replace, then `strongroom reseal --all --key FILE`",
            ));
        }
        let old = repository.escrow.as_ref().map(|_| durable::read(&path, MOST)).transpose();
        let old = old.map_err(|error| unwritable(&path, &error))?;
        let key = SealingKey::make(&SystemRandom).map_err(|error| {
            Failure::new(
                "no key was made",
                error.to_string(),
                "check whether a seccomp profile forbids getrandom",
            )
        })?;
        let escrow = EscrowKey { recipient: key.recipient().clone(), since: time::now() };

        // The private half is out before anything is sealed for it.
        let text = printed(&key, &escrow.since);
        match &to_file {
            None => output::only_copy(&text)?,
            Some(file) => {
                durable::create(file, &text, 0o600, &|_| {})
                    .map_err(|error| unwritable(file, &error))?;
                keyfile::beware(file);
            }
        }
        pin(&path, old.as_deref(), encode(&escrow).as_bytes())?;
        output::note(&format!(
            "{} is a recipient of whatever is sealed from now on ({})\n\
             next: keep the text in two safe places, commit .strongroom, and wrap what is sealed already: strongroom reseal --all --key FILE",
            escrow.recipient.kid(),
            path.display()
        ));
        Ok(ExitCode::SUCCESS)
    }
}

/// Puts the public half in place of what was there before the private one was printed; the key of somebody who was faster stays.
fn pin(path: &Path, old: Option<&[u8]>, public: &[u8]) -> Result<(), Failure> {
    let pinned = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| match old {
        Some(old) => durable::replace_if(path, old, public, 0o644, &|_| {}),
        None => match durable::create(path, public, 0o644, &|_| {}) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            made => made.map(|()| true),
        },
    });
    if pinned.map_err(|error| unwritable(path, &error))? {
        return Ok(());
    }
    Err(Failure::new(
        format!("{} was written meanwhile", path.display()),
        "somebody else made an escrow key at the same time; theirs is kept, and nothing is sealed for this one",
        "throw away the text of this one",
    ))
}

fn printed(key: &SealingKey, now: &str) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(512));
    // Writing to memory does not fail.
    let _ = writeln!(
        out,
        "# strongroom escrow key {}, made {now}\n# whoever has it opens everything that is sealed; `strongroom recover` takes it\n{}",
        key.kid(),
        *escrow_text(key.seed())
    );
    out
}

fn encode(escrow: &EscrowKey) -> String {
    format!(
        "# The escrow key: its private half is printed and kept in a safe.\napiVersion: {API_VERSION}\nkind: {}\nkid: {}\nsince: \"{}\"\npublicKey: {}\n",
        EscrowKey::KIND,
        escrow.recipient.kid(),
        escrow.since,
        data_encoding::BASE64.encode(escrow.recipient.bytes())
    )
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(
            format!("{} is there already", path.display()),
            "keys are never overwritten",
            "name another file",
        ),
        _ => Failure::new(
            format!("{} cannot be written", path.display()),
            error.to_string(),
            "check the folder's permissions, and that the disk has room",
        ),
    }
}
