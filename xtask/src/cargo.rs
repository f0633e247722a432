//! The calls of cargo.

use std::num::NonZero;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::output::Output;

/// The programs that tests and demo start, in the profile that this one was built in.
pub(crate) fn build_programs(output: &Output) -> Result<()> {
    // The whole workspace, as for the tests: for fewer packages cargo chooses other features and builds all again.
    run(output, &["build", "--workspace", "--bins"], &[])
}

/// All tests of the workspace, or those that the filter names.
pub(crate) fn test(output: &Output, filter: &[String]) -> Result<()> {
    let threads = format!("--test-threads={}", threads());
    let mut rest = vec!["--", &threads];
    rest.extend(filter.iter().map(String::as_str));
    run(output, &["test", "--workspace", "--no-fail-fast"], &rest)
}

/// A cluster keeps about two cores busy while it starts. More at once only makes each of them slow.
fn threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
    (cores / 2).clamp(2, 8)
}

fn run(output: &Output, command: &[&str], rest: &[&str]) -> Result<()> {
    let profile: &[&str] = if cfg!(debug_assertions) { &[] } else { &["--release"] };
    let arguments = [command, &["--locked"], profile, rest].concat();
    let shown = format!("cargo {}", arguments.join(" "));
    output.step(&shown)?;
    let status = Command::new(env!("CARGO"))
        .args(arguments)
        .status()
        .with_context(|| format!("{shown} does not start"))?;
    ensure!(status.success(), "{shown} fails ({status})");
    Ok(())
}
