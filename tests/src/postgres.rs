//! One Postgres, as an operator sets it up: TLS, passwords, an owner of the tables and a role that can do less.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Signal, geteuid};

use crate::certs::Certs;
use crate::process::{Process, complete};
use crate::wait::{Look, until};
use crate::{debian, port};

const READY: Duration = Duration::from_secs(30);
const DATABASE: &str = "strongroom";
const OWNER: &str = "strongroom_owner";
const RUNTIME: &str = "strongroom";
const PASSWORD: &str = "a password of a test";

/// A server on loopback with its own data. It keeps its port over restarts.
pub struct Postgres {
    folder: PathBuf,
    programs: PathBuf,
    port: u16,
    certs: Certs,
    url: String,
    owner_url: String,
    process: Option<Process>,
}

impl Postgres {
    /// Makes a database with the roles of deploy/postgres-roles.sql in it, and no tables yet.
    pub async fn start(folder: &Path) -> Result<Self> {
        let programs = programs()?;
        let port = port::free()?;
        let certs = Certs::make(&part(folder, "certs")?)?;
        let url = |role: &str| format!("postgres://{role}@127.0.0.1:{port}/{DATABASE}");
        let mut this = Self {
            folder: folder.to_owned(),
            programs,
            port,
            certs,
            url: url(RUNTIME),
            owner_url: url(OWNER),
            process: None,
        };
        this.make_data()?;
        this.resume_serving().await?;
        this.psql("postgres", &format!("CREATE DATABASE {DATABASE}"))?;
        this.psql(DATABASE, &roles()?)?;
        for role in [OWNER, RUNTIME] {
            this.psql(DATABASE, &format!("ALTER ROLE {role} PASSWORD '{PASSWORD}'"))?;
        }
        Ok(this)
    }

    /// Gives the role of the daemons its rights on tables that were made meanwhile.
    pub fn grant(&self) -> Result<()> {
        self.psql(DATABASE, &roles()?).map(drop)
    }

    /// Host and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What a daemon connects to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What `strongroomd migrate` connects to.
    pub fn owner_url(&self) -> &str {
        &self.owner_url
    }

    /// The password of both roles.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// A file with it.
    pub fn password_file(&self) -> PathBuf {
        self.folder.join("password")
    }

    /// Who vouches for the server, PEM.
    pub fn authority(&self) -> &Path {
        &self.certs.authority
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().context("postgres does not run")?.kill()
    }

    /// Starts it again and waits until it answers.
    pub async fn resume_serving(&mut self) -> Result<()> {
        until("postgres answers", READY, async || {
            // After a SIGKILL it refuses to start until the last of its old processes is gone.
            if self.process.as_mut().is_none_or(|process| process.still_runs().is_err()) {
                self.process = Some(self.launch()?);
            }
            Ok(match self.psql("postgres", "SELECT 1") {
                Ok(_) => Look::Done(()),
                Err(error) => Look::NotYet(format!("{error:#}")),
            })
        })
        .await
    }

    fn launch(&self) -> Result<Process> {
        let mut command = self.program("postgres")?;
        command.arg("-D").arg(self.data());
        Process::start("postgres", command, &self.folder.join("postgres.log"))
    }

