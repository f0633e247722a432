//! What an operator or a replica may ask for, and what it is told when it may not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use envelope::bundle::State as VersionState;
use strongroomd::{
    ledger::{Change, Destruction, RunState},
    rotation::{Act, MAX_WAIT, MIN_WAIT},
};

use self::ring::{DAY, NOW, Ring};
use VersionState::{
    Active, Archived, Compromised, Deactivated, DestroyScheduled, Destroyed, PreActive,
};

#[path = "support/ring.rs"]
#[expect(dead_code, reason = "shared with the tests of plans")]
mod ring;

fn why() -> String {
    "because".into()
}

fn begin() -> Act {
    Act::Begin { trigger: "manual", reason: why() }
}

fn hold(first: Option<u32>, last: Option<u32>) -> Act {
    Act::AddHold { first, last, until: NOW + DAY, reason: "etcd backup of 2026-11-01".into() }
}

/// The act is refused, says all of `expected`, and leaves the draft as it was.
fn refused(ring: &Ring, actor: &str, act: &Act, expected: &[&str]) {
    let mut draft = ring.draft();
    let message = act.apply(&mut draft, actor).unwrap_err().to_string();
    for part in expected {
        assert!(message.contains(part), "{act:?}: {message:?} lacks {part:?}");
    }
    assert!(draft.is_empty(), "{act:?} changed the draft");
}

fn audited(change: &Change) -> Vec<(&str, &str)> {
    change
        .audit
        .iter()
        .map(|(record, _)| (record.action.as_str(), record.subject.as_str()))
        .collect()
}

/// A ring whose version 1 is scheduled to be destroyed by ann, and was watched for `observed`.
fn scheduled(observed: u64) -> Ring {
    let mut ring = Ring::of(&[Archived, Active]);
    ring.version(1, |row| {
        row.state = DestroyScheduled;
        row.destruction = Some(Destruction {
            requested_by: "ann".into(),
            wait: MIN_WAIT,
            observed,
            approved_by: None,
        });
    });
    ring
}

#[test]
fn run_begins_from_the_active_version_and_only_one_at_a_time() {
    let mut ring = Ring::of(&[Deactivated, Active]);
    let change = ring.act("ann", &begin()).unwrap();
    assert_eq!(audited(&change), [("rotation.begun", "run 1")]);
    let run = &change.runs[0];
    assert_eq!((run.id, run.from, run.to, run.begun), (1, 2, None, NOW));
    assert_eq!((run.requested_by.as_str(), run.state), ("ann", RunState::Open));
    assert!(change.bundle.is_none(), "no version changed");

    refused(&ring, "bob", &begin(), &["run 1 is open", "strongroom rotate status"]);
    ring.act("ann", &Act::Pause { reason: why() }).unwrap();
    refused(&ring, "bob", &begin(), &["run 1 is open", "strongroom rotate resume"]);
}

#[test]
fn paused_run_is_resumed() {
    let mut ring = Ring::of(&[Active]);
    let pause = Act::Pause { reason: why() };
    refused(&ring, "ann", &pause, &["no rotation is under way", "strongroom rotate start"]);
    refused(&ring, "ann", &Act::Resume, &["no rotation is under way"]);
    ring.act("ann", &begin()).unwrap();
    refused(&ring, "ann", &Act::Resume, &["run 1 is not paused"]);
    assert_eq!(audited(&ring.act("ann", &pause).unwrap()), [("rotation.paused", "run 1")]);
    refused(&ring, "ann", &pause, &["run 1 is paused already", "strongroom rotate resume"]);
    assert_eq!(audited(&ring.act("ann", &Act::Resume).unwrap()), [("rotation.resumed", "run 1")]);
    assert_eq!(ring.state().open_run().unwrap().state, RunState::Open);
}

