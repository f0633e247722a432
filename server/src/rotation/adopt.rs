use std::collections::BTreeMap;

use envelope::{
    Bundle, WrappedKey,
    bundle::{State as VersionState, Version},
};

use super::{MIN_WAIT, Refused, act::entry, succeeds, succession::leads_to, words::moment};
use crate::ledger::{Destruction, Draft, HoldRow, RunRow, RunState, State, VersionRow};

/// A ledger that was restored from an old backup takes up what `bundle`, of the node with the highest generation, knows
/// better: versions that it has forgotten, states that have gone on. The draft publishes a generation above both, which every
/// node can take after the one it has.
///
/// What the ledger knew beyond key versions since that backup is lost and is not made up: members join again by themselves;
/// holds have to be added again; the audit chain goes on from where the backup has it, with a record of this. A run that was
/// under way goes on: to the version that is staged, or from where that became active.
///
/// Each version makes one legal transition. Returns whether that was all; where not, commit, read and adopt again: only what
/// is destroyed takes more than one. What was archived may have to be archived again. Safe to repeat, also with the bundle of
/// another node: nothing goes back. Where the ledger has all of it already, the draft stays empty.
///
/// # Errors
/// [`Refused`]; the draft is as it was.
pub fn adopt(draft: &mut Draft, bundle: &Bundle, actor: &str) -> Result<bool, Refused> {
    let state = draft.state();
    // Nothing was lost, or all of it was taken up before.
    if succeeds(state.newest_bundle(), bundle).is_ok() && !is_parted(state, bundle) {
        return Ok(true);
    }
    let merge = Merge::of(state, bundle, actor)?;
    let (at, above) = (state.head.generation, bundle.generation());
    let detail = format!(
        "the ledger was at generation {at} and the node at {above}: {} versions were unknown to the ledger, {} go on. What \
         it knew of holds, members and acts in between is lost",
        merge.unknown, merge.moved
    );
    let runs = continued(state, &merge, actor);
    let own = &state.cluster.ledger_key;
    let wraps = joined(&own.wraps, &bundle.ledger().wraps);
    if wraps != own.wraps {
        let record = entry(actor, "ledger_key.adopted", own.id.to_string(), "under more root keys");
        draft.put_ledger_key(wraps, record);
    }
    for row in merge.changed.into_values() {
        let record = entry(actor, "key.adopted", row.id.to_string(), row.state.as_str());
        draft.put_version(row, record);
    }
    for (run, what) in runs {
        let record = entry(actor, "rotation.adopted", format!("run {}", run.id), what);
        draft.put_run(run, record);
    }
    draft.publish_above(above);
    draft.record(entry(actor, "ledger.adopted", format!("generation {above}"), &detail));
    Ok(merge.complete)
}

/// Which rows of versions change, and how.
struct Merge {
    rows: BTreeMap<u32, VersionRow>,
    changed: BTreeMap<u32, VersionRow>,
    unknown: usize,
    moved: usize,
    complete: bool,
    /// The version that is active afterwards.
    active: VersionRow,
}

