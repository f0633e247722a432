//! The command line. What is said here is also the man pages and the completions.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Command, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    admin::{Connection, audit, hold, keys, ledger, replicas, roots, rotate},
    change, completion, diff, edit, escrow,
    failure::Failure,
    hook, lint, merge, migrate,
    output::{self, As},
    probe::{self, Seed, check},
    process, recover, reseal, seal, sealing_keys,
    socket::Address,
    unseal,
};

/// Keep Kubernetes Secrets encrypted where they leak from: the command line of Strongroom.
///
/// The daemon beside kube-apiserver is `strongroomd`; this is what people, CI and hooks use.
#[derive(Parser)]
#[command(name = NAME, version, arg_required_else_help = true, after_help = after_help())]
pub struct Cli {
    #[command(subcommand)]
    command: Do,
}

pub(crate) const NAME: &str = "strongroom";

fn after_help() -> String {
    format!(
        "{EXAMPLES}\n\nExit codes:\n{EXIT_CODES}\n\n`strongroom help COMMAND` tells all about a command."
    )
}

const EXAMPLES: &str = "\
Examples:
  Seal a Secret before it is committed, change one of its values, open it with a key
      strongroom seal -i prod/db.yaml
      strongroom set prod/db.yaml password --generate
      strongroom unseal prod/db.yaml --key ~/prod-keys/sealing.keys
  Keep Secrets in clear text out of a repository: at each commit, and in CI
      strongroom hook install
      strongroom lint --range origin/main..HEAD
  Rotate the key of this cluster now, and look on until it is done
      strongroom rotate start --reason \"quarterly\"
      strongroom rotate status --watch
  Which keys are there, and which may not be destroyed yet?
      strongroom keys list
      strongroom hold add --until 90d --reason \"etcd backup of 2026-11-01\"
  Was the record of all that changed by hand?
      strongroom audit export > audit.jsonl
      strongroom audit verify audit.jsonl --public-key HEX
  Is the KMS plugin of this node in order, as kube-apiserver will see it?
      strongroom probe --socket /run/strongroom/kms.sock
  The same for a script: the names of the checks that failed
      strongroom probe --socket S --output json | jq -r '.checks[]|select(.result==\"fail\").id'
  Completions for this shell, and the manual pages
      source <(strongroom completions bash)
      strongroom man --dir /usr/local/share/man/man1";

const EXIT_CODES: &str = "\
\x20 0  all is well (warnings included)
  1  something is not: the output says what, why, and what to do next
  2  the command line is wrong, or a yes is missing
  3  nobody answered: the daemon cannot be reached, or what it needs is away; try again";

