//! What every ledger promises.

use std::sync::{Arc, atomic::Ordering};

use anyhow::Result;
use envelope::RingName;
use strongroomd::{
    ledger::{Draft, LEASE, Ledger, LedgerError, ReportRow, State},
    rotation::Act,
};

use crate::support::{A, B, Database, Made, entry, make, ring};

/// Runs `check` over a fresh database of each kind, with cluster A in it.
async fn on_both(
    check: impl AsyncFn(&Database, Arc<dyn Ledger>, Made) -> Result<()>,
) -> Result<()> {
    for database in Database::both().await? {
        let ledger = database.open(A).await?;
        let made = make(A);
        ledger.create(&made.dump).await?;
        check(&database, ledger, made).await?;
    }
    Ok(())
}

#[test]
fn what_was_created_is_read_back_and_verifies() -> Result<()> {
    testbed::run(on_both(async |_, ledger, made| {
        let rows = ledger.read(&ring()).await?.unwrap();
        let expected = &made.dump.rows;
        assert!(rows.now > expected.now);
        assert_eq!(rows, strongroomd::ledger::Rows { now: rows.now, ..expected.clone() });
        State::verify(rows, &made.key)?;
        assert_eq!(ledger.history(&ring()).await?, made.dump.history);
        assert_eq!(ledger.audit(&ring(), 0, 10).await?, made.dump.audit);
        Ok(())
    }))
}

#[test]
fn what_every_kind_of_row_says_comes_back() -> Result<()> {
    testbed::run(on_both(async |_, ledger, made| {
        let acts = [
            Act::Join { replica: "cp-1".into() },
            Act::Join { replica: "cp-2".into() },
            Act::AddHold {
                first: None,
                last: None,
                until: u64::from(u32::MAX),
                reason: "é \u{0}x".replace('\0', ""),
            },
            Act::Begin { trigger: "manual", reason: String::new() },
            Act::Pause { reason: "wait".into() },
            Act::RemoveReplica { replica: "cp-2".into(), reason: "gone".into() },
            Act::ReleaseHold { id: 1, reason: "old".into() },
            Act::Resume,
            Act::Cancel { reason: "no".into() },
        ];
        for act in acts {
            let mut sealed = None;
            made.change(&*ledger, |draft| {
                act.apply(draft, "uid:0").unwrap();
                sealed = Some(draft.clone());
            })
            .await;
            let change = sealed.unwrap().seal(&made.key).unwrap();
            let state = made.state(&*ledger).await;
            assert_eq!(state.head, change.head, "{act:?}");
            for row in &change.holds {
                assert!(state.holds.contains(row), "{act:?}");
            }
            for row in &change.runs {
                assert!(state.runs.contains(row), "{act:?}");
            }
            for row in &change.replicas {
                assert!(state.replicas.contains(row), "{act:?}");
            }
        }
        let staged = made.staged(2);
        made.change(&*ledger, |draft| draft.put_version(staged.clone(), entry("key.staged"))).await;
        made.change(&*ledger, Draft::checkpoint).await;
        let state = made.state(&*ledger).await;
        assert_eq!(state.versions.len(), 2);
        assert_eq!(state.head.generation, 2, "a new version is published");
        let checkpoint = state.last_checkpoint.clone().unwrap();
        assert!(checkpoint.verify(&A.0, "etcd"));
        let history = ledger.history(&ring()).await?;
        assert_eq!((history.bundles.len(), history.checkpoints.len()), (2, 1));
        Ok(())
    }))
}

#[test]
fn a_change_that_was_planned_on_an_older_revision_is_refused_and_changes_nothing() -> Result<()> {
    testbed::run(on_both(async |_, ledger, made| {
        let old = made.state(&*ledger).await;
        made.change(&*ledger, |draft| draft.record(entry("first"))).await;
        let before = ledger.read(&ring()).await?.unwrap();
        let mut draft = Draft::new(&old, None);
        draft.put_version(made.staged(2), entry("second"));
        let refused = ledger.commit(&draft.seal(&made.key).unwrap()).await.unwrap_err();
        assert!(matches!(refused, LedgerError::Moved { planned_on: 1 }), "{refused}");
        let after = ledger.read(&ring()).await?.unwrap();
        assert_eq!(after, strongroomd::ledger::Rows { now: after.now, ..before });
        Ok(())
    }))
}

