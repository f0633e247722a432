//! The process: no core dumps and nobody attaches before it holds a value, and a runtime where it waits for others.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use crate::failure::Failure;

/// Turns core dumps off, also for an editor that gets clear text. Where a sandbox does not allow it, work goes on.
pub(crate) fn forbid_dumps() {
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, no_core);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// For a command that asks somebody.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Failure::new(
            "the command could not start",
            error.to_string(),
            "check the limits of this user (`ulimit -n`)",
        )
    })
}
