//! `strongroom set`, `unset`, `rename`, `compact`: one sealed Secret, changed where it changes.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueHint};
use envelope::SystemRandom;
use sealing::{DataKey, Plaintext, SealError, SealedSecret};

use crate::{
    completion,
    failure::Failure,
    keyfile,
    manifest::{self, Change, Found, Manifest},
    output,
    quiet::Quiet,
    repository::{Clusters, Repository},
    source::{Source, has_line_end},
};

pub(crate) const SET_EXAMPLES: &str = "\
Examples:
  Asked for on the terminal
      strongroom set prod/db.yaml password
  Made here, and never seen by anybody
      strongroom set prod/db.yaml password --generate
  From a file, byte by byte, or from another program
      strongroom set prod/db.yaml tls.key --from-file server.key
      pass show db | strongroom set prod/db.yaml password
Needs public keys only. The value never stands on the command line.";

pub(crate) const UNSET_EXAMPLES: &str = "\
Examples:
  strongroom unset prod/db.yaml old-password
  strongroom unset apps.yaml token cookie --object web/session";

pub(crate) const RENAME_EXAMPLES: &str = "\
Examples:
  strongroom rename db.yaml password POSTGRES_PASSWORD --key ~/prod-keys/sealing.keys
Without a key that opens it: strongroom set FILE NEW, then strongroom unset FILE OLD.";

pub(crate) const COMPACT_EXAMPLES: &str = "\
Examples:
  strongroom compact prod/db.yaml --key ~/prod-keys/sealing.keys
Each `set` adds a slot of 1.6 KB for each recipient; from eight on it says so.";

/// The sealed Secret that is meant.
#[derive(Args, Debug)]
pub(crate) struct Which {
    /// The file that the sealed Secret is in
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Which of several sealed Secrets in the file: its name, or NAMESPACE/NAME
    #[arg(long, value_name = "NAME", add = completion::objects())]
    pub(crate) object: Option<String>,
}

