//! Which bundle a node takes, and how a ledger that was restored takes up what a node knows better.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use envelope::{Bundle, bundle::State as VersionState};
use strongroomd::{
    ledger::{RunState, VersionRow},
    rotation::{Act, NoSuccessor, adopt, succeeds},
};

use self::ring::{DAY, NOW, Ring, entry, version};
use VersionState::{Active, Archived, Deactivated, DestroyScheduled, Destroyed, PreActive};

#[path = "support/ring.rs"]
#[expect(dead_code, reason = "shared with the tests of plans")]
mod ring;

/// Brings version `number` into `state`, as a run or an operator would in more than one act.
fn bring(ring: &mut Ring, number: u32, state: VersionState) {
    let root = &ring.root;
    let mut row = ring.state().version(number).cloned().unwrap_or_else(|| version(root, number));
    if state == Active {
        let old = ring.state().active().unwrap().clone();
        row.activated = Some(NOW);
        let old = VersionRow { state: Deactivated, ..old };
        let row = VersionRow { state: Active, ..row };
        ring.edit(|draft| {
            draft.put_version(old, entry("key.deactivated"));
            draft.put_version(row, entry("key.activated"));
        });
        return;
    }
    row.state = state;
    if state == Destroyed {
        row.wraps.clear();
    }
    ring.edit(|draft| draft.put_version(row, entry("key.edited")));
}

fn bundle(ring: &Ring) -> Bundle {
    ring.state().newest_bundle().clone()
}

fn states(ring: &Ring) -> Vec<VersionState> {
    ring.state().versions.iter().map(|row| row.state).collect()
}

/// A ledger as it was when the backup was made, and what a node has after everything in `then` came to pass.
fn restored(
    before: &[VersionState],
    at_backup: impl FnOnce(&mut Ring),
    then: &[(u32, VersionState)],
) -> (Ring, Bundle) {
    let mut ring = Ring::of(before);
    at_backup(&mut ring);
    let dump = ring.rows.clone();
    for (number, state) in then {
        bring(&mut ring, *number, *state);
    }
    let known = bundle(&ring);
    ring.rows = dump;
    (ring, known)
}

/// Adopts until all is taken up, and what every node may then take.
fn adopted(ring: &mut Ring, known: &Bundle) -> u32 {
    for commits in 1..5 {
        let mut draft = ring.draft();
        let complete = adopt(&mut draft, known, "ann").unwrap();
        if !draft.is_empty() {
            ring.write(draft);
        }
        if complete {
            succeeds(&bundle(ring), known).unwrap();
            return commits;
        }
    }
    panic!("never complete")
}

#[test]
fn node_takes_what_goes_on_from_what_it_has() {
    let mut ring = Ring::of(&[Deactivated, Active]);
    let first = bundle(&ring);
    let mut known = first.clone();
    succeeds(&known, &known).unwrap();
    for (number, state) in [
        (3, PreActive),
        (3, Active),
        (1, Archived),
        (1, Deactivated),
        (1, Archived),
        (1, DestroyScheduled),
        (1, Archived),
        (1, Destroyed),
    ] {
        bring(&mut ring, number, state);
        let next = bundle(&ring);
        succeeds(&next, &known).unwrap();
        known = next;
    }
    // Also after it was away for all of that.
    succeeds(&known, &first).unwrap();
}

