//! Whoever owns the database edits it by hand. Every row that carries a decision is found out, by its name.

use anyhow::Result;
use strongroomd::{ledger::State, rotation::Act};

use crate::support::{A, Database, Made, entry, make, ring};

/// What is done behind our back with the triggers off, and table and row that are named.
const EDITS: &[(&str, &str, &str, &str)] = &[
    (
        "versions",
        "UPDATE versions SET state = 'deactivated' WHERE version = 1",
        "versions",
        "etcd/v1/",
    ),
    (
        "versions",
        "UPDATE versions SET wraps = (SELECT wraps FROM versions WHERE version = 2) WHERE version = 1",
        "versions",
        "etcd/v1/",
    ),
    ("versions", "UPDATE versions SET activated = 99 WHERE version = 1", "versions", "etcd/v1/"),
    ("versions", "DELETE FROM versions WHERE version = 2", "versions", "etcd/v2/"),
    ("heads", "UPDATE heads SET generation = generation + 1", "heads", "etcd"),
    ("heads", "UPDATE heads SET revision = revision + 1", "heads", "etcd"),
    ("holds", "UPDATE holds SET released_by = 'x', released_at = 1", "holds", "1"),
    ("holds", "UPDATE holds SET until = 1 WHERE id = 2", "holds", "2"),
    ("holds", "DELETE FROM holds WHERE id = 2", "holds", "2"),
    ("holds", "DELETE FROM holds WHERE id = 1", "holds", "1"),
    ("runs", "UPDATE runs SET state = 'done' WHERE id = 1", "runs", "1"),
    ("runs", "DELETE FROM runs WHERE id = 1", "runs", "1"),
    (
        "replicas",
        "UPDATE replicas SET removed_by = 'x', removed_at = 1 WHERE name = 'cp-2'",
        "replicas",
        "cp-2",
    ),
    ("replicas", "DELETE FROM replicas WHERE name = 'cp-2'", "replicas", "2"),
    (
        "bundles",
        "UPDATE bundles SET bytes = (SELECT bytes FROM bundles WHERE generation = 1) WHERE generation = 2",
        "bundles",
        "2",
    ),
    ("bundles", "DELETE FROM bundles WHERE generation = 2", "bundles", "2"),
    (
        "audit",
        "UPDATE audit SET actor = 'nobody' WHERE seq = (SELECT max(seq) FROM audit)",
        "audit",
        "",
    ),
    ("audit", "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)", "audit", ""),
    ("checkpoints", "UPDATE checkpoints SET at = at + 1", "checkpoints", ""),
    ("clusters", "UPDATE clusters SET ledger_key_id = 'state/v1/000000000000'", "clusters", ""),
];

#[test]
fn an_edit_by_hand_is_found_out_and_named() -> Result<()> {
    testbed::run(async {
        for filled in Database::both().await? {
            let made = fill(&filled).await?;
            for (table, edit, named, row) in EDITS {
                let database = filled.copy()?;
                database.sql_without_triggers(table, edit).unwrap();
                let rows = database.open(A).await?.read(&ring()).await?.unwrap();
                let tampered = State::verify(rows, &made.key).expect_err(edit);
                assert_eq!(tampered.table, *named, "{edit}: {tampered}");
                assert!(tampered.row.contains(row), "{edit}: {tampered}");
            }
        }
        Ok(())
    })
}

#[test]
fn an_old_copy_of_a_row_is_found_out_where_it_is_put_back() -> Result<()> {
    testbed::run(async {
        for database in Database::both().await? {
            let made = fill(&database).await?;
            database.sql("CREATE TABLE kept AS SELECT * FROM holds WHERE id = 1").unwrap();
            let ledger = database.open(A).await?;
            let release = Act::ReleaseHold { id: 1, reason: String::new() };
            made.change(&*ledger, |draft| release.apply(draft, "uid:0").unwrap()).await;
            database
                .sql_without_triggers(
                    "holds",
                    "UPDATE holds SET released_by = NULL, released_at = NULL, mac = (SELECT mac FROM kept) WHERE id = 1",
                )
                .unwrap();
            let rows = ledger.read(&ring()).await?.unwrap();
            let tampered = State::verify(rows, &made.key).unwrap_err();
            assert_eq!(
                (tampered.table, tampered.what.contains("old copy")),
                ("holds", true),
                "{tampered}"
            );
        }
        Ok(())
    })
}

/// A report that somebody invents would let a version become active before everybody has it.
#[test]
fn an_invented_report_is_found_out() -> Result<()> {
    testbed::run(async {
        for database in Database::both().await? {
            let made = fill(&database).await?;
            let zeros = match &database {
                Database::Sqlite { .. } => "zeroblob(32)",
                Database::Postgres { .. } => "decode(repeat('00', 32), 'hex')",
            };
            database
                .sql(&format!(
                    "INSERT INTO reports SELECT cluster, ring, 'cp-2', 1, 99, {zeros}, 99, 99, {zeros} FROM heads"
                ))
                .unwrap();
            let rows = database.open(A).await?.read(&ring()).await?.unwrap();
            let tampered = State::verify(rows, &made.key).unwrap_err();
            assert_eq!((tampered.table, tampered.row.as_str()), ("reports", "cp-2"), "{tampered}");
        }
        Ok(())
    })
}

async fn fill(database: &Database) -> Result<Made> {
    let ledger = database.open(A).await?;
    let made = make(A);
    ledger.create(&made.dump).await?;
    let hold = || Act::AddHold {
        first: None,
        last: None,
        until: 4_000_000_000,
        reason: "a backup".into(),
    };
    for act in [
        Act::Join { replica: "cp-1".into() },
        Act::Join { replica: "cp-2".into() },
        hold(),
        hold(),
        Act::Begin { trigger: "manual", reason: String::new() },
    ] {
        made.change(&*ledger, |draft| act.apply(draft, "uid:0").unwrap()).await;
    }
    made.change(&*ledger, |draft| {
        draft.put_version(made.staged(2), entry("key.staged"));
        draft.checkpoint();
    })
    .await;
    Ok(made)
}