#[test]
fn cancel_is_free_before_the_version_is_active_and_refused_after() {
    let cancel = Act::Cancel { reason: why() };
    let mut ring = Ring::of(&[Active, PreActive]);
    refused(&ring, "ann", &cancel, &["no rotation is under way"]);
    ring.run(|run| run.to = Some(2));
    let change = ring.act("ann", &cancel).unwrap();
    let id = ring.state().version(2).unwrap().id.to_string();
    assert_eq!(
        audited(&change),
        [("key.deactivated", id.as_str()), ("rotation.cancelled", "run 1")]
    );
    assert_eq!(ring.state().version(2).unwrap().state, Deactivated);
    assert_eq!((change.runs[0].state, change.runs[0].ended), (RunState::Cancelled, Some(NOW)));
    assert!(ring.state().open_run().is_none());

    // Not staged yet.
    let mut ring = Ring::of(&[Active]);
    ring.run(|_| {});
    assert_eq!(audited(&ring.act("ann", &cancel).unwrap()), [("rotation.cancelled", "run 1")]);

    let mut ring = Ring::of(&[Deactivated, Active]);
    ring.run(|run| {
        (run.from, run.to, run.activated) = (1, Some(2), Some(NOW - 60));
    });
    refused(
        &ring,
        "ann",
        &cancel,
        &[
            "run 1 cannot be cancelled",
            "etcd/v2/",
            "is active since 2026-11-01T02:59:00Z",
            "only go forward",
        ],
    );
}

#[test]
fn daemon_joins_once_and_again_after_it_was_removed() {
    let mut ring = Ring::of(&[Active]);
    let join = Act::Join { replica: "cp-1.example".into() };
    let change = ring.act("cp-1.example", &join).unwrap();
    assert_eq!(audited(&change), [("replica.joined", "replica cp-1.example")]);

    let mut draft = ring.draft();
    join.apply(&mut draft, "cp-1.example").unwrap();
    assert!(draft.is_empty(), "a member that joins changes nothing");

    let remove = Act::RemoveReplica { replica: "cp-1.example".into(), reason: why() };
    assert_eq!(
        audited(&ring.act("ann", &remove).unwrap()),
        [("replica.removed", "replica cp-1.example")]
    );
    refused(&ring, "ann", &remove, &["\"cp-1.example\" is no member", "strongroom replicas list"]);
    let change = ring.act("cp-1.example", &join).unwrap();
    assert_eq!(audited(&change), [("replica.rejoined", "replica cp-1.example")]);
    assert_eq!((change.replicas[0].id, change.replicas[0].removed.as_ref()), (1, None));
    let other = ring.act("x", &Act::Join { replica: "cp-2".into() }).unwrap();
    assert_eq!(other.replicas[0].id, 2);
}

#[test]
fn names_of_replicas_are_fit_for_a_command_line() {
    let ring = Ring::of(&[Active]);
    let long = "a".repeat(63);
    for name in ["a", "cp-1", "10.0.0.7", "node.example.org", &long] {
        Act::Join { replica: name.into() }.apply(&mut ring.draft(), "x").unwrap();
    }
    let longer = "a".repeat(64);
    for name in ["", "-x", "x-", ".x", "x.", "A", "a b", "a/b", "a\n", "é", "a_b", &longer] {
        refused(&ring, "x", &Act::Join { replica: name.into() }, &["is no name of a replica"]);
    }
}

#[test]
fn hold_covers_what_it_says_or_everything_that_is_left() {
    for (first, last, expected) in [
        (None, None, (2, 4)),
        (Some(3), None, (3, 4)),
        (None, Some(2), (2, 2)),
        (Some(2), Some(4), (2, 4)),
    ] {
        let mut ring = Ring::of(&[Destroyed, Archived, Deactivated, Active]);
        let change = ring.act("ann", &hold(first, last)).unwrap();
        assert_eq!(audited(&change), [("hold.added", "hold 1")]);
        let row = &change.holds[0];
        assert_eq!((row.first, row.last), expected);
        assert_eq!((row.until, row.added_by.as_str(), row.added_at), (NOW + DAY, "ann", NOW));
    }
}

