//! One strongroomd.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::StatusCode;
use rustix::process::{Signal, geteuid};
use serde_json::Value;

use crate::metrics::Metrics;
use crate::plugin::Plugin;
use crate::process::{Process, complete};
use crate::wait::{Look, until};
use crate::{Apiserver, Endpoint, Postgres, binary, http as plain_http, port};

const SERVES: Duration = Duration::from_secs(15);
const ENDS: Duration = Duration::from_secs(15);

/// A folder with everything of one daemon: configuration, root, bundle, socket, log.
pub struct Daemon {
    folder: PathBuf,
    admin: String,
    log_filter: String,
    environment: Vec<(String, String)>,
    process: Option<Process>,
}

impl Daemon {
    /// Writes a configuration into an empty folder; there are no keys yet.
    pub fn make(folder: &Path) -> Result<Self> {
        let admin = format!("127.0.0.1:{}", port::free()?);
        let this = Self {
            folder: folder.to_owned(),
            admin,
            log_filter: "info".to_owned(),
            environment: Vec::new(),
            process: None,
        };
        let config = format!(
            "[kms]\nsocket = {socket:?}\nallow_uids = [{uid}]\nallow_gids = []\nannotation = true\n\
             [bundle]\ndir = {bundle:?}\n\
             [[roots]]\nkind = \"local\"\nfile = {root:?}\n\
             [admin]\nlisten = {admin:?}\n",
            socket = this.socket(),
            uid = geteuid().as_raw(),
            bundle = this.bundle(),
            root = this.root(),
            admin = this.admin,
        );
        std::fs::write(this.config(), config).context("the daemon's configuration")?;
        Ok(this)
    }

    /// Takes this key of AWS KMS, as `key = "…"` has it, in the place of the root key file.
    pub fn root_in_aws(&self, key: &str, endpoint: &Endpoint) -> Result<()> {
        let config = std::fs::read_to_string(self.config())?;
        let file = format!("kind = \"local\"\nfile = {:?}\n", self.root());
        ensure!(config.contains(&file), "the root key is not a file any more");
        let aws = aws_root(key, endpoint);
        std::fs::write(self.config(), config.replace(&file, &aws)).context("the configuration")
    }

    /// Adds a key of AWS KMS as a second root.
    pub fn second_root_in_aws(&self, key: &str, endpoint: &Endpoint) -> Result<()> {
        self.configure(&format!("[[roots]]\n{}", aws_root(key, endpoint)))
    }

    /// Adds sections to the configuration.
    pub fn configure(&self, sections: &str) -> Result<()> {
        let mut config = std::fs::read_to_string(self.config())?;
        config.push_str(sections);
        std::fs::write(self.config(), config).context("the daemon's configuration")
    }

    /// Tracks rotation in a SQLite file of its own, leads it, and serves the admin API; apiservers are taken to have seen a new version
    /// after `converge_after`.
    pub fn rotate_alone(&self, converge_after: &str) -> Result<()> {
        self.configure(&format!(
            "[ledger]\nfile = {ledger:?}\nreplica = \"alone\"\n\
             [rotation]\nconverge_after = {converge_after:?}\n\
             [api]\nsocket = {api:?}\n",
            ledger = self.ledger(),
            api = self.api(),
        ))
    }

    /// Tracks rotation in `postgres` under the name `replica`, may lead it, and serves the admin API.
    pub fn rotate_with(&self, postgres: &Postgres, replica: &str) -> Result<()> {
        self.configure(&format!(
            "[ledger]\nurl = {url:?}\nca_file = {ca:?}\npassword_file = {password:?}\nreplica = {replica:?}\n\
             [api]\nsocket = {api:?}\n\
             [rotation]\n",
            url = postgres.url(),
            ca = postgres.authority(),
            password = postgres.password_file(),
            api = self.api(),
        ))
    }

    /// Reads the metrics of this apiserver during a rotation.
    pub fn watch_apiserver(&self, apiserver: &Apiserver) -> Result<()> {
        self.configure(&format!(
            "[[rotation.apiservers]]\nname = {name:?}\nkubeconfig = {file:?}\n",
            name = apiserver.name(),
            file = apiserver.kubeconfig()?,
        ))
    }

    /// Brings the schema of the ledger to the newest version, as its owner.
    pub fn migrate(&self, postgres: &Postgres) -> Result<()> {
        let mut command = self.command("migrate")?;
        command.arg("--config").arg(self.config()).args(["--url", postgres.owner_url()]);
        command.env("STRONGROOM_LEDGER_PASSWORD", postgres.password());
        complete(&mut command).map(drop)
    }

    /// Takes the root key of another daemon.
    pub fn copy_root(&self, from: &Self) -> Result<()> {
        std::fs::copy(from.root(), self.root()).context("the root key cannot be copied").map(drop)
    }

    /// Takes the identity of the cluster from another daemon.
    pub fn copy_cluster(&self, from: &Self) -> Result<()> {
        std::fs::create_dir_all(self.bundle())?;
        std::fs::copy(from.bundle().join("cluster"), self.bundle().join("cluster"))
            .context("the identity of the cluster cannot be copied")
            .map(drop)
    }

    /// `strongroom ARGUMENTS` at the admin API of this daemon, to its end, whatever that is.
    pub fn strongroom(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(binary::path("strongroom")?);
        command.args(arguments).arg("--admin").arg(self.api()).current_dir(&self.folder);
        command.output().context("strongroom does not start")
    }

