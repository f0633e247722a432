use envelope::bundle::State as VersionState;

use super::{Act, Refused, Step, act::entry};
use crate::ledger::{Draft, RunRow, RunState, VersionRow};

/// Puts one step of a plan into `draft`. `staged` is the version that a [`Step::Stage`] publishes; it was made and wrapped before.
///
/// # Errors
/// [`Refused`] where the state is not the one that the step was planned on.
pub fn take(
    step: &Step,
    draft: &mut Draft,
    actor: &str,
    staged: Option<VersionRow>,
) -> Result<(), Refused> {
    let now = draft.now();
    match step {
        Step::Begin { trigger, reason } => {
            Act::Begin { trigger, reason: reason.clone() }.apply(draft, actor)
        }
        Step::Stage { .. } => {
            let staged = staged.ok_or_else(|| Refused("no version was made".into()))?;
            let mut run = open_run(draft)?;
            run.to = Some(staged.id.version());
            let subject = staged.id.to_string();
            draft.put_version(
                staged,
                entry(
                    actor,
                    "key.staged",
                    subject.clone(),
                    "published to every replica; only self-tests use it",
                ),
            );
            draft.put_run(run, entry(actor, "rotation.staged", subject, ""));
            Ok(())
        }
        Step::Activate { version } => {
            let mut run = open_run(draft)?;
            let state = draft.state();
            let old = state.active().cloned().ok_or_else(|| missing("an active version"))?;
            let new =
                state.version(*version).cloned().ok_or_else(|| missing("the staged version"))?;
            let (from, to) = (old.id.to_string(), new.id.to_string());
            run.activated = Some(now);
            // In this order: the schema allows one active version at each moment.
            draft.put_version(
                VersionRow { state: VersionState::Deactivated, changed: now, ..old },
                entry(actor, "key.deactivated", from, "opens what it wrapped, wraps nothing new"),
            );
            draft.put_version(
                VersionRow {
                    state: VersionState::Active,
                    changed: now,
                    activated: Some(now.max(1)),
                    ..new
                },
                entry(actor, "key.activated", to.clone(), ""),
            );
            draft.put_run(run, entry(actor, "rotation.activated", to, ""));
            Ok(())
        }
        Step::Converged => {
            let mut run = open_run(draft)?;
            run.converged = Some(now);
            let subject = format!("run {}", run.id);
            draft.put_run(run, entry(actor, "rotation.converged", subject, ""));
            Ok(())
        }
        Step::Finish { outcome } => {
            let mut run = open_run(draft)?;
            run.state = RunState::Done;
            run.ended = Some(now);
            run.outcome.clone_from(outcome);
            let subject = format!("run {}", run.id);
            draft.put_run(run, entry(actor, "rotation.finished", subject, outcome));
            Ok(())
        }
        Step::ExpireHold { id } => {
            let hold = draft.state().holds.iter().find(|hold| hold.id == *id).cloned();
            let mut hold = hold.ok_or_else(|| missing("the hold"))?;
            hold.released = Some((actor.into(), now));
            draft.put_hold(hold, entry(actor, "hold.expired", format!("hold {id}"), ""));
            Ok(())
        }
        Step::Observe { version, observed } => {
            let row = draft.state().version(*version).cloned();
            let mut row = row.ok_or_else(|| missing("the version"))?;
            if let Some(destruction) = &mut row.destruction {
                destruction.observed = *observed;
            }
            draft.observe_version(row);
            Ok(())
        }
        Step::Checkpoint => {
            draft.checkpoint();
            Ok(())
        }
    }
}

fn open_run(draft: &Draft) -> Result<RunRow, Refused> {
    draft.state().open_run().cloned().ok_or_else(|| missing("an open run"))
}

fn missing(what: &str) -> Refused {
    Refused(format!("{what} is not there any more: the plan is old"))
}