/// Whether to write.
#[derive(Args, Debug)]
struct Dry {
    /// Say what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args)]
pub(crate) struct Set {
    #[command(flatten)]
    which: Which,
    /// The data key; its value is no argument
    #[arg(value_name = "KEY", add = completion::data_keys())]
    key: String,
    /// What people type there all the same: refused, and not repeated.
    #[arg(hide = true, value_name = "VALUE")]
    values: Vec<String>,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    clusters: Clusters,
    #[command(flatten)]
    dry: Dry,
}

#[derive(Args)]
pub(crate) struct Unset {
    #[command(flatten)]
    which: Which,
    /// The data keys to take out
    #[arg(required = true, value_name = "KEY", value_parser = data_key, add = completion::data_keys())]
    keys: Vec<DataKey>,
    #[command(flatten)]
    dry: Dry,
}

#[derive(Args)]
pub(crate) struct Rename {
    #[command(flatten)]
    which: Which,
    /// The data key as it is
    #[arg(value_name = "OLD", value_parser = data_key, add = completion::data_keys())]
    old: DataKey,
    /// The data key as it shall be
    #[arg(value_name = "NEW", value_parser = data_key)]
    new: DataKey,
    #[command(flatten)]
    keys: keyfile::Keys,
    #[command(flatten)]
    dry: Dry,
}

#[derive(Args)]
pub(crate) struct Compact {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    keys: keyfile::Keys,
    #[command(flatten)]
    dry: Dry,
}

impl Set {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        // Not by the parser of the command line, which repeats what it refuses: it may be a value.
        if !self.values.is_empty() {
            return Err(Failure::new(
                "a value stands on the command line",
                "every user of this machine can read it there, and the history of your shell keeps it",
                "leave it out: it is asked for, or comes from stdin, --from-file or --generate; if it is in use, change it",
            )
            .usage());
        }
        let key = DataKey::parse(&self.key).ok_or_else(|| {
            Failure::new(
                "this is no data key",
                "a data key is 1 to 253 letters, digits, '-', '_' or '.'",
                "name the key alone; its value is asked for, or comes from stdin, --from-file or --generate",
            )
            .usage()
        })?;
        if self.which.file == Path::new("-") && self.source.is_stdin() {
            return Err(Failure::new(
                "the file and the value are both to come from stdin",
                "it can be read once",
                "name the file, or take the value from --from-file FILE or --generate",
            )
            .usage());
        }
        let value = self.source.read(key.as_str(), &SystemRandom)?;
        let quiet = Quiet::open(&SystemRandom);
        let mut learnt = None;
        let mut others = Vec::new();
        let changed = self.which.change(&self.dry, |object, repository| {
            let recipients = repository.recipients_like(object, &self.clusters)?;
            others = object.values().keys().map(DataKey::to_string).collect();
            object
                .set(&[(key.clone(), &value)], &recipients, &SystemRandom)
                .map_err(|error| refused(&error))?;
            if let (Some(place), Some(sealed)) = (object.place(), object.values().get(&key)) {
                learnt = quiet.entry(&place, &key, &value, sealed);
            }
            Ok(())
        })?;
        if !self.dry.dry_run {
            quiet.keep(learnt.as_slice());
        }
        let key = key.as_str();
        if has_line_end(&value) {
            output::note(&format!(
                "{key} is one line and ends with a line break: --from-file keeps every byte, a pipe without it drops that one"
            ));
        }
        // A slip of the pen makes a new value: whoever sees the others sees it.
        self.dry.say(
            &changed,
            &match others.iter().any(|other| other == key) {
                true => format!("sealed {key}"),
                false if others.is_empty() => format!("added {key}"),
                false => format!("added {key} to {}", others.join(", ")),
            },
        );
        let slots = changed.slots().len();
        if slots > MANY {
            output::note(&format!(
                "{} has {slots} slots now; with a key that opens it, `strongroom compact {} --key FILE` makes them one",
                changed.name(),
                self.which.file.display()
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Unset {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let changed = self.which.change(&self.dry, |object, _| {
            for key in &self.keys {
                if !object.unset(key.as_str()) {
                    return Err(no_key(object, key));
                }
            }
            Ok(())
        })?;
        let keys: Vec<_> = self.keys.iter().map(DataKey::as_str).collect();
        self.dry.say(&changed, &format!("took out {}", keys.join(", ")));
        Ok(ExitCode::SUCCESS)
    }
}

impl Rename {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let ring = self.keys.read()?;
        let changed = self.which.change(&self.dry, |object, repository| {
            let mut opened = object.open(&ring).map_err(|error| refused(&error.into()))?;
            let value: Plaintext =
                opened.remove(self.old.as_str()).ok_or_else(|| no_key(object, &self.old))?;
            if object.values().contains_key(self.new.as_str()) {
                return Err(Failure::new(
                    format!("{} has a value {} already", object.name(), self.new),
                    "it would be lost",
                    format!(
                        "take it out first: strongroom unset {} {}",
                        self.which.file.display(),
                        self.new
                    ),
                ));
            }
            let recipients = repository.recipients_like(object, &Clusters::default())?;
            object.unset(self.old.as_str());
            object
                .set(&[(self.new.clone(), &value)], &recipients, &SystemRandom)
                .map_err(|error| refused(&error))
        })?;
        self.dry.say(&changed, &format!("{} is {} now", self.old, self.new));
        Ok(ExitCode::SUCCESS)
    }
}

impl Compact {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let ring = self.keys.read()?;
        let mut before = 0;
        let changed = self.which.change(&self.dry, |object, repository| {
            let recipients = repository.recipients_like(object, &Clusters::default())?;
            before = object.slots().len();
            object.reseal(&ring, &recipients, &SystemRandom).map_err(|error| refused(&error))
        })?;
        let after = changed.slots().len();
        self.dry.say(&changed, &format!("slots before: {before}, now: {after}"));
        Ok(ExitCode::SUCCESS)
    }
}

impl Dry {
    /// Says what was done to an object.
    fn say(&self, object: &SealedSecret, done: &str) {
        let but = if self.dry_run { " (dry run: nothing was written)" } else { "" };
        output::note(&format!("{}: {done}{but}", object.full_name()));
    }
}

/// From here on a file grows for no good.
const MANY: usize = 8;

impl Which {
    /// Changes the object and writes the file, all or nothing; returns the object as it is now.
    fn change(
        &self,
        dry: &Dry,
        change: impl FnOnce(&mut SealedSecret, &Repository) -> Result<(), Failure>,
    ) -> Result<SealedSecret, Failure> {
        let manifest = Manifest::read(&self.file)?;
        let repository = Repository::find(&self.file)?;
        let file = manifest.parse()?;
        let (found, old) = self.find(&manifest, &file)?;
        let mut new = old.clone();
        change(&mut new, &repository)?;
        let change = Change { found, old, new, order: Vec::new() };
        put(&manifest, &file, &repository, &change, dry.dry_run)?;
        Ok(change.new)
    }

