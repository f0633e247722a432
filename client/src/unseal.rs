//! `strongroom unseal`: from sealed to clear text, offline, for those who hold a key.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, ValueHint};
use sealing::{KeyRing, OpenError, SealedSecret};

use crate::{
    failure::Failure,
    keyfile,
    manifest::{self, Found, Manifest},
    output,
    repository::Repository,
    secret::Secret,
};

pub(crate) const EXAMPLES: &str = "\
Examples:
  strongroom unseal prod/db.yaml --key ~/prod-keys/sealing.keys
  strongroom unseal prod/db.yaml --key escrow.key | kubectl apply -f -
The result is clear text: send it where it is needed, not into a file of the repository.";

#[derive(Args)]
pub(crate) struct Unseal {
    /// Manifests with sealed Secrets; - is stdin
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    keys: keyfile::Keys,
    /// How to print the Secrets
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Form::Yaml)]
    output: Form,
}

/// A form of manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// YAML, a document for each Secret
    Yaml,
    /// JSON, one List
    Json,
}

impl Unseal {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let ring = self.keys.read()?;
        let mut secrets = Vec::new();
        for path in &self.files {
            let manifest = Manifest::read(path)?;
            let file = manifest.parse()?;
            let before = secrets.len();
            for found in manifest::sealed_objects(&file) {
                secrets.push(open(&manifest, &file, found, &ring)?);
            }
            if secrets.len() == before {
                return Err(manifest::none_sealed(&manifest, &file, "name the file that it is in"));
            }
        }
        output::result(&manifest::encode(&secrets, self.output)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The Secret of a sealed one.
pub(crate) fn open(
    manifest: &Manifest,
    file: &splice::File<'_>,
    found: Found,
    ring: &KeyRing,
) -> Result<serde_json::Value, Failure> {
    let object = manifest.sealed(file, found)?;
    let values = object.open_rendered(ring).map_err(|error| {
        let what = format!("{} does not open", object.full_name());
        manifest.failure(file.node(found.node).place(), &what, why(&object, &error), next(&error))
    })?;
    Ok(Secret::opened(&object, &values))
}

/// Why an object does not open, as far as public data tells.
fn why(object: &SealedSecret, error: &OpenError) -> String {
    let moved = object.moved();
    match error {
        OpenError::Closed if !moved.is_empty() => {
            let what: Vec<_> = moved
                .iter()
                .map(|(field, sealed, now)| {
                    format!("it was sealed for {field} {sealed:?}, and has {now:?}")
                })
                .collect();
            what.join("; ")
        }
        OpenError::Closed => {
            "something in it is not as it was sealed: its place, a slot, a wrap or a value"
                .to_owned()
        }
        OpenError::NoKey { slot, recipients } => {
            let repository = Repository::find(std::path::Path::new(".")).unwrap_or_default();
            let named: Vec<_> = recipients
                .iter()
                .map(|kid| {
                    repository
                        .owner(*kid)
                        .map_or_else(|| kid.to_string(), |owner| format!("{kid}, {owner}"))
                })
                .collect();
            format!("slot {slot} is sealed for {}; none of these keys was given", named.join("; "))
        }
        other => other.to_string(),
    }
}

fn next(error: &OpenError) -> &'static str {
    match error {
        OpenError::NoKey { .. } => "name the file of one of these keys with --key",
        OpenError::NoNamespace => "write metadata.namespace into the object",
        OpenError::Template(_) => "correct the template",
        _ => "put it back as it was sealed (git log -p), or seal it anew",
    }
}
