//! `strongroom seal`: Secrets in clear text become sealed ones; whatever else is in the file stays as it is.

mod bitnami;
mod comments;
mod existing;
mod leftovers;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use envelope::SystemRandom;
use sealing::{DataKey, Plaintext, Recipient, Scope, SealError, SealedSecret};

use self::existing::Existing;
use crate::{
    change::refuse_unrendered,
    failure::Failure,
    manifest::{self, Found, Manifest},
    output, parallel,
    quiet::{Entry, Quiet},
    repository::{ByFolder, Clusters},
    secret::{Secret, Unfit, is_secret},
    source::has_line_end,
    time, walk,
};

pub(crate) const EXAMPLES: &str = "\
Examples:
  Seal a file in place, before it is ever committed
      strongroom seal -i prod/db.yaml
  Make the Secret and seal it in one go; nothing in clear text touches the disk
      kubectl create secret generic db -n prod --dry-run=client -o yaml |
          strongroom seal - -o prod/db.yaml
      strongroom set prod/db.yaml password
  The same again changes only what changed
      strongroom seal secrets.yaml -o sealed.yaml
  A value that may be moved between names of one namespace
      strongroom seal --scope namespace - < secret.yaml
  For a cluster whose controller is Bitnami's still
      kubeseal --fetch-cert > cert.pem
      strongroom seal -i prod/db.yaml --format bitnami --cert cert.pem";

#[derive(Args)]
pub(crate) struct Seal {
    /// Manifests, YAML or JSON, with any number of objects; - is stdin
    #[arg(required = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// Write into this file instead of stdout (-); values that are sealed in it already and did not change stay as they are
    #[arg(short, long = "out", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Replace each file by what is sealed
    #[arg(short, long, conflicts_with = "out")]
    in_place: bool,
    /// Where the values open: strict, under this name in this namespace only; namespace, under any name in it; or cluster, anywhere
    /// [default: strict; with --format bitnami, what the Secret's annotations say]
    #[arg(long, value_name = "SCOPE", value_parser = scope, hide_default_value = true)]
    scope: Option<Scope>,
    /// The namespace of Secrets that name none
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    #[command(flatten)]
    clusters: Clusters,
    /// The form that the sealed Secrets get
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Strongroom)]
    format: Format,
    /// The certificate of Bitnami's controller, PEM, as kubeseal --fetch-cert prints it; only with --format bitnami
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, required_if_eq("format", "bitnami"))]
    cert: Option<PathBuf>,
    /// Seal every value anew, also those that did not change
    #[arg(long)]
    fresh: bool,
    /// Seal although a value stands elsewhere in the output in clear text too, or a comment looks like one
    #[arg(long)]
    accept_leftovers: bool,
    /// Say what would be sealed, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// What became of a source.
struct Sealed {
    text: Vec<u8>,
    /// To be remembered of values that were sealed anew.
    learnt: Vec<Entry>,
    /// What the target had, and the source has not.
    gone: Vec<String>,
}

/// A form of sealed Secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Ours
    Strongroom,
    /// Bitnami's, for a cluster whose controller is theirs: no more than one recipient, bound to no data key, RSA
    Bitnami,
}

impl Seal {
    pub(crate) fn run(mut self) -> Result<ExitCode, Failure> {
        // That is stdout, as it is without.
        self.out = self.out.filter(|out| out != Path::new("-"));
        if self.files.len() > 1 && !self.in_place {
            return Err(Failure::new(
                "several files need --in-place",
                "otherwise it is not said where each goes",
                "add -i, or seal them one by one with -o",
            )
            .usage());
        }
        if self.format == Format::Bitnami {
            return self.run_bitnami(time::seconds());
        }
        if self.cert.is_some() {
            return Err(Failure::new(
                "--cert is for --format bitnami",
                "what is sealed in our own format is for the keys in .strongroom",
                "add --format bitnami, or leave --cert out",
            )
            .usage());
        }
        let quiet = if self.fresh { Quiet::none() } else { Quiet::open(&SystemRandom) };
        let files = walk::each_once(self.files.clone());
        let targets = files.iter().map(|path| self.target(path));
        let recipients =
            ByFolder::make(targets, |repository| repository.recipients(&self.clusters))?;
        let sealed = parallel::map(&files, "sealing", |path| {
            let recipients = recipients.get(self.target(path)).map(Vec::as_slice);
            self.file(path, recipients.unwrap_or_default(), &quiet)
        });
        // Files that went well stay; each that did not is told.
        let (learnt, failures) = parallel::sorted(sealed);
        if !self.dry_run {
            quiet.keep(&learnt);
        }
        output::all_failures(failures).map(|()| ExitCode::SUCCESS)
    }

    /// The file whose repository counts: what is written, where that is a file.
    fn target<'a>(&'a self, path: &'a Path) -> &'a Path {
        self.out.as_deref().unwrap_or(path)
    }

