//! One started program: its process, its log, its end.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait::{Look, until};
use crate::{guard, scenario};

/// Ended with SIGKILL when it is dropped, or when the process that started it goes.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program whose output is appended to the file `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let out = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("{} cannot be written", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(out.try_clone().context("the log cannot be shared")?)
            .stderr(out)
            // Ctrl-C is for the test process; the guard then ends this one.
            .process_group(0);
        let child = command.spawn().with_context(|| {
            format!("{name} does not start: {}", command.get_program().display())
        })?;
        let this = Self { name: name.to_owned(), child, log: log.to_owned() };
        guard::started(this.id())?;
        scenario::started(name, log);
        Ok(this)
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid =
            i32::try_from(self.id()).ok().and_then(Pid::from_raw).context("no such process")?;
        kill_process(pid, signal).with_context(|| format!("{signal:?} to {}", self.name))
    }

    /// Fails, with the end of the log, when the program has ended although nobody asked it to.
    pub fn still_runs(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait().context("a child cannot be waited for")? {
            bail!(
                "{} ended by itself ({status}); its log ends so:\n{}",
                self.name,
                tail(&self.log)
            );
        }
        Ok(())
    }

    /// SIGKILL, and returns when the process is gone.
    pub fn kill(mut self) -> Result<()> {
        self.end().with_context(|| format!("{} cannot be ended", self.name))
    }

    /// SIGTERM, and returns how the process ended.
    pub async fn terminate(mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.exit(limit).await
    }

    /// Waits until the process ends by itself.
    pub async fn exit(&mut self, limit: Duration) -> Result<ExitStatus> {
        let child = &mut self.child;
        until(&format!("the end of {}", self.name), limit, async || {
            Ok(match child.try_wait()? {
                Some(status) => Look::Done(status),
                None => Look::NotYet("it runs".to_owned()),
            })
        })
        .await
    }

    fn end(&mut self) -> Result<()> {
        guard::ended(self.child.id())?;
        self.child.kill()?;
        self.child.wait()?;
        scenario::ended(&self.log);
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A second end after `kill` is harmless: the child remembers that it was reaped.
        let _ = self.end();
    }
}

/// Runs a command to its end and returns what it prints; what it said is part of the error where it fails.
pub fn complete(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output = command.output().with_context(|| format!("{shown} does not start"))?;
    if !output.status.success() {
        bail!(
            "{shown} fails ({}):\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("{shown} does not print text"))
}

/// The last lines of a log, shortened: kube-apiserver writes long ones.
pub fn tail(log: &Path) -> String {
    const LINES: usize = 25;
    const WIDTH: usize = 400;
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
    last.iter()
        .map(|line| format!("    {}\n", line.chars().take(WIDTH).collect::<String>()))
        .collect()
}
