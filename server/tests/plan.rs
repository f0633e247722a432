//! What is done next, and what is waited for, on everything that can be observed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::slice;

use envelope::{
    RootId,
    audit::{Checkpoint, sha256},
    bundle::State as VersionState,
};
use strongroomd::{
    ledger::{Destruction, HoldRow, RunRow, RunState},
    rotation::{Apiserver, OBSERVE_EVERY, Observed, Phase, Plan, Policy, Schedule, Step, plan},
};

use self::ring::{DAY, NOW, Ring, entry};
use VersionState::{Active, Archived, Deactivated, DestroyScheduled, PreActive};

#[path = "support/ring.rs"]
#[expect(dead_code, reason = "shared with the tests of acts")]
mod ring;

struct Seen<'a> {
    apiservers: &'a [Apiserver],
    watched: u64,
    active_for: Option<u64>,
    provider_rotated: Option<RootId>,
    policy: Policy,
}

impl Default for Seen<'_> {
    fn default() -> Self {
        Self {
            apiservers: &[],
            watched: 0,
            active_for: None,
            provider_rotated: None,
            policy: Policy::by_hand(),
        }
    }
}

fn planned(ring: &Ring, seen: &Seen<'_>) -> Plan {
    let state = ring.state();
    let observed = Observed {
        state: &state,
        apiservers: seen.apiservers,
        watched: seen.watched,
        active_for: seen.active_for,
        provider_rotated: seen.provider_rotated,
    };
    plan(&observed, &seen.policy)
}

fn by_hand(ring: &Ring) -> Plan {
    planned(ring, &Seen::default())
}

/// Steps but for checkpoints, which are due in every ring that was just made.
fn steps(plan: &Plan) -> Vec<Step> {
    let steps = plan.steps.iter().map(|(step, _)| step.clone());
    steps.filter(|step| *step != Step::Checkpoint).collect()
}

fn waits(plan: &Plan) -> Vec<&str> {
    plan.waits.iter().map(|wait| wait.on.as_str()).collect()
}

/// A ring in which version 2 is staged by run 1, and these are members.
fn staged(members: &[&str]) -> Ring {
    let mut ring = Ring::of(&[Active, PreActive]);
    ring.run(|run| run.to = Some(2));
    for name in members {
        ring.member(name);
    }
    for name in members {
        ring.report(name, |_| {});
    }
    ring
}

/// The same, a minute after version 2 became active.
fn activated(members: &[&str]) -> Ring {
    let mut ring = Ring::of(&[Deactivated, Active]);
    ring.version(2, |row| row.activated = Some(NOW - 60));
    ring.run(|run| (run.from, run.to, run.activated) = (1, Some(2), Some(NOW - 60)));
    for name in members {
        ring.member(name);
    }
    for name in members {
        ring.report(name, |_| {});
    }
    ring
}

fn apiserver(ring: &Ring, name: &str, version: u32) -> Apiserver {
    let id = ring.state().version(version).unwrap().id.to_string();
    let hash = sha256(id.as_bytes())
        .iter()
        .fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"));
    Apiserver { name: name.into(), key_id_hash: Ok(hash), objects: Some(1200) }
}

#[test]
fn nothing_is_done_where_nobody_asks() {
    let plan = by_hand(&Ring::of(&[Active]));
    assert_eq!((plan.phase, steps(&plan), waits(&plan).len()), (Phase::Idle, vec![], 0));
    assert_eq!(plan.next, None);
}

#[test]
fn version_after_the_highest_is_staged() {
    // The highest is one that was cancelled: its number is never used again.
    let mut ring = Ring::of(&[Active, Deactivated]);
    ring.run(|_| {});
    let plan = by_hand(&ring);
    assert_eq!((plan.phase, steps(&plan)), (Phase::Stage, vec![Step::Stage { version: 3 }]));
}

#[test]
fn version_is_activated_when_every_member_has_it_and_has_tested_it() {
    let plan = by_hand(&staged(&["cp-1", "cp-2"]));
    assert_eq!((plan.phase, steps(&plan)), (Phase::Activate, vec![Step::Activate { version: 2 }]));
    assert!(plan.waits.is_empty());
}

