//! A server under measurement: how it is set up, started, stopped and found again.

use std::{
    fs,
    os::unix::{fs::FileTypeExt as _, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    str::FromStr,
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use testbed::moto::CREDENTIALS;

use crate::placement::{Cores, Placement};

/// What was named on the command line: `NAME=PATH [ARGUMENT…]`.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    pub(crate) name: String,
    /// A program with strongroomd's command line, or the socket of a server that somebody else runs.
    pub(crate) path: PathBuf,
    /// Appended to `serve --config FILE`.
    pub(crate) arguments: Vec<String>,
    /// Whether it has a ledger, and what happens there while it is driven.
    pub(crate) ledger: Option<Ledger>,
    /// Its root key, where that is in AWS.
    pub(crate) aws: Option<AwsRoot>,
}

/// A key of a KMS that runs here.
#[derive(Clone, Debug)]
pub(crate) struct AwsRoot {
    pub(crate) arn: String,
    pub(crate) endpoint: String,
}

/// What happens in the ledger of a contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ledger {
    /// Nothing.
    AtRest,
    /// One rotation after the other.
    Rotating,
}

impl Contender {
    /// Makes the folder, writes the configuration and has the program make its first key.
    pub(crate) fn set_up(&self, placement: Placement) -> Result<Home> {
        let kind = fs::metadata(&self.path)
            .with_context(|| format!("{}: no such file: {}", self.name, self.path.display()))?;
        let cores = Cores::given()?;
        let dir = TempDir::with_prefix("strongroom-load-")?;
        if kind.file_type().is_socket() {
            let (contender, socket) = (self.clone(), self.path.clone());
            return Ok(Home { contender, socket, program: None, dir, placement, cores });
        }
        let socket = dir.path().join("kms.sock");
        let config = dir.path().join("config.toml");
        fs::create_dir(dir.path().join("bundle"))?;
        let ledger = self.ledger.map(|_| ledger(dir.path())).unwrap_or_default();
        fs::write(&config, configuration(dir.path(), &socket, self.aws.as_ref()) + &ledger)?;
        // Absolute, as a name without a slash would be looked for in PATH.
        let program = fs::canonicalize(&self.path)?;
        let mut init = Command::new(&program);
        init.arg("init").arg("--config").arg(&config);
        if self.aws.is_some() {
            init.args(["--first-version", "1"]).envs(CREDENTIALS);
        }
        let init = init.output();
        let init =
            init.with_context(|| format!("{}: cannot run {}", self.name, program.display()))?;
        ensure!(
            init.status.success(),
            "{}: `init` failed: {}",
            self.name,
            String::from_utf8_lossy(&init.stderr)
        );
        Ok(Home {
            contender: self.clone(),
            socket,
            program: Some((program, config)),
            dir,
            placement,
            cores,
        })
    }
}

impl FromStr for Contender {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, command) = text.split_once('=').context("expected NAME=PATH [ARGUMENT…]")?;
        let mut words = command.split_ascii_whitespace();
        let path = words.next().context("expected a path after NAME=")?;
        ensure!(!name.is_empty(), "expected a name before =");
        Ok(Self {
            name: name.to_owned(),
            path: path.into(),
            arguments: words.map(str::to_owned).collect(),
            ledger: None,
            aws: None,
        })
    }
}

/// A contender that has been set up and can be started, again and again.
pub(crate) struct Home {
    pub(crate) contender: Contender,
    pub(crate) socket: PathBuf,
    program: Option<(PathBuf, PathBuf)>,
    dir: TempDir,
    placement: Placement,
    cores: Cores,
}

impl Home {
    /// Starts the process; it need not serve yet when this returns.
    pub(crate) fn start(&self) -> Result<Live> {
        let Some((program, config)) = &self.program else {
            let stream = UnixStream::connect(&self.socket).with_context(|| {
                format!("{}: nobody serves {}", self.contender.name, self.socket.display())
            })?;
            let peer = rustix::net::sockopt::socket_peercred(&stream)?;
            return Ok(Live { pid: peer.pid, child: None });
        };
        let log = fs::File::options().create(true).append(true).open(self.log())?;
        let mut command = Command::new(program);
        command.arg("serve").arg("--config").arg(config).args(&self.contender.arguments);
        if self.contender.aws.is_some() {
            command.envs(CREDENTIALS);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = self.placement.start(&self.cores, || command.spawn())?;
        let child = child.with_context(|| {
            format!("{}: cannot run {}", self.contender.name, program.display())
        })?;
        let pid = Pid::from_child(&child);
        Ok(Live { pid, child: Some(child) })
    }

    /// The socket of its admin API, where it has a ledger.
    pub(crate) fn admin(&self) -> PathBuf {
        self.dir.path().join("admin.sock")
    }

    /// Size of the program in bytes; a server that somebody else runs has none that we know of.
    pub(crate) fn program_size(&self) -> Result<Option<u64>> {
        self.program.as_ref().map(|(program, _)| Ok(fs::metadata(program)?.len())).transpose()
    }

    /// Whether we may stop and start it.
    pub(crate) fn is_ours(&self) -> bool {
        self.program.is_some()
    }

    /// The last lines that the process wrote, for an error.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(10)).copied().collect::<Vec<_>>().join("\n")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }
}

/// A running server. One that we started ends with this value.
pub(crate) struct Live {
    pid: Pid,
    child: Option<Child>,
}

impl Live {
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Sends the signal and waits until the process is gone. Clients' tasks go on meanwhile: a server that drains waits for them.
    pub(crate) async fn stop(mut self, signal: Signal) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            bail!("a server that somebody else runs is not ours to stop")
        };
        rustix::process::kill_process(self.pid, signal)?;
        tokio::task::spawn_blocking(move || child.wait()).await??;
        Ok(())
    }

    /// An error if the process has ended by itself.
    pub(crate) fn ensure_alive(&mut self) -> Result<()> {
        match &mut self.child {
            Some(child) => match child.try_wait()? {
                Some(status) => bail!("the process ended by itself: {status}"),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Already gone, or gone now: both are what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn configuration(dir: &Path, socket: &Path, aws: Option<&AwsRoot>) -> String {
    let uid = rustix::process::getuid().as_raw();
    let (socket, dir) = (socket.display(), dir.display());
    let root = match aws {
        Some(AwsRoot { arn, endpoint }) => {
            format!("kind = \"aws-kms\"\nkey = \"{arn}\"\nendpoint = \"{endpoint}\"\n")
        }
        None => format!("kind = \"local\"\nfile = \"{dir}/root.key\"\n"),
    };
    format!(
        "[kms]\nsocket = \"{socket}\"\nallow_uids = [{uid}]\n\n\
         [bundle]\ndir = \"{dir}/bundle\"\n\n\
         [[roots]]\n{root}"
    )
}

/// Runs end as soon as they can.
fn ledger(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "\n[ledger]\nfile = \"{dir}/ledger.db\"\nreplica = \"measured\"\n\n\
         [rotation]\nconverge_after = \"1s\"\n\n\
         [api]\nsocket = \"{dir}/admin.sock\"\n"
    )
}
