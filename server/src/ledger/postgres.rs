//! Postgres, for any number of nodes and clusters.

use std::{path::PathBuf, str::FromStr, time::Duration};

use envelope::{
    RingName,
    audit::{Checkpoint, Hash, Record},
    bundle::{State, WrappedLedgerKey, encode_wraps, parse_wraps},
};
use sqlx::{
    Connection as _, Database, PgPool, Postgres, Row as _, Transaction,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions, PgSslMode},
    query::Query,
};
use tokio::{
    sync::{Mutex, Notify},
    time::{Instant, sleep_until, timeout},
};
use tracing::debug;
use zeroize::Zeroizing;

use super::{
    ActivationRow, BundleRow, Change, ClusterId, ClusterRow, Dump, HeadRow, History, HoldRow,
    LEASE, Lease, LedgerError, ReplicaRow, ReportRow, Rows, RunRow, VersionRow, migrate,
    sql::{
        CALL, WHOLE, Written, bytes, destruction, failed, format, key_id, ledger, malformed, name,
        named, run_state, signed, state, unsigned, version_number, written,
    },
};

/// How long a connection of the pool is waited for.
const ACQUIRE: Duration = Duration::from_secs(5);
/// A connection that nobody used for longer is asked whether it is well before somebody does.
const IDLE: Duration = Duration::from_secs(1);
/// How long a connection that comes back to the pool may take to say that it is well.
const WELL: Duration = Duration::from_secs(2);
/// What the server ends by itself. Nothing of ours takes a second.
const LIMITS: [(&str, &str); 3] = [
    ("statement_timeout", "5s"),
    ("lock_timeout", "3s"),
    ("idle_in_transaction_session_timeout", "10s"),
];
/// The same for a migration, which may wait for another one and may have many rows to change.
const MIGRATION_LIMITS: [(&str, &str); 3] = [
    ("statement_timeout", "600s"),
    ("lock_timeout", "60s"),
    ("idle_in_transaction_session_timeout", "60s"),
];
/// Shortest and longest pause before the server is asked again for notifications.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
/// What may stand behind the `?` of a URL. Anything else is a setting of ours, or one that sqlx ignores.
const PARAMETERS: [&str; 7] = ["sslmode", "host", "port", "user", "dbname", "sslcert", "sslkey"];
/// What to look at where it does not answer.
const ADVICE: &str = "Check [ledger] in the configuration, the way to the server, and its log";
/// What every change notifies.
const CHANNEL: &str = "strongroom";

/// How to reach a Postgres.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://user@host/database`, without a password.
    pub url: String,
    /// Certificates of authorities that may vouch for the server, beside those of the system: sqlx 0.9 has no way to leave the
    /// system's out.
    pub ca_file: Option<PathBuf>,
    /// The password.
    pub password: Option<Zeroizing<String>>,
    /// Most connections.
    pub max_connections: u32,
}

/// A ledger in a Postgres.
pub struct PostgresLedger {
    pool: PgPool,
    cluster: ClusterId,
    place: String,
    ear: Mutex<Ear>,
    heard: Notify,
}

/// Listens for notifications. It outlives who waits, so that a wait which is given up does not ask the server anew.
#[derive(Default)]
struct Ear {
    listener: Option<PgListener>,
    pause: Duration,
    not_before: Option<Instant>,
}

impl PostgresLedger {
    /// Connects and looks at the schema; changes nothing.
    ///
    /// # Errors
    /// [`LedgerError::SchemaOlder`] and [`LedgerError::SchemaNewer`]; [`LedgerError::Away`].
    pub async fn open(options: &PostgresOptions, cluster: ClusterId) -> Result<Self, LedgerError> {
        let (pool, place) = pool(options, Some(cluster)).await?;
        let checked = migrate::check(&migrate::POSTGRES, &pool, false).await;
        checked.map_err(|error| named(&place, ADVICE, error))?;
        Ok(Self { pool, cluster, place, ear: Mutex::default(), heard: Notify::new() })
    }