#[test]
fn member_that_lacks_anything_blocks_and_is_named_with_the_command_that_removes_it() {
    for (what, edit) in [
        ("has not wrapped and opened a self-test", 0),
        ("serves generation 4, and the ledger is at 5", 1),
        ("has not reported since it joined", 2),
    ] {
        let mut ring = staged(&["cp-1", "cp-2"]);
        match edit {
            0 => ring.report("cp-2", |report| report.tested = 1),
            1 => ring.report("cp-2", |report| {
                (report.generation, report.bundle, report.at) = (4, [4; 32], NOW - 300);
            }),
            _ => ring.rows.reports.retain(|row| row.replica != "cp-2"),
        }
        let plan = by_hand(&ring);
        assert_eq!((plan.phase, steps(&plan)), (Phase::Propagate, vec![]), "{what}");
        let [wait] = plan.waits.as_slice() else { panic!("{:?}", plan.waits) };
        assert_eq!(wait.on, "replica cp-2");
        assert!(wait.reason.contains(what), "{}", wait.reason);
        assert_eq!(wait.unblock.as_deref(), Some("strongroom replicas remove cp-2"));
        let seen = [Some("last seen 30 s ago"), Some("last seen 5 min ago"), None][edit];
        assert!(seen.is_none_or(|seen| wait.reason.contains(seen)), "{}", wait.reason);
    }
}

#[test]
fn nobody_is_waited_for_who_was_removed() {
    let mut ring = staged(&["cp-1", "cp-2"]);
    ring.report("cp-2", |report| report.tested = 1);
    let mut gone = ring.rows.replicas[1].clone();
    gone.removed = Some(("ann".into(), NOW));
    ring.edit(|draft| draft.put_replica(gone, entry("replica.removed")));
    assert_eq!(steps(&by_hand(&ring)), [Step::Activate { version: 2 }]);
}

#[test]
fn without_any_member_nothing_is_activated() {
    let plan = by_hand(&staged(&[]));
    assert_eq!(
        (plan.phase, steps(&plan), waits(&plan)),
        (Phase::Propagate, vec![], vec!["replicas"])
    );
    assert!(plan.waits[0].reason.contains("nothing proves that anybody has the new version"));
}

/// The numbers are right and the bundle is another: a ledger that was restored gives its numbers a second time.
#[test]
fn acknowledgement_of_another_bundle_of_the_same_generation_is_none() {
    for generation in [5, 9] {
        let mut ring = staged(&["cp-1", "cp-2"]);
        ring.report("cp-2", |report| (report.generation, report.bundle) = (generation, [9; 32]));
        let plan = by_hand(&ring);
        assert_eq!(steps(&plan), [], "{generation}");
        assert_eq!(plan.waits[0].on, "ledger");
        assert_eq!(plan.waits[0].unblock.as_deref(), Some("on cp-2: strongroom ledger adopt"));
    }
}

#[test]
fn nothing_begins_and_nothing_is_staged_on_a_ledger_that_was_restored() {
    for is_open in [false, true] {
        let mut ring = Ring::of(&[Active]);
        if is_open {
            ring.run(|_| {});
        }
        ring.member("cp-1");
        ring.report("cp-1", |report| (report.generation, report.bundle) = (8, [8; 32]));
        let policy = Policy { max_age: Some(DAY), ..Policy::by_hand() };
        let plan = planned(&ring, &Seen { policy, ..Seen::default() });
        assert_eq!((steps(&plan), waits(&plan)), (vec![], vec!["ledger"]));
        assert!(plan.waits[0].reason.contains("restored from an old backup"));
    }
}

#[test]
fn paused_run_does_nothing_and_says_so() {
    for mut ring in [staged(&["cp-1"]), activated(&["cp-1"])] {
        let mut run = ring.rows.runs[0].clone();
        run.state = RunState::Paused;
        ring.edit(|draft| draft.put_run(run, entry("rotation.paused")));
        let plan = planned(&ring, &Seen { active_for: Some(DAY), ..Seen::default() });
        assert_eq!((steps(&plan), waits(&plan)), (vec![], vec!["operator"]));
        assert_eq!(plan.waits[0].unblock.as_deref(), Some("strongroom rotate resume"));
    }
}

#[test]
fn window_that_closed_does_not_hold_up_what_has_begun() {
    let schedule = Schedule::parse("0 3 * * SUN", Some("1h"), None).unwrap();
    let policy = Policy { schedule: Some(schedule), ..Policy::by_hand() };
    let mut ring = staged(&["cp-1"]);
    ring.rows.now = NOW + 5 * 3600;
    let plan = planned(&ring, &Seen { policy, ..Seen::default() });
    assert_eq!(steps(&plan), [Step::Activate { version: 2 }]);
}

