//! Daemons and their ledgers: files that somebody edits, servers that two bring up to date at once.

use std::{process::Command, thread, time::Duration};

use anyhow::Result;
use testbed::{
    Daemon, Postgres,
    folder::Folder,
    wait::{Look, until},
};

const SOON: Duration = Duration::from_secs(60);

/// What is done to the file, and what readiness then says.
const EDITS: &[(&str, &str, &str)] = &[
    ("versions", "UPDATE versions SET state = 'deactivated'", "versions etcd/v1/"),
    ("heads", "UPDATE heads SET generation = generation + 1", "heads etcd was changed"),
    (
        "versions",
        "UPDATE versions SET wraps = zeroblob(1), state = 'destroyed', destroy_requested_by = 'a', destroy_approved_by = 'b', destroy_wait = 1, destroy_observed = 1",
        "versions etcd/v1/",
    ),
    (
        "replicas",
        "UPDATE replicas SET removed_by = 'x', removed_at = 1",
        "replicas alone was changed",
    ),
    ("audit", "UPDATE audit SET actor = 'nobody' WHERE seq = 1", "audit 1 was changed"),
    ("audit", "DELETE FROM audit WHERE seq = 1", "audit 1 is missing"),
    ("bundles", "DELETE FROM bundles", "bundles"),
];

#[test]
fn edits_by_hand_are_named_and_the_last_good_bundle_serves_on() -> Result<()> {
    testbed::run(async {
        for (table, edit, named) in EDITS {
            let folder = Folder::make()?;
            let mut daemon = Daemon::make(folder.path())?;
            daemon.rotate_alone("1s")?;
            daemon.init()?;
            daemon.start().await?;
            let plugin = daemon.plugin()?;
            let key_id = plugin.status().await.unwrap().key_id;
            ready(&daemon, "ok\n").await?;

            edit_behind_its_back(&daemon, table, edit);
            // Its next leader looks at everything; so does a new process.
            daemon.terminate().await?;
            daemon.start().await?;
            ready(&daemon, named).await?;
            let status = daemon.plugin()?.status().await.unwrap();
            assert_eq!((status.key_id, status.healthz.as_str()), (key_id, "ok"), "{edit}");
            let (seed, wrapped) = daemon.plugin()?.make_seed().await?;
            assert_eq!(daemon.plugin()?.unwrap_seed(&wrapped).await?, seed);
        }
        Ok(())
    })
}

#[test]
fn two_that_migrate_and_start_at_once_do_it_once() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let postgres = Postgres::start(&folder.part("postgres")?).await?;
        let make = |name| {
            let daemon = Daemon::make(&folder.part(name)?)?;
            daemon.rotate_with(&postgres, name)?;
            anyhow::Ok(daemon)
        };
        let (mut one, mut other) = (make("cp-1")?, make("cp-2")?);
        thread::scope(|both| {
            let first = both.spawn(|| one.migrate(&postgres));
            other.migrate(&postgres).and(first.join().unwrap())
        })?;
        let applied = "SELECT count(*) = max(version) AND bool_and(success) FROM _sqlx_migrations";
        assert_eq!(postgres.sql(applied)?.trim(), "t");
        postgres.grant()?;
        one.init()?;
        other.copy_root(&one)?;
        other.copy_cluster(&one)?;
        let (first, second) = tokio::join!(one.start(), other.start());
        first.and(second)?;
        for daemon in [&one, &other] {
            ready(daemon, "ok\n").await?;
        }
        Ok(())
    })
}

async fn ready(daemon: &Daemon, wanted: &str) -> Result<()> {
    until(&format!("readiness says {wanted:?}"), SOON, async || {
        let (status, text) = daemon.admin("/readyz").await?;
        Ok(if status == 200 && text.contains(wanted) {
            Look::Done(())
        } else {
            Look::NotYet(format!("{status} {text}"))
        })
    })
    .await
}

fn edit_behind_its_back(daemon: &Daemon, table: &str, edit: &str) {
    let script = "import sqlite3, sys\n\
        c = sqlite3.connect(sys.argv[1], timeout=10)\n\
        for (name,) in c.execute(\"SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?\", (sys.argv[2],)).fetchall():\n\
        \u{20}   c.execute('DROP TRIGGER ' + name)\n\
        c.execute(sys.argv[3])\n\
        c.commit()";
    let mut done = Command::new("python3");
    done.args(["-c", script]).arg(daemon.ledger()).args([table, edit]);
    let done = done.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
