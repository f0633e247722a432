//! `strongroom hook`: what is staged is looked at before each commit.

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path, process::ExitCode};

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
const KEPT: &str = "pre-commit.before-strongroom";

#[derive(Subcommand)]
pub(crate) enum Hook {
    /// Write a pre-commit hook into this repository
    Install,
    /// Take it out, and put back what was there before
    Uninstall,
}

impl Hook {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let folder = git::hooks()?;
        let (hook, kept) = (folder.join("pre-commit"), folder.join(KEPT));
        let ours = is_ours(&hook);
        match self {
            Self::Install => {
                fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;
                if !ours && hook.symlink_metadata().is_ok() {
                    if kept.symlink_metadata().is_ok() {
                        return Err(Failure::new(
                            format!("{} and {} are both there", hook.display(), kept.display()),
                            "the hook was written anew after strongroom's was installed, and neither may be lost",
                            format!(
                                "make one of them of both, as {}, and install again",
                                hook.display()
                            ),
                        ));
                    }
                    fs::rename(&hook, &kept).map_err(|error| unwritable(&kept, &error))?;
                }
                let text = script();
                durable::replace(&hook, text.as_bytes(), 0o755, &|_| {})
                    .map_err(|error| unwritable(&hook, &error))?;
                // The mode is cut by the umask, which may take the right to run it.
                fs::set_permissions(&hook, fs::Permissions::from_mode(0o755))
                    .map_err(|error| unwritable(&hook, &error))?;
                let before =
                    if kept.exists() { "; the hook that was there runs first" } else { "" };
                output::note(&format!(
                    "{} looks at what is staged before each commit{before}",
                    hook.display()
                ));
            }
            Self::Uninstall if ours => {
                let done = if kept.symlink_metadata().is_ok() {
                    fs::rename(&kept, &hook)
                } else {
                    fs::remove_file(&hook)
                };
                done.map_err(|error| unwritable(&hook, &error))?;
                output::note(&format!("{} is as it was before", hook.display()));
            }
            Self::Uninstall => {
                return Err(Failure::new(
                    format!("{} is not strongroom's", hook.display()),
                    "it was not installed here, or was written anew since",
                    "take it out by hand, if it is to go",
                ));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn is_ours(hook: &Path) -> bool {
    fs::read_to_string(hook).is_ok_and(|text| text.contains(MARK))
}

fn script() -> String {
    format!(
        "#!/bin/sh\n{MARK}\n\
         # Looks at what is staged. To go round it once: git commit --no-verify\n\
         before=\"$(dirname \"$0\")/{KEPT}\"\n\
         if [ -x \"$before\" ]; then \"$before\" \"$@\" || exit $?; fi\n\
         if ! command -v strongroom >/dev/null 2>&1; then\n\
         \x20   echo 'strongroom is not installed, so what is staged was not looked at: install it, or git commit --no-verify' >&2\n\
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