    /// The one sealed Secret, or the one that was named.
    pub(crate) fn find(
        &self,
        manifest: &Manifest,
        file: &splice::File<'_>,
    ) -> Result<(Found, SealedSecret), Failure> {
        let mut all = Vec::new();
        for found in manifest::sealed_objects(file) {
            all.push((found, manifest.sealed(file, found)?));
        }
        let names: Vec<_> = all.iter().map(|(_, object)| object.full_name()).collect();
        let wanted = |object: &SealedSecret| match &self.object {
            None => true,
            Some(name) => object.is_called(name),
        };
        let mut fitting = all.into_iter().filter(|(_, object)| wanted(object));
        match (fitting.next(), fitting.next()) {
            (Some(one), None) => Ok(one),
            (None, _) if names.is_empty() => Err(manifest::none_sealed(
                manifest,
                file,
                format!("seal a Secret first: strongroom seal -i {}", manifest.shown),
            )),
            (None, _) => Err(Failure::new(
                format!("{} has no sealed Secret of this name", manifest.shown),
                format!("it has {}", names.join(", ")),
                "name one of these with --object",
            )
            .usage()),
            (Some(_), Some(_)) => Err(Failure::new(
                format!("{} has several sealed Secrets", manifest.shown),
                format!("it has {}", names.join(", ")),
                "say which with --object NAME, or NAMESPACE/NAME",
            )
            .usage()),
        }
    }
}

/// Writes a changed object into its file, all or nothing, unless somebody would lose it by that.
pub(crate) fn put(
    manifest: &Manifest,
    file: &splice::File<'_>,
    repository: &Repository,
    change: &Change,
    dry_run: bool,
) -> Result<(), Failure> {
    refuse_unrendered(&change.old, &change.new)?;
    refuse_shut_out(repository, &change.old, &change.new)?;
    let text = manifest::changed(manifest, file, std::slice::from_ref(change))?;
    match manifest.shown.as_str() {
        _ if dry_run => {}
        "-" => output::result(&text)?,
        _ => manifest.replace(&text)?,
    }
    tell_left_out(repository, change);
    Ok(())
}

/// Refuses a change after which a cluster of .strongroom opens nothing of an object that it opened.
fn refuse_shut_out(
    repository: &Repository,
    old: &SealedSecret,
    new: &SealedSecret,
) -> Result<(), Failure> {
    let lost = repository.shut_out(old, new);
    if old.values().is_empty() || lost.is_empty() {
        return Ok(());
    }
    let (lost, name) = (lost.join(", "), new.full_name());
    Err(Failure::new(
        format!("nothing was changed: cluster {lost} would open nothing of {name} any more"),
        "a sealed Secret opens whole or not at all, and the new value would not be for it",
        "leave --cluster out; to take a cluster away: strongroom reseal FILE --cluster NAME --key FILE, for those that stay",
    ))
}

/// Refuses a change after which the template, which could be rendered, cannot be: then nothing of the object opens.
pub(crate) fn refuse_unrendered(old: &SealedSecret, new: &SealedSecret) -> Result<(), Failure> {
    new.broken_template(&[old]).map_or(Ok(()), |error| {
        Err(Failure::new(
            format!("nothing was changed: {} would not open", new.full_name()),
            error.to_string(),
            "change spec.template.data in the file first",
        ))
    })
}

/// Says who cannot open an object any more, where nobody said so on the command line.
fn tell_left_out(repository: &Repository, change: &Change) {
    for kid in repository.left_out(&change.old, &change.new) {
        output::note(&format!(
            "{kid} does not open {} any more: it is no key of .strongroom, and what is new is not sealed for it; \
             if it is to: strongroom sealing-keys fetch FILE|URL, then strongroom reseal FILE --key FILE",
            change.new.full_name()
        ));
    }
}

/// A data key on the command line.
pub(crate) fn data_key(text: &str) -> Result<DataKey, String> {
    DataKey::parse(text)
        .ok_or_else(|| "expected 1 to 253 letters, digits, '-', '_' or '.'".to_owned())
}

fn no_key(object: &SealedSecret, key: &DataKey) -> Failure {
    let keys: Vec<_> = object.values().keys().map(DataKey::as_str).collect();
    Failure::new(
        format!("{} has no value {key}", object.full_name()),
        format!("it has {}", if keys.is_empty() { "none".to_owned() } else { keys.join(", ") }),
        "name one of these",
    )
}

/// What the format refuses, as a person needs it.
pub(crate) fn refused(error: &SealError) -> Failure {
    Failure::new(
        "nothing was changed",
        error.to_string(),
        match error {
            SealError::Open(_) => {
                "a key that opens it is in the hands of the cluster's administrators, or in the escrow; name it with --key"
            }
            SealError::NoNamespace => "write metadata.namespace into the object",
            SealError::TooManySlots => "compact it first, with a key that opens it",
            _ => "correct it, and run the command again",
        },
    )
}
