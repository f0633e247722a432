//! The schema and its versions (`migrations/`).

use std::{borrow::Cow, sync::LazyLock};

use sqlx::{
    Database, Pool,
    migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator},
};

use super::{LedgerError, sql::failed};

/// The schema for Postgres.
pub(super) static POSTGRES: LazyLock<Migrator> = LazyLock::new(|| {
    migrator(&[
        (1, "ledger", include_str!("../../../migrations/postgres/0001_ledger.sql")),
        (2, "checkpoints", include_str!("../../../migrations/postgres/0002_checkpoints.sql")),
        (3, "letting go", include_str!("../../../migrations/postgres/0003_letting_go.sql")),
        (4, "roots", include_str!("../../../migrations/postgres/0004_roots.sql")),
    ])
});

/// The schema for SQLite.
pub(super) static SQLITE: LazyLock<Migrator> = LazyLock::new(|| {
    migrator(&[
        (1, "ledger", include_str!("../../../migrations/sqlite/0001_ledger.sql")),
        (2, "checkpoints", include_str!("../../../migrations/sqlite/0002_checkpoints.sql")),
        (3, "letting go", include_str!("../../../migrations/sqlite/0003_letting_go.sql")),
        (4, "roots", include_str!("../../../migrations/sqlite/0004_roots.sql")),
    ])
});

fn migrator(steps: &[(i64, &'static str, &'static str)]) -> Migrator {
    let migrations = steps.iter().map(|(version, name, sql)| {
        let sql = sqlx::SqlSafeStr::into_sql_str(*sql);
        Migration::new(*version, Cow::Borrowed(*name), MigrationType::Simple, sql, false)
    });
    Migrator { migrations: migrations.collect(), ..Migrator::DEFAULT }
}

/// Compares the schema with what this program knows. `older` says whether an older one will do.
///
/// # Errors
/// [`LedgerError::SchemaOlder`], [`LedgerError::SchemaNewer`]; [`LedgerError::Refused`] where an applied step was another one, or
/// was broken off.
pub(super) async fn check<DB>(
    migrator: &Migrator,
    pool: &Pool<DB>,
    older: bool,
) -> Result<(), LedgerError>
where
    DB: Database,
    DB::Connection: Migrate,
{
    let mut connection = pool.acquire().await.map_err(failed)?;
    let refused = |what: String| LedgerError::Refused(what);
    let table = &migrator.table_name;
    let needed = migrator.iter().map(|step| step.version).max().unwrap_or(0);
    // Where there is no such table nothing was applied: to make it takes rights that this role may not have.
    let applied = match connection.list_applied_migrations(table).await {
        Err(error) if is_missing_table(&error) => Vec::new(),
        applied => applied.map_err(migration_failed)?,
    };
    let dirty = if applied.is_empty() { Ok(None) } else { connection.dirty_version(table).await };
    if let Some(version) = dirty.map_err(migration_failed)? {
        return Err(refused(format!(
            "step {version} of the schema was broken off: restore the database, or finish the step by hand"
        )));
    }
    let found = applied.iter().map(|step| step.version).max().unwrap_or(0);
    if found > needed {
        return Err(LedgerError::SchemaNewer { found, needed });
    }
    for step in migrator.iter() {
        if let Some(done) = applied.iter().find(|done| done.version == step.version)
            && done.checksum != step.checksum
        {
            return Err(refused(format!(
                "step {} of the schema is another one than this program has: it was made by a build that was never released",
                step.version
            )));
        }
    }
    if found < needed && !older {
        return Err(LedgerError::SchemaOlder { found, needed });
    }
    Ok(())
}

/// Applies what is missing.
///
/// # Errors
/// [`LedgerError`].
pub(super) async fn run<DB>(migrator: &Migrator, pool: &Pool<DB>) -> Result<(), LedgerError>
where
    DB: Database,
    DB::Connection: Migrate,
{
    let mut connection = pool.acquire().await.map_err(failed)?;
    migrator.run_direct(None, &mut *connection, false).await.map_err(migration_failed)
}

/// `undefined_table` in Postgres; SQLite has no code of its own for it but `SQLITE_ERROR`, which this statement can have for no other
/// reason.
fn is_missing_table(error: &MigrateError) -> bool {
    let MigrateError::Execute(sqlx::Error::Database(error)) = error else { return false };
    matches!(error.code().as_deref(), Some("42P01" | "1"))
}

fn migration_failed(error: MigrateError) -> LedgerError {
    match error {
        MigrateError::Execute(error) => failed(error),
        MigrateError::ExecuteMigration(error, step) => match failed(error) {
            LedgerError::Refused(why) => {
                LedgerError::Refused(format!("step {step} of the schema: {why}"))
            }
            other => other,
        },
        error => LedgerError::Refused(error.to_string()),
    }
}