#[test]
fn hold_that_holds_nothing_is_refused() {
    let ring = Ring::of(&[Destroyed, Deactivated, Active]);
    refused(&ring, "ann", &hold(Some(4), None), &["there is no version 4", "strongroom keys list"]);
    refused(
        &ring,
        "ann",
        &hold(Some(1), None),
        &["etcd/v1/", "is destroyed", "no hold brings it back"],
    );
    refused(&ring, "ann", &hold(Some(3), Some(2)), &["versions 3 to 2 are none"]);
    for until in [0, NOW - 1, NOW, u64::MAX] {
        let act = Act::AddHold { first: None, last: None, until, reason: why() };
        refused(&ring, "ann", &act, &["in the future with --until"]);
    }
    let act = Act::AddHold { first: None, last: None, until: NOW + 1, reason: " ".into() };
    refused(&ring, "ann", &act, &["no reason is given", "--reason"]);
}

#[test]
fn hold_is_released_once() {
    let mut ring = Ring::of(&[Deactivated, Active]);
    let release = Act::ReleaseHold { id: 1, reason: why() };
    refused(&ring, "bob", &release, &["there is no hold 1"]);
    ring.act("ann", &hold(None, None)).unwrap();
    assert_eq!(audited(&ring.act("bob", &release).unwrap()), [("hold.released", "hold 1")]);
    refused(&ring, "bob", &release, &["released by bob at 2026-11-01T03:00:00Z"]);
}

/// Every act on a version in every state: done, or refused with what to do instead.
#[test]
fn versions_go_only_where_the_rules_let_them() {
    let archive = Act::Archive { version: 1, reason: why() };
    let compromise = Act::Compromise { version: 1, reason: why() };
    let restore = Act::Restore { version: 1, reason: why() };
    let schedule = Act::ScheduleDestroy { version: 1, wait: MIN_WAIT };
    let cancel = Act::CancelDestroy { version: 1 };
    let destroy = Act::Destroy { version: 1 };
    for (state, act, expected) in [
        (Deactivated, &archive, Ok((Archived, "key.archived"))),
        (Archived, &archive, Err("not deactivated but archived")),
        (PreActive, &archive, Err("strongroom rotate cancel")),
        (Destroyed, &archive, Err("not deactivated but destroyed")),
        (Compromised, &archive, Ok((Archived, "key.archived"))),
        (Deactivated, &compromise, Ok((Compromised, "key.compromised"))),
        (Archived, &compromise, Ok((Compromised, "key.compromised"))),
        (PreActive, &compromise, Err("strongroom rotate cancel")),
        (Compromised, &compromise, Err("marked as compromised already")),
        (Destroyed, &compromise, Err("gone for ever already")),
        (Compromised, &restore, Ok((Deactivated, "key.restored"))),
        (Compromised, &schedule, Err("strongroom keys archive 1")),
        (Compromised, &cancel, Err("is not scheduled to be destroyed")),
        (Compromised, &destroy, Err("cannot be destroyed")),
        (Archived, &restore, Ok((Deactivated, "key.restored"))),
        (Deactivated, &restore, Err("needs no restoring")),
        (PreActive, &restore, Err("needs no restoring")),
        (Destroyed, &restore, Err("nothing here brings it back")),
        (Archived, &schedule, Ok((DestroyScheduled, "key.destroy_scheduled"))),
        (Deactivated, &schedule, Err("strongroom keys archive 1")),
        (PreActive, &schedule, Err("staged by a rotation")),
        (Destroyed, &schedule, Err("gone for ever")),
        (Archived, &cancel, Err("is not scheduled to be destroyed")),
        (Deactivated, &cancel, Err("is not scheduled to be destroyed")),
        (Archived, &destroy, Err("strongroom keys destroy 1 --wait 7d")),
        (Deactivated, &destroy, Err("cannot be destroyed")),
        (PreActive, &destroy, Err("cannot be destroyed")),
        (Destroyed, &destroy, Err("is destroyed already")),
    ] {
        let mut ring = Ring::of(&[state, Active]);
        match expected {
            Ok((after, action)) => {
                let change = ring.act("ann", act).unwrap();
                let row = ring.state().version(1).unwrap().clone();
                assert_eq!((row.state, row.changed), (after, NOW));
                assert_eq!(audited(&change), [(action, row.id.as_str())]);
            }
            Err(part) => refused(&ring, "ann", act, &["etcd/v1/", part]),
        }
    }
    // The active one, and one that is not there.
    for act in [&archive, &compromise, &restore, &schedule, &cancel, &destroy] {
        refused(&Ring::of(&[Active]), "ann", act, &["etcd/v1/", "active version"]);
    }
    refused(&Ring::of(&[Active]), "ann", &compromise, &["strongroom rotate start --compromised"]);
    // Scheduled to be destroyed.
    let ring = scheduled(0);
    refused(&ring, "ann", &archive, &["not deactivated but scheduled"]);
    refused(&ring, "ann", &compromise, &["strongroom keys cancel-destroy 1"]);
    refused(&ring, "ann", &restore, &["strongroom keys cancel-destroy 1"]);
    refused(&ring, "ann", &schedule, &["already", "strongroom keys cancel-destroy 1"]);
    let mut ring = scheduled(0);
    let change = ring.act("bob", &cancel).unwrap();
    assert_eq!(change.versions[0].state, Archived);
    assert_eq!(change.versions[0].destruction, None);
}

