//! What both databases have in common, which is nearly everything: one text of each statement, one way to read each row.
//!
//! Macros instead of generic functions, because sqlx's traits would need a page of bounds for each.

pub(super) mod reading;
pub(super) mod writing;

use std::time::Duration;

use envelope::{FormatError, KeyId, bundle::State};
use sqlx::postgres::PgDatabaseError;

use super::{Destruction, LedgerError, rows::RunState};

/// Longest that a call takes: whoever waits for it has a lease of 15 seconds.
pub(super) const CALL: Duration = Duration::from_secs(10);
/// Longest that an export or import takes.
pub(super) const WHOLE: Duration = Duration::from_secs(600);

/// Times and counters are 64-bit and signed in both databases; ours stay far below 2^63.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What [`signed`] wrote.
pub(super) fn unsigned(table: &'static str, number: i64) -> Result<u64, LedgerError> {
    u64::try_from(number)
        .map_err(|_| malformed(table, &format!("{number} in a column that counts")))
}

pub(super) fn version_number(table: &'static str, number: i64) -> Result<u32, LedgerError> {
    u32::try_from(number).map_err(|_| malformed(table, &format!("version {number}")))
}

pub(super) fn bytes<const N: usize>(
    table: &'static str,
    bytes: &[u8],
) -> Result<[u8; N], LedgerError> {
    bytes
        .try_into()
        .map_err(|_| malformed(table, &format!("{} bytes where {N} belong", bytes.len())))
}

pub(super) fn key_id(table: &'static str, text: &str) -> Result<KeyId, LedgerError> {
    KeyId::parse(text).map_err(|error| malformed(table, &error.to_string()))
}

pub(super) fn state(word: &str) -> Result<State, LedgerError> {
    State::of_word(word).ok_or_else(|| malformed("versions", &format!("state {word:?}")))
}

pub(super) fn run_state(word: &str) -> Result<RunState, LedgerError> {
    RunState::of_word(word).ok_or_else(|| malformed("runs", &format!("state {word:?}")))
}

pub(super) fn format(table: &'static str) -> impl Fn(FormatError) -> LedgerError {
    move |error| malformed(table, &error.to_string())
}

pub(super) fn destruction(
    (requested_by, wait, observed, approved_by): (
        Option<String>,
        Option<i64>,
        Option<i64>,
        Option<String>,
    ),
) -> Result<Option<Destruction>, LedgerError> {
    let Some(requested_by) = requested_by else { return Ok(None) };
    let approved_by = name(approved_by);
    let number = |number: Option<i64>| unsigned("versions", number.unwrap_or(-1));
    Ok(Some(Destruction {
        requested_by,
        wait: number(wait)?,
        observed: number(observed)?,
        approved_by,
    }))
}

/// Nobody's name is empty, and the MAC does not tell an empty one from none (docs/format.md).
pub(super) fn name(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

pub(super) fn malformed(table: &'static str, what: &str) -> LedgerError {
    LedgerError::Malformed { table, what: what.into() }
}

/// A row was written, or what stands there says otherwise of what never changes.
pub(super) fn written(table: &'static str, rows: u64) -> Result<(), LedgerError> {
    if rows == 1 {
        return Ok(());
    }
    Err(LedgerError::Refused(format!(
        "{table}: a row would say otherwise than before of what never changes"
    )))
}

/// Who must act on an error of the database, by its kind and never by its text.
pub(super) fn failed(error: sqlx::Error) -> LedgerError {
    // Without where in its own source the server raised it.
    let said = match &error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        other => other.to_string(),
    };
    match error {
        sqlx::Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
            Some(postgres) if postgres_is_away(postgres.code()) => LedgerError::Away(said),
            Some(_) => LedgerError::Refused(said),
            None => sqlite_failed(error.code().and_then(|code| code.parse().ok()), said),
        },
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::Decode(_) => LedgerError::Malformed { table: "a table", what: said },
        sqlx::Error::Encode(_) => LedgerError::Refused(said),
        _ => LedgerError::Away(said),
    }
}