    /// The same, with `--output json`; it must succeed.
    pub fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.strongroom(&[arguments, &["--output", "json"]].concat())?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "strongroom {arguments:?}: {} {said}", output.status);
        serde_json::from_slice(&output.stdout).context("no JSON")
    }

    /// Makes keys: a root and version 1 of the ring.
    pub fn init(&self) -> Result<()> {
        complete(self.command("init")?.arg("--config").arg(self.config())).map(drop)
    }

    /// Takes root and bundle of another daemon, as an operator copies them to the next node.
    pub fn copy_keys(&self, from: &Self) -> Result<()> {
        self.copy_root(from)?;
        let bundle = self.bundle();
        std::fs::create_dir_all(&bundle).context("no folder for the bundle")?;
        for entry in std::fs::read_dir(from.bundle()).context("there is no bundle")? {
            let entry = entry?;
            std::fs::copy(entry.path(), bundle.join(entry.file_name()))?;
        }
        Ok(())
    }

    /// Runs a subcommand to its end, whatever that is.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        let (first, rest) = arguments.split_first().context("no subcommand")?;
        self.command(first)?.args(rest).output().context("strongroomd does not start")
    }

    /// Starts `serve` and does not wait.
    pub fn launch(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "the daemon already runs");
        let mut command = self.command("serve")?;
        command.arg("--config").arg(self.config()).arg("--log").arg(&self.log_filter);
        self.process = Some(Process::start("strongroomd", command, &self.log_file())?);
        Ok(())
    }

    /// Starts `serve` and waits until Status is answered.
    pub async fn start(&mut self) -> Result<()> {
        self.launch()?;
        let plugin = self.plugin()?;
        until("strongroomd answers Status", SERVES, async || {
            self.still_runs()?;
            Ok(match plugin.status().await {
                Ok(_) => Look::Done(()),
                Err(status) => Look::NotYet(status.to_string()),
            })
        })
        .await
    }

    /// What the next start logs, as `--log` has it.
    pub fn log_filter(&mut self, filter: &str) {
        filter.clone_into(&mut self.log_filter);
    }

    /// Every later start has this variable.
    pub fn environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.running()?.kill()
    }

    /// SIGSTOP: it does nothing more, and does not know it.
    pub fn pause(&self) -> Result<()> {
        self.process.as_ref().context("the daemon does not run")?.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.process.as_ref().context("the daemon does not run")?.signal(Signal::CONT)
    }

    /// SIGTERM; returns how the daemon ended.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        self.running()?.terminate(ENDS).await
    }

    /// SIGTERM, without waiting for the end.
    pub fn signal_terminate(&self) -> Result<()> {
        self.process.as_ref().context("the daemon does not run")?.signal(Signal::TERM)
    }

    /// Waits until the daemon ends by itself; returns how.
    pub async fn exit(&mut self) -> Result<ExitStatus> {
        self.running()?.exit(ENDS).await
    }

    /// SIGHUP.
    pub fn reload(&self) -> Result<()> {
        self.process.as_ref().context("the daemon does not run")?.signal(Signal::HUP)
    }

    /// Fails when the daemon has ended by itself.
    pub fn still_runs(&mut self) -> Result<()> {
        self.process.as_mut().context("the daemon does not run")?.still_runs()
    }

    /// A connection of its own to the socket.
    pub fn plugin(&self) -> Result<Plugin> {
        Plugin::at(&self.socket())
    }

    /// The status and text of a path of the admin listener.
    pub async fn admin(&self, path: &str) -> Result<(StatusCode, String)> {
        plain_http::get(&format!("http://{}{path}", self.admin)).await
    }

    /// What it counts.
    pub async fn metrics(&self) -> Result<Metrics> {
        Ok(Metrics::new(self.admin("/metrics").await?.1))
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> Result<u64> {
        let id = self.id().context("the daemon does not run")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
        Ok(number.parse()?)
    }

    /// Everything it said in all its lives.
    pub fn log(&self) -> Result<String> {
        std::fs::read_to_string(self.log_file()).context("the daemon has no log")
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    /// The socket that kube-apiserver connects to.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("run/kms.sock")
    }

    /// The socket of the admin API, where there is one.
    pub fn api(&self) -> PathBuf {
        self.folder.join("run/admin.sock")
    }

    /// The ledger of a daemon that rotates alone.
    pub fn ledger(&self) -> PathBuf {
        self.folder.join("ledger.db")
    }

    /// The folder of the bundle.
    pub fn bundle(&self) -> PathBuf {
        self.folder.join("bundle")
    }

    /// The bundle of the ring `etcd`.
    pub fn bundle_file(&self) -> PathBuf {
        self.bundle().join("etcd.bundle")
    }

    /// The root key.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root.key")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("strongroomd.log")
    }

    fn command(&self, subcommand: &str) -> Result<Command> {
        let mut command = Command::new(binary::path("strongroomd")?);
        command.arg(subcommand).current_dir(&self.folder);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    fn running(&mut self) -> Result<Process> {
        self.process.take().context("the daemon does not run")
    }
}

/// What stands below `[[roots]]` for a key of AWS KMS.
pub fn aws_root(key: &str, endpoint: &Endpoint) -> String {
    format!("kind = \"aws-kms\"\nkey = \"{key}\"\nendpoint = {:?}\n", endpoint.url())
}
