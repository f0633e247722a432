//! From deactivated to destroyed, and back as long as there is a way back.
//!
//! ```text
//! deactivated ⇄ archived ⇄ destroy_scheduled → destroyed
//!      ⇅    ↖↗
//!   compromised
//! ```

use envelope::bundle::State as VersionState;

use super::{Refused, entry, given, held, readable, refuse, version, word};
use crate::{
    ledger::{Destruction, Draft, State, VersionRow},
    rotation::words::span,
};

const DAY: u64 = 86_400;

/// Shortest wait before a version is destroyed, in seconds of observed time.
pub const MIN_WAIT: u64 = 7 * DAY;
/// Longest.
pub const MAX_WAIT: u64 = 30 * DAY;

pub(super) fn archive(
    draft: &mut Draft,
    actor: &str,
    number: u32,
    reason: &str,
) -> Result<(), Refused> {
    given(reason, "how it is known that nothing needs the version any more,")?;
    let state = draft.state();
    let row = version(state, number)?;
    let id = &row.id;
    match row.state {
        VersionState::Deactivated | VersionState::Compromised => {}
        VersionState::Active => {
            return refuse(format!(
                "{id} is the active version: Secrets are written under it. To replace it: strongroom rotate start"
            ));
        }
        VersionState::PreActive => return refuse(staged(row)),
        other => {
            return refuse(format!(
                "{id} is not deactivated but {}: strongroom keys list",
                word(other)
            ));
        }
    }
    no_open_run(state, row, "archived", "archive")?;
    not_held(state, row, "archived")?;
    known_everywhere(state, id, "archived")?;
    let record = entry(actor, "key.archived", id.to_string(), reason);
    put(draft, row.clone(), VersionState::Archived, None, record);
    Ok(())
}

pub(super) fn compromise(
    draft: &mut Draft,
    actor: &str,
    number: u32,
    reason: &str,
) -> Result<(), Refused> {
    given(reason, "how it is known that somebody else may have the key,")?;
    let state = draft.state();
    let row = version(state, number)?;
    let id = &row.id;
    match row.state {
        VersionState::Deactivated | VersionState::Archived => {}
        VersionState::Active => {
            return refuse(format!(
                "{id} is the active version: Secrets are written under it, and closing it now would make every one of them \
                 unreadable. Replace it first: strongroom rotate start --compromised --reason \"…\""
            ));
        }
        VersionState::PreActive => return refuse(staged(row)),
        VersionState::DestroyScheduled => {
            return refuse(format!(
                "{id} opens nothing any more and is going to be destroyed, which is more. To mark it instead: strongroom \
                 keys cancel-destroy {number}, then strongroom keys compromise {number}"
            ));
        }
        VersionState::Compromised | VersionState::Destroyed => {
            return refuse(format!("{id} is {} already", word(row.state)));
        }
    }
    no_open_run(state, row, "closed", "compromise")?;
    known_everywhere(state, id, "closed")?;
    let record = entry(actor, "key.compromised", id.to_string(), reason);
    put(draft, row.clone(), VersionState::Compromised, None, record);
    Ok(())
}

pub(super) fn restore(
    draft: &mut Draft,
    actor: &str,
    number: u32,
    reason: &str,
) -> Result<(), Refused> {
    readable(reason)?;
    let row = version(draft.state(), number)?;
    let id = &row.id;
    match row.state {
        VersionState::Archived => {}
        VersionState::Compromised => given(reason, "why a compromised key must open again,")?,
        VersionState::DestroyScheduled => {
            return refuse(format!(
                "{id} is scheduled to be destroyed. First: strongroom keys cancel-destroy {number}"
            ));
        }
        VersionState::Destroyed => {
            return refuse(format!(
                "{id} is destroyed: its key is gone from the ledger, and nothing here brings it back. Objects under it \
                 can only come from a backup that was written under another key"
            ));
        }
        other => {
            return refuse(format!("{id} needs no restoring: it is {}", word(other)));
        }
    }
    let record = entry(actor, "key.restored", id.to_string(), reason);
    put(draft, row.clone(), VersionState::Deactivated, None, record);
    Ok(())
}

pub(super) fn schedule(
    draft: &mut Draft,
    actor: &str,
    number: u32,
    wait: u64,
) -> Result<(), Refused> {
    let state = draft.state();
    let row = version(state, number)?;
    let id = &row.id;
    match row.state {
        VersionState::Archived => {}
        VersionState::DestroyScheduled => {
            return refuse(format!(
                "{id} is scheduled to be destroyed already. To change the wait: strongroom keys cancel-destroy {number}, \
                 then strongroom keys destroy {number} again"
            ));
        }
        VersionState::Deactivated => {
            return refuse(format!(
                "{id} still opens what was written under it: destroying begins with an archived version, so that whoever \
                 needs it is heard first. strongroom keys archive {number}"
            ));
        }
        VersionState::Compromised => {
            return refuse(format!(
                "{id} is marked as compromised: destroying begins with an archived version. strongroom keys archive {number}"
            ));
        }
        other => {
            return refuse(format!("{id} cannot be destroyed: it is {}", word(other)));
        }
    }
    if !(MIN_WAIT..=MAX_WAIT).contains(&wait) {
        return refuse(format!(
            "a wait of {} is none: between {} and {}, so that whoever needs {id} has time to notice. \
             strongroom keys destroy {number} --wait 7d",
            span(wait),
            span(MIN_WAIT),
            span(MAX_WAIT)
        ));
    }
    not_in_a_run(state, row)?;
    not_held(state, row, "destroyed")?;
    known_everywhere(state, id, "destroyed")?;
    let destruction =
        Destruction { requested_by: actor.into(), wait, observed: 0, approved_by: None };
    let record = entry(
        actor,
        "key.destroy_scheduled",
        id.to_string(),
        &format!("to be watched for {}, then destroyed by somebody else", span(wait)),
    );
    put(draft, row.clone(), VersionState::DestroyScheduled, Some(destruction), record);
    Ok(())
}