    /// Brings the schema to the newest version, as the owner of the tables. Two at once do it once.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn migrate(options: &PostgresOptions) -> Result<(), LedgerError> {
        let (pool, place) = pool(options, None).await?;
        let migrated = async {
            migrate::check(&migrate::POSTGRES, &pool, true).await?;
            migrate::run(&migrate::POSTGRES, &pool).await
        };
        let migrated = migrated.await.map_err(|error| named(&place, ADVICE, error));
        // With it goes the lock of a migration that failed.
        pool.close().await;
        migrated
    }

    /// The server's own limits do not count where the way to it is cut, or where all of it stands still.
    async fn bounded<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, LedgerError>> + Send,
    ) -> Result<T, LedgerError> {
        let outcome = timeout(limit, call).await.unwrap_or_else(|_| {
            Err(LedgerError::Away(format!("no answer in {} seconds", limit.as_secs())))
        });
        outcome.map_err(|error| named(&self.place, ADVICE, error))
    }

    /// Everything that is read is of one moment.
    async fn begin_read(&self) -> Result<Transaction<'static, Postgres>, LedgerError> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        self.pool.begin_with(begin).await.map_err(failed)
    }

    async fn begin_write(&self) -> Result<Transaction<'static, Postgres>, LedgerError> {
        self.pool.begin().await.map_err(failed)
    }

    /// Moves the head and appends records in one statement, which is a transaction by itself: one round trip, not four. Whether
    /// it did; where the head has moved it did nothing.
    async fn append(&self, change: &Change) -> Result<bool, LedgerError> {
        let records = || change.audit.iter().map(|(record, _)| record);
        let texts = |text: fn(&Record) -> &str| -> Vec<String> {
            records().map(|record| text(record).to_owned()).collect()
        };
        let appended = sqlx::query::<Postgres>(
            "WITH moved AS (
                 UPDATE heads SET revision = $3, audit_seq = $4, audit_hash = $5, mac = $6
                 WHERE cluster = $1 AND ring = $2 AND revision = $7 AND mac = $8 RETURNING cluster, ring)
             INSERT INTO audit (cluster, ring, seq, at, actor, action, subject, detail, previous, hash)
             SELECT moved.*, record.* FROM moved, unnest(
                 $9::bigint[], $10::bigint[], $11::text[], $12::text[], $13::text[], $14::text[], $15::bytea[], $16::bytea[]) record",
        )
        .bind(self.cluster.0.to_vec())
        .bind(change.ring.as_str())
        .bind(signed(change.head.revision))
        .bind(signed(change.head.audit_seq))
        .bind(change.head.audit_hash.to_vec())
        .bind(change.head.mac.to_vec())
        .bind(signed(change.planned_on))
        .bind(change.planned_on_mac.to_vec())
        .bind(records().map(|record| signed(record.seq)).collect::<Vec<i64>>())
        .bind(records().map(|record| signed(record.at)).collect::<Vec<i64>>())
        .bind(texts(|record| &record.actor))
        .bind(texts(|record| &record.action))
        .bind(texts(|record| &record.subject))
        .bind(texts(|record| &record.detail))
        .bind(records().map(|record| record.previous.to_vec()).collect::<Vec<_>>())
        .bind(change.audit.iter().map(|(_, hash)| hash.to_vec()).collect::<Vec<_>>())
        .execute(&self.pool)
        .await
        .map_err(failed)?;
        Ok(appended.rows_affected() > 0)
    }

    async fn now(&self, tx: &mut <Postgres as Database>::Connection) -> Result<u64, LedgerError> {
        let now = sqlx::query::<Postgres>(
            "SELECT floor(extract(epoch FROM clock_timestamp()))::bigint AS now",
        );
        let now = now.fetch_one(&mut *tx).await.map_err(failed)?;
        unsigned("now()", now.try_get("now").map_err(failed)?)
    }

    /// The server has one, and each statement asks it.
    fn own_clock(&self) -> Option<u64> {
        None
    }

    /// The statement triggers of the schema notify.
    fn rung(&self) {}

    /// One of those who wait listens, for all of them.
    async fn wait(&self) {
        tokio::select! {
            () = self.heard.notified() => {}
            () = self.listen() => self.heard.notify_waiters(),
        }
    }

    /// Returns at a notification, and after a connection was lost, because one may have been missed.
    async fn listen(&self) {
        let mut ear = self.ear.lock().await;
        loop {
            if let Some(not_before) = ear.not_before {
                sleep_until(not_before).await;
            }
            match ear.hear(&self.pool, &self.cluster.to_string()).await {
                Ok(()) => {
                    ear.pause = Duration::ZERO;
                    ear.not_before = None;
                    return;
                }
                Err(error) => {
                    debug!(%error, "no word from the ledger until the next poll");
                    ear.listener = None;
                    ear.pause = (ear.pause * 2).clamp(PAUSES.0, PAUSES.1);
                    ear.not_before = Some(Instant::now() + ear.pause);
                }
            }
        }
    }
}

