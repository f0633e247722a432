//! Keep versions, for example as long as an etcd backup that needs them.

use envelope::bundle::State as VersionState;

use super::{Refused, entry, given, moment, readable, refuse, version};
use crate::{
    ledger::{Draft, HoldRow, VersionRow},
    rotation::words::timestamp,
};

pub(super) fn add(
    draft: &mut Draft,
    actor: &str,
    (first, last): (Option<u32>, Option<u32>),
    until: u64,
    reason: &str,
) -> Result<(), Refused> {
    given(reason, "what needs the versions, for example \"etcd backup of 2026-11-01\",")?;
    let state = draft.state();
    let now = draft.now();
    if until <= now || timestamp(until).is_none() {
        return refuse(format!(
            "the hold would end at {}, and it is {}: name a moment in the future with --until",
            moment(until),
            moment(now)
        ));
    }
    let kept = |row: &&VersionRow| row.state != VersionState::Destroyed;
    for number in [first, last].into_iter().flatten() {
        let row = version(state, number)?;
        if !kept(&row) {
            return refuse(format!(
                "{} is destroyed since {}: no hold brings it back, and a backup that needs it cannot be read. \
                 strongroom keys list shows what can still be held",
                row.id,
                moment(row.changed)
            ));
        }
    }
    let lowest = state.versions.iter().find(kept).map(|row| row.id.version());
    let highest = state.versions.last().map(|row| row.id.version());
    let (Some(first), Some(last)) = (first.or(lowest), last.or(highest)) else {
        return refuse("the ring has no version to hold: strongroom keys list");
    };
    if first > last {
        return refuse(format!(
            "versions {first} to {last} are none: the first is not the lower one"
        ));
    }
    let hold = HoldRow {
        id: state.holds.last().map_or(1, |hold| hold.id + 1),
        first,
        last,
        until,
        reason: reason.into(),
        added_by: actor.into(),
        added_at: now,
        released: None,
        mac: [0; 32],
    };
    let detail = format!("versions {first} to {last} until {}: {reason}", moment(until));
    let record = entry(actor, "hold.added", format!("hold {}", hold.id), &detail);
    draft.put_hold(hold, record);
    Ok(())
}

pub(super) fn release(
    draft: &mut Draft,
    actor: &str,
    id: u64,
    reason: &str,
) -> Result<(), Refused> {
    readable(reason)?;
    let Some(hold) = draft.state().holds.iter().find(|hold| hold.id == id) else {
        return refuse(format!("there is no hold {id}: strongroom hold list"));
    };
    if let Some((by, at)) = &hold.released {
        return refuse(format!(
            "hold {id} was released by {by} at {}: it holds nothing any more",
            moment(*at)
        ));
    }
    let hold = HoldRow { released: Some((actor.into(), draft.now())), ..hold.clone() };
    draft.put_hold(hold, entry(actor, "hold.released", format!("hold {id}"), reason));
    Ok(())
}
