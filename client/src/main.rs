//! `strongroom`: the command line of Strongroom. See `strongroom --help`.

use std::process::ExitCode;

use clap::Parser as _;

/// Values of Secrets pass through buffers of libraries that do not wipe: the allocator does.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    strongroom::cli::run(strongroom::cli::Cli::parse())
}
