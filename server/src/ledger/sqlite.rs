//! The embedded default: one file, nothing to install. For one node.

use std::{fs::File, path::Path, sync::Arc, time::Duration};

use envelope::{
    RingName,
    audit::{Checkpoint, Hash, Record},
    bundle::{State, WrappedLedgerKey, encode_wraps, parse_wraps},
};
use sqlx::{
    Database, Row as _, Sqlite, SqlitePool, Transaction,
    query::Query,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::Notify;

use super::{
    ActivationRow, BundleRow, Change, ClusterId, ClusterRow, Dump, HeadRow, History, HoldRow,
    LEASE, Lease, LedgerError, ReplicaRow, ReportRow, Rows, RunRow, VersionRow, migrate,
    sql::{
        CALL, WHOLE, Written, bytes, destruction, failed, format, key_id, ledger, malformed, name,
        named, run_state, signed, state, unsigned, version_number, written,
    },
};
use crate::clock::Clock;

/// How long a writer waits for another process that writes.
const BUSY: Duration = Duration::from_secs(5);
/// What to look at where the file does not do it.
const ADVICE: &str = "Check that the disk has room, that strongroomd may write there, and that no other process holds the file";

/// A ledger in a file. Its clock is the process's: an embedded database has none of its own.
#[derive(Clone)]
pub struct SqliteLedger {
    pool: SqlitePool,
    cluster: ClusterId,
    clock: Arc<dyn Clock>,
    rung: Arc<Notify>,
    place: String,
}

impl SqliteLedger {
    /// Opens the file, makes it where there is none (mode 0600), and brings it to the newest schema; two processes at once do that once.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn open(
        path: &Path,
        cluster: ClusterId,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LedgerError> {
        let away = |error: std::io::Error| {
            LedgerError::Away(format!("{}: {error}. {ADVICE}", path.display()))
        };
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        let lock = make_private(Path::new(&lock)).map_err(away)?;
        // Nobody holds it for longer than a migration takes.
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await;
        let _lock = lock.map_err(std::io::Error::from).flatten().map_err(away)?;
        // Only where there is none: to open and close a database behind SQLite's back drops the locks that this process has on it.
        if !path.exists() {
            drop(make_private(path).map_err(away)?);
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // What is deleted is overwritten: a destroyed key must not stay in a free page.
            .pragma("secure_delete", "ON")
            .busy_timeout(BUSY);
        let pool = SqlitePoolOptions::new().max_connections(2).acquire_timeout(BUSY);
        let place = path.display().to_string();
        let opened = async {
            let pool = pool.connect_with(options).await.map_err(failed)?;
            Self::over(pool, cluster, clock, place.clone()).await
        };
        opened.await.map_err(|error| named(&place, ADVICE, error))
    }

    /// One that is gone with this value.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn in_memory(cluster: ClusterId, clock: Arc<dyn Clock>) -> Result<Self, LedgerError> {
        let options = SqliteConnectOptions::new().in_memory(true).foreign_keys(true);
        // Each connection would be a database of its own. It is not tested, because a test that is cancelled drops it.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false);
        let pool = pool.connect_with(options).await.map_err(failed)?;
        Self::over(pool, cluster, clock, "the ledger in memory".into()).await
    }

    async fn over(
        pool: SqlitePool,
        cluster: ClusterId,
        clock: Arc<dyn Clock>,
        place: String,
    ) -> Result<Self, LedgerError> {
        migrate::check(&migrate::SQLITE, &pool, true).await?;
        migrate::run(&migrate::SQLITE, &pool).await?;
        Ok(Self { pool, cluster, clock, rung: Arc::default(), place })
    }

    async fn begin_read(&self) -> Result<Transaction<'static, Sqlite>, LedgerError> {
        self.pool.begin().await.map_err(failed)
    }

    /// Takes the lock for writing at once: a reader that becomes a writer may find that somebody else was faster.
    async fn begin_write(&self) -> Result<Transaction<'static, Sqlite>, LedgerError> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)
    }

    /// No: it has no round trips to spare.
    #[expect(clippy::unused_async, reason = "the other database has to be asked")]
    async fn append(&self, _: &Change) -> Result<bool, LedgerError> {
        Ok(false)
    }

    #[expect(clippy::unused_async, reason = "the other database has to be asked")]
    async fn now(&self, _: &mut <Sqlite as Database>::Connection) -> Result<u64, LedgerError> {
        Ok(self.clock.now())
    }

    fn own_clock(&self) -> Option<u64> {
        Some(self.clock.now())
    }

    /// The embedded database bounds itself: nobody is waited for longer than [`BUSY`].
    async fn bounded<T>(
        &self,
        _: Duration,
        call: impl Future<Output = Result<T, LedgerError>> + Send,
    ) -> Result<T, LedgerError> {
        call.await.map_err(|error| named(&self.place, ADVICE, error))
    }

    /// Wakes all who wait, and where nobody does, the next one who will.
    fn rung(&self) {
        self.rung.notify_waiters();
        self.rung.notify_one();
    }

    /// Writes of this process only; the poll finds those of others.
    async fn wait(&self) {
        self.rung.notified().await;
    }
}

ledger!(SqliteLedger, Sqlite, "until > $16");

impl std::fmt::Debug for SqliteLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SqliteLedger({})", self.cluster)
    }
}

fn make_private(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().write(true).create(true).truncate(false).mode(0o600).open(path)
}