#[test]
fn node_refuses_what_does_not() {
    let (mut ring, known) = restored(&[Active], |_| {}, &[(2, PreActive), (2, Active)]);
    let is = |ring: &Ring| succeeds(&bundle(ring), &known).unwrap_err();
    assert_eq!(is(&ring), NoSuccessor::Older { generation: 5, known: 7 });
    // The ledger counts up again: another version 2, under another key.
    bring(&mut ring, 2, PreActive);
    bring(&mut ring, 2, Deactivated);
    assert_eq!(is(&ring), NoSuccessor::OtherHistory { generation: 7 });
    bring(&mut ring, 3, PreActive);
    assert!(matches!(is(&ring), NoSuccessor::Forgets { id } if id.version() == 2));

    // It was only staged on this node.
    let (mut ring, known) = restored(&[Active], |_| {}, &[(2, PreActive)]);
    bring(&mut ring, 2, PreActive);
    bring(&mut ring, 2, Deactivated);
    let error = succeeds(&bundle(&ring), &known).unwrap_err();
    assert!(matches!(error, NoSuccessor::ForgetsStaged { .. }), "{error:?}");

    // Given up here, used elsewhere: it becomes active here for the first time.
    let staged = |ring: &mut Ring| bring(ring, 2, PreActive);
    let (mut ring, known) = restored(&[Active], staged, &[(2, Deactivated)]);
    bring(&mut ring, 2, Active);
    bring(&mut ring, 3, PreActive);
    succeeds(&bundle(&ring), &known).unwrap();

    let (mut ring, known) = restored(&[Deactivated, Active], |_| {}, &[(1, Destroyed)]);
    bring(&mut ring, 1, Archived);
    bring(&mut ring, 1, Deactivated);
    let error = succeeds(&bundle(&ring), &known).unwrap_err();
    assert!(
        matches!(error, NoSuccessor::Back { from: Destroyed, to: Deactivated, .. }),
        "{error:?}"
    );
    let other = bundle(&Ring::of(&[Active, Deactivated]));
    assert_eq!(succeeds(&other, &bundle(&Ring::of(&[Active]))), Err(NoSuccessor::OtherRing));
}

#[test]
fn forgotten_versions_are_taken_up_in_their_states() {
    let then = [(2, PreActive), (2, Active), (3, PreActive), (3, Active), (1, Archived)];
    let (mut ring, known) = restored(&[Active], |_| {}, &then);
    assert_eq!(known.generation(), 10);
    // Version 1 was archived, and opens again until somebody archives it again.
    assert_eq!(adopted(&mut ring, &known), 1);
    assert_eq!(states(&ring), [Deactivated, Deactivated, Active]);
    assert!(ring.state().head.generation > 10);
    let last = ring.rows.last_audit.as_ref().unwrap();
    assert_eq!((last.0.action.as_str(), last.0.actor.as_str()), ("ledger.adopted", "ann"));

    // Once more changes nothing.
    let mut draft = ring.draft();
    assert_eq!(adopt(&mut draft, &known, "ann"), Ok(true));
    assert!(draft.is_empty());
}

#[test]
fn equal_rows_are_published_above_what_nodes_have_accepted() {
    let (mut ring, known) =
        restored(&[Deactivated, Active], |_| {}, &[(1, Archived), (1, Deactivated)]);
    assert_eq!((known.generation(), ring.state().head.generation), (7, 5));
    adopted(&mut ring, &known);
    assert_eq!(ring.state().head.generation, 8);
}

/// What, the ledger at the backup, what came to pass since, and the runs afterwards.
type Case<'a> = (&'a str, fn(&mut Ring), &'a [(u32, VersionState)], &'a [Run]);
type Run = (u64, Option<u32>, bool, RunState);

/// What the run of the ledger is afterwards: its number, where it goes, since when that is active, and its state.
#[test]
fn run_that_was_under_way_goes_on() {
    let open = |ring: &mut Ring| ring.run(|_| {});
    let none = |_: &mut Ring| {};
    let staged = |ring: &mut Ring| {
        bring(ring, 2, PreActive);
        ring.run(|run| run.to = Some(2));
    };
    let table: [Case<'_>; 7] = [
        ("staged since", open, &[(2, PreActive)], &[(1, Some(2), false, RunState::Open)]),
        (
            "activated since",
            open,
            &[(2, PreActive), (2, Active)],
            &[(1, Some(2), true, RunState::Open)],
        ),
        ("begun and staged since", none, &[(2, PreActive)], &[(1, Some(2), false, RunState::Open)]),
        (
            "begun and activated since",
            none,
            &[(2, PreActive), (2, Active)],
            &[(1, Some(2), true, RunState::Open)],
        ),
        (
            "staged before, activated since",
            staged,
            &[(2, Active)],
            &[(1, Some(2), true, RunState::Open)],
        ),
        (
            "cancelled since",
            staged,
            &[(2, Deactivated)],
            &[(1, Some(2), false, RunState::Cancelled)],
        ),
        (
            "cancelled since, and another staged",
            staged,
            &[(2, Deactivated), (3, PreActive)],
            &[(1, Some(2), false, RunState::Cancelled), (2, Some(3), false, RunState::Open)],
        ),
    ];
    for (what, at_backup, then, expected) in table {
        let (mut ring, known) = restored(&[Active], at_backup, then);
        adopted(&mut ring, &known);
        let runs: Vec<Run> = ring
            .state()
            .runs
            .iter()
            .map(|run| (run.id, run.to, run.activated.is_some(), run.state))
            .collect();
        assert_eq!(runs, expected, "{what}");
    }
}

