//! What holds whoever writes: constraints, triggers, rights; and the versions of the schema.

use std::{
    fs,
    sync::{Arc, atomic::AtomicU64},
};

use anyhow::Result;
use envelope::{KeyId, RootId, WrappedKey, bundle::State as VersionState};
use strongroomd::{
    ledger::{
        Change, Destruction, Draft, HeadRow, HoldRow, Ledger, LedgerError, PostgresLedger,
        PostgresOptions, ReplicaRow, Rows, RunRow, SqliteLedger, VersionRow,
    },
    rotation::{Act, wrapped},
};
use testbed::folder::Folder;

use crate::support::{A, B, Database, Made, SetClock, entry, make, ring, roles};

/// As whoever owns the database writes it: a statement, and a part of the refusal.
const REFUSED: &[(&str, &str)] = &[
    ("UPDATE versions SET version = 9", "never change"),
    ("UPDATE versions SET key_id = 'etcd/v9/000000000000'", "never change"),
    ("UPDATE versions SET created = created + 1", "never change"),
    ("UPDATE versions SET activated = activated + 1", "never change"),
    ("UPDATE versions SET state = 'pre_active' WHERE version = 1", "no such transition"),
    ("UPDATE versions SET state = 'lost' WHERE version = 1", "no such transition"),
    // Version 2 is deactivated and under a hold.
    ("UPDATE versions SET state = 'archived' WHERE version = 2", "a hold keeps this version"),
    ("UPDATE versions SET state = 'active' WHERE version = 2", "no such transition"),
    // Version 3 is pre-active.
    ("UPDATE versions SET state = 'destroyed' WHERE version = 3", "a hold keeps this version"),
    ("UPDATE versions SET state = 'active', activated = 9 WHERE version = 3", "nique"),
    ("UPDATE versions SET destroy_wait = 1 WHERE version = 2", "CHECK"),
    ("UPDATE versions SET wraps = substr(wraps, 1, 1) WHERE version = 2", "CHECK"),
    // Its key under another number, a number that its id does not say, and an id that exists.
    (
        "INSERT INTO versions (cluster, ring, version, key_id, created, state, changed, wraps, mac) SELECT cluster, ring, 9, replace(key_id, '/v1/', '/v9/'), created, 'deactivated', changed, wraps, mac FROM versions WHERE version = 1",
        "nique",
    ),
    (
        "INSERT INTO versions (cluster, ring, version, key_id, created, state, changed, wraps, mac) SELECT cluster, ring, 9, 'etcd/v8/00000000000a', created, 'deactivated', changed, wraps, mac FROM versions WHERE version = 1",
        "CHECK",
    ),
    ("DELETE FROM versions", "nothing is deleted"),
    ("UPDATE heads SET revision = revision - 1", "only grow"),
    ("UPDATE heads SET generation = generation - 1, revision = revision + 1", "only grow"),
    ("DELETE FROM heads", "nothing is deleted"),
    ("DELETE FROM clusters", "nothing is deleted"),
    ("UPDATE clusters SET created = 1", "never change"),
    ("UPDATE clusters SET ledger_key_id = 'state/v9/000000000000'", "never change"),
    ("UPDATE clusters SET ledger_key_wraps = substr(ledger_key_wraps, 1, 1)", "never change"),
    ("UPDATE holds SET until = 1", "only released"),
    ("UPDATE holds SET reason = ''", "only released"),
    ("UPDATE holds SET released_by = 'x'", "CHECK"),
    ("DELETE FROM holds", "nothing is deleted"),
    ("UPDATE runs SET state = 'open' WHERE id = 1", "what was begun or has ended stays"),
    ("UPDATE runs SET from_version = 9 WHERE id = 2", "what was begun or has ended stays"),
    ("UPDATE runs SET state = 'cancelled', activated = 1 WHERE id = 2", "CHECK"),
    ("UPDATE runs SET reason = 'another' WHERE id = 2", "what was begun or has ended stays"),
    ("DELETE FROM runs", "nothing is deleted"),
    ("UPDATE replicas SET name = 'cp-2'", "never given to another"),
    ("DELETE FROM replicas", "nothing is deleted"),
    ("UPDATE leases SET epoch = epoch - 1", "the epoch grows"),
    ("UPDATE leases SET holder = 'cp-2/b'", "the epoch grows"),
    ("DELETE FROM leases", "nothing is deleted"),
    ("UPDATE audit SET actor = 'nobody'", "append-only"),
    ("DELETE FROM audit", "nothing is deleted"),
    ("UPDATE bundles SET generation = generation + 10", "append-only"),
    ("DELETE FROM bundles", "nothing is deleted"),
    ("UPDATE activations SET at = 1", "append-only"),
    ("UPDATE checkpoints SET at = 1", "append-only"),
    ("DELETE FROM checkpoints", "nothing is deleted"),
    ("UPDATE versions SET mac = substr(mac, 1, 31) WHERE version = 1", "CHECK"),
    (
        "INSERT INTO audit SELECT cluster, ring, seq + 500, at, actor, action, subject, detail, previous, hash FROM audit WHERE seq = 1",
        "without a gap",
    ),
    (
        "INSERT INTO activations SELECT cluster, ring, version, at, generation FROM activations",
        "nique",
    ),
    (
        "INSERT INTO runs SELECT cluster, ring, id + 1, trigger, reason, requested_by, begun, from_version, to_version, activated, converged, state, ended, outcome, mac FROM runs WHERE id = 2",
        "nique",
    ),
];

