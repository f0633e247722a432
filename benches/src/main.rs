//! `load`: the load tool. See `load --help`.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    benches::cli::run(benches::cli::Cli::parse())
}