#[test]
fn wait_before_destruction_is_seven_to_thirty_days() {
    for wait in [0, DAY, MIN_WAIT - 1, MAX_WAIT + 1, u64::MAX] {
        let act = Act::ScheduleDestroy { version: 1, wait };
        let ring = Ring::of(&[Archived, Active]);
        refused(&ring, "ann", &act, &["between 7 days and 30 days"]);
    }
    for wait in [MIN_WAIT, MAX_WAIT] {
        let mut ring = Ring::of(&[Archived, Active]);
        let change = ring.act("ann", &Act::ScheduleDestroy { version: 1, wait }).unwrap();
        let destruction = change.versions[0].destruction.clone().unwrap();
        let expected =
            Destruction { requested_by: "ann".into(), wait, observed: 0, approved_by: None };
        assert_eq!(destruction, expected);
    }
}

#[test]
fn destroying_takes_the_whole_wait_and_two_people() {
    let destroy = Act::Destroy { version: 1 };
    refused(&scheduled(MIN_WAIT), "ann", &destroy, &["somebody else", "ann asked"]);
    refused(
        &scheduled(MIN_WAIT - 3600),
        "bob",
        &destroy,
        &["was watched for 6 days 23 h of 7 days", "1 h are missing"],
    );
    let mut ring = scheduled(MIN_WAIT);
    let change = ring.act("bob", &destroy).unwrap();
    let row = &change.versions[0];
    assert_eq!((row.state, row.wraps.len()), (Destroyed, 0));
    let destruction = row.destruction.as_ref().unwrap();
    assert_eq!(destruction.approved_by.as_deref(), Some("bob"));
    assert_eq!(audited(&change), [("key.destroyed", row.id.as_str())]);
    assert!(ring.state().newest_bundle().versions()[0].wraps.is_empty());
}

#[test]
fn nothing_under_a_hold_is_archived_or_destroyed() {
    for (states, act) in [
        (Deactivated, Act::Archive { version: 1, reason: why() }),
        (Archived, Act::ScheduleDestroy { version: 1, wait: MIN_WAIT }),
    ] {
        let mut ring = Ring::of(&[states, Active]);
        ring.act("ann", &hold(Some(1), Some(1))).unwrap();
        let says = ["hold 1 of ann", "etcd backup of 2026-11-01", "strongroom hold release 1"];
        refused(&ring, "bob", &act, &says);
        // One that ran out holds until the leader, or somebody, has released it.
        ring.rows.now = NOW + 2 * DAY;
        refused(&ring, "bob", &act, &says);
        ring.act("ann", &Act::ReleaseHold { id: 1, reason: why() }).unwrap();
        ring.act("bob", &act).unwrap();
    }
    let mut ring = scheduled(MIN_WAIT);
    ring.act("ann", &hold(None, None)).unwrap();
    refused(&ring, "bob", &Act::Destroy { version: 1 }, &["hold 1 of ann", "cannot be destroyed"]);
}