#[test]
fn converges_when_every_member_and_every_apiserver_is_on_the_version() {
    let ring = activated(&["cp-1", "cp-2"]);
    let both = [apiserver(&ring, "cp-1", 2), apiserver(&ring, "cp-2", 2)];
    let plan = planned(&ring, &Seen { apiservers: &both, ..Seen::default() });
    assert_eq!((plan.phase, steps(&plan)), (Phase::Converge, vec![Step::Converged]));
}

#[test]
fn apiserver_that_is_behind_or_cannot_be_asked_is_waited_for_and_named() {
    let ring = activated(&["cp-1"]);
    let behind = apiserver(&ring, "cp-2", 1);
    let away =
        Apiserver { key_id_hash: Err("connection refused".into()), ..apiserver(&ring, "cp-2", 2) };
    for (other, reason) in [
        (behind, "does not name etcd/v2/"),
        (away, "cannot be asked which version it writes under: connection refused"),
    ] {
        let both = [apiserver(&ring, "cp-1", 2), other];
        // However long ago: an apiserver that is configured is asked, not timed.
        let seen = Seen { apiservers: &both, active_for: Some(DAY), ..Seen::default() };
        let plan = planned(&ring, &seen);
        assert_eq!((steps(&plan), waits(&plan)), (vec![], vec!["apiserver cp-2"]));
        assert!(plan.waits[0].reason.contains(reason), "{}", plan.waits[0].reason);
    }
}

#[test]
fn member_that_names_the_old_version_keeps_a_run_from_converging() {
    let mut ring = activated(&["cp-1", "cp-2"]);
    ring.report("cp-2", |report| report.serving = 1);
    let plan = planned(&ring, &Seen { active_for: Some(DAY), ..Seen::default() });
    assert_eq!((steps(&plan), waits(&plan)), (vec![], vec!["replica cp-2"]));
    assert!(plan.waits[0].reason.contains("still names version 1"));
}

#[test]
fn without_configured_apiservers_a_timer_runs_by_time_that_was_watched() {
    let after = Policy::CONVERGE_AFTER;
    for (by_clock, active_for, expected) in [
        (after - 1, None, false),
        (after, None, true),
        // A leader goes by what it watched: a clock that was set an hour ahead, or back, counts for nothing.
        (after + 3600, Some(after - 1), false),
        (0, Some(after), true),
        // Leaders that change every minute hold it up for two hours, not for ever.
        (after + Policy::CLOCK_ERROR - 1, Some(0), false),
        (after + Policy::CLOCK_ERROR, Some(0), true),
    ] {
        let mut ring = activated(&["cp-1"]);
        ring.rows.now = NOW - 60 + by_clock;
        let plan = planned(&ring, &Seen { active_for, ..Seen::default() });
        assert_eq!(steps(&plan) == [Step::Converged], expected, "{by_clock} {active_for:?}");
        assert_eq!(plan.eta, (!expected).then_some(ring.rows.now + 1));
        if !expected {
            assert_eq!(waits(&plan), ["timer"]);
            assert!(plan.waits[0].reason.contains("1 s to go"), "{}", plan.waits[0].reason);
        }
    }
}

#[test]
fn end_is_foretold_only_where_nothing_but_time_is_missing() {
    let mut ring = activated(&["cp-1", "cp-2"]);
    assert!(by_hand(&ring).eta.is_some());
    let run = ring.rows.runs[0].clone();
    let paused = RunRow { state: RunState::Paused, ..run.clone() };
    ring.edit(|draft| draft.put_run(paused, entry("rotation.paused")));
    assert_eq!(by_hand(&ring).eta, None);
    ring.edit(|draft| draft.put_run(run, entry("rotation.resumed")));
    ring.report("cp-2", |report| report.serving = 1);
    assert_eq!(by_hand(&ring).eta, None);
}