#[test]
fn rules_hold_whoever_writes() -> Result<()> {
    testbed::run(async {
        for database in Database::both().await? {
            fill(&database).await?;
            refuses_all(&database);
            let ledger = database.open(A).await?;
            assert!(ledger.read(&ring()).await?.is_some());
        }
        Ok(())
    })
}

/// Tries each of [`REFUSED`] on what [`fill`] made.
fn refuses_all(database: &Database) {
    for (statement, refusal) in REFUSED {
        let refused = database.sql(statement).err();
        let refused = refused.unwrap_or_else(|| panic!("{}: {statement}", database.name()));
        // The two word a violated constraint differently.
        let found = refused.to_lowercase();
        assert!(
            found.contains(&refusal.to_lowercase()),
            "{}: {statement}: {refused}",
            database.name()
        );
    }
}

/// Versions 1 active, 2 deactivated, 3 pre-active, all under a hold; a cancelled run and an open one; a checkpoint.
async fn fill(database: &Database) -> Result<Made> {
    let ledger = database.open(A).await?;
    let made = make(A);
    ledger.create(&made.dump).await?;
    let apply = async |act: Act| {
        made.change(&*ledger, |draft| act.apply(draft, "uid:0").unwrap()).await;
    };
    apply(Act::Join { replica: "cp-1".into() }).await;
    for version in [2, 3] {
        apply(Act::Begin { trigger: "manual", reason: String::new() }).await;
        made.change(&*ledger, |draft| {
            let step = strongroomd::rotation::Step::Stage { version };
            strongroomd::rotation::take(&step, draft, "leader", Some(made.staged(version)))
                .unwrap();
        })
        .await;
        if version == 2 {
            apply(Act::Cancel { reason: String::new() }).await;
        }
    }
    apply(Act::AddHold {
        first: None,
        last: None,
        until: 4_000_000_000,
        reason: "a backup".into(),
    })
    .await;
    made.change(&*ledger, |draft| draft.checkpoint()).await;
    ledger.lease("cp-1/a").await?;
    Ok(made)
}

#[test]
fn no_table_is_emptied_at_once() -> Result<()> {
    testbed::run(async {
        let database = Database::postgres().await?;
        fill(&database).await?;
        let tables = database.sql(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations'",
        );
        let tables = tables.unwrap();
        assert_eq!(tables.lines().count(), 12);
        for table in tables.lines() {
            let refused = database.sql(&format!("TRUNCATE {table} CASCADE")).unwrap_err();
            assert!(refused.contains("nothing is deleted"), "{table}: {refused}");
        }
        Ok(())
    })
}

/// Every step that a version may take; version 1 is active throughout.
const STEPS: &[(VersionState, &[VersionState])] = {
    use VersionState::{
        Archived, Compromised, Deactivated, DestroyScheduled, Destroyed, PreActive,
    };
    &[
        (PreActive, &[Deactivated, Destroyed, Compromised]),
        (Deactivated, &[Archived, Compromised]),
        (Archived, &[Deactivated, DestroyScheduled, Compromised]),
        (DestroyScheduled, &[Archived, Destroyed, Compromised]),
        (Compromised, &[Deactivated, Archived]),
        (Destroyed, &[]),
    ]
};

