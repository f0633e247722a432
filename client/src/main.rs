//! `strongroom`: the command line of Strongroom. See `strongroom --help`.

use std::process::ExitCode;

use clap::Parser as _;
use strongroom::{cli, process};

/// Values of Secrets pass through buffers of libraries that do not wipe: the allocator does.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    process::forbid_dumps();
    cli::complete().unwrap_or_else(|| cli::run(cli::Cli::parse()))
}
