//! `strongroom hook`: what is staged is looked at before each commit.
//!
//! Promise: a hook that is there already is kept and runs first, and `uninstall` puts it back. Merges that need no help run a hook of
//! their own, so there are two.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;

use crate::{failure::Failure, git, output};

pub(crate) const EXAMPLES: &str = "\
A hook that is there already is kept, as pre-commit.before-strongroom, and runs first.

Examples:
  strongroom hook install
  strongroom hook uninstall
With pre-commit.com, in .pre-commit-config.yaml, instead:
  - repo: <this repository>
    rev: <release>
    hooks: [{id: strongroom}]";

/// The line by which a hook is known to be ours.
const MARK: &str = "# strongroom hook 1";
/// git commit runs the first; git merge, where nothing conflicts, the second.
const NAMES: [&str; 2] = ["pre-commit", "pre-merge-commit"];

#[derive(Subcommand)]
pub(crate) enum Hook {
    /// Write the hooks into this repository
    Install {
        /// Write them also into a folder that other repositories use too (core.hooksPath)
        #[arg(long)]
        force: bool,
    },
    /// Take them out, and put back what was there before
    Uninstall,
}

impl Hook {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let folder = git::hooks()?;
        match self {
            Self::Install { force } => {
                check(&folder, force)?;
                let all = NAMES.map(|name| File::of(&folder, name));
                // Both or none.
                all.iter().try_for_each(File::check)?;
                fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;
                all.iter().try_for_each(File::install)?;
            }
            Self::Uninstall => {
                let all = NAMES.map(|name| File::of(&folder, name));
                if !all.iter().any(File::is_ours) {
                    return Err(Failure::new(
                        format!("there is no hook of strongroom in {}", folder.display()),
                        "it was not installed there, or was written anew since",
                        "look at the hooks there, and take out by hand what is to go",
                    ));
                }
                all.iter().filter(|file| file.is_ours()).try_for_each(File::uninstall)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Refuses folders in which a hook would do more, or less, than it says.
fn check(folder: &Path, force: bool) -> Result<(), Failure> {
    // What husky keeps there it writes anew, and takes no notice of others.
    if folder.ends_with(".husky/_") {
        return Err(Failure::new(
            format!("the hooks of {} are husky's", folder.display()),
            "it writes them anew whenever packages are installed",
            "add a line to .husky/pre-commit and to .husky/pre-merge-commit: strongroom lint --staged",
        ));
    }
    let (own, tree) = (real(git::common_folder()?), git::root().map(real));
    let place = real(folder.to_owned());
    if force || place.starts_with(own) || tree.is_some_and(|tree| place.starts_with(tree)) {
        return Ok(());
    }
    Err(Failure::new(
        format!("{} is not this repository's own", folder.display()),
        "core.hooksPath leads there, and every repository with that setting would have the hook",
        "add --force, if that is meant; or give this one hooks of its own: git config core.hooksPath .githooks",
    ))
}

/// The path that a path leads to, also where not all of it is there yet.
fn real(path: PathBuf) -> PathBuf {
    let path = std::path::absolute(&path).unwrap_or(path);
    let there = path.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    match there.and_then(|(part, real)| Some(real.join(path.strip_prefix(part).ok()?))) {
        Some(real) => real,
        None => path,
    }
}

/// One hook, and what was there before it.
struct File {
    name: &'static str,
    path: PathBuf,
    kept: PathBuf,
}

impl File {
    fn of(folder: &Path, name: &'static str) -> Self {
        Self { name, path: folder.join(name), kept: folder.join(kept(name)) }
    }

    fn is_ours(&self) -> bool {
        is_ours(&self.path)
    }

    /// Whether pre-commit.com's hook is there, which has taken ours over and runs it.
    fn is_run_by_another(&self) -> bool {
        is_ours(&self.path.with_file_name(format!("{}.legacy", self.name)))
    }

    /// Whether it can be written without losing anything.
    fn check(&self) -> Result<(), Failure> {
        let is_there = |path: &Path| path.symlink_metadata().is_ok();
        if self.is_ours()
            || self.is_run_by_another()
            || !is_there(&self.path)
            || !is_there(&self.kept)
            || self.is_kept()
        {
            return Ok(());
        }
        Err(Failure::new(
            format!("{} and {} are both there", self.path.display(), self.kept.display()),
            "the hook was written anew after strongroom's was installed, and neither may be lost",
            format!("make one of both, as {}, and install again", self.path.display()),
        ))
    }

    fn install(&self) -> Result<(), Failure> {
        let failed = |error: io::Error| unwritable(&self.path, &error);
        if !self.is_ours() && self.is_run_by_another() {
            output::note(&format!("{} runs strongroom's already", self.path.display()));
            return Ok(());
        }
        if !self.is_ours() && self.path.symlink_metadata().is_ok() {
            self.keep().map_err(failed)?;
        }
        durable::replace(&self.path, script(self.name).as_bytes(), 0o755, &|_| {})
            .map_err(failed)?;
        // The mode is cut by the umask, which may take the right to run it.
        fs::set_permissions(&self.path, fs::Permissions::from_mode(0o755)).map_err(failed)?;
        let before = if self.kept.exists() { "; the hook that was there runs first" } else { "" };
        output::note(&format!("{} looks at what is staged{before}", self.path.display()));
        Ok(())
    }

    /// Gives the hook that is there a second name, so that there is a hook at any moment.
    fn keep(&self) -> io::Result<()> {
        if self.is_kept() {
            return Ok(());
        }
        // Not every file system has second names.
        fs::hard_link(&self.path, &self.kept).or_else(|_| fs::rename(&self.path, &self.kept))
    }

    /// Whether an installation gave it that name already, and came to its end there.
    fn is_kept(&self) -> bool {
        let file = |path: &Path| {
            path.symlink_metadata().map(|metadata| (metadata.dev(), metadata.ino())).ok()
        };
        file(&self.path).is_some_and(|there| file(&self.kept) == Some(there))
    }

    fn uninstall(&self) -> Result<(), Failure> {
        let done = if self.kept.symlink_metadata().is_ok() {
            fs::rename(&self.kept, &self.path)
        } else {
            fs::remove_file(&self.path)
        };
        done.map_err(|error| unwritable(&self.path, &error))?;
        output::note(&format!("{} is as it was before", self.path.display()));
        Ok(())
    }
}

fn is_ours(hook: &Path) -> bool {
    fs::read(hook).is_ok_and(|text| memchr::memmem::find(&text, MARK.as_bytes()).is_some())
}

fn kept(name: &str) -> String {
    format!("{name}.before-strongroom")
}

/// POSIX sh. The variable ends a circle of two hooks that each run the other.
fn script(name: &str) -> String {
    let kept = kept(name);
    format!(
        "#!/bin/sh\n{MARK}\n\
         # Looks at what is staged. To go round it once: --no-verify\n\
         before=\"$(dirname \"$0\")/{kept}\"\n\
         if [ -x \"$before\" ] && [ -z \"$STRONGROOM_HOOK\" ]; then\n\
         \x20   STRONGROOM_HOOK=1 \"$before\" \"$@\" || exit $?\n\
         fi\n\
         if ! command -v strongroom >/dev/null 2>&1; then\n\
         \x20   echo 'strongroom is not installed, so what is staged was not looked at: install it, or add --no-verify' >&2\n\
         \x20   exit 1\n\
         fi\n\
         exec strongroom lint --staged >&2\n"
    )
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        format!("{} cannot be written", path.display()),
        error.to_string(),
        "check the permissions of the hooks folder",
    )
}
