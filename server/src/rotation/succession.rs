use std::collections::BTreeMap;

use envelope::{
    Bundle, KeyId,
    bundle::{State, Version},
};

/// Whether a node that knows `known` may take `next` in its place.
///
/// A higher generation is not enough: a ledger that was restored from an old backup counts up again, and its next bundles
/// may lack a version that other nodes write under by now, or have another key under its number. So a node also refuses what
/// forgets a version, what takes one back, and what makes an older one active.
///
/// # Errors
/// [`NoSuccessor`]; the node keeps what it has, and says so.
pub fn succeeds(next: &Bundle, known: &Bundle) -> Result<(), NoSuccessor> {
    let (generation, have) = (next.generation(), known.generation());
    if generation < have {
        return Err(NoSuccessor::Older { generation, known: have });
    }
    if next.ring() != known.ring() || next.ledger().id != known.ledger().id {
        return Err(NoSuccessor::OtherRing);
    }
    if generation == have {
        return if next == known { Ok(()) } else { Err(NoSuccessor::OtherHistory { generation }) };
    }
    let versions: BTreeMap<&KeyId, &Version> =
        next.versions().iter().map(|version| (&version.id, version)).collect();
    // First of all: what is forgotten cannot be opened any more, what went back mostly can.
    let forgotten = known.versions().iter().find(|version| !versions.contains_key(&version.id));
    if let Some(version) = forgotten {
        let (id, activated) = (version.id.clone(), version.activated.is_some());
        return Err(if activated {
            NoSuccessor::Forgets { id }
        } else {
            NoSuccessor::ForgetsStaged { id }
        });
    }
    for version in known.versions() {
        let (from, to) = (version.state, versions.get(&version.id).map(|next| next.state));
        // That it was given up before it was active may be what the restored ledger did by itself; where it was used after
        // all, it may become active here too, for the first time.
        if version.activated.is_none() && from != State::Destroyed {
            continue;
        }
        if let Some(to) = to.filter(|to| !leads_to(from, *to)) {
            return Err(NoSuccessor::Back { id: version.id.clone(), from, to });
        }
    }
    match (active(next), active(known)) {
        (Some(next), Some(known)) if next.version() < known.version() => Err(NoSuccessor::Back {
            id: known.clone(),
            from: State::Active,
            to: State::Deactivated,
        }),
        _ => Ok(()),
    }
}

fn active(bundle: &Bundle) -> Option<&KeyId> {
    let active = bundle.versions().iter().find(|version| version.state == State::Active)?;
    Some(&active.id)
}

/// Whether some sequence of acts leads from one state to the other.
pub(super) fn leads_to(from: State, to: State) -> bool {
    use State::{
        Active, Archived, Compromised, Deactivated, DestroyScheduled, Destroyed, PreActive,
    };
    match (from, to) {
        (PreActive, _) => true,
        (Active, to) => to != PreActive,
        // These go to and fro among themselves.
        (Deactivated | Archived | DestroyScheduled | Compromised, to) => {
            !matches!(to, PreActive | Active)
        }
        (Destroyed, to) => to == Destroyed,
    }
}

/// A bundle that a node must not take. The message says what happened and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoSuccessor {
    /// From the past.
    #[error(
        "the ledger is at generation {generation}, and this node has accepted {known}: the ledger was restored from an old \
         backup. The keys on this node go on serving. On the node with the highest generation (strongroom replicas list): \
         strongroom ledger adopt"
    )]
    Older {
        /// Its generation.
        generation: u64,
        /// What the node has.
        known: u64,
    },
    /// Another one of the same number.
    #[error(
        "generation {generation} of the ledger is not the one that this node has: the ledger was restored from an old backup \
         and changed since. The keys on this node go on serving. On the node with the highest generation (strongroom \
         replicas list): strongroom ledger adopt"
    )]
    OtherHistory {
        /// The generation of both.
        generation: u64,
    },
    /// Of another ring.
    #[error(
        "the bundle belongs to another ring or another cluster: look at [ledger] in the configuration of this daemon"
    )]
    OtherRing,
    /// A version is gone.
    #[error(
        "the ledger has forgotten key version {id}, under which Secrets may be written: it was restored from an old backup and \
         changed since. The keys on this node go on serving. On this node: strongroom ledger adopt"
    )]
    Forgets {
        /// The version.
        id: KeyId,
    },
    /// A version is gone that was never active as far as this node knows.
    #[error(
        "the ledger has forgotten key version {id}, which was staged and not active yet on this node: it was restored from an old \
         backup and changed since. The keys on this node go on serving. Where another node says the same of a version that it \
         writes under: strongroom ledger adopt, there. Where none does, move the bundle of this node away and restart it: it \
         takes that of the ledger"
    )]
    ForgetsStaged {
        /// The version.
        id: KeyId,
    },
    /// A version went back.
    #[error(
        "the ledger takes key version {id} back from {} to {}: it was restored from an old backup and changed since. The keys \
         on this node go on serving. On this node: strongroom ledger adopt",
        from.as_str(),
        to.as_str()
    )]
    Back {
        /// The version.
        id: KeyId,
        /// Its state here.
        from: State,
        /// Its state there.
        to: State,
    },
}
