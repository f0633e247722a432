//! The command line.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Parser, Subcommand};
use testbed::Moto;

use crate::{
    contender::{AwsRoot, Contender, Home, Ledger},
    drive::{Method, Shape},
    echo::{self, RuntimeShape},
    life, output,
    placement::Placement,
    report,
    rounds::{self, Plan},
};

/// Measure KMS plugins over their real sockets, beside a bare tonic server in the same run.
///
/// The report, in Markdown, goes to stdout; progress goes to stderr.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    load: Load,
}

const EXAMPLES: &str = "Examples:
  strongroomd beside the bare server, everything (about 5 minutes):
      cargo build --release && cargo run --release -p benches --bin load
  only the main figure, quickly:
      load --method decrypt --shape serial --rounds 3 --seconds 1 --no-life
  two builds of strongroomd:
      load --server old=/tmp/strongroomd-old --server new=target/release/strongroomd
  what a wiping allocator costs, without cryptography:
      load --server zeroizing=target/release/echo-zeroizing
  runtime shapes of the bare server:
      load --echo current-thread --echo multi-thread:2 --echo sharded:2 --server ''
  strongroomd at rest, and while it rotates:
      load --rotating --method decrypt --no-life
  strongroomd with a root key in a file, and in an AWS KMS that runs here:
      load --aws --method decrypt --no-life
  a server that already runs:
      load --server theirs=/run/kms/plugin.sock";

#[derive(Args)]
struct Load {
    /// A server to measure: NAME=PROGRAM with strongroomd's command line (`init` and `serve`, further arguments go to `serve`), or NAME=SOCKET.
    /// May be repeated. Without it: strongroomd beside this program; with '': none.
    #[arg(long, value_name = "NAME=PATH [ARGUMENT]...")]
    server: Vec<String>,
    /// Measure two of strongroomd with a ledger in SQLite instead: one at rest, and one that rotates all the time while it is driven.
    #[arg(long, conflicts_with_all = ["server", "echo", "kube_client"])]
    rotating: bool,
    /// Measure two of strongroomd instead: one with a root key in a file, one with a root key in an AWS KMS that runs here (moto).
    #[arg(long, conflicts_with_all = ["server", "echo", "rotating"])]
    aws: bool,
    /// Runtime of the bare server: current-thread, multi-thread:N, sharded:N. May be repeated; the first is the baseline of all ratios.
    #[arg(long, value_name = "RUNTIME", default_value = "current-thread")]
    echo: Vec<RuntimeShape>,
    /// Methods to call.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "decrypt,encrypt,status")]
    method: Vec<Method>,
    /// Shapes of the load: serial, or CONNECTIONSxCALLS in flight on each.
    #[arg(long, value_delimiter = ',', default_value = "serial,1x32,2x64")]
    shape: Vec<Shape>,
    /// Rounds; in each, every server is driven once.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Seconds to drive one server in one round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Drive again where everything else on the machine took more than so many percent of one core meanwhile.
    #[arg(long, default_value_t = 10, value_name = "PERCENT")]
    quiet: u16,
    /// Times to drive again before a disturbed figure is taken.
    #[arg(long, default_value_t = 20, value_name = "TIMES")]
    patience: u16,
    /// Which cores the client and the servers run on; servers that already run stay where they are.
    #[arg(long, value_enum, default_value = "apart")]
    cores: Placement,
    /// Let this program call, the client of kube-apiserver itself: `go build -o PROGRAM ./load` in tests/cluster.
    #[arg(long, value_name = "PROGRAM")]
    kube_client: Option<PathBuf>,
    /// Starts and restarts to time.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    starts: u16,
    /// Calls before memory is read again.
    #[arg(long, default_value_t = 1_000_000)]
    calls: u64,
    /// Leave out start, restart, memory and size.
    #[arg(long)]
    no_life: bool,
    /// Leave out the load.
    #[arg(long)]
    no_load: bool,
}

