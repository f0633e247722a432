//! The project's own commands: `cargo xtask test`, `cargo xtask cluster`, `cargo xtask demo`.

mod cargo;
mod demo;
mod dump;
mod output;

use anyhow::Result;
use clap::{Parser, Subcommand};
use testbed::Programs;

use crate::output::Output;

/// The project's own commands.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Sets up what the tests need and is missing, and runs all of them
    Test {
        /// Only tests whose names contain one of these; options of the test harness
        #[arg(last = true)]
        filter: Vec<String>,
    },
    /// Finds or builds the etcd, kube-apiserver and kubectl that the tests run
    Cluster,
    /// Shows a Secret in the etcd of a real cluster, before and after
    Demo,
}

fn main() -> Result<()> {
    let output = Output::stdout();
    match Arguments::parse().command {
        Task::Test { filter } => {
            cluster(&output)?;
            cargo::build_programs(&output)?;
            cargo::test(&output, &filter)
        }
        Task::Cluster => cluster(&output),
        Task::Demo => {
            cluster(&output)?;
            cargo::build_programs(&output)?;
            demo::run(&output)
        }
    }
}

/// The first time this takes minutes: kube-apiserver is large.
fn cluster(output: &Output) -> Result<()> {
    output.step("etcd, kube-apiserver and kubectl: found, or built once")?;
    let programs = Programs::find()?;
    output.line(&format!("in {}", programs.folder().display()))
}