impl Ear {
    async fn hear(&mut self, pool: &PgPool, cluster: &str) -> Result<(), sqlx::Error> {
        let listener = match &mut self.listener {
            Some(listener) => listener,
            none => {
                let mut fresh = PgListener::connect_with(pool).await?;
                fresh.listen(CHANNEL).await?;
                let lost = self.not_before.is_some();
                let listener = none.insert(fresh);
                if lost {
                    return Ok(());
                }
                listener
            }
        };
        while let Some(heard) = listener.try_recv().await? {
            if heard.payload() == cluster {
                break;
            }
        }
        Ok(())
    }
}

ledger!(
    PostgresLedger,
    Postgres,
    // By the clock of this very statement, and nobody takes the lease before this transaction has ended.
    "until > greatest($16::bigint, floor(extract(epoch FROM clock_timestamp()))::bigint) FOR SHARE"
);

impl std::fmt::Debug for PostgresLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PostgresLedger({})", self.cluster)
    }
}

/// The pool, and how the server is named to people.
async fn pool(
    options: &PostgresOptions,
    cluster: Option<ClusterId>,
) -> Result<(PgPool, String), LedgerError> {
    let connect = connect_options(options, cluster)?;
    let place = match connect.get_socket() {
        Some(socket) => format!("Postgres at {}", socket.display()),
        None => format!("Postgres at {}:{}", connect.get_host(), connect.get_port()),
    };
    // A call that was given up leaves its connection in the middle of something: it is closed, not waited for.
    let pool = PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(ACQUIRE)
        // One that was used a moment ago is not asked how it is.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_release(|connection, _| {
            Box::pin(async move {
                match timeout(WELL, connection.ping()).await {
                    Ok(well) => well.map(|()| true),
                    Err(_) => Err(sqlx::Error::PoolTimedOut),
                }
            })
        });
    match pool.connect_with(connect).await {
        Ok(pool) => Ok((pool, place)),
        Err(error) => Err(named(&place, ADVICE, LedgerError::Away(error.to_string()))),
    }
}

fn connect_options(
    options: &PostgresOptions,
    cluster: Option<ClusterId>,
) -> Result<PgConnectOptions, LedgerError> {
    let refused = |what: String| LedgerError::Refused(format!("ledger.url: {what}"));
    let rest = ["postgres://", "postgresql://"].iter().find_map(|s| options.url.strip_prefix(s));
    let rest = rest.ok_or_else(|| refused("expected postgres://user@host/database".into()))?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let parameters = rest.split_once('?').map_or("", |(_, parameters)| parameters);
    let mut names = parameters.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    let unknown = names.find(|name| !name.is_empty() && !PARAMETERS.contains(name));
    if authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
        || unknown == Some("password")
    {
        return Err(refused(
            "a password does not belong here: give ledger.password_file, or the environment variable STRONGROOM_LEDGER_PASSWORD".into(),
        ));
    }
    if let Some(name) = unknown {
        return Err(refused(format!(
            "`{name}` is no parameter of ours: there are {}. Authorities that vouch for the server are ledger.ca_file",
            PARAMETERS.join(", ")
        )));
    }
    let mut connect =
        PgConnectOptions::from_str(&options.url).map_err(|error| refused(error.to_string()))?;
    // sqlx's default is `prefer`, which believes whoever answers.
    let local = connect.get_socket().is_some() || connect.get_host().starts_with('/');
    if !parameters.contains("sslmode=") {
        connect = connect.ssl_mode(if local { PgSslMode::Disable } else { PgSslMode::VerifyFull });
    }
    let verified = matches!(connect.get_ssl_mode(), PgSslMode::VerifyFull | PgSslMode::VerifyCa);
    let loopback = matches!(connect.get_host(), "127.0.0.1" | "::1" | "localhost");
    if !verified && !local && !loopback {
        return Err(refused(format!(
            "sslmode={:?} does not check who answers: use verify-full (the default), or a unix socket",
            connect.get_ssl_mode()
        )));
    }
    if let Some(file) = &options.ca_file {
        connect = connect.ssl_root_cert(file);
    }
    if let Some(password) = &options.password {
        connect = connect.password(password);
    }
    let limits = if cluster.is_some() { LIMITS } else { MIGRATION_LIMITS };
    let mut settings: Vec<(&str, String)> =
        limits.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    if let Some(cluster) = cluster {
        settings.push(("strongroom.cluster", cluster.to_string()));
    }
    Ok(connect.application_name("strongroomd").options(settings))
}
