use std::{fs, io, path::Path, sync::Arc};

use envelope::{Random, SystemRandom};

use zeroize::Zeroizing;

use super::{ClusterId, Ledger, LedgerError, PostgresLedger, PostgresOptions, SqliteLedger};
use crate::{
    clock::SystemClock,
    config::{Config, Database},
};

/// The ledger that the configuration names, for this cluster. A SQLite file is made, or brought to the newest schema; a
/// Postgres is only looked at.
///
/// # Errors
/// [`LedgerError`].
pub async fn connect(
    database: &Database,
    cluster: ClusterId,
) -> Result<Arc<dyn Ledger>, LedgerError> {
    Ok(match database {
        Database::Sqlite { file } => {
            Arc::new(SqliteLedger::open(file, cluster, Arc::new(SystemClock)).await?)
        }
        Database::Postgres { .. } => {
            Arc::new(PostgresLedger::open(&postgres(database)?, cluster).await?)
        }
    })
}

/// Brings the schema of a Postgres to the newest version. `url` names the owner of the tables, where that is another role than the one
/// that the configuration names.
///
/// # Errors
/// [`LedgerError`].
pub async fn migrate(database: &Database, url: Option<String>) -> Result<(), LedgerError> {
    match database {
        Database::Sqlite { file } => {
            // Opening it is all; for which cluster makes no difference.
            SqliteLedger::open(file, ClusterId([0; 16]), Arc::new(SystemClock)).await.map(drop)
        }
        Database::Postgres { .. } => {
            let mut options = postgres(database)?;
            if let Some(url) = url {
                options.url = url;
                // The file has the password of another role.
                options.password = from_environment();
            }
            PostgresLedger::migrate(&options).await
        }
    }
}

fn postgres(database: &Database) -> Result<PostgresOptions, LedgerError> {
    let Database::Postgres { url, ca_file, password_file, max_connections } = database else {
        return Err(LedgerError::Refused("it is no Postgres".into()));
    };
    let password = match password_file {
        None => from_environment(),
        Some(file) => {
            let bytes = durable::read(file, MAX_PASSWORD).map_err(|error| {
                LedgerError::Away(format!("ledger.password_file {}: {error}", file.display()))
            })?;
            let text = Zeroizing::new(String::from_utf8(bytes).map_err(|_| {
                LedgerError::Away(format!("ledger.password_file {} is not text", file.display()))
            })?);
            Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
    };
    Ok(PostgresOptions {
        url: url.clone(),
        ca_file: ca_file.as_ref().map(|file| file.to_path_buf()),
        password,
        max_connections: *max_connections,
    })
}

fn from_environment() -> Option<Zeroizing<String>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a password is in a file or in the environment, never on a command line"
    )]
    std::env::var("STRONGROOM_LEDGER_PASSWORD").ok().map(Zeroizing::new)
}

const MAX_PASSWORD: usize = 4096;

/// The identity that the configuration gives, or the file `cluster` in the bundle folder; `None` where neither does.
///
/// # Errors
/// Those of the file system; [`io::ErrorKind::InvalidData`] where the file holds something else.
pub fn cluster(config: &Config) -> io::Result<Option<ClusterId>> {
    if let Some(cluster) = config.ledger.as_ref().and_then(|ledger| ledger.cluster) {
        return Ok(Some(cluster));
    }
    let path = config.bundle.dir.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => ClusterId::parse(text.trim_end()).map(Some).ok_or_else(|| {
            let what = format!(
                "{} does not hold a cluster identity of 32 hexadecimal digits",
                path.display()
            );
            io::Error::new(io::ErrorKind::InvalidData, what)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes an identity and writes it to the file `cluster` in `folder`.
///
/// # Errors
/// Those of the file system; no random bytes.
pub fn make_cluster(folder: &Path) -> io::Result<ClusterId> {
    let mut cluster = ClusterId([0; 16]);
    SystemRandom.fill(&mut cluster.0).map_err(io::Error::other)?;
    durable::create(&folder.join(FILE), format!("{cluster}\n").as_bytes(), 0o600, &|_| {})?;
    Ok(cluster)
}

const FILE: &str = "cluster";
