//! What a shell offers while somebody types: commands, options, files, and the names in this repository.
//!
//! The script that `strongroom completions` prints runs this program again at each Tab, with the words so far; the answer is made
//! from them and from the files that they name.
//!
//! Invariant: only names are printed. Private keys and stdin are never read, nothing is decrypted, and what cannot be read offers
//! nothing and says nothing.

use std::{
    env,
    path::{Path, PathBuf},
};

use clap::{ArgMatches, CommandFactory as _};
use clap_complete::{ArgValueCandidates, CompleteEnv, CompletionCandidate, Shell, env::Shells};
use sealing::{KeyState, SealedSecret};

use crate::{
    cli::{Cli, NAME},
    manifest::{self, Manifest},
    repository::Repository,
    sealing_keys::published,
};

/// By this a script tells which shell asks.
const ASKED: &str = "STRONGROOM_COMPLETE";

/// Answers a script; `false` where none asked.
pub(crate) fn answer() -> clap::error::Result<bool> {
    let folder = env::current_dir().ok();
    CompleteEnv::with_factory(Cli::command)
        .var(ASKED)
        .try_complete(env::args_os(), folder.as_deref())
}

/// The script for a shell. It runs the `strongroom` that is on PATH.
pub(crate) fn script(shell: Shell) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(shell) = Shells::builtins().completer(&shell.to_string()) {
        // Writing to memory does not fail.
        let _ = shell.write_registration(ASKED, NAME, NAME, NAME, &mut out);
    }
    out
}

/// The data keys of the sealed Secret that was named before.
pub(crate) fn data_keys() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let typed = Typed::words();
        let wanted = typed.text("object");
        let is_wanted =
            |object: &SealedSecret| wanted.as_ref().is_none_or(|name| object.is_called(name));
        let objects = typed.objects();
        let keys = objects.iter().filter(|object| is_wanted(object)).flat_map(|object| {
            object.values().keys().map(|key| candidate(key.as_str(), &object.full_name()))
        });
        keys.collect()
    })
}

/// The sealed Secrets of the file that was named before.
pub(crate) fn objects() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let objects = Typed::words().objects();
        let values = |object: &SealedSecret| format!("{} values", object.values().len());
        objects.iter().map(|object| candidate(&object.full_name(), &values(object))).collect()
    })
}

/// The clusters of .strongroom.
pub(crate) fn clusters() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let repository = Repository::find(&Typed::words().path("file").unwrap_or_default());
        let clusters = repository.unwrap_or_default().clusters;
        let active = |keys: &sealing::SealingKeys| match keys.active() {
            Some(key) => format!("{} is active", key.recipient.kid()),
            None => "no key is active".to_owned(),
        };
        clusters.iter().map(|(name, keys)| candidate(name, &active(keys))).collect()
    })
}

/// The keys that can be retired: of the folder that was named before, else of .strongroom.
pub(crate) fn retiring() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let lists = match Typed::words().path("dir") {
            Some(folder) => published(&folder).into_iter().collect(),
            None => Repository::find(Path::new("."))
                .unwrap_or_default()
                .clusters
                .into_values()
                .collect::<Vec<_>>(),
        };
        let kids = lists.iter().flat_map(|list| {
            let retiring = list.keys.iter().filter(|key| key.state == KeyState::Retiring);
            retiring.map(|key| {
                let since = format!("of {}, retiring since {}", list.cluster, key.since);
                candidate(&key.recipient.kid().to_string(), &since)
            })
        });
        kids.collect()
    })
}

fn candidate(name: &str, help: &str) -> CompletionCandidate {
    CompletionCandidate::new(name).help(Some(help.to_owned().into()))
}

/// The command line so far, as far as it can be understood.
struct Typed(ArgMatches);

impl Typed {
    /// The words that the script gave, behind `--`.
    fn words() -> Self {
        let words = env::args_os().skip_while(|word| word != "--").skip(1);
        let command = Cli::command().ignore_errors(true);
        let mut matches = command.try_get_matches_from(words).unwrap_or_default();
        while let Some((_, inner)) = matches.remove_subcommand() {
            matches = inner;
        }
        Self(matches)
    }

    fn path(&self, id: &str) -> Option<PathBuf> {
        self.0.try_get_one(id).ok().flatten().cloned()
    }

    fn text(&self, id: &str) -> Option<String> {
        self.0.try_get_one(id).ok().flatten().cloned()
    }

    /// What is sealed in the file; whatever is no file is left alone, because reading it may wait or take away.
    fn objects(&self) -> Vec<SealedSecret> {
        let manifest = self.path("file").filter(|file| file.is_file());
        let Some(manifest) = manifest.and_then(|file| Manifest::read(&file).ok()) else {
            return Vec::new();
        };
        let Ok(file) = manifest.parse() else { return Vec::new() };
        let found = manifest::sealed_objects(&file).into_iter();
        found.filter_map(|found| manifest.sealed(&file, found).ok()).collect()
    }
}
