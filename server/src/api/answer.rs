//! From what the ring knows to what the API says. Nothing here can carry a key: of a wrapped key, only the root's id is told.

use std::collections::BTreeSet;

use envelope::{KeyId, audit, bundle::State as VersionState};
use proto::admin;

use crate::{
    ledger::{HoldRow, ReplicaRow, ReportRow, RunRow, RunState, State, VersionRow},
    metrics::key_id_hash,
    rotation::{
        Apiserver, Custody, Phase, Plan, Planned, Rewrapped, Root, Step, Tried, Wait, Wrapped,
        wrapped,
    },
};

pub(super) fn keys(state: &State) -> admin::ListKeysResponse {
    let ring = admin::Ring {
        name: state.ring.as_str().into(),
        generation: state.head.generation,
        versions: state.versions.iter().map(|row| key(state, row)).collect(),
    };
    admin::ListKeysResponse {
        cluster: state.cluster.id.to_string(),
        now: state.now,
        rings: vec![ring],
    }
}

pub(super) fn key(state: &State, row: &VersionRow) -> admin::KeyVersion {
    let version = row.id.version();
    admin::KeyVersion {
        id: row.id.as_str().into(),
        version,
        state: key_state(row.state).into(),
        created: row.created,
        activated: row.activated,
        changed: row.changed,
        age: state.now.saturating_sub(row.created),
        roots: row.wraps.iter().map(|wrapped| wrapped.root().to_string()).collect(),
        destruction: row.destruction.as_ref().map(|destruction| admin::Destruction {
            requested_by: destruction.requested_by.clone(),
            wait: destruction.wait,
            observed: destruction.observed,
            approved_by: destruction.approved_by.clone(),
        }),
        holds: state.holds.iter().filter(|row| row.holds(version)).map(|row| row.id).collect(),
    }
}

fn key_state(state: VersionState) -> admin::KeyState {
    match state {
        VersionState::PreActive => admin::KeyState::PreActive,
        VersionState::Active => admin::KeyState::Active,
        VersionState::Deactivated => admin::KeyState::Deactivated,
        VersionState::Archived => admin::KeyState::Archived,
        VersionState::DestroyScheduled => admin::KeyState::DestroyScheduled,
        VersionState::Destroyed => admin::KeyState::Destroyed,
        VersionState::Compromised => admin::KeyState::Compromised,
    }
}

pub(super) fn hold(row: &HoldRow) -> admin::Hold {
    let (released_by, released) = row.released.clone().unzip();
    admin::Hold {
        id: row.id,
        first: row.first,
        last: row.last,
        until: row.until,
        reason: row.reason.clone(),
        added_by: row.added_by.clone(),
        added: row.added_at,
        released_by,
        released,
    }
}

pub(super) fn run(row: &RunRow) -> admin::Run {
    let state = match row.state {
        RunState::Open => admin::RunState::Open,
        RunState::Paused => admin::RunState::Paused,
        RunState::Cancelled => admin::RunState::Cancelled,
        RunState::Done => admin::RunState::Done,
    };
    admin::Run {
        id: row.id,
        trigger: row.trigger.clone(),
        reason: row.reason.clone(),
        requested_by: row.requested_by.clone(),
        begun: row.begun,
        from: row.from,
        to: row.to,
        activated: row.activated,
        converged: row.converged,
        state: state.into(),
        ended: row.ended,
        outcome: row.outcome.clone(),
    }
}

/// The run that is under way, else the last one.
pub(super) fn newest_run(state: &State) -> Option<admin::Run> {
    state.open_run().or(state.runs.last()).map(run)
}

pub(super) fn replica(state: &State, row: &ReplicaRow) -> admin::Replica {
    let report = state.reports.iter().find(|report| report.replica == row.name);
    let (removed_by, removed) = row.removed.clone().unzip();
    let lacks = if row.removed.is_some() { String::new() } else { lacks(state, report) };
    admin::Replica {
        name: row.name.clone(),
        joined: row.joined,
        removed_by,
        removed,
        reported: report.map(|report| report.at),
        generation: report.map_or(0, |report| report.generation),
        serving: report.map_or(0, |report| report.serving),
        tested: report.map_or(0, |report| report.tested),
        lacks,
    }
}

/// What keeps a replica from being up to date, for people.
fn lacks(state: &State, report: Option<&ReportRow>) -> String {
    let Some(report) = report else { return "has never reported".into() };
    let newest = state.head.generation;
    if report.generation < newest {
        return format!("serves generation {} and the newest is {newest}", report.generation);
    }
    let staged = state.open_run().and_then(|run| run.to).unwrap_or(0);
    if report.tested < staged {
        return format!("has not tested version {staged} yet");
    }
    match state.active().map(|row| row.id.version()) {
        Some(active) if report.serving != active => {
            format!("its Status still names version {}", report.serving)
        }
        _ => String::new(),
    }
}

fn apiserver(state: &State, apiserver: &Apiserver) -> admin::Apiserver {
    let active = state.active().map(|row| key_id_hash(&row.id));
    let (hash, error) = match &apiserver.key_id_hash {
        Ok(hash) => (hash.clone(), String::new()),
        Err(error) => (String::new(), error.clone()),
    };
    admin::Apiserver {
        name: apiserver.name.clone(),
        on_active: active.is_some_and(|active| active == hash),
        key_id_hash: hash,
        error,
        objects: apiserver.objects,
    }
}

