//! Runs one test, and shows what the programs said when it fails.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread::ThreadId;

use anyhow::{Context as _, Result};
use tokio::runtime::{Builder, Runtime};

use crate::process::tail;

/// Runs a test's body to its end. On failure the ends of the logs of the programs that it used are printed.
///
/// All tests of a process share one runtime, so that they can share clusters and their connections.
pub fn run(body: impl Future<Output = Result<()>>) -> Result<()> {
    static RUNTIME: LazyLock<std::io::Result<Runtime>> =
        LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).enable_all().build());
    let runtime = RUNTIME.as_ref().context("no runtime")?;
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(body)));
    if !matches!(outcome, Ok(Ok(()))) {
        show_logs();
    }
    forget();
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

struct Started {
    name: String,
    log: PathBuf,
    by: ThreadId,
    /// The end of the log, once the program has ended: its folder goes before the test is judged.
    said: Option<String>,
}

static STARTED: Mutex<Vec<Started>> = Mutex::new(Vec::new());

pub(crate) fn started(name: &str, log: &Path) {
    let by = std::thread::current().id();
    let mut all = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|known| known.log != log);
    all.push(Started { name: name.to_owned(), log: log.to_owned(), by, said: None });
}

pub(crate) fn ended(log: &Path) {
    let mut all = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = all.iter_mut().find(|known| known.log == log) {
        known.said.get_or_insert_with(|| tail(log));
    }
}

/// The programs of this test, and those that tests share.
#[expect(
    clippy::print_stderr,
    reason = "what the test harness captures and shows with the failure"
)]
fn show_logs() {
    let me = std::thread::current().id();
    for known in STARTED.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        if known.by == me || known.said.is_none() {
            let said = known.said.clone().unwrap_or_else(|| tail(&known.log));
            eprintln!("--- log of {} ends so:\n{said}", known.name);
        }
    }
}

fn forget() {
    STARTED.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| known.said.is_none());
}
