//! What the process does to itself before it has a value or a key in memory.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// No core dumps, ours or those of an editor that we run, and no debugger of another program of this user. Where the system does not
/// allow that, there is nothing to do about it.
pub fn forbid_dumps() {
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, no_core);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
