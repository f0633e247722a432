//! Databases as earlier versions of the schema left them.

use std::{fs, path::PathBuf, process::Command};

use anyhow::Result;
use testbed::{folder::Folder, process::complete};

use crate::support::{Database, roles};

/// Copies what the older tables have room for. Triggers are for who writes one row after the other.
const SQLITE: &str = r#"
import sqlite3, sys
newest, older, step, *files = sys.argv[1:]
c = sqlite3.connect(older)
for file in files:
    c.executescript(open(file).read())
c.execute("ATTACH ? AS newest", (newest,))
triggers = c.execute("SELECT name, sql FROM main.sqlite_master WHERE type = 'trigger'").fetchall()
for name, _ in triggers:
    c.execute(f"DROP TRIGGER {name}")
for (table,) in c.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
    columns = ", ".join(f'"{row[1]}"' for row in c.execute(f"PRAGMA main.table_info({table})"))
    c.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newest.{table}")
for _, sql in triggers:
    c.execute(sql)
(steps,) = c.execute("SELECT sql FROM newest.sqlite_master WHERE name = '_sqlx_migrations'").fetchone()
c.execute(steps)
c.execute("INSERT INTO main._sqlx_migrations SELECT * FROM newest._sqlx_migrations WHERE version <= ?", (step,))
c.commit()
"#;

/// The same, in a schema of its own beside the newest.
const POSTGRES: &str = "
SET session_replication_role = replica;
DO $$
DECLARE older record;
BEGIN
    FOR older IN SELECT table_name AS name, string_agg(quote_ident(column_name), ', ') AS columns
        FROM information_schema.columns WHERE table_schema = 'public' AND is_generated = 'NEVER' GROUP BY table_name
    LOOP
        EXECUTE format('INSERT INTO public.%I (%s) SELECT %s FROM newest.%I', older.name, older.columns, older.columns, older.name);
    END LOOP;
END $$;
ALTER TABLE newest._sqlx_migrations SET SCHEMA public;
DROP SCHEMA newest CASCADE;
DELETE FROM _sqlx_migrations WHERE version > ";

impl Database {
    /// The files of the schema, in their order.
    pub(crate) fn steps(&self) -> Result<Vec<PathBuf>> {
        let kind = match self {
            Self::Sqlite { .. } => "sqlite",
            Self::Postgres { .. } => "postgres",
        };
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../migrations").join(kind);
        let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
        let mut files: Vec<PathBuf> = files.collect::<Result<_>>()?;
        files.sort();
        Ok(files)
    }

    /// The same rows under the schema as it was after its first `step` steps.
    pub(crate) fn older(&self, step: usize) -> Result<Self> {
        let copy = self.copy()?;
        let steps = self.steps()?;
        let files = steps.get(..step).unwrap_or_default();
        match &copy {
            Self::Sqlite { clock, .. } => {
                let older = Self::Sqlite { folder: Folder::make()?, clock: clock.clone() };
                let mut python = Command::new("python3");
                python.args(["-c", SQLITE]).arg(copy.file()).arg(older.file());
                complete(python.arg(step.to_string()).args(files))?;
                Ok(older)
            }
            Self::Postgres { server, name } => {
                let aside = "ALTER SCHEMA public RENAME TO newest; CREATE SCHEMA public";
                server.psql(name, aside)?;
                server.psql(name, &roles()?)?;
                for file in files {
                    let sql = fs::read_to_string(file)?;
                    server.psql(name, &format!("SET ROLE strongroom_owner; {sql}"))?;
                }
                server.psql(name, &format!("{POSTGRES}{step}"))?;
                server.psql(name, &roles()?)?;
                Ok(copy)
            }
        }
    }
}
