//! The user's editor, as git runs it.

use std::{
    ffi::OsStr,
    io::{self, BufRead as _, IsTerminal as _},
    path::Path,
};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    runtime::{Builder, Runtime},
    signal::unix::{Signal as Stream, SignalKind, signal},
};

use crate::{failure::Failure, output};

/// Which editor.
#[derive(Args, Debug)]
pub(super) struct Choice {
    /// The editor, with its options; where there is none, $EDITOR, then vi
    #[arg(long = "editor", value_name = "COMMAND", env = "VISUAL", hide_env_values = true)]
    visual: Option<String>,
    #[arg(long = "plain-editor", env = "EDITOR", hide = true)]
    plain: Option<String>,
}

/// An editor that can be run, more than once. From its start on, what a terminal sends to both of us ends the editor and not us: there
/// is a draft to look after.
pub(super) struct Editor {
    command: String,
    signals: Signals,
    runtime: Runtime,
}

struct Signals {
    interrupt: Stream,
    quit: Stream,
    hangup: Stream,
    terminate: Stream,
}

impl Editor {
    pub(super) fn start(choice: &Choice) -> Result<Self, Failure> {
        let named = [&choice.visual, &choice.plain].into_iter().flatten();
        let command = named.map(|command| command.trim()).find(|command| !command.is_empty());
        let started = || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let entered = runtime.enter();
            let signals = Signals {
                interrupt: signal(SignalKind::interrupt())?,
                quit: signal(SignalKind::quit())?,
                hangup: signal(SignalKind::hangup())?,
                terminate: signal(SignalKind::terminate())?,
            };
            drop(entered);
            Ok((runtime, signals))
        };
        let (runtime, signals) = started().map_err(|error: io::Error| {
            Failure::new(
                "no editor was started",
                error.to_string(),
                "check the limits of this user (ulimit -a)",
            )
        })?;
        Ok(Self { command: command.unwrap_or("vi").to_owned(), signals, runtime })
    }

    /// Runs it on a file until it ends; `folder` is for what it wants to write besides.
    pub(super) fn edit(&mut self, file: &Path, folder: &Path) -> Result<(), Failure> {
        let mut command = self.command(file, folder);
        let Signals { interrupt, quit, hangup, terminate } = &mut self.signals;
        let status = self.runtime.block_on(async {
            let mut child = command.env("TMPDIR", folder).spawn()?;
            loop {
                tokio::select! {
                    status = child.wait() => return status,
                    _ = interrupt.recv() => {}
                    _ = quit.recv() => {}
                    _ = hangup.recv() => forward(&child, Signal::HUP),
                    _ = terminate.recv() => forward(&child, Signal::TERM),
                }
            }
        });
        let status = status.map_err(|error: io::Error| {
            Failure::new(
                format!("the editor {:?} cannot be run", self.command),
                error.to_string(),
                "name one in VISUAL, EDITOR or with --editor",
            )
        })?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::new(
            format!("the editor {:?} failed; nothing was sealed", self.command),
            format!("it ended with {status}"),
            "look at what it printed, and run the command again",
        ))
    }

    fn command(&self, file: &Path, folder: &Path) -> Command {
        let vim =
            behind_vim(&self.command).map(|at| (self.command.split_at(at), vim_options(folder)));
        // As git does: a plain command line is run as it is, anything else is for the shell.
        let is_plain = self
            .command
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b" ./_-+:,@".contains(&byte));
        let mut words = self.command.split_ascii_whitespace();
        let mut command = match (words.next().filter(|_| is_plain), &vim) {
            (Some(program), None) => {
                let mut command = Command::new(program);
                command.args(words);
                command
            }
            // Its own options come last: one of them may write and end.
            (Some(program), Some(((before, _), options))) if before.trim() == program => {
                let mut command = Command::new(program);
                command.args(options).args(words);
                command
            }
            (_, Some(((before, behind), options))) => {
                let options: String = options.iter().map(|word| format!(" '{word}'")).collect();
                shell(&format!("{before}{options}{behind}"))
            }
            (None, None) => shell(&self.command),
        };
        command.arg(file);
        command
    }

    /// Says what is wrong with the draft, and asks whether to edit it again. No, where nobody can be asked.
    pub(super) fn again(&mut self, failure: &Failure) -> bool {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return false;
        }
        output::failure(failure);
        output::ask("Edit again? [Y/n] ");
        // Interrupts do not end us any more: here they are a no.
        let Signals { interrupt, hangup, terminate, .. } = &mut self.signals;
        let answer = self.runtime.block_on(async {
            let line = tokio::task::spawn_blocking(|| {
                let mut line = String::new();
                io::stdin().lock().read_line(&mut line).ok().filter(|read| *read > 0).map(|_| line)
            });
            tokio::select! {
                line = line => line.ok().flatten(),
                _ = interrupt.recv() => None,
                _ = hangup.recv() => None,
                _ = terminate.recv() => None,
            }
        });
        answer.is_some_and(|answer| matches!(answer.trim(), "" | "y" | "Y" | "yes"))
    }

    /// A thread may still wait for an answer that nobody needs.
    pub(super) fn end(self) {
        self.runtime.shutdown_background();
    }
}

/// What gets the file as an argument.
fn shell(line: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{line} \"$@\"")).arg(line);
    command
}

/// Where the name of vim ends in a command line that runs it.
fn behind_vim(command: &str) -> Option<usize> {
    let mut end = 0;
    let words = command.split_inclusive(|c: char| c.is_ascii_whitespace()).map(|word| {
        end += word.len();
        (word.trim_end(), end - (word.len() - word.trim_end().len()))
    });
    // Behind what is set for it, and what only runs it.
    let is_before = |word: &str| {
        word.is_empty() || word.contains('=') || ["env", "exec", "command", "nice"].contains(&word)
    };
    let (program, end) = words.into_iter().find(|(word, _)| !is_before(word))?;
    is_vim(program.trim_matches(['"', '\''])).then_some(end)
}

/// No history and no backup, which could lie on disk; the swap file, which saves what is typed, beside the draft and nowhere else. It
/// is off (-n) until its folder is set, because the user's own settings come before. None of these words has a quote in it.
fn vim_options(folder: &Path) -> Vec<String> {
    let mut settings = "set nobackup nowritebackup noundofile".to_owned();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    if let Some(folder) = folder.to_str().filter(|folder| folder.bytes().all(plain)) {
        settings += &format!(" directory={folder} updatecount=200");
    }
    ["-i", "NONE", "-n", "-c", &settings].map(str::to_owned).to_vec()
}

/// Whether a program is vim in the end, by whatever name: `vi` mostly is.
fn is_vim(program: &str) -> bool {
    let found =
        std::process::Command::new("sh").args(["-c", "command -v \"$0\"", program]).output();
    let path = found.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let real = path.and_then(|path| Path::new(path.trim_end()).canonicalize().ok());
    let name = real.as_deref().unwrap_or(Path::new(program)).file_name();
    name.and_then(OsStr::to_str).is_some_and(|name| {
        ["vim", "nvim", "gvim"].iter().any(|vim| {
            name.strip_prefix(vim).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    })
}

fn forward(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    // One that ended meanwhile needs no signal.
    let _ = pid.map(|pid| kill_process(pid, signal));
}
