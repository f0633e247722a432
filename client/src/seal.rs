//! `strongroom seal`: Secrets in clear text become sealed ones; whatever else is in the file stays as it is.

use std::{
    collections::{BTreeMap, btree_map},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use envelope::SystemRandom;
use sealing::{DataKey, Plaintext, Recipient, Scope, SealError, SealedSecret};

use crate::{
    failure::Failure,
    manifest::{self, Change, Found, Manifest},
    output, parallel,
    quiet::{Entry, Quiet},
    repository::{Clusters, Repository},
    secret::{Secret, Unfit, is_secret},
};

pub(crate) const EXAMPLES: &str = "\
Examples:
  Seal a file in place, before it is ever committed
      strongroom seal -i prod/db.yaml
  Make the Secret and seal it in one go; nothing in clear text touches the disk
      kubectl create secret generic db -n prod --from-file=password=/dev/stdin --dry-run=client -o yaml |
          strongroom seal - -o prod/db.yaml
  The same again changes only what changed
      strongroom seal secrets.yaml -o sealed.yaml
  A value that may be moved between names of one namespace
      strongroom seal --scope namespace - < secret.yaml";

#[derive(Args)]
pub(crate) struct Seal {
    /// Manifests, YAML or JSON, with any number of objects; - is stdin
    #[arg(required = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// Write into this file instead of stdout; values that are sealed in it already and did not change stay as they are
    #[arg(short, long = "out", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Replace each file by what is sealed
    #[arg(short, long, conflicts_with = "out")]
    in_place: bool,
    /// Where the values open: under this name in this namespace only, or under any name, or anywhere
    #[arg(long, value_name = "SCOPE", default_value = "strict", value_parser = scope)]
    scope: Scope,
    /// The namespace of Secrets that name none
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    #[command(flatten)]
    clusters: Clusters,
    /// Seal every value anew, also those that did not change
    #[arg(long)]
    fresh: bool,
    /// Seal although a value stands elsewhere in the output in clear text too
    #[arg(long)]
    accept_leftovers: bool,
    /// Say what would be sealed, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Seal {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        if self.files.len() > 1 && !self.in_place {
            return Err(Failure::new(
                "several files need --in-place",
                "otherwise it is not said where each goes",
                "add -i, or seal them one by one with -o",
            )
            .usage());
        }
        let quiet = if self.fresh { Quiet::none() } else { Quiet::open(&SystemRandom) };
        let mut recipients: BTreeMap<PathBuf, Vec<Recipient>> = BTreeMap::new();
        for path in &self.files {
            let folder = self.folder(path);
            if let btree_map::Entry::Vacant(vacant) = recipients.entry(folder) {
                let of_folder = Repository::find(vacant.key())?.recipients(&self.clusters)?;
                vacant.insert(of_folder);
            }
        }
        let sealed = parallel::map(&self.files, "sealing", |path| {
            let recipients =
                recipients.get(&self.folder(path)).map(Vec::as_slice).unwrap_or_default();
            self.file(path, recipients, &quiet)
        });
        // Files that went well stay; each that did not is told.
        let (mut learnt, mut failures) = (Vec::new(), Vec::new());
        for result in sealed {
            match result {
                Ok(entries) => learnt.extend(entries),
                Err(failure) => failures.push(failure),
            }
        }
        if !self.dry_run {
            quiet.keep(&learnt);
        }
        let Some(last) = failures.pop() else { return Ok(ExitCode::SUCCESS) };
        failures.iter().for_each(output::failure);
        Err(last)
    }

    /// The folder whose repository counts: of what is written, where that is a file.
    fn folder(&self, path: &Path) -> PathBuf {
        let target = self.out.as_deref().unwrap_or(path);
        target
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
            .to_owned()
    }

    fn file(
        &self,
        path: &Path,
        recipients: &[Recipient],
        quiet: &Quiet,
    ) -> Result<Vec<Entry>, Failure> {
        let source = Manifest::read(path)?;
        let target = match &self.out {
            Some(out) if out.exists() => Some(Manifest::read(out)?),
            _ => None,
        };
        let (sealed, learnt) = self.sealed(&source, target.as_ref(), recipients, quiet)?;
        if self.dry_run {
            return Ok(learnt);
        }
        let written = match (&self.out, target) {
            (Some(_), Some(target)) => target.replace(&sealed),
            (Some(out), None) => durable::create(out, &sealed, 0o644, &|_| {}).map_err(|error| {
                Failure::new(
                    format!("{} cannot be written", out.display()),
                    error.to_string(),
                    "check the folder's permissions",
                )
            }),
            (None, _) if self.in_place && source.shown != "-" => source.replace(&sealed),
            (None, _) => output::result(&sealed),
        };
        written.map(|()| learnt)
    }

    /// The source with each of its Secrets sealed.
    fn sealed(
        &self,
        source: &Manifest,
        target: Option<&Manifest>,
        recipients: &[Recipient],
        quiet: &Quiet,
    ) -> Result<(Vec<u8>, Vec<Entry>), Failure> {
        let file = source.parse()?;
        let there = target.map(Existing::read).transpose()?.unwrap_or_default();
        let mut splice = splice::Splice::new(&file);
        let (mut plaintexts, mut learnt) = (Vec::new(), Vec::new());
        for found in manifest::objects(&file) {
            let kind = file.field_text(found.node, "kind");
            if kind.as_deref() != Some("Secret") {
                continue;
            }
            let json = source.json(&file, found.node)?;
            if !is_secret(&json) {
                continue;
            }
            let mut secret = Secret::parse(&json)
                .map_err(|Unfit { at, why, next }| source.at(&file, found.node, &at, why, next))?;
            if secret.namespace.is_none() {
                secret.namespace.clone_from(&self.namespace);
            }
            let old = there.find(&secret);
            let (object, entries) = self
                .object(&secret, old.map(|(_, object)| object), recipients, quiet)
                .map_err(|error| {
                    source.failure(
                        file.node(found.node).place(),
                        &format!("Secret {} cannot be sealed", secret.name),
                        error.to_string(),
                        next(&error),
                    )
                })?;
            if self.dry_run {
                let changed = entries.len();
                output::note(&format!(
                    "{}: Secret {}: {changed} of {} values would be sealed",
                    source.shown,
                    secret.name,
                    secret.values.len()
                ));
            }
            let refused = |error: splice::SpliceError| {
                source.failure(
                    error.place,
                    "cannot be changed safely",
                    error.to_string(),
                    "write the Secret as a document of its own",
                )
            };
            let written =
                old.map_or(Ok(None), |(place, old)| there.document(place, old, &object))?;
            match (written, found.document) {
                // What is there stays as it is written, but for what changed.
                (Some(text), Some(document)) => {
                    splice.replace_document(document, &text).map_err(refused)?
                }
                _ => splice.replace(found.node, manifest::document(&object)).map_err(refused)?,
            }
            learnt.extend(entries);
            plaintexts.push((found, secret));
        }
        if plaintexts.is_empty() {
            return Err(Failure::new(
                format!("{} has no Secret in it", source.shown),
                "there is no object of kind Secret, apiVersion v1",
                "name the file that the Secret is in; what is sealed already is changed with `strongroom set` and `edit`",
            ));
        }
        let sealed = splice.finish().map(String::into_bytes).map_err(|error| {
            source.failure(
                error.place,
                "cannot be changed safely",
                error.to_string(),
                "write the Secret as a document of its own",
            )
        })?;
        if !self.accept_leftovers {
            for (found, secret) in &plaintexts {
                self.scan(source, &file, *found, secret, &sealed)?;
            }
        }
        Ok((sealed, learnt))
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
            self.scope,
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

    /// Refuses an output that still has a value in clear text, say in a comment.
    fn scan(
        &self,
        source: &Manifest,
        file: &splice::File<'_>,
        found: Found,
        secret: &Secret,
        sealed: &[u8],
    ) -> Result<(), Failure> {
        for (key, plaintext) in &secret.values {
            let value = plaintext.expose_secret();
            if value.len() < SHORTEST {
                continue;
            }
            let base64 = zeroize::Zeroizing::new(data_encoding::BASE64.encode(value));
            if [value, base64.as_bytes()]
                .iter()
                .any(|text| memchr::memmem::find(sealed, text).is_some())
            {
                return Err(source.failure(
                    file.node(found.node).place(),
                    &format!("the value of {key} would still stand in the output"),
                    "it is in a comment, an annotation or another object of the file",
                    "take it out there and seal again; or --accept-leftovers, where it is no secret",
                ));
            }
        }
        Ok(())
    }
}

