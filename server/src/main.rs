//! `strongroomd`: see the library of the same name.

use std::process::ExitCode;

use clap::Parser;
use std::alloc::System;
use strongroomd::cli;
use zeroizing_alloc::ZeroAlloc;

/// Wipes every allocation when it is freed: seeds pass through buffers of gRPC that wipe nothing themselves.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    cli::run(cli::Args::parse())
}
