//! Begin, pause, resume and cancel a run.

use envelope::{Bundle, bundle::State as VersionState};

use super::{Act, Refused, entry, moment, readable, refuse};
use crate::ledger::{Draft, RunRow, RunState, State, VersionRow};

pub(super) fn begin(
    draft: &mut Draft,
    actor: &str,
    trigger: &'static str,
    reason: &str,
) -> Result<(), Refused> {
    readable(reason)?;
    let state = draft.state();
    if !Act::TRIGGERS.contains(&trigger) {
        return refuse(format!("{trigger} is no trigger: one of {}", Act::TRIGGERS.join(", ")));
    }
    if let Some(run) = state.open_run() {
        let next = if run.state == RunState::Paused {
            "It is paused: strongroom rotate resume"
        } else {
            "See what it waits for: strongroom rotate status"
        };
        return refuse(format!(
            "run {} is open since {} ({}): one rotation at a time. {next}",
            run.id,
            moment(run.begun),
            run.trigger
        ));
    }
    let Some(active) = state.active() else {
        return refuse("the ring has no active version: strongroom keys list");
    };
    if state.versions.len() >= Bundle::MAX_VERSIONS {
        return refuse(format!(
            "the ring has {} versions, as many as a bundle holds: begin a new ring",
            state.versions.len()
        ));
    }
    let run = RunRow {
        id: state.runs.last().map_or(1, |run| run.id + 1),
        trigger: trigger.into(),
        reason: reason.into(),
        requested_by: actor.into(),
        begun: draft.now(),
        from: active.id.version(),
        to: None,
        activated: None,
        converged: None,
        state: RunState::Open,
        ended: None,
        outcome: String::new(),
        mac: [0; 32],
    };
    let detail =
        if reason.is_empty() { trigger.to_owned() } else { format!("{trigger}: {reason}") };
    let record = entry(actor, "rotation.begun", format!("run {}", run.id), &detail);
    draft.put_run(run, record);
    Ok(())
}

pub(super) fn pause(draft: &mut Draft, actor: &str, reason: &str) -> Result<(), Refused> {
    readable(reason)?;
    let mut run = open(draft.state())?.clone();
    if run.state == RunState::Paused {
        return refuse(format!("run {} is paused already: strongroom rotate resume", run.id));
    }
    run.state = RunState::Paused;
    let record = entry(actor, "rotation.paused", format!("run {}", run.id), reason);
    draft.put_run(run, record);
    Ok(())
}

pub(super) fn resume(draft: &mut Draft, actor: &str) -> Result<(), Refused> {
    let mut run = open(draft.state())?.clone();
    if run.state == RunState::Open {
        return refuse(format!(
            "run {} is not paused. See what it waits for: strongroom rotate status",
            run.id
        ));
    }
    run.state = RunState::Open;
    let record = entry(actor, "rotation.resumed", format!("run {}", run.id), "");
    draft.put_run(run, record);
    Ok(())
}

pub(super) fn cancel(draft: &mut Draft, actor: &str, reason: &str) -> Result<(), Refused> {
    readable(reason)?;
    let state = draft.state();
    let now = draft.now();
    let mut run = open(state)?.clone();
    let staged = run.to.and_then(|number| state.version(number)).cloned();
    if let Some(at) = run.activated {
        let id = staged.map_or_else(|| format!("version {:?}", run.to), |row| row.id.to_string());
        return refuse(format!(
            "run {} cannot be cancelled: {id} is active since {}, and Secrets are written under it. Versions only go \
             forward: let it end (strongroom rotate status), then begin another if this key must go (strongroom rotate start)",
            run.id,
            moment(at)
        ));
    }
    run.state = RunState::Cancelled;
    run.ended = Some(now);
    run.outcome = "cancelled before its version was active: nothing was written under it".into();
    if let Some(row) = staged.filter(|row| row.state == VersionState::PreActive) {
        let record = entry(actor, "key.deactivated", row.id.to_string(), "never used");
        draft.put_version(
            VersionRow { state: VersionState::Deactivated, changed: now, ..row },
            record,
        );
    }
    let record = entry(actor, "rotation.cancelled", format!("run {}", run.id), reason);
    draft.put_run(run, record);
    Ok(())
}

fn open(state: &State) -> Result<&RunRow, Refused> {
    state.open_run().ok_or_else(|| {
        Refused("no rotation is under way. To begin one: strongroom rotate start".into())
    })
}