    fn file(
        &self,
        path: &Path,
        recipients: &[Recipient],
        quiet: &Quiet,
    ) -> Result<Vec<Entry>, Failure> {
        let source = Manifest::read(path)?;
        let target = self.there()?;
        let Sealed { text, learnt, gone } =
            self.sealed(&source, target.as_ref(), recipients, quiet)?;
        self.write(&source, target.as_ref(), &text)?;
        for (what, target) in gone.iter().flat_map(|what| target.as_ref().map(|at| (what, at))) {
            let (shown, source) = (&target.shown, &source.shown);
            let has = if self.dry_run { "would have" } else { "has" };
            output::note(&format!("{shown} {has} no {what} any more: {source} has none"));
        }
        Ok(learnt)
    }

    /// What is in the file that is written to, where there is one already.
    fn there(&self) -> Result<Option<Manifest>, Failure> {
        self.out.as_deref().filter(|out| out.exists()).map(Manifest::read).transpose()
    }

    /// Puts what is sealed where it is to go.
    fn write(
        &self,
        source: &Manifest,
        target: Option<&Manifest>,
        sealed: &[u8],
    ) -> Result<(), Failure> {
        if self.dry_run {
            return Ok(());
        }
        match (&self.out, target) {
            (Some(_), Some(target)) => target.replace(sealed),
            (Some(out), None) => durable::create(out, sealed, 0o644, &|_| {}).map_err(|error| {
                Failure::new(
                    format!("{} cannot be written", out.display()),
                    error.to_string(),
                    "check the folder's permissions",
                )
            }),
            (None, _) if self.in_place && source.shown != "-" => {
                let has_another_name = source.has_another_name();
                source.replace(sealed)?;
                if has_another_name {
                    output::note(&format!(
                        "{} had another name (hard link), and is in clear text under that still",
                        source.shown
                    ));
                }
                Ok(())
            }
            (None, _) => output::result(sealed),
        }
    }

    /// The source with each of its Secrets sealed.
    fn sealed(
        &self,
        source: &Manifest,
        target: Option<&Manifest>,
        recipients: &[Recipient],
        quiet: &Quiet,
    ) -> Result<Sealed, Failure> {
        let file = source.parse()?;
        let there = target.map(Existing::read).transpose()?.unwrap_or_default();
        let secrets = self.secrets(source, &file)?;
        let mut splice = splice::Splice::new(&file);
        let mut learnt = Vec::new();
        let mut gone = there.others(&file, secrets.iter().map(|(_, secret)| secret));
        for (found, secret) in &secrets {
            let old = there.find(secret);
            let (object, entries) = self
                .object(secret, old.map(|(_, object)| object), recipients, quiet)
                .map_err(|error| {
                    source.failure(
                        file.node(found.node).place(),
                        &format!("Secret {} cannot be sealed", secret.name),
                        error.to_string(),
                        next(&error),
                    )
                })?;
            if let Some((_, old)) = old {
                refuse_unrendered(old, &object)?;
                let is_gone = |key: &&DataKey| !object.values().contains_key(*key);
                let keys = old.values().keys().filter(is_gone);
                gone.extend(keys.map(|key| format!("{key} of {}", old.full_name())));
            }
            for (key, value) in &secret.values {
                let before = old.and_then(|(_, object)| object.values().get(key));
                if has_line_end(value) && before != object.values().get(key) {
                    output::note(&format!(
                        "{}: Secret {}: {key} is one line and ends with a line break; where that is not meant, set it anew",
                        source.shown, secret.name
                    ));
                }
            }
            if self.dry_run {
                let changed = entries.len();
                output::note(&format!(
                    "{}: Secret {}: {changed} of {} values would be sealed",
                    source.shown,
                    secret.name,
                    secret.values.len()
                ));
            }
            let written =
                old.map_or(Ok(None), |(place, old)| there.document(place, old, &object))?;
            let done = match (written, found.document) {
                // What is there stays as it is written, but for what changed.
                (Some(text), Some(document)) => splice.replace_document(document, &text),
                _ => {
                    let sealed = manifest::document(&object);
                    splice.replace(found.node, comments::kept(&file, found.node, sealed, "values"))
                }
            };
            done.map_err(|error| unsafe_change(source, &error))?;
            learnt.extend(entries);
        }
        Ok(Sealed { text: self.finish(source, &file, splice, &secrets)?, learnt, gone })
    }

    /// The Secrets in clear text; at least one.
    fn secrets(
        &self,
        source: &Manifest,
        file: &splice::File<'_>,
    ) -> Result<Vec<(Found, Secret)>, Failure> {
        let mut out = Vec::new();
        for found in manifest::objects(file) {
            let kind = file.field_text(found.node, "kind");
            if kind.as_deref() != Some("Secret") {
                continue;
            }
            let json = source.json(file, found.node)?;
            if !is_secret(&json) {
                continue;
            }
            let mut secret = Secret::parse(&json)
                .map_err(|Unfit { at, why, next }| source.at(file, found.node, &at, why, next))?;
            if secret.namespace.is_none() {
                secret.namespace.clone_from(&self.namespace);
            }
            out.push((found, secret));
        }
        if out.is_empty() {
            return Err(none(source, file));
        }
        Ok(out)
    }

