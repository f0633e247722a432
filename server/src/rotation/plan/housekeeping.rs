//! What is done whether a run is open or not.

use envelope::bundle::State as VersionState;

use super::{Observed, Step};
use crate::rotation::words::{moment, span};

/// How often watched time is written down, in seconds: what a leader that is killed loses at most.
pub const OBSERVE_EVERY: u64 = 600;

/// How often the audit chain is signed, in seconds.
const CHECKPOINT_EVERY: u64 = 3600;

pub(super) fn steps(observed: &Observed<'_>) -> Vec<(Step, String)> {
    let state = observed.state;
    let mut steps = Vec::new();
    for hold in &state.holds {
        if hold.released.is_none() && hold.until <= state.now {
            let reason = format!("hold {} ran out at {}", hold.id, moment(hold.until));
            steps.push((Step::ExpireHold { id: hold.id }, reason));
        }
    }
    // One that says it watched for longer was stopped in between and cannot have watched.
    let watched = observed.watched.min(2 * OBSERVE_EVERY);
    for row in &state.versions {
        let Some(destruction) = &row.destruction else { continue };
        let missing = destruction.wait.saturating_sub(destruction.observed);
        let enough = watched >= OBSERVE_EVERY || watched >= missing;
        if row.state == VersionState::DestroyScheduled && missing > 0 && watched > 0 && enough {
            let total = destruction.observed.saturating_add(watched);
            let reason = format!(
                "{} was watched for {} of {}",
                row.id,
                span(total.min(destruction.wait)),
                span(destruction.wait)
            );
            let step = Step::Observe { version: row.id.version(), observed: total };
            steps.push((step, reason));
        }
    }
    let signed = state.last_checkpoint.as_ref();
    let unsigned = state.head.audit_seq - signed.map_or(0, |at| at.seq).min(state.head.audit_seq);
    // Either way: a checkpoint from the future was made while the clock was wrong.
    if unsigned > 0 && signed.is_none_or(|at| state.now.abs_diff(at.at) >= CHECKPOINT_EVERY) {
        steps.push((Step::Checkpoint, format!("{unsigned} audit records are not signed yet")));
    }
    steps
}