#[derive(Subcommand)]
enum Do {
    /// Seal Secrets, so that they may be committed: only their cluster, and your escrow, open them
    ///
    /// Secrets (also in Lists) become SealedSecrets; whatever else is in the file stays byte for byte, and comments stay with what they are about. Needs the public keys in .strongroom, and nothing else.
    #[command(after_help = seal::EXAMPLES)]
    Seal(seal::Seal),
    /// Open sealed Secrets, with a private key, offline
    #[command(after_help = unseal::EXAMPLES)]
    Unseal(unseal::Unseal),
    /// Seal one value of a sealed Secret anew, or add one; everything else stays byte for byte
    #[command(after_help = change::SET_EXAMPLES)]
    Set(change::Set),
    /// Take values out of a sealed Secret
    #[command(after_help = change::UNSET_EXAMPLES)]
    Unset(change::Unset),
    /// Give a value of a sealed Secret another data key; that needs a key that opens it, because values are bound to theirs
    #[command(after_help = change::RENAME_EXAMPLES)]
    Rename(change::Rename),
    /// Seal all values of a sealed Secret anew in one slot, with a key that opens it
    #[command(after_help = change::COMPACT_EXAMPLES)]
    Compact(change::Compact),
    /// Wrap sealed Secrets for those that they are to be for now: after a rotation, for another cluster, for the escrow
    #[command(after_help = reseal::EXAMPLES)]
    Reseal(reseal::Reseal),
    /// Open everything with the escrow key, on a machine without network
    #[command(after_help = recover::EXAMPLES)]
    Recover(recover::Recover),
    /// Take SealedSecrets of Bitnami's over, under the same names, with a backup of their controller's keys; all or none, and it can be undone
    #[command(after_help = migrate::EXAMPLES)]
    Migrate(migrate::Migrate),
    /// Find what must not be committed: Secrets in clear text, credentials, sealed Secrets that were moved or that are for the wrong keys
    #[command(after_long_help = lint::help())]
    Lint(lint::Lint),
    /// Look at what is staged before each commit
    #[command(subcommand, after_help = hook::EXAMPLES)]
    Hook(hook::Hook),
    /// Open a sealed Secret in your editor, and seal anew what you changed
    ///
    /// The editor gets a Secret in clear text, in memory and never on disk. Values that your keys do not open stand there as "<sealed: unchanged>".
    #[command(after_help = edit::EXAMPLES)]
    Edit(edit::Edit),
    /// Print a file with what is sealed in it made short, for `git diff`: which value changed, and for whom it is
    #[command(after_help = diff::EXAMPLES)]
    Diff(diff::Diff),
    /// Merge three versions of a file, sealed values key by key, for `git merge`
    #[command(after_help = merge::EXAMPLES)]
    Merge(merge::Merge),
    /// Make, publish, take in and list the keys that Secrets are sealed for
    #[command(subcommand, after_help = sealing_keys::EXAMPLES)]
    SealingKeys(sealing_keys::Keys),
    /// Make the key for the safe, which opens whatever is sealed from then on
    #[command(subcommand, after_help = escrow::EXAMPLES)]
    Escrow(escrow::Escrow),
    /// Check a KMS v2 plugin, any vendor's, against the whole contract that kube-apiserver enforces
    ///
    /// Connects to the plugin's socket and calls Status, Encrypt and Decrypt as kube-apiserver does, checks every answer, then sends what a plugin must
    /// refuse. Nothing is changed: what is encrypted is random, marked as a probe's, and thrown away.
    #[command(after_long_help = probe_help())]
    Probe(Probe),
    /// List key versions, and end their lives: archive, restore, destroy
    #[command(after_help = keys::EXAMPLES)]
    Keys(Asking<keys::Keys>),
    /// Rotate the key: plan, start, watch, pause, resume, cancel
    #[command(after_help = rotate::EXAMPLES)]
    Rotate(Asking<rotate::Rotate>),
    /// List the daemons that must acknowledge a rotation, and remove one that is gone
    #[command(after_help = replicas::EXAMPLES)]
    Replicas(Asking<replicas::Replicas>),
    /// List and check the root keys, wrap every key under a new one, remove an old one
    #[command(after_help = roots::EXAMPLES)]
    Roots(Asking<roots::Roots>),
    /// Keep key versions that a backup needs from being archived and destroyed
    #[command(after_help = hold::EXAMPLES)]
    Hold(Asking<hold::Hold>),
    /// Read the record of who did what, export it, and verify an export offline
    #[command(after_help = audit::EXAMPLES)]
    Audit(Asking<audit::Audit>),
    /// Export and import the whole ledger, keys wrapped throughout: disaster recovery, moving to Postgres
    #[command(after_help = ledger::EXAMPLES)]
    Ledger(Asking<ledger::Ledger>),
    /// Print completions for a shell
    ///
    /// It offers commands, options and files, and the data keys, objects, clusters and keys that are in them.
    #[command(
        after_help = COMPLETIONS_EXAMPLES
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, or write one for each command
    #[command(
        after_help = "Examples:\n  strongroom man | man -l -\n  strongroom man --dir /usr/local/share/man/man1"
    )]
    Man {
        /// Write the pages of all commands into this folder, which must exist
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  In ~/.bashrc, or ~/.zshrc with zsh instead of bash
      source <(strongroom completions bash)
  In ~/.config/fish/completions/strongroom.fish
      strongroom completions fish | source
The script asks this program at each Tab, and fits its version: print it at each start of the
shell, do not keep it.";

/// What asks the daemon, and where that is.
#[derive(Args)]
struct Asking<C: Subcommand> {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: C,
}

#[derive(Args)]
struct Probe {
    /// Where the plugin listens: a path, @name for an abstract socket, or the `endpoint` of an EncryptionConfiguration (unix:///…)
    #[arg(long, value_name = "SOCKET")]
    socket: Address,
    #[command(flatten)]
    format: As,
    /// How long to wait for each call, such as 3s or 500ms; kube-apiserver waits 3s
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    timeout: Duration,
}

/// Answers a shell that asks for completions; `None` where none does.
pub fn complete() -> Option<ExitCode> {
    match completion::answer() {
        Ok(true) => Some(ExitCode::SUCCESS),
        Ok(false) => None,
        // Nobody reads a message between two keystrokes.
        Err(_) => Some(ExitCode::FAILURE),
    }
}

/// Does what the command line says; what went wrong is printed and becomes the exit code.
pub fn run(cli: Cli) -> ExitCode {
    process::forbid_dumps();
    let done = match cli.command {
        Do::Seal(seal) => seal.run(),
        Do::Unseal(unseal) => unseal.run(),
        Do::Set(set) => set.run(),
        Do::Unset(unset) => unset.run(),
        Do::Rename(rename) => rename.run(),
        Do::Compact(compact) => compact.run(),
        Do::Reseal(reseal) => reseal.run(),
        Do::Recover(recover) => recover.run(),
        Do::Migrate(migrate) => migrate.run(),
        Do::Lint(lint) => lint.run(),
        Do::Hook(hook) => hook.run(),
        Do::Edit(edit) => edit.run(),
        Do::Diff(diff) => diff.run(),
        Do::Merge(merge) => merge.run(),
        Do::SealingKeys(keys) => keys.run(),
        Do::Escrow(escrow) => escrow.run(),
        Do::Probe(arguments) => probe(&arguments),
        Do::Keys(asking) => asking.command.run(&asking.connection),
        Do::Rotate(asking) => asking.command.run(&asking.connection),
        Do::Replicas(asking) => asking.command.run(&asking.connection),
        Do::Roots(asking) => asking.command.run(&asking.connection),
        Do::Hold(asking) => asking.command.run(&asking.connection),
        Do::Audit(asking) => asking.command.run(&asking.connection),
        Do::Ledger(asking) => asking.command.run(&asking.connection),
        Do::Completions { shell } => completions(shell),
        Do::Man { dir: None } => page(),
        Do::Man { dir: Some(dir) } => pages(&dir),
    };
    done.unwrap_or_else(|failure| {
        output::failure(&failure);
        failure.code()
    })
}

fn probe(arguments: &Probe) -> Result<ExitCode, Failure> {
    let runtime = process::runtime()?;
    let mut random = [0; 16];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).map_err(
        |error| {
            Failure::new(
                "the kernel gave no randomness",
                error.to_string(),
                "check whether a seccomp profile forbids getrandom",
            )
        },
    )?;
    let seed = Seed::mark(random);
    let (report, unreachable) = runtime.block_on(async {
        let probe = probe::probe(&arguments.socket, &seed, arguments.timeout);
        let mut probe = std::pin::pin!(probe);
        match tokio::time::timeout(LONG, &mut probe).await {
            Ok(done) => done,
            Err(_) => {
                output::progress(&format!(
                    "still probing: each of about 15 calls may take {:?}",
                    arguments.timeout
                ));
                probe.await
            }
        }
    });
    let code =
        if report.result == check::Verdict::Fail { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    match unreachable {
        // A table of skipped checks would hide the one thing to say.
        Some(failure) if !arguments.format.is_for_machines() => Err(failure),
        _ => arguments.format.print(&report, probe::render).map(|()| code),
    }
}

/// From here on a person wonders whether anything happens.
const LONG: Duration = Duration::from_secs(2);

fn completions(shell: Shell) -> Result<ExitCode, Failure> {
    output::result(&completion::script(shell))?;
    Ok(ExitCode::SUCCESS)
}

fn page() -> Result<ExitCode, Failure> {
    output::result(&manual(documented())?.1)?;
    Ok(ExitCode::SUCCESS)
}

fn pages(dir: &Path) -> Result<ExitCode, Failure> {
    let mut command = documented();
    command.build();
    let mut open = vec![command];
    while let Some(command) = open.pop() {
        open.extend(command.get_subcommands().filter(|inner| inner.get_name() != "help").cloned());
        let (name, text) = manual(command)?;
        let path = dir.join(&name);
        fs::write(&path, text).map_err(|error| {
            Failure::new(
                format!("{} could not be written", path.display()),
                error.to_string(),
                "make the folder first, or name one that you may write to",
            )
        })?;
        output::result(format!("{}\n", path.display()).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `help` repeats what the pages say: it gets none.
fn documented() -> Command {
    Cli::command().disable_help_subcommand(true)
}

fn manual(command: Command) -> Result<(String, Vec<u8>), Failure> {
    let page = clap_mangen::Man::new(command);
    let mut text = Vec::new();
    page.render(&mut text).map_err(|error| {
        Failure::new(
            "the manual page could not be made",
            error.to_string(),
            "this is a bug: report it",
        )
    })?;
    let name = page.get_filename();
    Ok((name, laid_out(&String::from_utf8_lossy(&text)).into_bytes()))
}

/// What stands below the options keeps its lines, so that an example can be copied; and every page has the exit codes.
fn laid_out(page: &str) -> String {
    const EXTRA: &str = ".SH EXTRA\n";
    let (before, rest) = page.split_once(EXTRA).unwrap_or((page, ""));
    let (extra, after) = match rest.find(".SH VERSION\n") {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let mut out = before.to_owned();
    if !extra.is_empty() {
        out += &format!(".SH NOTES AND EXAMPLES\n.nf\n{extra}.fi\n");
    }
    if !page.contains("Exit codes:") {
        out += &format!(".SH EXIT STATUS\n.nf\n{EXIT_CODES}\n.fi\n");
    }
    out + after
}

fn probe_help() -> String {
    let mut text = String::from("Checks:\n");
    for (_, id, what, _) in check::QUESTIONS {
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {id:<28} {what}");
    }
    text + PROBE_HELP
}

const PROBE_HELP: &str = "
Each ends as one of:
  ok       as it should be
  warn     kube-apiserver works with it; a person should look
  fail     the contract is broken; the first from the top is the one to mend first
  skipped  something before it failed, or it does not apply

JSON (--output json) has all checks, always in this order; fields are added, never renamed:
  {
    \"schema\": \"strongroom.dev/probe/v1\",
    \"socket\": \"/run/strongroom/kms.sock\",
    \"result\": \"ok\",                 the worst of the checks
    \"microseconds\": 12345,          of the whole probe
    \"checks\": [
      {
        \"id\": \"status.version\",     stable: select by it
        \"what\": \"version is v2\",
        \"result\": \"ok\",             ok, warn, fail, skipped
        \"detail\": \"v2\",             for people; says what to do next where something is wrong
        \"microseconds\": null        of the call behind the check, where it has one of its own
      }
    ]
  }

Exit codes:
  0  no check failed
  1  a check failed, or nobody could be reached
  2  the command line is wrong

Examples:
  strongroom probe --socket /run/strongroom/kms.sock
  strongroom probe --socket unix:///@strongroom --timeout 500ms
  strongroom probe --socket kms.sock --output json | jq -r '.checks[]|select(.result==\"fail\").id'";

/// A whole number with its unit: the forms that a person writes, and no others.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed = match text.strip_suffix("ms") {
        Some(number) => number.parse().map(Duration::from_millis),
        None => text.strip_suffix('s').unwrap_or_default().parse().map(Duration::from_secs),
    };
    match parsed {
        Ok(time) if !time.is_zero() && time <= LONGEST => Ok(time),
        _ => Err("expected a time from 1ms to 60s, such as 3s or 500ms".to_owned()),
    }
}

const LONGEST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(duration("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for wrong in ["", "3", "0s", "0ms", "-1s", "1.5s", "61s", "s", "ms", "3m", "3 s"] {
            assert!(duration(wrong).is_err(), "{wrong:?} was taken for a time");
        }
    }
}
