//! What an operator or a replica may ask for, and the rules that refuse it.
//!
//! Invariant: a draft that an act was refused on is as it was before.

mod destruction;
mod holds;
mod members;
mod roots;
mod runs;

use std::collections::BTreeMap;

use envelope::{KeyId, RootId, WrappedKey, bundle::State as VersionState};

use super::words::moment;
use crate::ledger::{Draft, Entry, HoldRow, State, VersionRow};

pub use self::destruction::{MAX_WAIT, MIN_WAIT};

/// What an operator, or a replica for itself, may ask for. Each becomes one transaction with its audit record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Begin a rotation.
    Begin {
        /// One of [`Act::TRIGGERS`].
        trigger: &'static str,
        /// Why, for people.
        reason: String,
    },
    /// Let the open run wait.
    Pause {
        /// Why.
        reason: String,
    },
    /// Let it go on.
    Resume,
    /// Give it up: only before its version is active. The staged version is deactivated, never used.
    Cancel {
        /// Why.
        reason: String,
    },
    /// A daemon becomes a member, also again. Where it is one already, nothing changes: [`Draft::is_empty`].
    Join {
        /// Its name: 1 to 63 of `a`–`z`, `0`–`9`, `-` and `.`, a letter or digit at both ends.
        replica: String,
    },
    /// A member is not waited for any more.
    RemoveReplica {
        /// Its name.
        replica: String,
        /// Why.
        reason: String,
    },
    /// Keep versions from being archived and destroyed.
    AddHold {
        /// From this version; absent: from the lowest that is not destroyed.
        first: Option<u32>,
        /// To this version; absent: to the highest there is.
        last: Option<u32>,
        /// Until when, in seconds since 1970; in the future.
        until: u64,
        /// Why.
        reason: String,
    },
    /// Let go of a hold.
    ReleaseHold {
        /// Which.
        id: u64,
        /// Why.
        reason: String,
    },
    /// deactivated or compromised → archived. Nothing under a hold, nothing while a run is open, and not before every member
    /// serves what the ledger has.
    Archive {
        /// Which.
        version: u32,
        /// How it is known that nothing needs it any more.
        reason: String,
    },
    /// deactivated or archived → compromised: somebody else may have the key, and it opens nothing until it is restored. A hold
    /// keeps a key from being lost, not from being closed.
    Compromise {
        /// Which.
        version: u32,
        /// How that is known.
        reason: String,
    },
    /// archived or compromised → deactivated.
    Restore {
        /// Which.
        version: u32,
        /// Why.
        reason: String,
    },
    /// archived → destroy_scheduled, under the same conditions.
    ScheduleDestroy {
        /// Which.
        version: u32,
        /// How long it must be watched to wait, in seconds: 7 to 30 days.
        wait: u64,
    },
    /// destroy_scheduled → archived.
    CancelDestroy {
        /// Which.
        version: u32,
    },
    /// Wraps of keys under roots that had none of them. Each was opened again by its root.
    Rewrap {
        /// By key: a version, or the ledger key.
        made: BTreeMap<KeyId, Vec<WrappedKey>>,
    },
    /// A root wraps nothing any more. Not while a key would be lost with it, and not before every member serves what the ledger has.
    RemoveRoot {
        /// Which.
        root: RootId,
        /// Why.
        reason: String,
        /// Keys under it that another root was seen to open just before, and which.
        proven: BTreeMap<KeyId, RootId>,
    },
    /// destroy_scheduled → destroyed, by somebody else than who scheduled it, after the wait.
    Destroy {
        /// Which.
        version: u32,
    },
}

