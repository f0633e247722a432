//! How git learns of its drivers: the configuration of the repository, and `.gitattributes`.

use std::{ffi::OsStr, fs, io, os::unix::ffi::OsStrExt as _, path::Path, process::Command};

use clap::Args;

use crate::{failure::Failure, git, output};

/// Where the driver is to be used.
#[derive(Args, Debug)]
pub(crate) struct Install {
    /// Tell git about this driver: configures the repository that you are in, and adds lines to .gitattributes at its root
    #[arg(long)]
    pub(crate) install: bool,
    /// With --install: for which files, as .gitattributes has it; may be given more than once
    #[arg(long, value_name = "PATTERN", requires = "install", default_values = ["*.yaml", "*.yml"])]
    pub(crate) pattern: Vec<String>,
}

/// A driver of git.
pub(crate) struct Driver<'a> {
    /// `diff` or `merge`.
    pub(crate) kind: &'a str,
    /// What it is configured with: the last part of each name, and the value. A `$` at the beginning stands for this program.
    pub(crate) settings: &'a [(&'a str, &'a str)],
}

impl Install {
    /// Does what is not done yet, and says so.
    pub(crate) fn run(&self, driver: &Driver<'_>) -> Result<(), Failure> {
        for pattern in &self.pattern {
            if pattern.is_empty() || pattern.contains(|c: char| c.is_whitespace() || c.is_control())
            {
                return Err(Failure::new(
                    format!("{pattern:?} is no pattern for .gitattributes"),
                    "it is empty, or has blanks in it",
                    "write a pattern such as *.yaml or secrets/**",
                )
                .usage());
            }
        }
        let root = git::run(&["rev-parse", "--show-toplevel"])?;
        let root = OsStr::from_bytes(root.strip_suffix(b"\n").unwrap_or(&root));
        let program = program()?;
        for (name, value) in driver.settings {
            let name = format!("{}.strongroom.{name}", driver.kind);
            let value = value
                .strip_prefix('$')
                .map_or_else(|| (*value).to_owned(), |arguments| program.clone() + arguments);
            configure(&name, &value)?;
        }
        self.attributes(&Path::new(root).join(".gitattributes"), driver.kind)
    }

    fn attributes(&self, path: &Path, kind: &str) -> Result<(), Failure> {
        let failed = |error: io::Error| {
            Failure::new(
                format!("{} cannot be changed", path.display()),
                error.to_string(),
                "check its permissions",
            )
        };
        let old = match fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let attribute = format!("{kind}=strongroom");
        let mut new = old.clone().unwrap_or_default();
        for pattern in &self.pattern {
            if is_there(&new, pattern, &attribute) {
                output::note(&format!(".gitattributes: {pattern} {attribute} is there already"));
                continue;
            }
            if !new.is_empty() && !new.ends_with('\n') {
                new.push('\n');
            }
            new.push_str(&format!("{pattern} {attribute}\n"));
            output::note(&format!(".gitattributes: added {pattern} {attribute}"));
        }
        match &old {
            Some(old) if *old == new => return Ok(()),
            Some(old) => durable::replace_if(path, old.as_bytes(), new.as_bytes(), 0o644, &|_| {})
                .and_then(
                    |done| if done { Ok(()) } else { Err(io::ErrorKind::ResourceBusy.into()) },
                ),
            None => durable::create(path, new.as_bytes(), 0o644, &|_| {}),
        }
        .map_err(failed)?;
        output::note(
            "commit .gitattributes; each clone needs --install once, until then git works there as if there were no driver",
        );
        Ok(())
    }
}

fn is_there(text: &str, pattern: &str, attribute: &str) -> bool {
    text.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some(pattern) && words.any(|word| word == attribute)
    })
}

fn configure(name: &str, value: &str) -> Result<(), Failure> {
    // Absent is a failure of git as well, and as good as another value.
    let before = git::run(&["config", "--local", "--get", name]).unwrap_or_default();
    if before.strip_suffix(b"\n").unwrap_or(&before) == value.as_bytes() {
        output::note(&format!("git config: {name} is set already"));
        return Ok(());
    }
    git::run(&["config", "--local", name, value])?;
    output::note(&format!("git config: set {name} = {value}"));
    Ok(())
}

/// How a shell calls this program: by its name where that leads to one, else by its whole path.
fn program() -> Result<String, Failure> {
    let found = Command::new("sh").args(["-c", "command -v strongroom"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Ok("strongroom".to_owned());
    }
    let path = std::env::current_exe().map_err(|error| {
        Failure::new(
            "it is not known where this program lies",
            error.to_string(),
            "put strongroom into a folder of PATH",
        )
    })?;
    Ok(format!("'{}'", path.to_string_lossy().replace('\'', r"'\''")))
}
