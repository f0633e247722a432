//! Writers that are killed, servers that stand still, and whoever waits for a word.

use std::{pin::pin, process::Command, thread::JoinHandle, time::Duration};

use anyhow::{Context as _, Result};
use futures::{FutureExt as _, future::join};
use rustix::process::{Pid, Signal, kill_process};
use strongroomd::ledger::{Draft, LedgerError, Rows};
use testbed::wait::{Look, until};
use tokio::time::timeout;

use crate::support::{A, Database, entry, make, ring};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_change_whose_connection_is_killed_in_the_middle_leaves_nothing() -> Result<()> {
    testbed::run(async {
        let database = Database::postgres().await?;
        let (ledger, made) = (database.open(A).await?, make(A));
        ledger.create(&made.dump).await?;
        let before = made.state(&*ledger).await;
        let mut draft = Draft::new(&before, None);
        draft.put_version(made.staged(2), entry("key.staged"));
        let change = draft.seal(&made.key)?;

        let gate = Gate::close(&database).await?;
        let killed = async {
            let pid = gate.held().await?;
            gate.psql(&format!("SELECT pg_terminate_backend({pid})"))
        };
        let (outcome, killed) = join(ledger.commit(&change), killed).await;
        killed?;
        let away = outcome.unwrap_err();
        assert!(matches!(away, LedgerError::Away(_)), "{away}");
        drop(gate);
        let after = made.state(&*ledger).await.into_rows();
        assert_eq!(after, Rows { now: after.now, ..before.into_rows() });
        ledger.commit(&change).await?;
        Ok(())
    })
}

#[test]
fn a_process_that_is_killed_in_the_middle_of_a_change_leaves_nothing() -> Result<()> {
    testbed::run(async {
        let database = Database::sqlite()?;
        let (ledger, made) = (database.open(A).await?, make(A));
        ledger.create(&made.dump).await?;
        let before = ledger.read(&ring()).await?.unwrap();
        // So little room that it writes into the log before it is done.
        let script = "import os, sqlite3, sys\n\
            c = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
            c.execute('PRAGMA cache_size = 1')\n\
            c.execute('BEGIN IMMEDIATE')\n\
            c.execute('UPDATE heads SET revision = revision + 1')\n\
            for i in range(2, 2000):\n\
            \x20   c.execute('INSERT INTO audit SELECT cluster, ring, ?, at, actor, action, subject, ?, previous, hash FROM audit WHERE seq = 1', (i, 'x' * 500))\n\
            os.kill(os.getpid(), 9)";
        let output = Command::new("python3").args(["-c", script]).arg(database.file()).output()?;
        let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
        assert_eq!(signal, Some(9), "{}", String::from_utf8_lossy(&output.stderr));
        let after = ledger.read(&ring()).await?.unwrap();
        assert_eq!(after, Rows { now: after.now, ..before });
        made.change(&*ledger, |draft| draft.record(entry("goes on"))).await;
        Ok(())
    })
}

/// Else a lease that runs out while its holder writes would be taken, and the write still be made.
#[test]
fn nobody_takes_the_lease_in_the_middle_of_its_holders_change() -> Result<()> {
    testbed::run(async {
        let database = Database::postgres().await?;
        let (ledger, made) = (database.open(A).await?, make(A));
        ledger.create(&made.dump).await?;
        let lease = ledger.lease("cp-1/a").await?;
        let mut draft = Draft::new(&made.state(&*ledger).await, Some(&lease));
        draft.record(entry("led"));
        let change = draft.seal(&made.key)?;
        let gate = Gate::close(&database).await?;
        let taken = async {
            gate.held().await?;
            let taken = gate.psql("SET lock_timeout = '200ms'; UPDATE leases SET until = 1");
            drop(gate);
            anyhow::Ok(taken)
        };
        let (outcome, taken) = join(ledger.commit(&change), taken).await;
        outcome?;
        let refused = format!("{:#}", taken?.unwrap_err());
        assert!(refused.contains("lock timeout"), "{refused}");
        Ok(())
    })
}