impl Merge {
    fn of(state: &State, bundle: &Bundle, actor: &str) -> Result<Self, Refused> {
        let ledger_key = &state.cluster.ledger_key.id;
        if bundle.ring() != &state.ring || bundle.ledger().id != *ledger_key {
            return refuse(format!(
                "the bundle is of ring {} under ledger key {}, and this ledger is of ring {} under {ledger_key}: they do not \
                 belong together. Look at [ledger] in the configuration of this daemon",
                bundle.ring(),
                bundle.ledger().id,
                state.ring
            ));
        }
        let mut rows: BTreeMap<u32, VersionRow> =
            state.versions.iter().map(|row| (row.id.version(), row.clone())).collect();
        let mut changed = BTreeMap::new();
        let (mut unknown, mut moved, mut complete) = (0, 0, true);
        for version in bundle.versions() {
            let number = version.id.version();
            let row = match rows.get(&number) {
                None => {
                    unknown += 1;
                    unknown_row(version, state.now, actor)
                }
                Some(row) if row.id != version.id => {
                    return refuse(other_history(&format!(
                        "version {number} is {} in the ledger and {} on this node",
                        row.id, version.id
                    )));
                }
                Some(known) => {
                    let row = &under_all(known, version);
                    let goal = match (row.state, goal(version.state)) {
                        // It opens again until somebody archives it again: two transitions for what harms nobody.
                        (
                            VersionState::PreActive | VersionState::Active,
                            VersionState::Archived,
                        ) => VersionState::Deactivated,
                        (_, goal) => goal,
                    };
                    // One that is further than the node's stays there; the node follows.
                    let mut next = towards(row.state, goal);
                    // A hold keeps a key from being lost, and one that is compromised is closed all the same.
                    let ends =
                        |next: VersionState| !next.opens() && next != VersionState::Compromised;
                    if let Some(hold) = state.held(number).filter(|_| next.is_some_and(ends)) {
                        if goal == VersionState::Destroyed {
                            return refuse(held_and_gone(row, hold));
                        }
                        // The hold was let go of once, and stands again: the version stays open, also on the nodes.
                        next = None;
                    }
                    let Some(next) = next else {
                        if row != known {
                            changed.insert(number, row.clone());
                        }
                        continue;
                    };
                    moved += 1;
                    complete &= next == goal;
                    moved_row(row, version, next, state.now, actor)
                }
            };
            rows.insert(number, row.clone());
            changed.insert(number, row);
        }
        let active = rows.values().rfind(|row| row.state == VersionState::Active).cloned();
        let used = bundle.versions().iter().find(|version| version.state == VersionState::Active);
        let used = used.map_or(0, |version| version.id.version());
        let Some(active) = active.filter(|row| row.id.version() >= used) else {
            return refuse(other_history(&format!(
                "version {used} is active on this node, and in the ledger it is {} and cannot become so again",
                rows.get(&used).map_or("unknown", |row| row.state.as_str())
            )));
        };
        // The ledger may have activated one by itself, and a version below it is not going to be active any more.
        for row in rows.values_mut() {
            let below = row.id.version() < active.id.version();
            if below && matches!(row.state, VersionState::Active | VersionState::PreActive) {
                row.state = VersionState::Deactivated;
                row.changed = state.now;
                if changed.insert(row.id.version(), row.clone()).is_none() {
                    moved += 1;
                }
            }
        }
        Ok(Self { rows, changed, unknown, moved, complete, active })
    }

    fn staged(&self) -> Option<&VersionRow> {
        self.rows.values().rfind(|row| row.state == VersionState::PreActive)
    }
}

/// Whether no root that opens a key for the node opens it in the ledger: since the backup that this is, keys came under another
/// root and the old one was given up.
fn is_parted(state: &State, bundle: &Bundle) -> bool {
    let parted = |own: &[WrappedKey], known: &[WrappedKey]| {
        let mut shared = own.iter().filter(|own| known.iter().any(|one| one.root() == own.root()));
        !known.is_empty() && !own.is_empty() && shared.next().is_none()
    };
    parted(&state.cluster.ledger_key.wraps, &bundle.ledger().wraps)
        || bundle.versions().iter().any(|version| {
            let row = state.version(version.id.version()).filter(|row| row.id == version.id);
            row.is_some_and(|row| parted(&row.wraps, &version.wraps))
        })
}

/// The wraps of both: a root that the ledger forgot comes back, and so does one that it forgot to have removed.
fn joined(own: &[WrappedKey], known: &[WrappedKey]) -> Vec<WrappedKey> {
    let mut all = own.to_vec();
    let lacks = |wrap: &&WrappedKey| !own.iter().any(|one| one.root() == wrap.root());
    all.extend(known.iter().filter(lacks).cloned());
    all.sort_by_key(WrappedKey::root);
    if all.len() > Bundle::MAX_ROOTS { known.to_vec() } else { all }
}

fn under_all(row: &VersionRow, version: &Version) -> VersionRow {
    if row.state == VersionState::Destroyed || version.state == VersionState::Destroyed {
        return row.clone();
    }
    VersionRow { wraps: joined(&row.wraps, &version.wraps), ..row.clone() }
}

/// How long a version was watched towards its destruction is forgotten with the ledger: it is archived, and asked for anew.
fn goal(state: VersionState) -> VersionState {
    match state {
        VersionState::DestroyScheduled => VersionState::Archived,
        state => state,
    }
}