pub(super) fn rotation(planned: &Planned) -> admin::Rotation {
    let Planned { state, plan, apiservers } = planned;
    let replicas = state.replicas.iter().filter(|row| row.removed.is_none());
    let leader = state.lease.as_ref().filter(|lease| lease.until > state.now);
    admin::Rotation {
        cluster: state.cluster.id.to_string(),
        ring: state.ring.as_str().into(),
        now: state.now,
        phase: phase(plan.phase).into(),
        generation: state.head.generation,
        active: state.active().map(|row| row.id.as_str().into()).unwrap_or_default(),
        run: newest_run(state),
        replicas: replicas.map(|row| replica(state, row)).collect(),
        apiservers: apiservers.iter().map(|one| apiserver(state, one)).collect(),
        steps: steps(plan),
        waits: plan.waits.iter().map(wait).collect(),
        eta: plan.eta,
        next: plan.next,
        leader: leader.map(|lease| admin::Leader {
            holder: lease.holder.clone(),
            epoch: lease.epoch,
            until: lease.until,
        }),
    }
}

pub(super) fn plan(planned: &Planned) -> admin::PlanRotationResponse {
    let Planned { state, plan, .. } = planned;
    admin::PlanRotationResponse {
        now: state.now,
        phase: phase(plan.phase).into(),
        steps: steps(plan),
        waits: plan.waits.iter().map(wait).collect(),
        eta: plan.eta,
        next: plan.next,
    }
}

fn phase(phase: Phase) -> admin::Phase {
    match phase {
        Phase::Idle => admin::Phase::Idle,
        Phase::Stage => admin::Phase::Stage,
        Phase::Propagate => admin::Phase::Propagate,
        Phase::Activate => admin::Phase::Activate,
        Phase::Converge => admin::Phase::Converge,
        Phase::Reencrypt => admin::Phase::Reencrypt,
        Phase::Verify => admin::Phase::Verify,
    }
}

fn steps(plan: &Plan) -> Vec<admin::Step> {
    let steps = plan.steps.iter();
    steps.map(|(step, reason)| admin::Step { what: words(step), reason: reason.clone() }).collect()
}

fn words(step: &Step) -> String {
    match step {
        Step::Begin { trigger, .. } => format!("begin a rotation ({trigger})"),
        Step::Stage { version } => format!("make version {version} and publish it as pre-active"),
        Step::Activate { version } => format!("make version {version} active"),
        Step::Converged => "note that everybody is on the new version".into(),
        Step::Finish { .. } => "end the rotation".into(),
        Step::ExpireHold { id } => format!("release hold {id}, which ran out"),
        Step::Observe { version, observed } => {
            format!("note that version {version} was watched waiting for {observed} s")
        }
        Step::Checkpoint => "sign where the audit chain stands".into(),
    }
}

fn wait(wait: &Wait) -> admin::Wait {
    admin::Wait {
        on: wait.on.clone(),
        reason: wait.reason.clone(),
        unblock: wait.unblock.clone().unwrap_or_default(),
    }
}

pub(super) fn custody(custody: &Custody) -> admin::Custody {
    let Custody { state, roots } = custody;
    let root = |root: &Root| admin::Root {
        id: root.id.map(|id| id.to_string()).unwrap_or_default(),
        name: root.name.clone(),
        away: root.away.clone().unwrap_or_default(),
    };
    let key = |key: Wrapped<'_>| {
        let holds = state.holds.iter();
        let holds = holds.filter(|hold| key.state.is_some() && hold.holds(key.id.version()));
        admin::WrappedKey {
            id: key.id.as_str().into(),
            state: key.state.map_or(admin::KeyState::Unspecified, key_state).into(),
            roots: key.wraps.iter().map(|wrap| wrap.root().to_string()).collect(),
            holds: holds.map(|hold| hold.id).collect(),
        }
    };
    admin::Custody {
        ring: state.ring.as_str().into(),
        generation: state.head.generation,
        roots: roots.iter().map(root).collect(),
        keys: wrapped(state).map(key).collect(),
    }
}

pub(super) fn tried(tried: Tried) -> admin::TriedKey {
    admin::TriedKey {
        key: tried.key.as_str().into(),
        root: tried.root.to_string(),
        problem: tried.outcome.err().unwrap_or_default(),
        microseconds: u64::try_from(tried.took.as_micros()).unwrap_or(u64::MAX),
    }
}

pub(super) fn rewrapped(done: &Rewrapped) -> admin::RewrapKeysResponse {
    let key = |id: &KeyId| admin::RewrappedKey {
        key: id.as_str().into(),
        roots: done.made.get(id).into_iter().flatten().map(ToString::to_string).collect(),
        problem: {
            let failed = done.failed.iter().filter(|(of, _)| of == id);
            failed.map(|(_, why)| why.as_str()).collect::<Vec<_>>().join("; ")
        },
    };
    let ids: BTreeSet<&KeyId> =
        done.made.keys().chain(done.failed.iter().map(|(id, _)| id)).collect();
    admin::RewrapKeysResponse {
        custody: Some(custody(&done.custody)),
        keys: ids.into_iter().map(key).collect(),
    }
}

pub(super) fn record((record, hash): (audit::Record, audit::Hash)) -> admin::AuditRecord {
    let audit::Record { seq, at, actor, action, subject, detail, previous } = record;
    admin::AuditRecord {
        seq,
        at,
        actor,
        action,
        subject,
        detail,
        previous: previous.to_vec(),
        hash: hash.to_vec(),
    }
}

pub(super) fn checkpoint(checkpoint: &audit::Checkpoint) -> admin::AuditCheckpoint {
    admin::AuditCheckpoint {
        seq: checkpoint.seq,
        hash: checkpoint.hash.to_vec(),
        at: checkpoint.at,
        public_key: checkpoint.public_key.to_vec(),
        signature: checkpoint.signature.to_vec(),
    }
}