#[test]
fn a_server_that_stands_still_is_away_and_costs_one_call() -> Result<()> {
    testbed::run(async {
        let database = Database::postgres().await?;
        let (ledger, made) = (database.open(A).await?, make(A));
        ledger.create(&made.dump).await?;
        let mut draft = Draft::new(&made.state(&*ledger).await, None);
        draft.record(entry("late"));
        let change = draft.seal(&made.key)?;

        let gate = Gate::close(&database).await?;
        let stopped = async {
            let stopped = Stopped::stop(gate.held().await?)?;
            drop(gate);
            anyhow::Ok(stopped)
        };
        let (outcome, stopped) = join(ledger.commit(&change), stopped).await;
        let stopped = stopped?;
        let away = outcome.unwrap_err().to_string();
        assert!(away.contains("no answer in 10 seconds"), "{away}");
        assert!(away.contains("Postgres at 127.0.0.1:"), "{away}");
        assert_eq!(made.state(&*ledger).await.head.revision, 1, "another connection answers");
        drop(stopped);
        // What was given up was not made, and lets go of its locks.
        until("the change is made", SOON, async || {
            Ok(match ledger.commit(&change).await {
                Ok(()) => Look::Done(()),
                Err(error) => Look::NotYet(error.to_string()),
            })
        })
        .await?;
        assert_eq!(made.state(&*ledger).await.head.audit_seq, 2);
        Ok(())
    })
}

#[test]
fn one_change_wakes_all_who_wait_and_so_does_a_lost_connection() -> Result<()> {
    testbed::run(async {
        for database in [Database::sqlite()?, Database::postgres().await?] {
            let (ledger, made) = (database.open(A).await?, make(A));
            ledger.create(&made.dump).await?;
            // The word of what was before somebody waited.
            let _ = ledger.changed().now_or_never();
            let mut waiting = pin!(join(ledger.changed(), ledger.changed()));
            tokio::select! {
                biased;
                _ = &mut waiting => anyhow::bail!("{}: woken for nothing", database.name()),
                listens = listens(&database) => listens?,
            }
            made.change(&*ledger, |draft| draft.record(entry("a word"))).await;
            timeout(SOON, waiting).await.context("both are woken")?;

            if matches!(database, Database::Postgres { .. }) {
                let mut waiting = pin!(ledger.changed());
                tokio::select! {
                    biased;
                    () = &mut waiting => {}
                    listens = listens(&database) => listens?,
                }
                database.sql(&format!("SELECT pg_terminate_backend(pid) FROM {LISTENER}")).unwrap();
                timeout(SOON, waiting).await.context("a word may have been missed")?;
            }
        }
        Ok(())
    })
}

const LISTENER: &str =
    "pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";

async fn listens(database: &Database) -> Result<()> {
    if matches!(database, Database::Sqlite { .. }) {
        return Ok(());
    }
    until("it listens", SOON, async || {
        let listening = database.sql(&format!("SELECT count(*) FROM {LISTENER}")).unwrap();
        Ok(if listening.trim() == "1" { Look::Done(()) } else { Look::NotYet(listening) })
    })
    .await
}

/// While it is closed, changes stop between the head and the audit records.
struct Gate {
    server: &'static testbed::Postgres,
    name: String,
    session: Option<JoinHandle<()>>,
}

impl Gate {
    async fn close(database: &Database) -> Result<Self> {
        let Database::Postgres { server, name } = database else { anyhow::bail!("it is a file") };
        let (server, name) = (*server, name.clone());
        let of = name.clone();
        let session = std::thread::spawn(move || {
            let lock = "BEGIN; LOCK TABLE audit IN EXCLUSIVE MODE; SELECT 'gate', pg_sleep(60)";
            // It ends by being terminated.
            let _ = server.psql(&of, lock);
        });
        let this = Self { server, name, session: Some(session) };
        until("the gate is closed", SOON, async || {
            let locks = "SELECT count(*) FROM pg_locks WHERE mode = 'ExclusiveLock' AND granted
                AND relation = 'audit'::regclass AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
            let seen = this.psql(locks)?;
            Ok(if seen.trim() == "1" { Look::Done(()) } else { Look::NotYet(seen) })
        })
        .await?;
        Ok(this)
    }

    fn psql(&self, sql: &str) -> Result<String> {
        self.server.psql(&self.name, sql)
    }

    /// The server's process that stands before the gate.
    async fn held(&self) -> Result<String> {
        until("a change is held", SOON, async || {
            let waits = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()
                AND application_name = 'strongroomd' AND wait_event_type = 'Lock'";
            let seen = self.psql(waits)?.trim().to_owned();
            Ok(if seen.is_empty() { Look::NotYet("nobody waits".into()) } else { Look::Done(seen) })
        })
        .await
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.psql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()",
        );
        if let Some(session) = self.session.take() {
            let _ = session.join();
        }
    }
}

/// A process that stands still, and goes on when this is dropped.
struct Stopped(Pid);

impl Stopped {
    fn stop(pid: String) -> Result<Self> {
        let pid = Pid::from_raw(pid.parse()?).context("a process id")?;
        kill_process(pid, Signal::STOP)?;
        Ok(Self(pid))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}
