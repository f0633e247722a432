//! From rows of the database to rows of ours. Nothing here is believed: [`State::verify`](crate::ledger::State::verify) does that.

/// Gives a ledger `read_lease`, `read_all` and a function for each kind of row.
macro_rules! reading {
    ($ledger:ty, $db:ty) => {
        impl $ledger {
            async fn read_lease(
                &self,
                tx: &mut <$db as Database>::Connection,
            ) -> Result<Option<Lease>, LedgerError> {
                let row = sqlx::query::<$db>("SELECT * FROM leases WHERE cluster = $1")
                    .bind(self.cluster.0.to_vec())
                    .fetch_optional(&mut *tx)
                    .await
                    .map_err(failed)?;
                row.map(|row| {
                    Ok(Lease {
                        holder: row.try_get("holder").map_err(failed)?,
                        epoch: unsigned("leases", row.try_get("epoch").map_err(failed)?)?,
                        until: unsigned("leases", row.try_get("until").map_err(failed)?)?,
                    })
                })
                .transpose()
            }

            async fn read_all(
                &self,
                tx: &mut <$db as Database>::Connection,
                ring: &RingName,
            ) -> Result<Option<Rows>, LedgerError> {
                let place = |query: Query<'static, $db, <$db as Database>::Arguments>| {
                    query.bind(self.cluster.0.to_vec()).bind(ring.as_str().to_owned())
                };
                macro_rules! all {
                    ($sql:literal, $row:ident) => {
                        place(sqlx::query::<$db>($sql))
                            .fetch_all(&mut *tx)
                            .await
                            .map_err(failed)?
                            .iter()
                            .map(Self::$row)
                            .collect::<Result<Vec<_>, LedgerError>>()?
                    };
                }
                let head = place(sqlx::query::<$db>(
                    "SELECT heads.*, clusters.created, clusters.ledger_key_id, clusters.ledger_key_wraps FROM heads
                     JOIN clusters ON clusters.cluster = heads.cluster WHERE heads.cluster = $1 AND ring = $2",
                ));
                let Some(head) = head.fetch_optional(&mut *tx).await.map_err(failed)? else {
                    return Ok(None);
                };
                let now = self.now(tx).await?;
                let versions =
                    all!("SELECT * FROM versions WHERE cluster = $1 AND ring = $2 ORDER BY version", version_row);
                let holds = all!("SELECT * FROM holds WHERE cluster = $1 AND ring = $2 ORDER BY id", hold_row);
                let runs = all!("SELECT * FROM runs WHERE cluster = $1 AND ring = $2 ORDER BY id", run_row);
                let replicas =
                    all!("SELECT * FROM replicas WHERE cluster = $1 AND ring = $2 ORDER BY id", replica_row);
                let reports =
                    all!("SELECT * FROM reports WHERE cluster = $1 AND ring = $2 ORDER BY replica", report_row);
                let bundle = all!(
                    "SELECT * FROM bundles WHERE cluster = $1 AND ring = $2 ORDER BY generation DESC LIMIT 1",
                    bundle_row
                );
                let last_audit = all!(
                    "SELECT * FROM audit WHERE cluster = $1 AND ring = $2 ORDER BY seq DESC LIMIT 1",
                    audit_row
                );
                let last_checkpoint = all!(
                    "SELECT * FROM checkpoints WHERE cluster = $1 AND ring = $2 ORDER BY seq DESC LIMIT 1",
                    checkpoint_row
                );
                let number = |name| unsigned("heads", head.try_get(name).map_err(failed)?);
                let blob = |name| head.try_get::<Vec<u8>, _>(name).map_err(failed);
                let contents: [u8; 128] = bytes("heads", &blob("contents")?)?;
                let mut hashes = [[0; 32]; 4];
                hashes.as_flattened_mut().copy_from_slice(&contents);
                let ledger_key_id: String = head.try_get("ledger_key_id").map_err(failed)?;
                Ok(Some(Rows {
                    now,
                    cluster: ClusterRow {
                        id: self.cluster,
                        created: number("created")?,
                        ledger_key: WrappedLedgerKey {
                            id: key_id("clusters", &ledger_key_id)?,
                            wraps: parse_wraps(&blob("ledger_key_wraps")?).map_err(format("clusters"))?,
                        },
                    },
                    ring: ring.clone(),
                    head: HeadRow {
                        revision: number("revision")?,
                        generation: number("generation")?,
                        audit_seq: number("audit_seq")?,
                        audit_hash: bytes("heads", &blob("audit_hash")?)?,
                        counts: [number("versions")?, number("holds")?, number("runs")?, number("replicas")?],
                        contents: hashes,
                        mac: bytes("heads", &blob("mac")?)?,
                    },
                    versions,
                    holds,
                    runs,
                    replicas,
                    reports,
                    lease: self.read_lease(tx).await?,
                    bundle: bundle.into_iter().next().ok_or_else(|| malformed("bundles", "there is none"))?,
                    last_audit: last_audit.into_iter().next(),
                    last_checkpoint: last_checkpoint.into_iter().next(),
                }))
            }

            fn version_row(row: &<$db as Database>::Row) -> Result<VersionRow, LedgerError> {
                let number = |name| unsigned("versions", row.try_get(name).map_err(failed)?);
                let key_id_text: String = row.try_get("key_id").map_err(failed)?;
                let word: String = row.try_get("state").map_err(failed)?;
                let activated: Option<i64> = row.try_get("activated").map_err(failed)?;
                let wraps: Vec<u8> = row.try_get("wraps").map_err(failed)?;
                Ok(VersionRow {
                    id: key_id("versions", &key_id_text)?,
                    state: state(&word)?,
                    created: number("created")?,
                    activated: activated.map(|at| unsigned("versions", at)).transpose()?,
                    changed: number("changed")?,
                    destruction: destruction((
                        row.try_get("destroy_requested_by").map_err(failed)?,
                        row.try_get("destroy_wait").map_err(failed)?,
                        row.try_get("destroy_observed").map_err(failed)?,
                        row.try_get("destroy_approved_by").map_err(failed)?,
                    ))?,
                    wraps: parse_wraps(&wraps).map_err(format("versions"))?,
                    mac: bytes("versions", &row.try_get::<Vec<u8>, _>("mac").map_err(failed)?)?,
                })
            }

            fn hold_row(row: &<$db as Database>::Row) -> Result<HoldRow, LedgerError> {
                let number = |name| unsigned("holds", row.try_get(name).map_err(failed)?);
                let version = |name| version_number("holds", row.try_get(name).map_err(failed)?);
                let by: Option<String> = row.try_get("released_by").map_err(failed)?;
                let at: Option<i64> = row.try_get("released_at").map_err(failed)?;
                let at = at.map(|at| unsigned("holds", at)).transpose()?;
                Ok(HoldRow {
                    id: number("id")?,
                    first: version("first")?,
                    last: version("last")?,
                    until: number("until")?,
                    reason: row.try_get("reason").map_err(failed)?,
                    added_by: row.try_get("added_by").map_err(failed)?,
                    added_at: number("added_at")?,
                    released: name(by).zip(at),
                    mac: bytes("holds", &row.try_get::<Vec<u8>, _>("mac").map_err(failed)?)?,
                })
            }

            fn run_row(row: &<$db as Database>::Row) -> Result<RunRow, LedgerError> {
                let number = |name| unsigned("runs", row.try_get(name).map_err(failed)?);
                let maybe = |name| {
                    let value: Option<i64> = row.try_get(name).map_err(failed)?;
                    value.map(|value| unsigned("runs", value)).transpose()
                };
                let to: Option<i64> = row.try_get("to_version").map_err(failed)?;
                let word: String = row.try_get("state").map_err(failed)?;
                Ok(RunRow {
                    id: number("id")?,
                    trigger: row.try_get("trigger").map_err(failed)?,
                    reason: row.try_get("reason").map_err(failed)?,
                    requested_by: row.try_get("requested_by").map_err(failed)?,
                    begun: number("begun")?,
                    from: version_number("runs", row.try_get("from_version").map_err(failed)?)?,
                    to: to.map(|to| version_number("runs", to)).transpose()?,
                    activated: maybe("activated")?,
                    converged: maybe("converged")?,
                    state: run_state(&word)?,
                    ended: maybe("ended")?,
                    outcome: row.try_get("outcome").map_err(failed)?,
                    mac: bytes("runs", &row.try_get::<Vec<u8>, _>("mac").map_err(failed)?)?,
                })
            }

            fn replica_row(row: &<$db as Database>::Row) -> Result<ReplicaRow, LedgerError> {
                let number = |name| unsigned("replicas", row.try_get(name).map_err(failed)?);
                let by: Option<String> = row.try_get("removed_by").map_err(failed)?;
                let at: Option<i64> = row.try_get("removed_at").map_err(failed)?;
                let at = at.map(|at| unsigned("replicas", at)).transpose()?;
                Ok(ReplicaRow {
                    id: number("id")?,
                    name: row.try_get("name").map_err(failed)?,
                    joined: number("joined")?,
                    removed: name(by).zip(at),
                    mac: bytes("replicas", &row.try_get::<Vec<u8>, _>("mac").map_err(failed)?)?,
                })
            }

            fn report_row(row: &<$db as Database>::Row) -> Result<ReportRow, LedgerError> {
                let number = |name| unsigned("reports", row.try_get(name).map_err(failed)?);
                let version = |name| version_number("reports", row.try_get(name).map_err(failed)?);
                Ok(ReportRow {
                    replica: row.try_get("replica").map_err(failed)?,
                    at: number("at")?,
                    generation: number("generation")?,
                    bundle: bytes("reports", &row.try_get::<Vec<u8>, _>("bundle").map_err(failed)?)?,
                    serving: version("serving")?,
                    tested: version("tested")?,
                    mac: bytes("reports", &row.try_get::<Vec<u8>, _>("mac").map_err(failed)?)?,
                })
            }

            fn bundle_row(row: &<$db as Database>::Row) -> Result<BundleRow, LedgerError> {
                Ok(BundleRow {
                    generation: unsigned("bundles", row.try_get("generation").map_err(failed)?)?,
                    bytes: row.try_get("bytes").map_err(failed)?,
                })
            }

            fn audit_row(row: &<$db as Database>::Row) -> Result<(Record, Hash), LedgerError> {
                let number = |name| unsigned("audit", row.try_get(name).map_err(failed)?);
                let hash = |name| bytes("audit", &row.try_get::<Vec<u8>, _>(name).map_err(failed)?);
                let record = Record {
                    seq: number("seq")?,
                    at: number("at")?,
                    actor: row.try_get("actor").map_err(failed)?,
                    action: row.try_get("action").map_err(failed)?,
                    subject: row.try_get("subject").map_err(failed)?,
                    detail: row.try_get("detail").map_err(failed)?,
                    previous: hash("previous")?,
                };
                Ok((record, hash("hash")?))
            }

            fn checkpoint_row(row: &<$db as Database>::Row) -> Result<Checkpoint, LedgerError> {
                let blob = |name| row.try_get::<Vec<u8>, _>(name).map_err(failed);
                Ok(Checkpoint {
                    seq: unsigned("checkpoints", row.try_get("seq").map_err(failed)?)?,
                    hash: bytes("checkpoints", &blob("hash")?)?,
                    at: unsigned("checkpoints", row.try_get("at").map_err(failed)?)?,
                    public_key: bytes("checkpoints", &blob("public_key")?)?,
                    signature: bytes("checkpoints", &blob("signature")?)?,
                })
            }
        }
    };
}

pub(in crate::ledger) use reading;