#[test]
fn run_that_converged_ends_and_says_what_is_left_to_do() {
    for (trigger, counts, expected) in [
        ("manual", vec![Some(1200), Some(1190), None], ["at most 1200 objects", "keys archive 1"]),
        ("age", vec![], ["how many is not known here", "keys archive 1"]),
        ("compromise", vec![Some(3)], ["whoever has the key of etcd/v1/", "keys compromise 1"]),
    ] {
        let mut ring = activated(&["cp-1"]);
        let mut run = ring.rows.runs[0].clone();
        (run.trigger, run.converged) = (trigger.into(), Some(NOW));
        ring.edit(|draft| draft.put_run(run, entry("rotation.converged")));
        let apiservers: Vec<Apiserver> = counts
            .into_iter()
            .map(|objects| Apiserver { objects, ..apiserver(&ring, "cp-1", 2) })
            .collect();
        let plan = planned(&ring, &Seen { apiservers: &apiservers, ..Seen::default() });
        assert_eq!(plan.phase, Phase::Reencrypt);
        let [Step::Finish { outcome }] = &steps(&plan)[..] else { panic!("{plan:?}") };
        let always = [
            "kubectl get secrets,configmaps -A -o json | kubectl replace -f -",
            "stays deactivated",
        ];
        for part in expected.into_iter().chain(always) {
            assert!(outcome.contains(part), "{outcome:?} lacks {part:?}");
        }
    }
}

#[test]
fn policy_begins_a_run_when_it_is_due() {
    let policy = Policy { max_age: Some(9 * DAY), ..Policy::by_hand() };
    let seen = Seen { policy, ..Seen::default() };
    let mut ring = Ring::of(&[Active]);
    let plan = planned(&ring, &seen);
    let [Step::Begin { trigger: "age", reason }] = &steps(&plan)[..] else { panic!("{plan:?}") };
    assert!(reason.contains("is active since 2026-10-22T03:00:00Z: the policy allows 9 days"));
    assert_eq!(plan.next, Some(NOW));

    // One is open: the next is counted from it.
    ring.run(|_| {});
    assert_eq!(steps(&planned(&ring, &seen)), [Step::Stage { version: 2 }]);

    // It was cancelled: not again at once, and not only after another nine days.
    let mut run = ring.rows.runs[0].clone();
    (run.state, run.ended) = (RunState::Cancelled, Some(NOW));
    ring.edit(|draft| draft.put_run(run, entry("rotation.cancelled")));
    let plan = planned(&ring, &seen);
    assert_eq!((steps(&plan), plan.next), (vec![], Some(NOW + DAY)));
    ring.rows.now = NOW + DAY;
    assert_eq!(steps(&planned(&ring, &seen)).len(), 1);
}

#[test]
fn root_that_its_provider_rotated_begins_a_run_where_the_policy_follows() {
    let rotated = Some(RootId([0xab; 6]));
    let ring = Ring::of(&[Active]);
    let seen = Seen { provider_rotated: rotated, ..Seen::default() };
    assert_eq!(steps(&planned(&ring, &seen)), []);

    let policy = Policy { follow_provider: true, ..Policy::by_hand() };
    let seen = Seen { provider_rotated: rotated, policy: policy.clone(), ..Seen::default() };
    let plan = planned(&ring, &seen);
    let [Step::Begin { trigger: "provider", reason }] = &steps(&plan)[..] else {
        panic!("{plan:?}")
    };
    assert!(reason.contains("abababababab") && reason.contains("etcd/v1/"), "{reason}");
    let seen = Seen { policy: policy.clone(), ..Seen::default() };
    assert_eq!(steps(&planned(&ring, &seen)), [], "nothing was rotated");

    // Inside a window, where there are any, and it says so.
    let schedule = Schedule::parse("0 5 1 * *", Some("2h"), None).unwrap();
    let policy = Policy { schedule: Some(schedule), ..policy };
    let seen = Seen { provider_rotated: rotated, policy, ..Seen::default() };
    let plan = planned(&ring, &seen);
    assert_eq!((steps(&plan), plan.next), (vec![], Some(NOW + 2 * 3600)));
}

#[test]
fn old_age_waits_for_a_window_and_says_when_it_opens() {
    let schedule = Schedule::parse("0 5 1 * *", Some("2h"), None).unwrap();
    let policy = Policy { max_age: Some(9 * DAY), schedule: Some(schedule), ..Policy::by_hand() };
    let plan = planned(&Ring::of(&[Active]), &Seen { policy, ..Seen::default() });
    assert_eq!(plan.next, Some(NOW + 2 * 3600));
    // The schedule's own occurrence is the same moment; either may name it.
    assert_eq!(steps(&plan), []);
}

