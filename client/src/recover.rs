//! `strongroom recover`: a whole repository from the printed escrow key, on a machine without network.

use std::{
    collections::BTreeMap,
    fs, io,
    io::IsTerminal as _,
    os::unix::fs::DirBuilderExt as _,
    path::{Component, Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueHint};
use sealing::{KeyRing, SealingKey, parse_escrow_text};
use serde_json::Value as Json;
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
    /// Write into this new folder, mode 0700, by the same paths, instead of all to stdout
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    to: Option<PathBuf>,
    /// Open everything, and print which Secrets opened instead of what is in them
    #[arg(long, conflicts_with = "to")]
    check: bool,
}

impl Recover {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let ring = if self.files.is_empty() { asked()? } else { keyfile::read_ring(&self.files)? };
        // One folder or Secret that does not open must not keep the others shut.
        let (files, not_entered) = walk::manifests_that_can_be_found(&self.paths);
        let all = parallel::map(&files, "opening", |path| Opened::read(path, &ring));
        let failures = || not_entered.iter().chain(all.iter().flat_map(|opened| &opened.shut));
        failures().for_each(output::failure);
        let shut = failures().count();
        let secrets = || all.iter().flat_map(|opened| &opened.secrets);
        if secrets().next().is_none() && shut == 0 {
            return Err(Failure::new(
                "there is nothing to recover",
                "no file here has a sealed Secret",
                "name the folder of the repository",
            ));
        }
        match &self.to {
            _ if self.check => {
                let names: String = secrets().map(|secret| name(secret) + " opens\n").collect();
                output::result(names.as_bytes())?;
            }
            None => {
                output::result(&manifest::encode(secrets(), Form::Yaml)?)?;
                twice(&all);
            }
            Some(folder) => {
                write(folder, &all)?;
                keyfile::beware(folder);
            }
        }
        output::note(&format!("{} Secrets opened, {shut} did not", secrets().count()));
        Ok(if shut == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// What came of one file.
struct Opened<'a> {
    file: &'a Path,
    /// The Secrets that opened.
    secrets: Vec<Json>,
    /// Why others did not.
    shut: Vec<Failure>,
}

impl<'a> Opened<'a> {
    fn read(file: &'a Path, ring: &KeyRing) -> Self {
        let mut out = Self { file, secrets: Vec::new(), shut: Vec::new() };
        if let Err(failure) = out.open(ring) {
            out.shut.push(failure);
        }
        out
    }

    /// Opens what is in the file; fails where that cannot be known.
    fn open(&mut self, ring: &KeyRing) -> Result<(), Failure> {
        let manifest = Manifest::read(self.file)?;
        if !manifest.mentions(sealing::KIND) {
            return Ok(());
        }
        let file = manifest.parse()?;
        for found in manifest::sealed_objects(&file) {
            match unseal::open(&manifest, &file, found, ring) {
                Ok(secret) => self.secrets.push(secret),
                Err(failure) => self.shut.push(failure),
            }
        }
        Ok(())
    }

    /// Where its Secrets go: the same folders and name, below another one.
    fn place(&self) -> PathBuf {
        let normal = self.file.components().filter(|part| matches!(part, Component::Normal(_)));
        if self.file == Path::new("-") { PathBuf::from("stdin.yaml") } else { normal.collect() }
    }
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

/// Writes what opened as it lay: the same folders, the same files.
fn write(folder: &Path, all: &[Opened<'_>]) -> Result<(), Failure> {
    let mut places = BTreeMap::new();
    for opened in all.iter().filter(|opened| !opened.secrets.is_empty()) {
        if let Some(other) = places.insert(opened.place(), opened) {
            let (a, b) = (other.file.display(), opened.file.display());
            return Err(Failure::new(
                format!("{a} and {b} would be one file"),
                format!("both are {} below {}", opened.place().display(), folder.display()),
                "recover them one after the other, into two folders",
            )
            .usage());
        }
    }
    let failed = |error: io::Error| {
        Failure::new(
            format!("{} cannot be written", folder.display()),
            error.to_string(),
            "name a folder that does not exist, best on a memory-backed file system, such as /run/user/UID",
        )
    };
    let mut make = fs::DirBuilder::new();
    make.mode(0o700).create(folder).map_err(failed)?;
    make.recursive(true);
    for (place, opened) in places {
        let is_json = place.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
        let form = if is_json { Form::Json } else { Form::Yaml };
        let path = folder.join(place);
        make.create(walk::folder_of(&path)).map_err(failed)?;
        let text = manifest::encode(&opened.secrets, form)?;
        durable::create(&path, &text, 0o600, &|_| {}).map_err(failed)?;
        output::result(format!("{}\n", path.display()).as_bytes())?;
    }
    Ok(())
}

/// Says which Secrets were opened from several files: whoever applies them in order keeps the last.
fn twice(all: &[Opened<'_>]) {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for opened in all {
        for secret in &opened.secrets {
            files.entry(name(secret)).or_default().push(opened.file.display().to_string());
        }
    }
    for (name, files) in files.iter().filter(|(_, files)| files.len() > 1) {
        let files = files.join(", ");
        output::note(&format!("{name} is in {files}; --to DIR keeps them apart"));
    }
}

fn name(secret: &Json) -> String {
    let field = |name: &str| {
        secret
            .pointer(&format!("/metadata/{name}"))
            .and_then(|text| text.as_str())
            .unwrap_or_default()
    };
    format!("{}/{}", field("namespace"), field("name"))
}