    /// What the file is with all changes in it, if no value stands in it any more.
    fn finish(
        &self,
        source: &Manifest,
        file: &splice::File<'_>,
        splice: splice::Splice<'_>,
        secrets: &[(Found, Secret)],
    ) -> Result<Vec<u8>, Failure> {
        let sealed = splice.finish().map_err(|error| unsafe_change(source, &error))?.into_bytes();
        if !self.accept_leftovers {
            for (found, secret) in secrets {
                leftovers::refuse(source, file, *found, secret, &sealed)?;
            }
        }
        Ok(sealed)
    }

    /// The sealed object, and what is to be remembered of the values that were sealed anew.
    fn object(
        &self,
        secret: &Secret,
        old: Option<&SealedSecret>,
        recipients: &[Recipient],
        quiet: &Quiet,
    ) -> Result<(SealedSecret, Vec<Entry>), SealError> {
        let new = SealedSecret::new(
            self.scope.unwrap_or(Scope::Strict),
            secret.namespace.as_deref(),
            &secret.name,
            secret.template.clone(),
        );
        let place = new.place().ok_or(SealError::NoNamespace)?;
        let wanted: Vec<_> = recipients.iter().map(Recipient::kid).collect();
        let mut object = match old {
            Some(old) if old.place().as_ref() == Some(&place) => {
                let mut object = old.clone();
                // Texts of the template are the file's own; a Secret has none.
                let data = old.template().data.clone();
                object.set_template(sealing::Template { data, ..secret.template.clone() });
                object
            }
            _ => new,
        };
        let gone: Vec<DataKey> = object
            .values()
            .keys()
            .filter(|key| !secret.values.contains_key(*key))
            .cloned()
            .collect();
        for key in gone {
            object.unset(key.as_str());
        }
        let is_kept = |key: &DataKey, plaintext: &Plaintext| {
            let Some(value) = object.values().get(key) else { return false };
            let slot = object.slots().iter().find(|slot| slot.id() == value.slot());
            let same = slot.is_some_and(|slot| {
                slot.wraps().len() == wanted.len()
                    && slot.wraps().iter().all(|wrap| wanted.contains(&wrap.kid()))
            });
            same && quiet.knows(&place, key, plaintext, value)
        };
        let changed: Vec<(DataKey, &Plaintext)> = secret
            .values
            .iter()
            .filter(|(key, plaintext)| !is_kept(key, plaintext))
            .map(|(key, plaintext)| (key.clone(), plaintext))
            .collect();
        object.set(&changed, recipients, &SystemRandom)?;
        let learnt = changed.iter().filter_map(|(key, plaintext)| {
            quiet.entry(&place, key, plaintext, object.values().get(key)?)
        });
        let learnt = learnt.collect();
        Ok((object, learnt))
    }
}

/// What to say of a file without a Secret: what it has instead, and what is done with that.
fn none(source: &Manifest, file: &splice::File<'_>) -> Failure {
    let shown = &source.shown;
    let what = format!("{shown} has no Secret in clear text in it");
    let there = manifest::sealed_objects(file);
    let names: Vec<_> = there
        .iter()
        .filter_map(|found| source.sealed(file, *found).ok())
        .map(|object| object.full_name())
        .collect();
    if !names.is_empty() {
        return Failure::new(
            what,
            format!("{} is sealed already", names.join(", ")),
            format!(
                "change one value: strongroom set {shown} KEY; several: strongroom edit {shown}"
            ),
        );
    }
    let kinds: BTreeSet<_> = manifest::objects(file)
        .iter()
        .filter_map(|found| file.field_text(found.node, "kind"))
        .map(|kind| kind.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>())
        .collect();
    let why = if kinds.is_empty() {
        "there is no object of kind Secret, apiVersion v1".to_owned()
    } else {
        let kinds: Vec<_> = kinds.into_iter().collect();
        format!("there is no object of kind Secret, apiVersion v1, but {}", kinds.join(", "))
    };
    let next = "name the file that the Secret is in; a credential anywhere else goes into a Secret first, \
                and what refers to it refers to that (secretKeyRef)";
    Failure::new(what, why, next)
}

fn unsafe_change(source: &Manifest, error: &splice::SpliceError) -> Failure {
    source.failure(
        error.place,
        "cannot be changed safely",
        error.refusal.to_string(),
        "change it so, or write the Secret as a document of its own",
    )
}

fn next(error: &SealError) -> &'static str {
    match error {
        SealError::NoNamespace => {
            "write metadata.namespace, or name it with --namespace; or seal with --scope cluster"
        }
        _ => "correct it, and run the command again",
    }
}

/// A scope on the command line.
pub(crate) fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| "expected strict, namespace or cluster".to_owned())
}