#[test]
fn schedule_is_done_when_any_run_was_begun_since() {
    let schedule = Schedule::parse("0 3 * * *", None, None).unwrap();
    let policy = Policy { schedule: Some(schedule), ..Policy::by_hand() };
    let seen = Seen { policy, ..Seen::default() };
    for (begun, expected) in [
        (NOW - 1, true),
        (NOW, false),
        // Noted while the clock was two years ahead: not believed.
        (NOW + 700 * DAY, true),
    ] {
        let mut ring = Ring::of(&[Active]);
        ring.run(|run| {
            (run.begun, run.state, run.ended) = (begun, RunState::Done, Some(begun));
        });
        let plan = planned(&ring, &seen);
        assert_eq!(!steps(&plan).is_empty(), expected, "{begun}");
        assert_eq!(plan.next, Some(if expected { NOW } else { NOW + DAY }));
    }
}

#[test]
fn hold_that_ran_out_is_released() {
    let mut ring = Ring::of(&[Deactivated, Active]);
    for (id, until, released) in [
        (1, NOW, None),
        (2, NOW + 1, None),
        (3, NOW - DAY, Some(("ann".to_owned(), NOW - 2 * DAY))),
    ] {
        let hold = HoldRow {
            id,
            first: 1,
            last: 1,
            until,
            reason: "backup".into(),
            added_by: "ann".into(),
            added_at: NOW - 3 * DAY,
            released,
            mac: [0; 32],
        };
        ring.edit(|draft| draft.put_hold(hold, entry("hold.added")));
    }
    assert_eq!(steps(&by_hand(&ring)), [Step::ExpireHold { id: 1 }]);
}

#[test]
fn time_is_counted_only_as_it_was_watched() {
    let wait = 7 * DAY;
    for (observed, watched, expected) in [
        (0, 0, None),
        (0, OBSERVE_EVERY - 1, None),
        (0, OBSERVE_EVERY, Some(OBSERVE_EVERY)),
        // A leader that was stopped for a day has not watched for a day.
        (0, DAY, Some(2 * OBSERVE_EVERY)),
        // The last bit is written as soon as it is there.
        (wait - 30, 30, Some(wait)),
        (wait - 30, 29, None),
        (wait, DAY, None),
    ] {
        let mut ring = Ring::of(&[Archived, Active]);
        ring.version(1, |row| {
            row.state = DestroyScheduled;
            row.destruction =
                Some(Destruction { requested_by: "ann".into(), wait, observed, approved_by: None });
        });
        let plan = planned(&ring, &Seen { watched, ..Seen::default() });
        let expected: Vec<Step> =
            expected.into_iter().map(|observed| Step::Observe { version: 1, observed }).collect();
        assert_eq!(steps(&plan), expected, "{observed} {watched}");
    }
}

#[test]
fn audit_chain_is_signed_every_hour_in_which_something_happened() {
    for (at, news, expected) in [
        (None, true, true),
        (Some(NOW - 3599), true, false),
        (Some(NOW - 3600), true, true),
        (Some(NOW - 30 * DAY), false, false),
        // Signed while the clock was ahead.
        (Some(NOW + 3600), true, true),
    ] {
        let mut ring = Ring::of(&[Active]);
        ring.rows.last_checkpoint = at.map(|at| {
            let head = (ring.rows.head.audit_seq, ring.rows.head.audit_hash);
            Checkpoint::sign(&ring.key, &ring.rows.cluster.id.0, "etcd", head, at).unwrap()
        });
        if news {
            ring.edit(|draft| draft.record(entry("audit.exported")));
        }
        let plan = by_hand(&ring);
        let signs = plan.steps.iter().any(|(step, _)| *step == Step::Checkpoint);
        assert_eq!(signs, expected, "{at:?} {news}");
    }
}

#[test]
fn plan_is_the_same_whoever_makes_it() {
    let ring = staged(&["cp-1", "cp-2"]);
    let away = Apiserver { name: "cp-1".into(), key_id_hash: Err("away".into()), objects: None };
    let seen = Seen { apiservers: slice::from_ref(&away), watched: 700, ..Seen::default() };
    assert_eq!(planned(&ring, &seen), planned(&ring, &seen));
}