/// A database that was put back comes to the same revision again by another way.
#[test]
fn a_change_that_was_planned_on_another_head_of_the_same_revision_is_refused() -> Result<()> {
    testbed::run(on_both(async |_, ledger, made| {
        let mut draft = Draft::new(&made.state(&*ledger).await, None);
        draft.record(entry("planned"));
        let mut change = draft.seal(&made.key).unwrap();
        change.planned_on_mac[0] ^= 1;
        let refused = ledger.commit(&change).await.unwrap_err();
        assert!(matches!(refused, LedgerError::Moved { planned_on: 1 }), "{refused}");
        change.planned_on_mac[0] ^= 1;
        ledger.commit(&change).await?;
        Ok(())
    }))
}

/// Else a dead leader would keep everybody out for as long as the clock was set back.
#[test]
fn a_lease_from_a_clock_that_was_ahead_keeps_nobody_out() -> Result<()> {
    testbed::run(on_both(async |database, ledger, _| {
        ledger.lease("cp-1/a").await?;
        database.sql("UPDATE leases SET until = until + 3600").unwrap();
        let other = ledger.lease("cp-2/b").await?;
        assert_eq!((other.holder.as_str(), other.epoch), ("cp-2/b", 2));
        Ok(())
    }))
}

#[test]
fn of_many_writers_at_once_exactly_one_wins_each_revision() -> Result<()> {
    testbed::run(on_both(async |_, ledger, made| {
        let state = made.state(&*ledger).await;
        let changes: Vec<_> = (0..8)
            .map(|_| {
                let mut draft = Draft::new(&state, None);
                draft.record(entry("race"));
                draft.seal(&made.key).unwrap()
            })
            .collect();
        let outcomes =
            futures::future::join_all(changes.iter().map(|change| ledger.commit(change))).await;
        let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(won, 1, "{outcomes:?}");
        assert_eq!(made.state(&*ledger).await.head.audit_seq, 2);
        Ok(())
    }))
}

#[test]
fn a_ledger_without_the_cluster_says_so() -> Result<()> {
    testbed::run(async {
        for database in Database::both().await? {
            let ledger = database.open(A).await?;
            assert!(ledger.read(&ring()).await?.is_none());
            let refused = ledger.lease("cp-1/a").await.unwrap_err();
            assert!(matches!(refused, LedgerError::NoCluster), "{refused}");
        }
        Ok(())
    })
}

#[test]
fn a_lease_is_one_holders_until_it_runs_out_and_each_taking_has_a_higher_epoch() -> Result<()> {
    testbed::run(on_both(async |database, ledger, _| {
        let first = ledger.lease("cp-1/a").await?;
        assert_eq!((first.holder.as_str(), first.epoch), ("cp-1/a", 1));
        assert_eq!(ledger.lease("cp-2/b").await?.holder, "cp-1/a", "it holds");
        let renewed = ledger.lease("cp-1/a").await?;
        assert_eq!(renewed.epoch, 1, "renewing is not taking");

        run_out(database, "cp-1/a");
        let again = ledger.lease("cp-1/a").await?;
        assert_eq!(again.epoch, 2, "somebody else may have led meanwhile");
        run_out(database, "cp-1/a");
        let other = ledger.lease("cp-2/b").await?;
        assert_eq!((other.holder.as_str(), other.epoch), ("cp-2/b", 3));
        // Of one that is over nothing is left to let go of.
        ledger.release(&again).await?;
        assert_eq!(ledger.lease("cp-1/a").await?.holder, "cp-2/b");
        ledger.release(&other).await?;
        assert_eq!(ledger.lease("cp-1/a").await?.epoch, 4);
        Ok(())
    }))
}

#[test]
fn a_leader_whose_lease_is_over_is_fenced_also_where_nobody_took_it() -> Result<()> {
    testbed::run(on_both(async |database, ledger, made| {
        let lease = ledger.lease("cp-1/a").await?;
        let write = async || {
            let mut draft = Draft::new(&made.state(&*ledger).await, Some(&lease));
            draft.record(entry("led"));
            ledger.commit(&draft.seal(&made.key).unwrap()).await
        };
        write().await?;
        run_out(database, "cp-1/a");
        let refused = write().await.unwrap_err();
        assert!(matches!(refused, LedgerError::Fenced { epoch: 1 }), "{refused}");
        ledger.lease("cp-2/b").await?;
        let refused = write().await.unwrap_err();
        assert!(matches!(refused, LedgerError::Fenced { epoch: 1 }), "{refused}");
        assert_eq!(made.state(&*ledger).await.head.audit_seq, 2, "one write, one record");
        Ok(())
    }))
}