/// Closing it loses nothing, and cannot wait for a backup to grow old.
#[test]
fn compromised_version_under_a_hold_is_closed_and_opened_again_for_a_reason() {
    let mut ring = Ring::of(&[Deactivated, Active]);
    ring.act("ann", &hold(Some(1), Some(1))).unwrap();
    let silent = Act::Compromise { version: 1, reason: " ".into() };
    refused(&ring, "bob", &silent, &["no reason is given", "--reason"]);
    let change = ring.act("bob", &Act::Compromise { version: 1, reason: why() }).unwrap();
    assert!(!change.versions[0].wraps.is_empty());
    assert!(change.bundle.is_some(), "every replica is told");
    let silent = Act::Restore { version: 1, reason: String::new() };
    refused(&ring, "bob", &silent, &["no reason is given", "--reason"]);
    ring.act("bob", &Act::Restore { version: 1, reason: why() }).unwrap();
    assert_eq!(ring.state().version(1).unwrap().state, Deactivated);
}

#[test]
fn nothing_is_archived_while_a_run_is_open_and_its_own_versions_are_not_destroyed() {
    let mut ring = Ring::of(&[Deactivated, Active]);
    ring.run(|_| {});
    let archive = Act::Archive { version: 1, reason: why() };
    refused(&ring, "ann", &archive, &["while run 1 is open", "strongroom keys archive 1"]);
    let compromise = Act::Compromise { version: 1, reason: why() };
    refused(&ring, "ann", &compromise, &["while run 1 is open", "strongroom keys compromise 1"]);

    let mut ring = scheduled(MIN_WAIT);
    ring.run(|run| run.from = 1);
    refused(&ring, "bob", &Act::Destroy { version: 1 }, &["run 1 is open and goes from or to it"]);
}

/// A replica that does not follow may be behind; or ahead of a ledger that was restored, and write under that very version.
#[test]
fn nothing_is_archived_or_destroyed_before_every_member_serves_what_the_ledger_has() {
    let archive = Act::Archive { version: 1, reason: why() };
    let compromise = Act::Compromise { version: 1, reason: why() };
    let schedule = Act::ScheduleDestroy { version: 1, wait: MIN_WAIT };
    let destroy = Act::Destroy { version: 1 };
    for (mut ring, act) in [
        (Ring::of(&[Deactivated, Active]), &archive),
        (Ring::of(&[Deactivated, Active]), &compromise),
        (Ring::of(&[Archived, Active]), &schedule),
        (scheduled(MIN_WAIT), &destroy),
    ] {
        ring.member("cp-1");
        refused(
            &ring,
            "bob",
            act,
            &["cp-1 has not reported yet", "strongroom replicas remove cp-1"],
        );
        for generation in [4, ring.rows.head.generation, 9] {
            ring.report("cp-1", |report| {
                (report.generation, report.bundle) = (generation, [9; 32])
            });
            let says = format!("replica cp-1 serves generation {generation}");
            refused(&ring, "bob", act, &["etcd/v1/", &says]);
        }
        ring.report("cp-1", |_| {});
        ring.act("bob", act).unwrap();
    }
}

#[test]
fn reasons_are_one_line_that_a_terminal_can_show() {
    let ring = Ring::of(&[Active]);
    for reason in ["a\nb", "\u{1b}[2J", "\u{0}"] {
        let act = Act::Begin { trigger: "manual", reason: reason.into() };
        refused(&ring, "ann", &act, &["control characters"]);
    }
    let act = Act::Begin { trigger: "manual", reason: "x".repeat(501) };
    refused(&ring, "ann", &act, &["501 bytes"]);
    let act = Act::Begin { trigger: "whim", reason: why() };
    refused(&ring, "ann", &act, &["whim is no trigger"]);
}
