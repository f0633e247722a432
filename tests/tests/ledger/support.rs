//! Ledgers to try, and a ring to put into them.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Result;
use envelope::{
    Bundle, Context, KeyId, KeyMaterial, LedgerKey, LocalRoot, Purpose, RingName, SystemRandom,
    WrappedKey,
    bundle::{State as VersionState, Version, WrappedLedgerKey},
};
use strongroomd::{
    clock::Clock,
    ledger::{
        ClusterId, Draft, Dump, Entry, Ledger, PostgresLedger, PostgresOptions, SqliteLedger,
        State, VersionRow,
    },
};
use testbed::{Postgres, folder::Folder};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

pub(crate) const A: ClusterId = ClusterId([0xaa; 16]);
pub(crate) const B: ClusterId = ClusterId([0xbb; 16]);

/// A time that a test sets.
#[derive(Debug, Default)]
pub(crate) struct SetClock(pub(crate) AtomicU64);

impl Clock for SetClock {
    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// One database of either kind.
pub(crate) enum Database {
    Sqlite { folder: Folder, clock: Arc<SetClock> },
    Postgres { server: &'static Postgres, name: String },
}

impl Database {
    /// A fresh one of each kind.
    pub(crate) async fn both() -> Result<Vec<Self>> {
        Ok(vec![Self::sqlite()?, Self::postgres().await?])
    }

    /// A fresh file.
    pub(crate) fn sqlite() -> Result<Self> {
        let clock = Arc::new(SetClock(AtomicU64::new(1_800_000_000)));
        Ok(Self::Sqlite { folder: Folder::make()?, clock })
    }

    /// The file.
    pub(crate) fn file(&self) -> std::path::PathBuf {
        let Self::Sqlite { folder, .. } = self else { panic!("it is no file") };
        folder.path().join("ledger.db")
    }

    /// A fresh database on the one server that all tests here share.
    pub(crate) async fn postgres() -> Result<Self> {
        let server = server().await?;
        let name = fresh_name();
        server.psql("postgres", &format!("CREATE DATABASE {name}"))?;
        server.psql(&name, &roles()?)?;
        let this = Self::Postgres { server, name };
        PostgresLedger::migrate(&this.options("strongroom_owner")).await?;
        server.psql(this.name(), &roles()?)?;
        Ok(this)
    }

    /// The same rows in a database of their own. Whoever is connected to this one is cut off.
    pub(crate) fn copy(&self) -> Result<Self> {
        match self {
            Self::Sqlite { clock, .. } => {
                let copy = Self::Sqlite { folder: Folder::make()?, clock: Arc::clone(clock) };
                let into = format!("VACUUM INTO '{}'", copy.file().display());
                self.sql(&into).map_err(anyhow::Error::msg)?;
                Ok(copy)
            }
            Self::Postgres { server, name: of } => {
                let name = fresh_name();
                server.psql("postgres", &format!("ALTER DATABASE {of} ALLOW_CONNECTIONS false"))?;
                server.psql(
                    "postgres",
                    &format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{of}'"),
                )?;
                server.psql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {of}"))?;
                server.psql("postgres", &format!("ALTER DATABASE {of} ALLOW_CONNECTIONS true"))?;
                Ok(Self::Postgres { server, name })
            }
        }
    }

    /// What a daemon of `cluster` opens.
    pub(crate) async fn open(&self, cluster: ClusterId) -> Result<Arc<dyn Ledger>> {
        Ok(match self {
            Self::Sqlite { folder, clock } => {
                let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
                Arc::new(
                    SqliteLedger::open(&folder.path().join("ledger.db"), cluster, clock).await?,
                )
            }
            Self::Postgres { .. } => {
                Arc::new(PostgresLedger::open(&self.options("strongroom"), cluster).await?)
            }
        })
    }

    pub(crate) fn options(&self, role: &str) -> PostgresOptions {
        let Self::Postgres { server, name } = self else { panic!("it is a file") };
        PostgresOptions {
            url: format!("postgres://{role}@{}/{name}", server.address()),
            ca_file: Some(server.authority().to_owned()),
            password: Some(Zeroizing::new(server.password().to_owned())),
            max_connections: 4,
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Sqlite { .. } => "SQLite",
            Self::Postgres { name, .. } => name,
        }
    }

    /// Runs statements behind the program's back, as whoever owns the database.
    pub(crate) fn sql(&self, sql: &str) -> Result<String, String> {
        match self {
            Self::Sqlite { folder, .. } => {
                let path = folder.path().join("ledger.db");
                let script = "import sqlite3, sys\n\
                    c = sqlite3.connect(sys.argv[1], timeout=10)\n\
                    c.execute('PRAGMA foreign_keys = ON')\n\
                    out = [r for s in sys.argv[2].split(';;') for r in c.execute(s).fetchall()]\n\
                    c.commit()\n\
                    print('\\n'.join('|'.join(str(x) for x in r) for r in out))";
                let out = std::process::Command::new("python3")
                    .args(["-c", script])
                    .arg(path)
                    .arg(sql)
                    .output();
                let out = out.map_err(|error| error.to_string())?;
                if out.status.success() {
                    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
                } else {
                    Err(String::from_utf8_lossy(&out.stderr).into_owned())
                }
            }
            Self::Postgres { server, name } => {
                server.psql(name, &sql.replace(";;", ";")).map_err(|error| format!("{error:#}"))
            }
        }
    }

