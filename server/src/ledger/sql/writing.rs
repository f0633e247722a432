//! From rows of ours to rows of the database, within a transaction that has moved the head.

use crate::ledger::{ActivationRow, BundleRow, Change, HoldRow, ReplicaRow, RunRow, VersionRow};
use envelope::audit::{Checkpoint, Hash, Record};

/// Gives a ledger `put_rows`.
macro_rules! writing {
    ($ledger:ty, $db:ty) => {
        impl $ledger {
            async fn put_rows(
                &self,
                tx: &mut <$db as Database>::Connection,
                ring: &RingName,
                rows: Written<'_>,
            ) -> Result<(), LedgerError> {
                let place = |query: Query<'static, $db, <$db as Database>::Arguments>| {
                    query.bind(self.cluster.0.to_vec()).bind(ring.as_str().to_owned())
                };
                for row in rows.replicas {
                    let (by, at) = row.removed.clone().unzip();
                    place(sqlx::query::<$db>(
                        "INSERT INTO replicas (cluster, ring, id, name, joined, removed_by, removed_at, mac)
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                         ON CONFLICT (cluster, ring, id) DO UPDATE SET joined = excluded.joined,
                             removed_by = excluded.removed_by, removed_at = excluded.removed_at, mac = excluded.mac
                         WHERE replicas.name = excluded.name",
                    ))
                    .bind(signed(row.id))
                    .bind(row.name.clone())
                    .bind(signed(row.joined))
                    .bind(by)
                    .bind(at.map(signed))
                    .bind(row.mac.to_vec())
                    .execute(&mut *tx)
                    .await
                    .map_err(failed)
                    .and_then(|done| written("replicas", done.rows_affected()))?;
                    // What it said before it left, or before it came, is not what it says now.
                    place(sqlx::query::<$db>(
                        "DELETE FROM reports WHERE cluster = $1 AND ring = $2 AND replica = $3",
                    ))
                    .bind(row.name.clone())
                    .execute(&mut *tx)
                    .await
                    .map_err(failed)?;
                }
                for row in rows.holds {
                    let (by, at) = row.released.clone().unzip();
                    place(sqlx::query::<$db>(
                        "INSERT INTO holds (cluster, ring, id, first, last, until, reason, added_by, added_at, released_by,
                             released_at, mac)
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                         ON CONFLICT (cluster, ring, id) DO UPDATE SET released_by = excluded.released_by,
                             released_at = excluded.released_at, mac = excluded.mac
                         WHERE holds.first = excluded.first AND holds.last = excluded.last AND holds.until = excluded.until
                             AND holds.reason = excluded.reason AND holds.added_by = excluded.added_by
                             AND holds.added_at = excluded.added_at",
                    ))
                    .bind(signed(row.id))
                    .bind(i64::from(row.first))
                    .bind(i64::from(row.last))
                    .bind(signed(row.until))
                    .bind(row.reason.clone())
                    .bind(row.added_by.clone())
                    .bind(signed(row.added_at))
                    .bind(by)
                    .bind(at.map(signed))
                    .bind(row.mac.to_vec())
                    .execute(&mut *tx)
                    .await
                    .map_err(failed)
                    .and_then(|done| written("holds", done.rows_affected()))?;
                }
                // The old one steps down before the new one is active: there is never more than one.
                let active = |row: &&VersionRow| row.state == State::Active;
                let stepping_down = rows.versions.iter().filter(|row| !active(row));
                for row in stepping_down.chain(rows.versions.iter().filter(active)) {
                    let destruction = row.destruction.as_ref();
                    place(sqlx::query::<$db>(
                        "INSERT INTO versions (cluster, ring, version, key_id, created, state, activated, changed,
                             destroy_requested_by, destroy_wait, destroy_observed, destroy_approved_by, wraps, mac)
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
                         ON CONFLICT (cluster, ring, version) DO UPDATE SET state = excluded.state,
                             activated = excluded.activated, changed = excluded.changed,
                             destroy_requested_by = excluded.destroy_requested_by, destroy_wait = excluded.destroy_wait,
                             destroy_observed = excluded.destroy_observed,
                             destroy_approved_by = excluded.destroy_approved_by, wraps = excluded.wraps, mac = excluded.mac
                         WHERE versions.key_id = excluded.key_id AND versions.created = excluded.created",
                    ))
                    .bind(i64::from(row.id.version()))
                    .bind(row.id.as_str().to_owned())
                    .bind(signed(row.created))
                    .bind(row.state.as_str())
                    .bind(row.activated.map(signed))
                    .bind(signed(row.changed))
                    .bind(destruction.map(|destruction| destruction.requested_by.clone()))
                    .bind(destruction.map(|destruction| signed(destruction.wait)))
                    .bind(destruction.map(|destruction| signed(destruction.observed)))
                    .bind(destruction.and_then(|destruction| destruction.approved_by.clone()))
                    .bind(encode_wraps(&row.wraps))
                    .bind(row.mac.to_vec())
                    .execute(&mut *tx)
                    .await
                    .map_err(failed)
                    .and_then(|done| written("versions", done.rows_affected()))?;
                }
                for row in rows.runs {
                    place(sqlx::query::<$db>(
                        "INSERT INTO runs (cluster, ring, id, trigger, reason, requested_by, begun, from_version, to_version,
                             activated, converged, state, ended, outcome, mac)
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
                         ON CONFLICT (cluster, ring, id) DO UPDATE SET to_version = excluded.to_version,
                             activated = excluded.activated, converged = excluded.converged, state = excluded.state,
                             ended = excluded.ended, outcome = excluded.outcome, mac = excluded.mac
                         WHERE runs.trigger = excluded.trigger AND runs.reason = excluded.reason AND runs.begun = excluded.begun
                             AND runs.requested_by = excluded.requested_by AND runs.from_version = excluded.from_version",
                    ))
                    .bind(signed(row.id))
                    .bind(row.trigger.clone())
                    .bind(row.reason.clone())
                    .bind(row.requested_by.clone())
                    .bind(signed(row.begun))
                    .bind(i64::from(row.from))
                    .bind(row.to.map(i64::from))
                    .bind(row.activated.map(signed))
                    .bind(row.converged.map(signed))
                    .bind(row.state.as_str())
                    .bind(row.ended.map(signed))
                    .bind(row.outcome.clone())
                    .bind(row.mac.to_vec())
                    .execute(&mut *tx)
                    .await
                    .map_err(failed)
                    .and_then(|done| written("runs", done.rows_affected()))?;
                }
                for row in rows.bundles {
                    place(sqlx::query::<$db>(
                        "INSERT INTO bundles (cluster, ring, generation, bytes) VALUES ($1, $2, $3, $4)",
                    ))
                    .bind(signed(row.generation))
                    .bind(row.bytes.clone())
                    .execute(&mut *tx)
                    .await
                    .map_err(failed)
                    .and_then(|done| written("bundles", done.rows_affected()))?;
                }
                for row in rows.activations {
                    place(sqlx::query::<$db>(
                        "INSERT INTO activations (cluster, ring, version, at, generation) VALUES ($1, $2, $3, $4, $5)",
                    ))
                    .bind(i64::from(row.version))
                    .bind(signed(row.at))
                    .bind(signed(row.generation))
                    .execute(&mut *tx)
                    .await
                    .map_err(failed)
                    .and_then(|done| written("activations", done.rows_affected()))?;
                }
                for (record, hash) in rows.audit {
                    place(sqlx::query::<$db>(
                        "INSERT INTO audit (cluster, ring, seq, at, actor, action, subject, detail, previous, hash)
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                    ))
                    .bind(signed(record.seq))
                    .bind(signed(record.at))
                    .bind(record.actor.clone())
                    .bind(record.action.clone())
                    .bind(record.subject.clone())
                    .bind(record.detail.clone())
                    .bind(record.previous.to_vec())
                    .bind(hash.to_vec())
                    .execute(&mut *tx)
                    .await
                    .map_err(failed)
                    .and_then(|done| written("audit", done.rows_affected()))?;
                }
                for row in rows.checkpoints {
                    place(sqlx::query::<$db>(
                        "INSERT INTO checkpoints (cluster, ring, seq, hash, at, public_key, signature)
                         VALUES ($1, $2, $3, $4, $5, $6, $7)",
                    ))
                    .bind(signed(row.seq))
                    .bind(row.hash.to_vec())
                    .bind(signed(row.at))
                    .bind(row.public_key.to_vec())
                    .bind(row.signature.to_vec())
                    .execute(&mut *tx)
                    .await
                    .map_err(failed)
                    .and_then(|done| written("checkpoints", done.rows_affected()))?;
                }
                Ok(())
            }
        }
    };
}

pub(in crate::ledger) use writing;

/// What a transaction writes beside the head.
#[derive(Clone, Copy)]
pub(in crate::ledger) struct Written<'a> {
    pub(in crate::ledger) versions: &'a [VersionRow],
    pub(in crate::ledger) holds: &'a [HoldRow],
    pub(in crate::ledger) runs: &'a [RunRow],
    pub(in crate::ledger) replicas: &'a [ReplicaRow],
    pub(in crate::ledger) activations: &'a [ActivationRow],
    pub(in crate::ledger) bundles: &'a [BundleRow],
    pub(in crate::ledger) audit: &'a [(Record, Hash)],
    pub(in crate::ledger) checkpoints: &'a [Checkpoint],
}

impl<'a> Written<'a> {
    pub(in crate::ledger) fn of(change: &'a Change) -> Self {
        Self {
            versions: &change.versions,
            holds: &change.holds,
            runs: &change.runs,
            replicas: &change.replicas,
            activations: change.activation.as_slice(),
            bundles: change.bundle.as_slice(),
            audit: &change.audit,
            checkpoints: change.checkpoint.as_slice(),
        }
    }
}