#[test]
fn destroyed_version_is_not_brought_back_and_a_scheduled_one_is_asked_for_anew() {
    let (mut ring, known) =
        restored(&[Archived, Archived, Active], |_| {}, &[(1, Destroyed), (2, DestroyScheduled)]);
    assert_eq!(adopted(&mut ring, &known), 2);
    assert_eq!(states(&ring), [Destroyed, Archived, Active]);
    let row = ring.state().version(1).unwrap().clone();
    assert!(row.wraps.is_empty());
    assert_eq!(row.destruction.unwrap().requested_by, "lost with the ledger");
}

#[test]
fn hold_that_stands_again_keeps_what_it_held() {
    let hold = |ring: &mut Ring| {
        let act = Act::AddHold {
            first: Some(1),
            last: Some(1),
            until: NOW + DAY,
            reason: "etcd backup".into(),
        };
        ring.act("ann", &act).unwrap();
    };
    let (mut ring, known) = restored(&[Deactivated, Active], hold, &[(1, Archived)]);
    adopted(&mut ring, &known);
    assert_eq!(states(&ring), [Deactivated, Active]);

    let (ring, known) = restored(&[Deactivated, Active], hold, &[(1, Destroyed)]);
    let mut draft = ring.draft();
    let refused = adopt(&mut draft, &known, "ann").unwrap_err().to_string();
    assert!(refused.contains("strongroom hold release 1"), "{refused}");
    assert!(draft.is_empty());
}

#[test]
fn ledger_that_went_its_own_way_is_not_mixed_with_another() {
    // Another key under the number that the node knows.
    let (mut ring, known) = restored(&[Active], |_| {}, &[(2, PreActive), (2, Active)]);
    bring(&mut ring, 2, PreActive);
    // Or the version that the node writes under was given up.
    let staged = |ring: &mut Ring| bring(ring, 2, PreActive);
    let (mut other, used) = restored(&[Active], staged, &[(2, Active)]);
    bring(&mut other, 2, Deactivated);
    for (ring, known) in [(ring, known), (other, used)] {
        let mut draft = ring.draft();
        let refused = adopt(&mut draft, &known, "ann").unwrap_err().to_string();
        assert!(refused.contains("strongroomd init --from-bundle"), "{refused}");
        assert!(draft.is_empty());
    }
    // Or it is another ring altogether.
    let mut draft = Ring::of(&[Active]).draft();
    let refused = adopt(&mut draft, &bundle(&Ring::of(&[Active, Deactivated])), "ann").unwrap_err();
    assert!(refused.0.contains("do not belong together"), "{refused}");
}

/// A hold keeps a key from being lost, not from being closed: `Act::Compromise` says so.
#[test]
fn version_that_is_compromised_stays_closed_under_a_hold_that_was_never_let_go_of() {
    let hold = |ring: &mut Ring| {
        let (first, last) = (Some(1), Some(1));
        let act = Act::AddHold { first, last, until: NOW + 90 * DAY, reason: "etcd backup".into() };
        ring.act("ann", &act).unwrap();
    };
    let (mut ring, known) =
        restored(&[Deactivated, Active], hold, &[(1, VersionState::Compromised)]);
    assert_eq!(known.versions()[0].state, VersionState::Compromised);
    adopted(&mut ring, &known);
    assert_eq!(states(&ring), [VersionState::Compromised, Active]);
}

/// Where nobody can tell which came last, the key that somebody else may have stays closed.
#[test]
fn version_that_the_ledger_knows_as_compromised_does_not_open_by_adopting() {
    let (mut ring, known) =
        restored(&[Deactivated, Active], |_| {}, &[(3, PreActive), (3, Active)]);
    // The node was away; in the restored ledger somebody closed version 1 on purpose.
    bring(&mut ring, 1, VersionState::Compromised);
    adopted(&mut ring, &known);
    assert_eq!(states(&ring)[0], VersionState::Compromised);
}