    /// The same, with the triggers of a table and all foreign keys off.
    pub(crate) fn sql_without_triggers(&self, table: &str, sql: &str) -> Result<String, String> {
        match self {
            Self::Sqlite { .. } => {
                let names = self.sql(&format!(
                    "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{table}'"
                ))?;
                for line in names.lines().filter(|line| line.contains('|')) {
                    self.sql(&format!("DROP TRIGGER {}", line.split('|').next().unwrap()))?;
                }
                self.sql(&format!("PRAGMA foreign_keys = OFF;; {sql}"))
            }
            Self::Postgres { .. } => self.sql(&format!(
                "ALTER TABLE {table} DISABLE TRIGGER USER; SET session_replication_role = replica; {sql}"
            )),
        }
    }
}

async fn server() -> Result<&'static Postgres> {
    static SERVER: OnceCell<(Folder, Postgres)> = OnceCell::const_new();
    let server = SERVER.get_or_try_init(|| async {
        let folder = Folder::make()?;
        let server = Postgres::start(&folder.part("postgres")?).await?;
        anyhow::Ok((folder, server))
    });
    Ok(&server.await?.1)
}

fn fresh_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("ledger_{}", NEXT.fetch_add(1, Ordering::SeqCst))
}

pub(crate) fn roles() -> Result<String> {
    Ok(fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/postgres-roles.sql"))?)
}

pub(crate) fn ring() -> RingName {
    RingName::parse("etcd").unwrap()
}

/// A cluster that exists outside of any database.
pub(crate) struct Made {
    pub(crate) root: LocalRoot,
    pub(crate) key: LedgerKey,
    pub(crate) dump: Dump,
}

/// A cluster with version 1 active.
pub(crate) fn make(cluster: ClusterId) -> Made {
    let root = LocalRoot::new(&KeyMaterial::make(&SystemRandom).unwrap());
    let material = KeyMaterial::make(&SystemRandom).unwrap();
    let id = KeyId::derive(RingName::parse(LedgerKey::RING).unwrap(), 1, &material).unwrap();
    let ledger = WrappedLedgerKey { wraps: vec![wrap(&root, &material, &id)], id: id.clone() };
    let key = LedgerKey::new(id, material).unwrap();
    let (id, wraps) = version(&root, &ring(), 1);
    let first = Version { id, state: VersionState::Active, created: 1, activated: Some(1), wraps };
    let bundle = Bundle::new(ring(), 1, ledger, vec![first]).unwrap();
    let bytes = bundle.encode(&key).unwrap();
    let dump = Dump::genesis(cluster, (&bundle, bytes), &key, 1_700_000_000, entry("ring.entered"));
    Made { root, key, dump }
}

fn wrap(root: &LocalRoot, key: &KeyMaterial, id: &KeyId) -> WrappedKey {
    root.wrap(key, &Context { purpose: Purpose::Key, key_id: id }, &SystemRandom).unwrap()
}

fn version(root: &LocalRoot, ring: &RingName, number: u32) -> (KeyId, Vec<WrappedKey>) {
    let key = KeyMaterial::make(&SystemRandom).unwrap();
    let id = KeyId::derive(ring.clone(), number, &key).unwrap();
    let wraps = vec![wrap(root, &key, &id)];
    (id, wraps)
}

impl Made {
    /// Another ring of the same cluster, whose version 1 is destroyed.
    pub(crate) fn other_ring(&self, ring: &RingName) -> Dump {
        let version = |number, state| {
            let (id, mut wraps) = version(&self.root, ring, number);
            if state == VersionState::Destroyed {
                wraps.clear();
            }
            Version { id, state, created: 1, activated: Some(1), wraps }
        };
        let versions = vec![version(1, VersionState::Destroyed), version(2, VersionState::Active)];
        let rows = &self.dump.rows.cluster;
        let bundle = Bundle::new(ring.clone(), 1, rows.ledger_key.clone(), versions).unwrap();
        let bytes = bundle.encode(&self.key).unwrap();
        Dump::genesis(rows.id, (&bundle, bytes), &self.key, 1_700_000_000, entry("ring.entered"))
    }

    /// A version that was staged.
    pub(crate) fn staged(&self, number: u32) -> VersionRow {
        let (id, wraps) = version(&self.root, &ring(), number);
        VersionRow {
            id,
            state: VersionState::PreActive,
            created: 2,
            activated: None,
            changed: 2,
            destruction: None,
            wraps,
            mac: [0; 32],
        }
    }

    /// What the ledger says, verified.
    pub(crate) async fn state(&self, ledger: &dyn Ledger) -> State {
        State::verify(ledger.read(&ring()).await.unwrap().unwrap(), &self.key).unwrap()
    }

    /// Plans a change on what the ledger says and commits it.
    pub(crate) async fn change(&self, ledger: &dyn Ledger, plan: impl FnOnce(&mut Draft)) {
        let mut draft = Draft::new(&self.state(ledger).await, None);
        plan(&mut draft);
        ledger.commit(&draft.seal(&self.key).unwrap()).await.unwrap();
    }
}

pub(crate) fn entry(action: &'static str) -> Entry {
    Entry { actor: "tester".into(), action, subject: "a test".into(), detail: String::new() }
}