/// The next legal transition on the way, where there is one: the schema refuses every other.
fn towards(from: VersionState, goal: VersionState) -> Option<VersionState> {
    use VersionState::{
        Active, Archived, Compromised, Deactivated, DestroyScheduled, Destroyed, PreActive,
    };
    // Where nobody can tell which came last, a key that somebody else may have stays closed: to open it is an act of its own.
    if from == goal || !leads_to(from, goal) || (from == Compromised && goal.opens()) {
        return None;
    }
    Some(match (from, goal) {
        (_, Compromised) => Compromised,
        (PreActive, Active) => Active,
        (PreActive | Active, _) | (Archived, Deactivated) => Deactivated,
        (Archived, Destroyed) => DestroyScheduled,
        (DestroyScheduled, Destroyed) => Destroyed,
        (Deactivated | DestroyScheduled | Compromised | Archived | Destroyed, _) => Archived,
    })
}

fn unknown_row(version: &Version, now: u64, actor: &str) -> VersionRow {
    let state = goal(version.state);
    VersionRow {
        id: version.id.clone(),
        state,
        created: version.created,
        activated: version.activated,
        changed: now,
        destruction: forgotten(state, actor),
        wraps: version.wraps.clone(),
        mac: [0; 32],
    }
}

fn moved_row(
    row: &VersionRow,
    version: &Version,
    state: VersionState,
    now: u64,
    actor: &str,
) -> VersionRow {
    VersionRow {
        state,
        changed: now,
        activated: row.activated.or(version.activated),
        destruction: forgotten(state, actor),
        wraps: if state == VersionState::Destroyed { Vec::new() } else { row.wraps.clone() },
        ..row.clone()
    }
}

/// A version that is destroyed on the nodes was waited for and agreed on once; who did is lost.
fn forgotten(state: VersionState, actor: &str) -> Option<Destruction> {
    matches!(state, VersionState::DestroyScheduled | VersionState::Destroyed).then(|| Destruction {
        requested_by: "lost with the ledger".into(),
        wait: MIN_WAIT,
        observed: MIN_WAIT,
        approved_by: (state == VersionState::Destroyed).then(|| actor.into()),
    })
}

/// The runs that have to change so that what was under way goes on.
fn continued(state: &State, merge: &Merge, actor: &str) -> Vec<(RunRow, &'static str)> {
    let was_active = state.active().map_or(0, |row| row.id.version());
    let (active, staged) = (&merge.active, merge.staged());
    let target = staged.or(Some(active).filter(|active| active.id.version() > was_active));
    let mut out = Vec::new();
    if let Some(open) = state.open_run() {
        let mut run = open.clone();
        let goes_to = |row: &VersionRow| run.to == Some(row.id.version());
        if run.to.is_none() || goes_to(active) || staged.is_some_and(goes_to) {
            if let (None, Some(target)) = (run.to, target) {
                run.to = Some(target.id.version());
            }
            if run.to == Some(active.id.version()) {
                run.activated = run.activated.or(active.activated);
            }
            if run != *open {
                out.push((run, "goes on as far as a node knew it"));
            }
            return out;
        }
        let done = run.activated.is_some();
        run.state = if done { RunState::Done } else { RunState::Cancelled };
        run.ended = Some(state.now);
        run.outcome = "a node knew that the ring had gone on without it".into();
        out.push((run, "a node knew that the ring had gone on without it"));
    }
    if let Some(target) = target {
        let from = if staged.is_some() { active.id.version() } else { was_active };
        let run = RunRow {
            id: state.runs.last().map_or(1, |run| run.id + 1),
            trigger: "manual".into(),
            reason: format!(
                "was under way when the ledger was restored; adopted {}",
                moment(state.now)
            ),
            requested_by: actor.into(),
            begun: state.now,
            from,
            to: Some(target.id.version()),
            activated: target.activated,
            converged: None,
            state: RunState::Open,
            ended: None,
            outcome: String::new(),
            mac: [0; 32],
        };
        out.push((run, "begun so that what was under way goes on"));
    }
    out
}

fn other_history(what: &str) -> String {
    format!(
        "{what}: after the restore the ledger went its own way, and it cannot take up the other. Keep an export of it, which \
         has the audit chain (strongroom ledger export), and rebuild it from this node: strongroomd init --from-bundle"
    )
}

fn held_and_gone(row: &VersionRow, hold: &HoldRow) -> String {
    format!(
        "{} is destroyed on the nodes, and hold {} ({}), which was let go of before, stands again in the restored ledger. It \
         holds nothing any more: strongroom hold release {}, then adopt again",
        row.id, hold.id, hold.reason, hold.id
    )
}

fn refuse<T>(message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(message.into()))
}