#[derive(Subcommand)]
enum Command {
    /// The bare server takes strongroomd's command line; it has nothing to make.
    #[command(hide = true)]
    Init {
        #[arg(long)]
        config: PathBuf,
    },
    /// Be the bare server.
    #[command(hide = true)]
    Serve {
        #[arg(long)]
        config: PathBuf,
        #[arg(long, default_value = "current-thread")]
        runtime: RuntimeShape,
    },
}

/// Does what the command line says; an error is printed and becomes the exit code.
pub fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Some(Command::Init { config }) => std::fs::metadata(&config)
            .map(drop)
            .with_context(|| format!("cannot read {}", config.display())),
        Some(Command::Serve { config, runtime }) => echo::serve(&config, runtime),
        None => measure(&cli.load),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn measure(load: &Load) -> Result<()> {
    ensure!(load.seconds.is_finite() && load.seconds >= 0.05, "--seconds must be at least 0.05");
    let plan = Plan {
        methods: load.method.clone(),
        shapes: load.shape.clone(),
        rounds: load.rounds.into(),
        stretch: Duration::from_secs_f64(load.seconds),
        quiet: f64::from(load.quiet) / 100.0,
        patience: load.patience.into(),
        kube_client: load.kube_client.clone(),
        cores: load.cores,
    };
    // One thread: what the client takes, the server does not have.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let moto = match load.aws {
        true => Some(runtime.block_on(Moto::start(folder.path()))?),
        false => None,
    };
    let aws = moto.as_ref().map(|moto| {
        let arn = runtime.block_on(moto.make_key("eu-central-1"))?;
        anyhow::Ok(AwsRoot { arn, endpoint: format!("http://127.0.0.1:{}", moto.port()) })
    });
    let homes = contenders(load, aws.transpose()?)?
        .iter()
        .map(|contender| contender.set_up(load.cores))
        .collect::<Result<Vec<Home>>>()?;
    let text = runtime.block_on(async {
        let cells = if load.no_load { Vec::new() } else { rounds::run(&plan, &homes).await? };
        let mut lives = Vec::new();
        if !load.no_life {
            for home in &homes {
                lives.push(life::measure(home, load.starts.into(), load.calls).await?);
            }
        }
        anyhow::Ok(report::render(&plan, &homes, &cells, &lives))
    })?;
    output::report(&text);
    Ok(())
}

fn contenders(load: &Load, aws: Option<AwsRoot>) -> Result<Vec<Contender>> {
    let own = std::env::current_exe().context("cannot find this program")?;
    let echo = |shape: &RuntimeShape| Contender {
        name: format!("echo {shape}"),
        path: own.clone(),
        arguments: vec!["--runtime".to_owned(), shape.to_string()],
        ledger: None,
        aws: None,
    };
    if aws.is_some() {
        let ours = strongroomd(&own)?;
        let remote = Contender { name: "root in AWS".to_owned(), aws, ..ours.clone() };
        return Ok(vec![Contender { name: "root in a file".to_owned(), ..ours }, remote]);
    }
    if load.rotating {
        let ours = |name: &str, ledger| {
            let ours = strongroomd(&own)?;
            anyhow::Ok(Contender { name: name.to_owned(), ledger: Some(ledger), ..ours })
        };
        return Ok(vec![ours("at rest", Ledger::AtRest)?, ours("rotating", Ledger::Rotating)?]);
    }
    let mut all: Vec<Contender> = load.echo.iter().map(echo).collect();
    if load.server.is_empty() {
        all.push(strongroomd(&own)?);
    }
    for named in load.server.iter().filter(|named| !named.is_empty()) {
        all.push(named.parse().with_context(|| format!("--server {named:?}"))?);
    }
    Ok(all)
}

fn strongroomd(own: &Path) -> Result<Contender> {
    let path = own.with_file_name("strongroomd");
    ensure!(
        path.exists(),
        "{} does not exist: build it with `cargo build --release --bin strongroomd`, or name another with --server NAME=PATH",
        path.display()
    );
    let name = "strongroomd".to_owned();
    Ok(Contender { name, path, arguments: Vec::new(), ledger: None, aws: None })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