impl Act {
    /// What may begin a run.
    pub const TRIGGERS: [&'static str; 5] = ["manual", "compromise", "schedule", "age", "provider"];

    /// Puts it into `draft`, on behalf of `actor`. One act a draft: it is judged on the state, not on what the draft holds.
    ///
    /// # Errors
    /// [`Refused`] with what to do instead; the draft is then as it was.
    pub fn apply(&self, draft: &mut Draft, actor: &str) -> Result<(), Refused> {
        match self {
            Self::Begin { trigger, reason } => runs::begin(draft, actor, trigger, reason),
            Self::Pause { reason } => runs::pause(draft, actor, reason),
            Self::Resume => runs::resume(draft, actor),
            Self::Cancel { reason } => runs::cancel(draft, actor, reason),
            Self::Join { replica } => members::join(draft, actor, replica),
            Self::RemoveReplica { replica, reason } => {
                members::remove(draft, actor, replica, reason)
            }
            Self::AddHold { first, last, until, reason } => {
                holds::add(draft, actor, (*first, *last), *until, reason)
            }
            Self::ReleaseHold { id, reason } => holds::release(draft, actor, *id, reason),
            Self::Archive { version, reason } => {
                destruction::archive(draft, actor, *version, reason)
            }
            Self::Compromise { version, reason } => {
                destruction::compromise(draft, actor, *version, reason)
            }
            Self::Restore { version, reason } => {
                destruction::restore(draft, actor, *version, reason)
            }
            Self::ScheduleDestroy { version, wait } => {
                destruction::schedule(draft, actor, *version, *wait)
            }
            Self::CancelDestroy { version } => destruction::cancel(draft, actor, *version),
            Self::Destroy { version } => destruction::destroy(draft, actor, *version),
            Self::Rewrap { made } => roots::rewrap(draft, actor, made),
            Self::RemoveRoot { root, reason, proven } => {
                roots::remove(draft, actor, *root, reason, proven)
            }
        }
    }
}

/// A rule says no. The message names the thing, why, and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

fn refuse<T>(message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(message.into()))
}

pub(super) fn entry(actor: &str, action: &'static str, subject: String, detail: &str) -> Entry {
    Entry { actor: actor.into(), action, subject, detail: detail.into() }
}

/// Longest reason in bytes.
const MAX_REASON: usize = 500;

/// A reason is shown on terminals and in logs, years later too: it has no control characters, and an end.
fn readable(reason: &str) -> Result<(), Refused> {
    if reason.len() > MAX_REASON {
        return refuse(format!(
            "the reason has {} bytes: at most {MAX_REASON}. Point to where the rest is written",
            reason.len()
        ));
    }
    if reason.chars().any(char::is_control) {
        return refuse(
            "the reason has control characters, for example a line break: give one line",
        );
    }
    Ok(())
}

/// Where somebody will ask later, a reason must be there.
fn given(reason: &str, what_for: &str) -> Result<(), Refused> {
    if reason.trim().is_empty() {
        return refuse(format!("no reason is given: say {what_for} with --reason"));
    }
    readable(reason)
}

fn version(state: &State, number: u32) -> Result<&VersionRow, Refused> {
    state.version(number).ok_or_else(|| {
        Refused(format!(
            "there is no version {number} of ring {}: strongroom keys list",
            state.ring
        ))
    })
}

fn word(state: VersionState) -> &'static str {
    match state {
        VersionState::PreActive => "staged by a rotation and not active yet",
        VersionState::Active => "the active version",
        VersionState::Deactivated => "deactivated: it still opens what was written under it",
        VersionState::Archived => "archived",
        VersionState::DestroyScheduled => "scheduled to be destroyed",
        VersionState::Destroyed => "destroyed: its key is gone for ever",
        VersionState::Compromised => "marked as compromised",
    }
}

fn held(hold: &HoldRow, id: &impl std::fmt::Display, verb: &str) -> String {
    format!(
        "{id} cannot be {verb}: hold {} of {} keeps versions {} to {} until {} ({}). When nothing needs it any more: \
         strongroom hold release {}",
        hold.id,
        hold.added_by,
        hold.first,
        hold.last,
        moment(hold.until),
        hold.reason,
        hold.id
    )
}
