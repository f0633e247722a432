//! What the process does to itself before it holds a value: no core dumps, and nobody attaches.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Turns core dumps off, also for an editor that gets clear text. Where a sandbox does not allow it, work goes on.
pub(crate) fn forbid_dumps() {
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, no_core);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
