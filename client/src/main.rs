//! `strongroom`: the command line of Strongroom. See `strongroom --help`.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    strongroom::cli::run(strongroom::cli::Cli::parse())
}
