//! The command line of the daemon.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use tokio::runtime;

use crate::{
    clock::SystemClock,
    components,
    config::Config,
    dev,
    failure::Failure,
    init::{self, LedgerOutcome, NodeOutcome, Outcome},
    ledger, process, telemetry,
};

/// KMS v2 plugin beside each kube-apiserver: keeps the Secrets of etcd encrypted, under keys that rotate.
#[derive(Debug, Parser)]
#[command(version, after_help = Failure::table())]
pub struct Args {
    /// What to log: a level, or targets with levels (info, strongroomd=debug,h2=warn)
    #[arg(long, global = true, default_value = "info", value_name = "FILTER")]
    log: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve what the configuration asks for, until SIGTERM
    Serve {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Make the root keys that are missing, and the ring with its first key version; overwrites nothing
    Init {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Number of the first version, where a root key exists and its bundle is lost
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
        first_version: Option<u32>,
    },
    /// Try it on this machine: init and serve with defaults, everything in one folder
    Dev {
        /// The folder; made where there is none
        #[arg(long, default_value = "strongroom-dev")]
        dir: PathBuf,
    },
    /// Bring the schema of the ledger to the version that this program needs
    Migrate {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The owner of the tables, where it is another role than the configuration's (postgres://owner@host/database; its password in STRONGROOM_LEDGER_PASSWORD)
        #[arg(long, value_name = "URL")]
        url: Option<String>,
    },
    /// Say what is wrong with a configuration, with line and key; changes nothing
    CheckConfig {
        /// The configuration
        file: PathBuf,
    },
}

/// Runs the command of `args`. Errors go to standard error, with what to do next.
#[must_use]
pub fn run(args: Args) -> ExitCode {
    if let Err(error) = telemetry::start(&args.log) {
        say(io::stderr(), &format!("strongroomd: --log: {error}\n"));
        return ExitCode::from(2);
    }
    match execute(args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(io::stderr(), &format!("strongroomd: {failure}\n"));
            ExitCode::from(failure.code())
        }
    }
}

fn execute(command: Command) -> Result<(), Failure> {
    process::forbid_dumps();
    // One thread serves: it was measured to beat a pool for calls this small (docs/benchmarks.md).
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Failure::System { what: "a runtime", source })?;
    let outcome = runtime.block_on(async {
        match command {
            Command::Serve { config } => components::serve(&Config::load(&config)?, || {}).await,
            Command::Init { config, first_version } => {
                let outcome =
                    init::init(&Config::load(&config)?, first_version, &SystemClock).await?;
                say(io::stdout(), &describe(&outcome));
                Ok(())
            }
            Command::Dev { dir } => {
                let folder = dev::Folder::prepare(&dir)?;
                let config = Config::load(&folder.config())?;
                let outcome = init::init(&config, None, &SystemClock).await?;
                say(io::stdout(), &describe(&outcome));
                components::serve(&config, || say(io::stdout(), &folder.next_steps())).await
            }
            Command::Migrate { config, url } => {
                let config = Config::load(&config)?;
                let ledger = config.ledger.ok_or_else(|| {
                    Failure::Rotation("there is no [ledger] in the configuration".into())
                })?;
                ledger::migrate(&ledger.database, url).await?;
                say(io::stdout(), "the schema of the ledger is at its newest version\n");
                Ok(())
            }
            Command::CheckConfig { file } => {
                Config::load(&file)?;
                say(io::stdout(), &format!("{}: ok\n", file.display()));
                Ok(())
            }
        }
    });
    // A root that hangs in a blocking call must not keep a stopped daemon alive.
    runtime.shutdown_background();
    outcome
}

fn describe(outcome: &Outcome) -> String {
    let node = match &outcome.node {
        NodeOutcome::Existing { bundle } => {
            format!("already initialised, nothing was changed: {}\n", bundle.display())
        }
        NodeOutcome::Joined { bundle } => {
            format!("took {} from the ledger\n", bundle.display())
        }
        NodeOutcome::Made { roots, bundle, key_id } => {
            let roots = roots.iter().fold(String::new(), |text, root| {
                text + &format!(
                    "made root key {} : back it up now, away from this cluster\n",
                    root.display()
                )
            });
            format!("{roots}made {} with key version {key_id}\n", bundle.display())
        }
    };
    match &outcome.ledger {
        Some(LedgerOutcome { cluster, entered: true }) => format!(
            "{node}entered it into the ledger; on every other node say so in [ledger]: cluster = \"{cluster}\"\n"
        ),
        _ => node,
    }
}

/// A closed pipe is no reason to stop serving.
fn say(mut to: impl Write, text: &str) {
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}