/// By the class of the SQLSTATE: the connection (08), a server that only reads or gave up waiting (25), who we are (28), which
/// database (3D), a deadlock (40), too little room (53), a lock (55), an administrator or a time limit (57), the disk (58).
fn postgres_is_away(code: &str) -> bool {
    const CLASSES: [&str; 9] = ["08", "25", "28", "3D", "40", "53", "55", "57", "58"];
    code.get(..2).is_some_and(|class| CLASSES.contains(&class))
}

/// By the primary code, the low byte (<https://sqlite.org/rescode.html>).
fn sqlite_failed(code: Option<i32>, said: String) -> LedgerError {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const NO_MEMORY: i32 = 7;
    const READ_ONLY: i32 = 8;
    const IO: i32 = 10;
    const CORRUPT: i32 = 11;
    const FULL: i32 = 13;
    const CANNOT_OPEN: i32 = 14;
    const NO_DATABASE: i32 = 26;
    match code.map(|code| code & 0xff) {
        Some(BUSY | LOCKED | NO_MEMORY | READ_ONLY | IO | FULL | CANNOT_OPEN) | None => {
            LedgerError::Away(said)
        }
        Some(CORRUPT | NO_DATABASE) => LedgerError::Malformed { table: "the file", what: said },
        Some(_) => LedgerError::Refused(said),
    }
}

/// Names what does not answer, and what to look at.
pub(super) fn named(place: &str, advice: &str, error: LedgerError) -> LedgerError {
    match error {
        LedgerError::Away(why) => LedgerError::Away(format!("{place}: {why}. {advice}")),
        other => other,
    }
}

