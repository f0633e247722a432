//! The bare echo server of `load` under an allocator that wipes what it frees: the reference for what such an allocator costs.

use std::{alloc::System, process::ExitCode};

use clap::Parser as _;
use zeroizing_alloc::ZeroAlloc;

#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    benches::cli::run(benches::cli::Cli::parse())
}