/// Shorter values stand in every file by chance.
const SHORTEST: usize = 8;

/// What lies sealed in the file that is written to.
#[derive(Default)]
struct Existing<'a> {
    manifest: Option<&'a Manifest>,
    objects: Vec<(Found, SealedSecret)>,
}

impl<'a> Existing<'a> {
    fn read(manifest: &'a Manifest) -> Result<Self, Failure> {
        let file = manifest.parse()?;
        let mut objects = Vec::new();
        for found in manifest::sealed_objects(&file) {
            // What cannot be read is not worth keeping: it is sealed anew.
            if let Ok(object) = manifest.sealed(&file, found) {
                objects.push((found, object));
            }
        }
        Ok(Self { manifest: Some(manifest), objects })
    }

    fn find(&self, secret: &Secret) -> Option<(Found, &SealedSecret)> {
        let same = |object: &SealedSecret| {
            object.name() == secret.name && object.namespace() == secret.namespace.as_deref()
        };
        self.objects.iter().find(|(_, object)| same(object)).map(|(found, object)| (*found, object))
    }

    /// The document that an object is the whole of, changed where it changed; `None` where it is an item of a List.
    fn document(
        &self,
        found: Found,
        old: &SealedSecret,
        new: &SealedSecret,
    ) -> Result<Option<String>, Failure> {
        let (Some(manifest), Some(document)) = (self.manifest, found.document) else {
            return Ok(None);
        };
        let change = Change { found, old: old.clone(), new: new.clone(), order: Vec::new() };
        let text = manifest::changed(manifest, &manifest.parse()?, &[change])?;
        let span = splice::parse(&text)
            .ok()
            .and_then(|file| Some(file.documents().get(document)?.content()));
        Ok(span.and_then(|span| String::from_utf8(text.get(span)?.to_vec()).ok()))
    }
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