#[test]
fn a_version_takes_the_steps_that_there_are_and_a_hold_keeps_it_from_its_end() -> Result<()> {
    use VersionState::{Archived, DestroyScheduled, Destroyed};
    testbed::run(async {
        for database in Database::both().await? {
            let ledger = database.open(A).await?;
            let made = make(A);
            ledger.create(&made.dump).await?;
            let commit = async |row: &VersionRow| {
                let mut draft = Draft::new(&made.state(&*ledger).await, None);
                draft.put_version(row.clone(), entry("step"));
                ledger.commit(&draft.seal(&made.key).unwrap()).await
            };
            let mut number = 1;
            for held in [false, true] {
                for (from, allowed) in STEPS {
                    for (to, _) in STEPS.iter().filter(|(to, _)| to != from) {
                        number += 1;
                        let staged = made.staged(number);
                        commit(&in_state(staged.clone(), *from)).await?;
                        if held {
                            hold(&made, &*ledger, number).await;
                        }
                        let ends = matches!(to, DestroyScheduled | Destroyed)
                            || *to == Archived && *from != DestroyScheduled;
                        let outcome = commit(&in_state(staged, *to)).await;
                        let what = format!("{}: {from:?} to {to:?}, held: {held}", database.name());
                        if allowed.contains(to) && !(held && ends) {
                            outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
                        } else {
                            let refused = outcome.expect_err(&what);
                            assert!(
                                matches!(refused, LedgerError::Refused(_)),
                                "{what}: {refused}"
                            );
                        }
                    }
                }
            }
            for approved_by in [None, Some("uid:1".to_owned())] {
                number += 1;
                let first = in_state(made.staged(number), DestroyScheduled);
                commit(&first).await?;
                let mut row = in_state(first, Destroyed);
                row.destruction.as_mut().unwrap().approved_by = approved_by;
                let refused = commit(&row).await.expect_err("it takes two people");
                assert!(matches!(refused, LedgerError::Refused(_)), "{refused}");
            }
            // Which takes all of them to have been written as they were meant.
            made.state(&*ledger).await;
        }
        Ok(())
    })
}

