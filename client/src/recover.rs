//! `strongroom recover`: a whole repository from the printed escrow key, on a machine without network.

use std::{
    fs, io,
    io::IsTerminal as _,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueHint};
use sealing::{KeyRing, SealingKey, parse_escrow_text};
use zeroize::Zeroizing;

use crate::{
    failure::Failure,
    keyfile,
    manifest::{self, Manifest},
    output, parallel, unseal,
    unseal::Form,
    walk,
};

pub(crate) const EXAMPLES: &str = "\
Examples:
  With the text from the safe, typed when asked for
      strongroom recover . --to /run/user/1000/recovered
  From a file on a stick, straight into a new cluster
      strongroom recover . --key /media/stick/escrow.key | kubectl apply -f -
  Would it work? (an escrow drill: opens everything, prints no value)
      strongroom recover . --check
Small letters, I and L for 1, O for 0, blanks and hyphens are forgiven; the checksum finds other slips.";

#[derive(Args)]
pub(crate) struct Recover {
    /// Files, and folders with all that is in them
    #[arg(value_name = "PATH", default_value = ".", value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    /// A file with the escrow text; without it, the text is asked for
    #[arg(long = "key", id = "key", value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// Write each Secret into a file of its own in this new folder, mode 0700, instead of all to stdout
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    to: Option<PathBuf>,
    /// Open everything, and print which Secrets opened instead of what is in them
    #[arg(long, conflicts_with = "to")]
    check: bool,
}

impl Recover {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let ring = if self.files.is_empty() { asked()? } else { keyfile::read_ring(&self.files)? };
        let files = walk::manifests(&self.paths)?;
        // One file that does not open must not keep the others shut.
        let (secrets, shut) =
            parallel::sorted(parallel::map(&files, "opening", |path| read(path, &ring)));
        shut.iter().for_each(output::failure);
        if secrets.is_empty() && shut.is_empty() {
            return Err(Failure::new(
                "there is nothing to recover",
                "no file here has a sealed Secret",
                "name the folder of the repository",
            ));
        }
        match &self.to {
            _ if self.check => {
                let names: String =
                    secrets.iter().map(|secret| format!("{} opens\n", name(secret))).collect();
                output::result(names.as_bytes())?;
            }
            None => output::result(&manifest::encode(&secrets, Form::Yaml)?)?,
            Some(folder) => write(folder, &secrets)?,
        }
        output::note(&format!("{} Secrets opened, {} files did not", secrets.len(), shut.len()));
        Ok(if shut.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The Secrets of a file, opened; none where it has no sealed one.
fn read(path: &Path, ring: &KeyRing) -> Result<Vec<serde_json::Value>, Failure> {
    let manifest = Manifest::read(path)?;
    if !manifest.mentions(sealing::KIND) {
        return Ok(Vec::new());
    }
    let file = manifest.parse()?;
    manifest::sealed_objects(&file)
        .into_iter()
        .map(|found| unseal::open(&manifest, &file, found, ring))
        .collect()
}

fn asked() -> Result<KeyRing, Failure> {
    let failed = |error: io::Error| {
        Failure::new(
            "no escrow key was given",
            error.to_string(),
            "type it on a terminal, or name its file with --key",
        )
        .usage()
    };
    if !io::stdin().is_terminal() {
        return Err(failed(io::Error::other("stdin is no terminal")));
    }
    // Not shown, because somebody may look on; so it is asked for again until the checksum fits.
    for _ in 0..5 {
        let text = Zeroizing::new(
            rpassword::prompt_password("Escrow key (56 characters, not shown): ")
                .map_err(failed)?,
        );
        match parse_escrow_text(&text) {
            Ok(seed) => return Ok([SealingKey::from_seed(seed)].into_iter().collect()),
            Err(error) => output::note(&error.to_string()),
        }
    }
    Err(failed(io::Error::other("five texts were wrong")))
}

fn write(folder: &Path, secrets: &[serde_json::Value]) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        Failure::new(
            format!("{} cannot be written", folder.display()),
            error.to_string(),
            "name a folder that does not exist, best on a memory-backed file system, such as /run/user/UID",
        )
    };
    fs::DirBuilder::new().mode(0o700).create(folder).map_err(failed)?;
    for secret in secrets {
        let text = manifest::encode(std::slice::from_ref(secret), Form::Yaml)?;
        let path = folder.join(format!("{}.yaml", name(secret).replace('/', ".")));
        durable::create(&path, &text, 0o600, &|_| {}).map_err(failed)?;
        output::result(format!("{}\n", path.display()).as_bytes())?;
    }
    Ok(())
}

fn name(secret: &serde_json::Value) -> String {
    let field = |name: &str| {
        secret
            .pointer(&format!("/metadata/{name}"))
            .and_then(|text| text.as_str())
            .unwrap_or_default()
    };
    format!("{}/{}", field("namespace"), field("name"))
}