pub(super) fn cancel(draft: &mut Draft, actor: &str, number: u32) -> Result<(), Refused> {
    let row = version(draft.state(), number)?;
    if row.state != VersionState::DestroyScheduled {
        return refuse(format!(
            "{} is not scheduled to be destroyed: it is {}",
            row.id,
            word(row.state)
        ));
    }
    let record = entry(actor, "key.destroy_cancelled", row.id.to_string(), "");
    put(draft, row.clone(), VersionState::Archived, None, record);
    Ok(())
}

pub(super) fn destroy(draft: &mut Draft, actor: &str, number: u32) -> Result<(), Refused> {
    let state = draft.state();
    let row = version(state, number)?;
    let id = &row.id;
    let destruction = match (row.state, &row.destruction) {
        (VersionState::DestroyScheduled, Some(destruction)) => destruction,
        (VersionState::Destroyed, _) => return refuse(format!("{id} is destroyed already")),
        (VersionState::Archived, _) => {
            return refuse(format!(
                "{id} is not scheduled to be destroyed: strongroom keys destroy {number} --wait 7d, then it is watched"
            ));
        }
        (other, _) => return refuse(format!("{id} cannot be destroyed: it is {}", word(other))),
    };
    if destruction.requested_by == actor {
        return refuse(format!(
            "{id} is to be destroyed by somebody else than who asked for it, and {actor} asked. Two people must agree: \
             let another one run strongroom keys destroy {number}"
        ));
    }
    if destruction.observed < destruction.wait {
        return refuse(format!(
            "{id} was watched for {} of {}: {} are missing. Only time counts while a daemon leads and watches; strongroom \
             keys list shows it",
            span(destruction.observed),
            span(destruction.wait),
            span(destruction.wait - destruction.observed)
        ));
    }
    not_in_a_run(state, row)?;
    not_held(state, row, "destroyed")?;
    known_everywhere(state, id, "destroyed")?;
    let detail = format!("asked for by {}", destruction.requested_by);
    let record = entry(actor, "key.destroyed", id.to_string(), &detail);
    let destruction = Destruction { approved_by: Some(actor.into()), ..destruction.clone() };
    let row = VersionRow { wraps: Vec::new(), ..row.clone() };
    put(draft, row, VersionState::Destroyed, Some(destruction), record);
    Ok(())
}

fn put(
    draft: &mut Draft,
    row: VersionRow,
    state: VersionState,
    destruction: Option<Destruction>,
    record: crate::ledger::Entry,
) {
    let changed = draft.now();
    draft.put_version(VersionRow { state, changed, destruction, ..row }, record);
}

fn staged(row: &VersionRow) -> String {
    let id = &row.id;
    format!("{id} is staged by an open rotation. To give that up: strongroom rotate cancel")
}

fn no_open_run(state: &State, row: &VersionRow, verb: &str, command: &str) -> Result<(), Refused> {
    match state.open_run() {
        Some(run) => refuse(format!(
            "{} cannot be {verb} while run {} is open: objects are still being rewritten. When it has ended (strongroom \
             rotate status): strongroom keys {command} {}",
            row.id,
            run.id,
            row.id.version()
        )),
        None => Ok(()),
    }
}

fn not_held(state: &State, row: &VersionRow, verb: &str) -> Result<(), Refused> {
    match state.held(row.id.version()) {
        Some(hold) => refuse(held(hold, &row.id, verb)),
        None => Ok(()),
    }
}

/// A member that does not serve what the ledger has may be behind; or it may be ahead, because the ledger was restored from an
/// old backup, and write under the very version that seems unused here. Either way it is not the time to close one.
pub(super) fn known_everywhere(
    state: &State,
    what: &impl std::fmt::Display,
    verb: &str,
) -> Result<(), Refused> {
    let lacking = state
        .members()
        .find(|(_, report)| report.is_none_or(|report| report.bundle != *state.newest_digest()));
    match lacking {
        Some((member, report)) => refuse(format!(
            "{what} cannot be {verb} now: replica {} {}, and the ledger is at {}. Try again when it has followed, which takes \
             seconds; if it is gone for good: strongroom replicas remove {}",
            member.name,
            report.map_or_else(
                || "has not reported yet".to_owned(),
                |report| format!("serves generation {}", report.generation)
            ),
            state.head.generation,
            member.name
        )),
        None => Ok(()),
    }
}

/// States exclude it already; a run that was rebuilt after a disaster may still name it.
fn not_in_a_run(state: &State, row: &VersionRow) -> Result<(), Refused> {
    let number = row.id.version();
    match state.open_run().filter(|run| run.from == number || run.to == Some(number)) {
        Some(run) => refuse(format!(
            "{} cannot be destroyed: run {} is open and goes from or to it. strongroom rotate status",
            row.id, run.id
        )),
        None => Ok(()),
    }
}