    /// SIGSTOP to the server's main process: nobody new gets in.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.as_ref().context("postgres does not run")?.signal(signal)
    }

    /// Runs statements as the superuser, whom no row-level security holds; the output is unaligned, without headers.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String> {
        complete(
            self.program("psql")?
                .arg("-h")
                .arg(&self.folder)
                .args(["-p", &self.port.to_string(), "-U", "postgres", "-d", database])
                .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]),
        )
    }

    /// The same in the database of the ledger.
    pub fn sql(&self, sql: &str) -> Result<String> {
        self.psql(DATABASE, sql)
    }

    /// Writes everything into a file, as a nightly backup does.
    pub fn dump(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        complete(
            self.program("pg_dump")?
                .arg("-h")
                .arg(&self.folder)
                .args(["-p", &self.port.to_string(), "-U", "postgres", "-Fc", "-f"])
                .arg(&path)
                .arg(DATABASE),
        )?;
        Ok(path)
    }

    /// Puts back what [`Postgres::dump`] wrote, in the place of what is there.
    pub fn restore(&self, dump: &Path) -> Result<()> {
        self.psql("postgres", &format!("DROP DATABASE {DATABASE} WITH (FORCE)"))?;
        self.psql("postgres", &format!("CREATE DATABASE {DATABASE}"))?;
        complete(
            self.program("pg_restore")?
                .arg("-h")
                .arg(&self.folder)
                .args(["-p", &self.port.to_string(), "-U", "postgres", "-d", DATABASE])
                .arg(dump),
        )
        .map(drop)
    }

    fn make_data(&self) -> Result<()> {
        // Postgres refuses to run as root, so somebody else must be able to walk in.
        let mut folder = Some(self.folder.as_path());
        while let Some(inside) = folder.filter(|folder| *folder != std::env::temp_dir()) {
            fs::set_permissions(inside, fs::Permissions::from_mode(0o755))?;
            folder = inside.parent().filter(|parent| parent.starts_with(std::env::temp_dir()));
        }
        fs::write(self.password_file(), format!("{PASSWORD}\n"))?;
        let key = self.folder.join("server.key");
        fs::copy(&self.certs.serving_key, &key)?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
        if let Some((uid, gid)) = somebody()? {
            chown(&key, Some(uid), Some(gid))?;
            chown(&self.folder, Some(uid), Some(gid))?;
        }
        complete(self.program("initdb")?.arg("-D").arg(self.data()).args([
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "-A",
            "trust",
        ]))?;
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{folder}'\n\
             ssl = on\nssl_cert_file = '{certificate}'\nssl_key_file = '{key}'\n\
             password_encryption = 'scram-sha-256'\nmax_connections = 60\n\
             # Nothing here has to survive a power cut; a SIGKILL it does.\nfsync = off\n",
            port = self.port,
            folder = self.folder.display(),
            certificate = self.certs.serving.display(),
            key = key.display(),
        );
        let data = self.data();
        write_into(&data.join("postgresql.auto.conf"), &settings)?;
        write_into(
            &data.join("pg_hba.conf"),
            "local all postgres trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n",
        )
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn program(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(&self.folder).env_remove("PGPASSWORD");
        if let Some((uid, gid)) = somebody()? {
            command.uid(uid).gid(gid);
        }
        Ok(command)
    }
}

fn roles() -> Result<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/postgres-roles.sql");
    fs::read_to_string(file).context("deploy/postgres-roles.sql")
}

fn part(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    fs::create_dir_all(&path)?;
    Ok(path)
}

/// Keeps owner and mode of a file that initdb made.
fn write_into(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

/// Who runs the server where we are root: `nobody`, who owns nothing else.
fn somebody() -> Result<Option<(u32, u32)>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
    let line = users.lines().find_map(|line| line.strip_prefix("nobody:x:"));
    let mut ids = line.context("there is no user nobody")?.split(':').map(str::parse);
    match (ids.next(), ids.next()) {
        (Some(Ok(uid)), Some(Ok(gid))) => Ok(Some((uid, gid))),
        _ => bail!("the line of nobody in /etc/passwd has another form than expected"),
    }
}

/// The newest server that is installed; Debian's where there is none.
fn programs() -> Result<PathBuf> {
    if let Some(found) = installed() {
        return Ok(found);
    }
    debian::install("postgresql")?;
    installed().context("apt-get installed no PostgreSQL 14 or later")
}

fn installed() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let newest = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let programs = entry.path().join("bin");
        (version >= 14 && programs.join("postgres").exists()).then_some((version, programs))
    });
    newest.max().map(|(_, programs)| programs)
}
