//! What the process does to itself before it holds a key: no core dumps, nobody attaches, nothing is swapped out.

use rustix::{
    io::Errno,
    mm::{MlockAllFlags, mlockall},
    process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit},
};
use tracing::{debug, warn};

/// No core dumps, and no debugger of another user's. Says where the system did not allow it.
pub fn forbid_dumps() {
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    let outcome = setrlimit(Resource::Core, no_core)
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable));
    if let Err(error) = outcome {
        warn!(%error, "core dumps could not be turned off: a crash could write keys to disk");
    }
}

/// What a process needs that serves for months: memory that is never swapped out, and a file descriptor for every connection.
pub fn prepare_to_serve() {
    match lock_memory() {
        Ok(()) => debug!("memory is locked: it is never swapped out"),
        Err(error) => warn!(
            %error,
            "memory is not locked: turn swap off on this node, or allow it (systemd: LimitMEMLOCK=infinity)"
        ),
    }
    raise_open_files();
}

/// Locks all memory, now and later. Only where the limit is infinite: under a finite one a later allocation would fail, and
/// a daemon that dies of its own caution opens no Secret.
fn lock_memory() -> Result<(), Errno> {
    let unlimited = Rlimit { current: None, maximum: None };
    if getrlimit(Resource::Memlock).current.is_some() {
        setrlimit(Resource::Memlock, unlimited)?;
    }
    // ONFAULT: what is reserved but never touched (stacks of idle threads) costs nothing.
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
}

/// A connection is a file descriptor; the soft limit of 1,024 is a default for `select(2)`, not a wish of the operator.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        debug!(%error, "the limit of open files stays as it is");
    }
}
