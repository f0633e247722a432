//! Join and remove.

use super::{Refused, entry, readable, refuse};
use crate::ledger::{Draft, ReplicaRow};

pub(super) fn join(draft: &mut Draft, actor: &str, name: &str) -> Result<(), Refused> {
    if !is_name(name) {
        return refuse(format!(
            "{name:?} is no name of a replica: 1 to 63 of a-z, 0-9, '-' and '.', a letter or digit at both ends. \
             Set `name` in the configuration of this daemon"
        ));
    }
    let now = draft.now();
    let replicas = &draft.state().replicas;
    let subject = format!("replica {name}");
    match replicas.iter().find(|row| row.name == name) {
        Some(row) if row.removed.is_none() => {}
        Some(row) => {
            let row = ReplicaRow { joined: now, removed: None, ..row.clone() };
            draft.put_replica(row, entry(actor, "replica.rejoined", subject, ""));
        }
        None => {
            let row = ReplicaRow {
                id: replicas.last().map_or(1, |row| row.id + 1),
                name: name.into(),
                joined: now,
                removed: None,
                mac: [0; 32],
            };
            draft.put_replica(row, entry(actor, "replica.joined", subject, ""));
        }
    }
    Ok(())
}

pub(super) fn remove(
    draft: &mut Draft,
    actor: &str,
    name: &str,
    reason: &str,
) -> Result<(), Refused> {
    readable(reason)?;
    let row = draft.state().replicas.iter().find(|row| row.name == name);
    let Some(row) = row.filter(|row| row.removed.is_none()) else {
        return refuse(format!("{name:?} is no member: strongroom replicas list"));
    };
    let row = ReplicaRow { removed: Some((actor.into(), draft.now())), ..row.clone() };
    draft.put_replica(row, entry(actor, "replica.removed", format!("replica {name}"), reason));
    Ok(())
}

/// Names stand on command lines, in paths and in labels.
fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| plain(b) || matches!(b, b'-' | b'.'))
        && text.bytes().next().is_some_and(plain)
        && text.bytes().next_back().is_some_and(plain)
}
