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
        // As git does: a plain command line is run as it is, anything else is for the shell.
        let is_plain = self
            .command
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b" ./_-+:,@".contains(&byte));
        let mut words = self.command.split_ascii_whitespace();
        let mut command = match words.next().filter(|_| is_plain) {
            Some(program) => {
                let mut command = Command::new(program);
                command.args(words);
                command
            }
            None => {
                let mut command = Command::new("sh");
                command.arg("-c").arg(format!("{} \"$@\"", self.command)).arg(&self.command);
                command
            }
        };
        if program(&self.command).is_some_and(is_vim) {
            command.args(vim_options(folder));
        }
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

/// The program of a command line, behind what is set for it and what only runs it.
fn program(command: &str) -> Option<&str> {
    let words = command.split_ascii_whitespace().map(|word| word.trim_matches(['"', '\'']));
    let mut words = words.filter(|word| !word.contains('='));
    words.find(|word| !["env", "exec", "command", "nice"].contains(word))
}

/// No history and no backup, which could lie on disk; the swap file, which saves what is typed, beside the draft and nowhere else. It
/// is off (-n) until its folder is set, because the user's own settings come before.
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