/// Makes a type with `pool`, `cluster`, `begin_read`, `begin_write`, `append`, `bounded`, `now`, `own_clock`, `rung` and `wait` a
/// [`Ledger`](super::Ledger). `$holds` ends the condition that a lease still holds; `$16` in it is `own_clock`.
macro_rules! ledger {
    ($ledger:ty, $db:ty, $holds:literal) => {
        $crate::ledger::sql::reading::reading!($ledger, $db);
        $crate::ledger::sql::writing::writing!($ledger, $db);

        #[async_trait::async_trait]
        impl $crate::ledger::Ledger for $ledger {
            async fn read(&self, ring: &RingName) -> Result<Option<Rows>, LedgerError> {
                self.bounded(CALL, self.read_of(ring)).await
            }

            async fn commit(&self, change: &Change) -> Result<(), LedgerError> {
                self.bounded(CALL, self.write(change)).await
            }

            async fn report(&self, ring: &RingName, report: &ReportRow) -> Result<(), LedgerError> {
                self.bounded(CALL, self.write_report(ring, report)).await
            }

            async fn lease(&self, holder: &str) -> Result<Lease, LedgerError> {
                self.bounded(CALL, self.take_lease(holder)).await
            }

            async fn release(&self, lease: &Lease) -> Result<(), LedgerError> {
                self.bounded(CALL, self.let_go(lease)).await
            }

            async fn audit(
                &self,
                ring: &RingName,
                after: u64,
                limit: u32,
            ) -> Result<Vec<(Record, Hash)>, LedgerError> {
                self.bounded(CALL, self.audit_of(ring, after, limit)).await
            }

            async fn history(&self, ring: &RingName) -> Result<History, LedgerError> {
                self.bounded(WHOLE, self.history_of(ring)).await
            }

            async fn create(&self, dump: &Dump) -> Result<(), LedgerError> {
                self.bounded(WHOLE, self.write_all(dump)).await
            }

            async fn changed(&self) {
                self.wait().await;
            }
        }

        impl $ledger {
            async fn read_of(&self, ring: &RingName) -> Result<Option<Rows>, LedgerError> {
                let mut tx = self.begin_read().await?;
                let rows = self.read_all(&mut tx, ring).await?;
                tx.commit().await.map_err(failed)?;
                Ok(rows)
            }

            async fn write(&self, change: &Change) -> Result<(), LedgerError> {
                if change.only_records() && self.append(change).await? {
                    return Ok(());
                }
                let mut tx = self.begin_write().await?;
                self.move_head(&mut tx, change).await?;
                self.put_rows(&mut tx, &change.ring, Written::of(change)).await?;
                if let Some(key) = &change.ledger_key {
                    self.rewrap(&mut tx, key).await?;
                }
                if change.lets_go || change.versions.iter().any(|row| row.state == State::Destroyed) {
                    self.forget(&mut tx, change).await?;
                }
                tx.commit().await.map_err(failed)?;
                self.rung();
                Ok(())
            }

            async fn write_report(&self, ring: &RingName, report: &ReportRow) -> Result<(), LedgerError> {
                let mut tx = self.begin_write().await?;
                let now = self.now(&mut tx).await?;
                let done = sqlx::query::<$db>(
                    "INSERT INTO reports (cluster, ring, replica, at, generation, bundle, serving, tested, mac)
                     SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 WHERE EXISTS (
                         SELECT 1 FROM replicas WHERE cluster = $1 AND ring = $2 AND name = $3 AND removed_at IS NULL)
                     ON CONFLICT (cluster, ring, replica) DO UPDATE SET
                         at = excluded.at, generation = excluded.generation, bundle = excluded.bundle, serving = excluded.serving,
                         tested = excluded.tested, mac = excluded.mac",
                )
                .bind(self.cluster.0.to_vec())
                .bind(ring.as_str().to_owned())
                .bind(report.replica.clone())
                .bind(signed(now))
                .bind(signed(report.generation))
                .bind(report.bundle.to_vec())
                .bind(i64::from(report.serving))
                .bind(i64::from(report.tested))
                .bind(report.mac.to_vec())
                .execute(&mut *tx)
                .await
                .map_err(failed)?;
                tx.commit().await.map_err(failed)?;
                match done.rows_affected() {
                    0 => Err(LedgerError::NotMember(report.replica.clone())),
                    _ => Ok(()),
                }
            }

            async fn take_lease(&self, holder: &str) -> Result<Lease, LedgerError> {
                let mut tx = self.begin_write().await?;
                let now = self.now(&mut tx).await?;
                // Nobody else's lease that still holds is touched. One that would hold for longer than any is given was taken while the
                // clock was ahead: it would keep everybody out until then.
                sqlx::query::<$db>(
                    "INSERT INTO leases (cluster, holder, epoch, until)
                     SELECT $1, $2, 1, $4 WHERE EXISTS (SELECT 1 FROM clusters WHERE cluster = $1)
                     ON CONFLICT (cluster) DO UPDATE SET
                         epoch = CASE WHEN leases.holder = excluded.holder AND leases.until > $3 AND leases.until <= $4
                             THEN leases.epoch ELSE leases.epoch + 1 END,
                         holder = excluded.holder, until = excluded.until
                     WHERE leases.holder = excluded.holder OR leases.until <= $3 OR leases.until > $4",
                )
                .bind(self.cluster.0.to_vec())
                .bind(holder.to_owned())
                .bind(signed(now))
                .bind(signed(now.saturating_add(LEASE.as_secs())))
                .execute(&mut *tx)
                .await
                .map_err(failed)?;
                let lease = self.read_lease(&mut tx).await?;
                tx.commit().await.map_err(failed)?;
                lease.ok_or(LedgerError::NoCluster)
            }

            async fn let_go(&self, lease: &Lease) -> Result<(), LedgerError> {
                sqlx::query::<$db>(
                    "UPDATE leases SET until = 0 WHERE cluster = $1 AND holder = $2 AND epoch = $3",
                )
                .bind(self.cluster.0.to_vec())
                .bind(lease.holder.clone())
                .bind(signed(lease.epoch))
                .execute(&self.pool)
                .await
                .map_err(failed)?;
                Ok(())
            }

            async fn audit_of(
                &self,
                ring: &RingName,
                after: u64,
                limit: u32,
            ) -> Result<Vec<(Record, Hash)>, LedgerError> {
                let rows = sqlx::query::<$db>(
                    "SELECT * FROM audit WHERE cluster = $1 AND ring = $2 AND seq > $3 ORDER BY seq LIMIT $4",
                )
                .bind(self.cluster.0.to_vec())
                .bind(ring.as_str().to_owned())
                .bind(signed(after))
                .bind(i64::from(limit))
                .fetch_all(&self.pool)
                .await
                .map_err(failed)?;
                rows.iter().map(Self::audit_row).collect()
            }

            async fn history_of(&self, ring: &RingName) -> Result<History, LedgerError> {
                let mut tx = self.begin_read().await?;
                let bundles = sqlx::query::<$db>(
                    "SELECT * FROM bundles WHERE cluster = $1 AND ring = $2 ORDER BY generation",
                );
                let activations = sqlx::query::<$db>(
                    "SELECT * FROM activations WHERE cluster = $1 AND ring = $2 ORDER BY version",
                );
                let checkpoints = sqlx::query::<$db>(
                    "SELECT * FROM checkpoints WHERE cluster = $1 AND ring = $2 ORDER BY seq",
                );
                let (cluster, ring) = (self.cluster.0.to_vec(), ring.as_str().to_owned());
                let bundles = bundles.bind(cluster.clone()).bind(ring.clone());
                let bundles = bundles.fetch_all(&mut *tx).await.map_err(failed)?;
                let activations = activations.bind(cluster.clone()).bind(ring.clone());
                let activations = activations.fetch_all(&mut *tx).await.map_err(failed)?;
                let checkpoints = checkpoints.bind(cluster).bind(ring);
                let checkpoints = checkpoints.fetch_all(&mut *tx).await.map_err(failed)?;
                tx.commit().await.map_err(failed)?;
                Ok(History {
                    bundles: bundles.iter().map(Self::bundle_row).collect::<Result<_, _>>()?,
                    activations: activations
                        .iter()
                        .map(|row| {
                            let number = |name| row.try_get::<i64, _>(name).map_err(failed);
                            Ok(ActivationRow {
                                version: version_number("activations", number("version")?)?,
                                at: unsigned("activations", number("at")?)?,
                                generation: unsigned("activations", number("generation")?)?,
                            })
                        })
                        .collect::<Result<_, LedgerError>>()?,
                    checkpoints: checkpoints
                        .iter()
                        .map(Self::checkpoint_row)
                        .collect::<Result<_, _>>()?,
                })
            }

            async fn write_all(&self, dump: &Dump) -> Result<(), LedgerError> {
                let mut tx = self.begin_write().await?;
                let Dump { rows, history, audit } = dump;
                if rows.cluster.id != self.cluster {
                    return Err(malformed("clusters", "it is the dump of another cluster"));
                }
                let cluster = sqlx::query::<$db>(
                    "INSERT INTO clusters (cluster, created, ledger_key_id, ledger_key_wraps) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (cluster) DO NOTHING",
                )
                .bind(self.cluster.0.to_vec())
                .bind(signed(rows.cluster.created))
                .bind(rows.cluster.ledger_key.id.as_str().to_owned())
                .bind(encode_wraps(&rows.cluster.ledger_key.wraps))
                .execute(&mut *tx)
                .await
                .map_err(failed)?;
                if cluster.rows_affected() == 0 {
                    // Another ring of the same cluster, if it hangs on the same ledger key.
                    let key = sqlx::query::<$db>("SELECT ledger_key_id FROM clusters WHERE cluster = $1")
                        .bind(self.cluster.0.to_vec())
                        .fetch_one(&mut *tx)
                        .await
                        .map_err(failed)?;
                    let key: String = key.try_get("ledger_key_id").map_err(failed)?;
                    if key != rows.cluster.ledger_key.id.as_str() {
                        return Err(LedgerError::Exists(self.cluster));
                    }
                }
                let head = sqlx::query::<$db>(
                    "INSERT INTO heads (cluster, ring, revision, generation, audit_seq, audit_hash, versions, holds, runs,
                         replicas, contents, mac)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (cluster, ring) DO NOTHING",
                );
                let head = self.bind_head(head, &rows.ring, &rows.head);
                if head.execute(&mut *tx).await.map_err(failed)?.rows_affected() == 0 {
                    return Err(LedgerError::Exists(self.cluster));
                }
                let written = Written {
                    versions: &rows.versions,
                    holds: &rows.holds,
                    runs: &rows.runs,
                    replicas: &rows.replicas,
                    activations: &history.activations,
                    bundles: &history.bundles,
                    audit,
                    checkpoints: &history.checkpoints,
                };
                self.put_rows(&mut tx, &rows.ring, written).await?;
                tx.commit().await.map_err(failed)?;
                self.rung();
                Ok(())
            }
        }

        impl $ledger {
            /// Moves the head, in one statement with what must be so for the change to count.
            async fn move_head(
                &self,
                tx: &mut <$db as Database>::Connection,
                change: &Change,
            ) -> Result<(), LedgerError> {
                let (holder, epoch) =
                    change.lease.as_ref().map_or((String::new(), 0), |lease| (lease.holder.clone(), lease.epoch));
                let update = sqlx::query::<$db>(
                    concat!("UPDATE heads SET revision = $3, generation = $4, audit_seq = $5, audit_hash = $6, versions = $7,
                         holds = $8, runs = $9, replicas = $10, contents = $11, mac = $12
                     WHERE cluster = $1 AND ring = $2 AND revision = $13 AND mac = $17 AND ($14 = '' OR EXISTS (
                         SELECT 1 FROM leases WHERE leases.cluster = $1 AND holder = $14 AND epoch = $15 AND ", $holds, "))"),
                );
                let moved = self
                    .bind_head(update, &change.ring, &change.head)
                    .bind(signed(change.planned_on))
                    .bind(holder.clone())
                    .bind(signed(epoch))
                    .bind(self.own_clock().map(signed))
                    .bind(change.planned_on_mac.to_vec())
                    .execute(&mut *tx)
                    .await
                    .map_err(failed)?;
                if moved.rows_affected() == 1 {
                    return Ok(());
                }
                let (lease, now) = (self.read_lease(tx).await?, self.now(tx).await?);
                let holds = lease.is_some_and(|lease| {
                    lease.holder == holder && lease.epoch == epoch && lease.until > now
                });
                Err(match &change.lease {
                    Some(lease) if !holds => LedgerError::Fenced { epoch: lease.epoch },
                    _ => LedgerError::Moved { planned_on: change.planned_on },
                })
            }

            /// The ledger key under other roots than before.
            async fn rewrap(
                &self,
                tx: &mut <$db as Database>::Connection,
                key: &WrappedLedgerKey,
            ) -> Result<(), LedgerError> {
                sqlx::query::<$db>("UPDATE clusters SET ledger_key_wraps = $2 WHERE cluster = $1 AND ledger_key_id = $3")
                    .bind(self.cluster.0.to_vec())
                    .bind(encode_wraps(&key.wraps))
                    .bind(key.id.as_str().to_owned())
                    .execute(&mut *tx)
                    .await
                    .map_err(failed)
                    .and_then(|done| written("clusters", done.rows_affected()))
            }

            /// Older bundles carry, wrapped, what was destroyed or whose root was removed.
            async fn forget(
                &self,
                tx: &mut <$db as Database>::Connection,
                change: &Change,
            ) -> Result<(), LedgerError> {
                sqlx::query::<$db>("DELETE FROM bundles WHERE cluster = $1 AND ring = $2 AND generation < $3")
                    .bind(self.cluster.0.to_vec())
                    .bind(change.ring.as_str().to_owned())
                    .bind(signed(change.head.generation))
                    .execute(&mut *tx)
                    .await
                    .map_err(failed)?;
                Ok(())
            }

            fn bind_head<'q>(
                &self,
                query: Query<'q, $db, <$db as Database>::Arguments>,
                ring: &RingName,
                head: &HeadRow,
            ) -> Query<'q, $db, <$db as Database>::Arguments> {
                let [versions, holds, runs, replicas] = head.counts.map(signed);
                query
                    .bind(self.cluster.0.to_vec())
                    .bind(ring.as_str().to_owned())
                    .bind(signed(head.revision))
                    .bind(signed(head.generation))
                    .bind(signed(head.audit_seq))
                    .bind(head.audit_hash.to_vec())
                    .bind(versions)
                    .bind(holds)
                    .bind(runs)
                    .bind(replicas)
                    .bind(head.contents.as_flattened().to_vec())
                    .bind(head.mac.to_vec())
            }
        }
    };
}

pub(super) use self::writing::Written;
pub(super) use ledger;