#[test]
fn what_a_destroyed_version_was_wrapped_as_lies_nowhere_any_more() -> Result<()> {
    testbed::run(async {
        for database in Database::both().await? {
            let (ledger, made) = (database.open(A).await?, make(A));
            ledger.create(&made.dump).await?;
            let row = made.staged(2);
            let wrapped = row.wraps[0].encode();
            made.change(&*ledger, |draft| draft.put_version(row.clone(), entry("key.staged")))
                .await;
            let carry = async || {
                let bundles = ledger.history(&ring()).await?.bundles;
                let carries =
                    |bytes: &[u8]| bytes.windows(wrapped.len()).any(|part| part == wrapped);
                let carrying = bundles.iter().filter(|bundle| carries(&bundle.bytes)).count();
                anyhow::Ok((carrying, bundles.len()))
            };
            assert_eq!(carry().await?, (1, 2), "{}", database.name());

            let row = in_state(row, VersionState::Destroyed);
            made.change(&*ledger, |draft| draft.put_version(row, entry("key.destroyed"))).await;
            assert_eq!(carry().await?, (0, 1), "{}", database.name());
            let state = made.state(&*ledger).await;
            assert_eq!(state.head.generation, 3);
            if let Database::Sqlite { .. } = database {
                database.sql("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
                let file = fs::read(database.file())?;
                assert!(!file.windows(wrapped.len()).any(|part| part == wrapped), "a free page");
            }
            let gone = database.sql("DELETE FROM bundles").unwrap_err();
            assert!(gone.contains("nothing is deleted but"), "{}: {gone}", database.name());
        }
        Ok(())
    })
}

#[test]
fn what_a_removed_root_wrapped_lies_nowhere_any_more() -> Result<()> {
    testbed::run(async {
        for database in Database::both().await? {
            let (ledger, made) = (database.open(A).await?, make(A));
            ledger.create(&made.dump).await?;
            let state = made.state(&*ledger).await;
            let keys: Vec<_> =
                wrapped(&state).map(|key| (key.id.clone(), key.wraps.to_vec())).collect();
            let old: Vec<_> = keys.iter().map(|(_, wraps)| wraps[0].encode()).collect();
            let new = RootId(*b"second");
            let wraps = |id: &KeyId| vec![WrappedKey::new(new, id.as_str().into()).unwrap()];
            let rewrap =
                Act::Rewrap { made: keys.iter().map(|(id, _)| (id.clone(), wraps(id))).collect() };
            made.change(&*ledger, |draft| rewrap.apply(draft, "uid:0").unwrap()).await;
            assert!(wrapped(&made.state(&*ledger).await).all(|key| key.wraps.len() == 2));
            // The table has it too, where a node that has no bundle yet begins to read.
            let of_clusters = ledger.read(&ring()).await?.unwrap().cluster.ledger_key;
            assert_eq!(of_clusters.wraps.len(), 2, "{}", database.name());

            let remove = Act::RemoveRoot {
                root: made.root.id(),
                reason: "moved".into(),
                proven: keys.iter().map(|(id, _)| (id.clone(), new)).collect(),
            };
            made.change(&*ledger, |draft| remove.apply(draft, "uid:0").unwrap()).await;
            let rows = ledger.read(&ring()).await?.unwrap();
            assert!(rows.cluster.ledger_key.wraps.iter().all(|wrap| wrap.root() == new));
            let bundles = ledger.history(&ring()).await?.bundles;
            assert_eq!(bundles.len(), 1, "{}", database.name());
            let carries = |bytes: &[u8]| {
                old.iter().any(|wrap| bytes.windows(wrap.len()).any(|part| part == &wrap[..]))
            };
            assert!(!carries(&bundles[0].bytes), "{}", database.name());
            if let Database::Sqlite { .. } = database {
                database.sql("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
                assert!(!carries(&fs::read(database.file())?), "a free page");
            }
            // The newest never goes.
            let gone = database.sql("DELETE FROM bundles").unwrap_err();
            assert!(gone.contains("nothing is deleted but"), "{}: {gone}", database.name());
        }
        Ok(())
    })
}

fn in_state(row: VersionRow, state: VersionState) -> VersionRow {
    use VersionState::{DestroyScheduled, Destroyed};
    let destruction = matches!(state, DestroyScheduled | Destroyed).then(|| Destruction {
        requested_by: "uid:1".into(),
        wait: 1,
        observed: 1,
        approved_by: (state == Destroyed).then(|| "uid:2".into()),
    });
    let wraps = if state == Destroyed { Vec::new() } else { row.wraps.clone() };
    VersionRow { state, destruction, wraps, ..row }
}

async fn hold(made: &Made, ledger: &dyn Ledger, number: u32) {
    made.change(ledger, |draft| {
        let row = HoldRow {
            id: draft.state().holds.len() as u64 + 1,
            first: number,
            last: number,
            until: 4_000_000_000,
            reason: "a backup".into(),
            added_by: "uid:0".into(),
            added_at: 1,
            released: None,
            mac: [0; 32],
        };
        draft.put_hold(row, entry("hold.added"));
    })
    .await;
}

/// Else the new MAC would stand over an old column, and the ledger would look as if somebody had edited it.
#[test]
fn a_change_of_what_never_changes_is_refused_and_changes_nothing() -> Result<()> {
    testbed::run(async {
        for database in Database::both().await? {
            fill(&database).await?;
            let ledger = database.open(A).await?;
            let before = ledger.read(&ring()).await?.unwrap();
            let mut changes: Vec<Change> = Vec::new();
            let change = Change {
                ring: ring(),
                planned_on: before.head.revision,
                planned_on_mac: before.head.mac,
                lease: None,
                head: HeadRow { revision: before.head.revision + 1, ..before.head.clone() },
                versions: Vec::new(),
                holds: Vec::new(),
                runs: Vec::new(),
                replicas: Vec::new(),
                activation: None,
                bundle: None,
                audit: Vec::new(),
                checkpoint: None,
                ledger_key: None,
                lets_go: false,
            };
            let version = VersionRow { created: 9, ..before.versions[0].clone() };
            changes.push(Change { versions: vec![version], ..change.clone() });
            let hold = HoldRow { reason: "another".into(), ..before.holds[0].clone() };
            changes.push(Change { holds: vec![hold], ..change.clone() });
            let run = RunRow { begun: 9, ..before.runs[1].clone() };
            changes.push(Change { runs: vec![run], ..change.clone() });
            let replica = ReplicaRow { name: "cp-9".into(), ..before.replicas[0].clone() };
            changes.push(Change { replicas: vec![replica], ..change.clone() });
            for change in changes {
                let refused = ledger.commit(&change).await.unwrap_err();
                assert!(
                    matches!(&refused, LedgerError::Refused(why) if why.contains("never changes")),
                    "{refused}"
                );
            }
            let after = ledger.read(&ring()).await?.unwrap();
            assert_eq!(after, Rows { now: after.now, ..before });
            // And the same change without any of them is made.
            ledger.commit(&change).await?;
        }
        Ok(())
    })
}

#[test]
fn the_role_of_the_daemons_can_neither_delete_nor_change_tables_nor_see_other_clusters()
-> Result<()> {
    testbed::run(async {
        let database = Database::postgres().await?;
        for cluster in [A, B] {
            database.open(cluster).await?.create(&make(cluster).dump).await?;
        }
        let as_runtime = |cluster: &str, sql: &str| {
            database
                .sql(&format!("SET ROLE strongroom; SET strongroom.cluster = '{cluster}'; {sql}"))
        };
        for refused in [
            "DELETE FROM versions",
            "TRUNCATE audit",
            "DROP TABLE audit CASCADE",
            "ALTER TABLE audit DISABLE TRIGGER ALL",
            "UPDATE clusters SET created = 1",
            "UPDATE audit SET at = 1",
            "UPDATE versions SET key_id = ''",
            "UPDATE holds SET until = 1",
            "CREATE TABLE mine (x int)",
            "CREATE TEMPORARY TABLE holds (x int)",
            "INSERT INTO _sqlx_migrations SELECT * FROM _sqlx_migrations",
        ] {
            let error = as_runtime(&A.to_string(), refused).err();
            let error = error.unwrap_or_else(|| panic!("{refused} was done"));
            assert!(
                error.contains("permission denied") || error.contains("must be owner"),
                "{refused}: {error}"
            );
        }
        // No WHERE names a cluster, and still only rows of one are there.
        for table in ["clusters", "heads", "versions", "bundles", "audit"] {
            let count = format!("SELECT count(*) FROM {table}");
            assert_eq!(as_runtime(&A.to_string(), &count).unwrap().trim(), "1", "{table}");
            assert_eq!(as_runtime("", &count).unwrap().trim(), "0", "{table}, of no cluster");
        }
        // Nor is the owner of the tables let past it.
        let owner = "SET ROLE strongroom_owner; SELECT count(*) FROM versions";
        assert_eq!(database.sql(owner).unwrap().trim(), "0");
        for cluster in [A, B] {
            database.open(cluster).await?.lease("cp-1/a").await?;
        }
        as_runtime(&A.to_string(), "UPDATE leases SET until = 1").unwrap();
        let left = database.sql("SELECT encode(cluster, 'hex') FROM leases WHERE until > 1");
        assert_eq!(left.unwrap().trim(), B.to_string());
        let theirs = format!("INSERT INTO leases VALUES (decode('{B}', 'hex'), 'x', 1, 1)");
        let error = as_runtime(&A.to_string(), &theirs).unwrap_err();
        assert!(error.contains("row-level security"), "{error}");
        Ok(())
    })
}

#[test]
fn each_older_schema_with_data_is_migrated_once_and_a_newer_one_is_refused() -> Result<()> {
    testbed::run(async {
        for database in Database::both().await? {
            let made = fill(&database).await?;
            let newest = database.steps()?.len();
            let number = i64::try_from(newest)?;
            for step in 1..newest {
                let older = database.older(step)?;
                match &older {
                    Database::Sqlite { .. } => {
                        let (one, other) = tokio::join!(older.open(A), older.open(A));
                        drop((one?, other?));
                    }
                    Database::Postgres { .. } => {
                        let refused =
                            PostgresLedger::open(&older.options("strongroom"), A).await.err();
                        let Some(LedgerError::SchemaOlder { found, needed }) = refused else {
                            panic!("step {step}: {refused:?}")
                        };
                        assert_eq!((found, needed), (i64::try_from(step)?, number));
                        let owner = older.options("strongroom_owner");
                        let (one, other) = tokio::join!(
                            PostgresLedger::migrate(&owner),
                            PostgresLedger::migrate(&owner)
                        );
                        one.and(other)?;
                        older.sql(&roles()?).unwrap();
                    }
                }
                let applied = older.sql("SELECT count(*) FROM _sqlx_migrations").unwrap();
                assert_eq!(applied.trim(), newest.to_string());
                let ledger = older.open(A).await?;
                made.change(&*ledger, |draft| {
                    draft.record(entry("migrated"));
                    draft.checkpoint();
                })
                .await;
                made.state(&*ledger).await;
                refuses_all(&older);
            }

            let newer = "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
                SELECT 99, 'later', installed_on, success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1";
            database.sql(newer).unwrap();
            let refused: LedgerError = database.open(A).await.unwrap_err().downcast()?;
            let LedgerError::SchemaNewer { found, needed } = refused else { panic!("{refused}") };
            assert_eq!((found, needed), (99, number));
        }
        Ok(())
    })
}

/// Both look alike to who only asks which steps there are.
#[test]
fn an_empty_database_is_told_from_one_that_may_not_be_looked_at() -> Result<()> {
    testbed::run(async {
        let database = Database::postgres().await?;
        let open = async || PostgresLedger::open(&database.options("strongroom"), A).await.err();
        database.sql("REVOKE SELECT ON _sqlx_migrations FROM strongroom").unwrap();
        let refused = open().await;
        assert!(matches!(refused, Some(LedgerError::Refused(_))), "{refused:?}");
        let empty = "DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO strongroom";
        database.sql(empty).unwrap();
        let older = open().await;
        assert!(
            matches!(older, Some(LedgerError::SchemaOlder { found: 0, needed: 4 })),
            "{older:?}"
        );
        Ok(())
    })
}

#[test]
fn a_step_that_was_applied_in_another_form_is_refused() -> Result<()> {
    testbed::run(async {
        for database in Database::both().await? {
            drop(database.open(A).await?);
            let zeros = match &database {
                Database::Sqlite { .. } => "x'00'",
                Database::Postgres { .. } => "'\\x00'",
            };
            database
                .sql(&format!("UPDATE _sqlx_migrations SET checksum = {zeros} WHERE version = 2"))
                .unwrap();
            let refused: LedgerError = database.open(A).await.unwrap_err().downcast()?;
            assert!(
                matches!(&refused, LedgerError::Refused(why) if why.contains("step 2")),
                "{refused}"
            );
        }
        Ok(())
    })
}

#[test]
fn many_daemons_that_open_a_new_file_at_once_all_find_it_ready() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let path = folder.path().join("ledger.db");
        let clock = Arc::new(SetClock(AtomicU64::new(1)));
        let opened = (0..8).map(|_| SqliteLedger::open(&path, A, Arc::clone(&clock) as _));
        for opened in futures::future::join_all(opened).await {
            opened?;
        }
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path)?.permissions());
        assert_eq!(mode & 0o777, 0o600);
        Ok(())
    })
}