#[test]
fn only_members_report_and_the_ledger_says_when() -> Result<()> {
    testbed::run(on_both(async |_, ledger, made| {
        let report = |tested| {
            let report = ReportRow {
                replica: "cp-1".into(),
                at: 0,
                generation: 1,
                bundle: [7; 32],
                serving: 1,
                tested,
                mac: [0; 32],
            };
            report.sealed(&made.key, &A, &ring())
        };
        let refused = ledger.report(&ring(), &report(1)).await.unwrap_err();
        assert!(matches!(&refused, LedgerError::NotMember(name) if name == "cp-1"), "{refused}");
        let join = Act::Join { replica: "cp-1".into() };
        made.change(&*ledger, |draft| join.apply(draft, "replica cp-1").unwrap()).await;
        ledger.report(&ring(), &report(1)).await?;
        ledger.report(&ring(), &report(2)).await?;
        let state = made.state(&*ledger).await;
        assert_eq!(state.reports.len(), 1);
        assert_eq!(state.reports[0].tested, 2);
        assert!(state.reports[0].at.abs_diff(state.now) < 60, "by the ledger's clock");

        let remove = Act::RemoveReplica { replica: "cp-1".into(), reason: String::new() };
        made.change(&*ledger, |draft| remove.apply(draft, "uid:0").unwrap()).await;
        let refused = ledger.report(&ring(), &report(2)).await.unwrap_err();
        assert!(matches!(refused, LedgerError::NotMember(_)), "{refused}");
        made.change(&*ledger, |draft| join.apply(draft, "replica cp-1").unwrap()).await;
        assert!(made.state(&*ledger).await.reports.is_empty(), "what it said before is gone");
        Ok(())
    }))
}

#[test]
fn the_audit_chain_is_paged_in_order() -> Result<()> {
    testbed::run(on_both(async |_, ledger, made| {
        for _ in 0..5 {
            made.change(&*ledger, |draft| draft.record(entry("noted"))).await;
        }
        let all = ledger.audit(&ring(), 0, 100).await?;
        assert_eq!(all.len(), 6);
        let mut paged = Vec::new();
        while let page = ledger.audit(&ring(), paged.len() as u64, 4).await?
            && !page.is_empty()
        {
            paged.extend(page);
        }
        assert_eq!(paged, all);
        for pair in all.windows(2) {
            assert_eq!(pair[1].0.previous, pair[0].1);
            assert_eq!(pair[1].0.hash(&A.0, "etcd"), pair[1].1);
        }
        Ok(())
    }))
}

#[test]
fn a_cluster_is_created_once() -> Result<()> {
    testbed::run(on_both(async |_, ledger, made| {
        let refused = ledger.create(&made.dump).await.unwrap_err();
        assert!(matches!(refused, LedgerError::Exists(A)), "{refused}");
        Ok(())
    }))
}

#[test]
fn a_second_ring_hangs_on_the_same_ledger_key_and_on_no_other() -> Result<()> {
    testbed::run(on_both(async |_, ledger, made| {
        let seal = RingName::parse("seal")?;
        assert!(ledger.read(&seal).await?.is_none());
        let second = made.other_ring(&seal);
        ledger.create(&second).await?;
        State::verify(ledger.read(&seal).await?.unwrap(), &made.key)?;
        assert_eq!(made.state(&*ledger).await.head.revision, 1);
        let stranger = make(A).other_ring(&RingName::parse("third")?);
        for refused in [&second, &stranger] {
            let refused = ledger.create(refused).await.unwrap_err();
            assert!(matches!(refused, LedgerError::Exists(A)), "{refused}");
        }
        assert!(ledger.read(&RingName::parse("third")?).await?.is_none());
        Ok(())
    }))
}

#[test]
fn clusters_in_one_database_do_not_see_each_other() -> Result<()> {
    testbed::run(on_both(async |database, ledger, made| {
        let other = database.open(B).await?;
        assert!(other.read(&ring()).await?.is_none());
        let theirs = make(B);
        other.create(&theirs.dump).await?;
        ledger.lease("cp-1/a").await?;
        assert_eq!(other.lease("cp-1/b").await?.holder, "cp-1/b", "each has a lease of its own");
        theirs.change(&*other, |draft| draft.record(entry("theirs"))).await;
        assert_eq!(made.state(&*ledger).await.head.revision, 1);
        assert_eq!(theirs.state(&*other).await.head.revision, 2);
        assert_eq!(ledger.audit(&ring(), 0, 10).await?.len(), 1);
        assert!(
            ledger
                .create(&theirs.dump)
                .await
                .is_err_and(|error| matches!(error, LedgerError::Malformed { .. }))
        );
        Ok(())
    }))
}

fn run_out(database: &Database, holder: &str) {
    match database {
        Database::Sqlite { clock, .. } => {
            clock.0.fetch_add(LEASE.as_secs() + 1, Ordering::SeqCst);
        }
        Database::Postgres { .. } => {
            database
                .sql(&format!("UPDATE leases SET until = 1 WHERE holder = '{holder}'"))
                .unwrap();
        }
    }
}