#[test]
fn nobody_but_the_right_server_is_believed() -> Result<()> {
    testbed::run(async {
        let database = Database::postgres().await?;
        let good = database.options("strongroom");
        let stranger = {
            let folder = Folder::make()?;
            let certs = testbed::certs::Certs::make(&folder.part("certs")?)?;
            PostgresOptions { ca_file: Some(certs.authority.clone()), ..good.clone() }
        };
        let url = |from: &str, to: &str| PostgresOptions {
            url: good.url.replace(from, to),
            ..good.clone()
        };
        let no_tls =
            PostgresOptions { url: format!("{}?sslmode=disable", good.url), ..good.clone() };
        let cases = [
            ("another authority", stranger, "away"),
            ("no authority", PostgresOptions { ca_file: None, ..good.clone() }, "away"),
            (
                "a wrong password",
                PostgresOptions { password: Some("x".to_owned().into()), ..good.clone() },
                "away",
            ),
            ("a password in the URL", url("strongroom@", "strongroom:secret@"), "refused"),
            (
                "far away and unverified",
                PostgresOptions {
                    url: "postgres://u@db.example/x?sslmode=require".into(),
                    ..good.clone()
                },
                "refused",
            ),
            (
                "a password behind the URL",
                url("/ledger", "/x?password=secret&x=/ledger"),
                "refused",
            ),
            (
                "a parameter that is not ours",
                url("/ledger", "/x?passwd=secret&x=/ledger"),
                "refused",
            ),
            ("unencrypted, which this server refuses", no_tls, "away"),
            ("no URL", PostgresOptions { url: "db.example".into(), ..good.clone() }, "refused"),
        ];
        for (what, options, expected) in cases {
            let error = PostgresLedger::open(&options, A).await.err();
            let kind = match &error {
                Some(LedgerError::Away(_)) => "away",
                Some(LedgerError::Refused(_)) => "refused",
                _ => "something else",
            };
            assert_eq!(kind, expected, "{what}: {error:?}");
            let said = error.map(|error| error.to_string()).unwrap_or_default();
            assert!(!said.contains("secret"), "{what}: {said}");
            if kind == "away" {
                assert!(said.contains("Postgres at 127.0.0.1:"), "{what}: {said}");
                assert!(said.contains("Check [ledger] in the configuration"), "{what}: {said}");
            }
        }
        PostgresLedger::open(&good, A).await?;
        Ok(())
    })
}
