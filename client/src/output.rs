//! The only place that prints.
//!
//! Results go to stdout and nothing else does, so that a pipe gets what it asked for; errors and progress go to stderr.

use std::io::{self, IsTerminal as _, Write as _};

use crate::failure::Failure;

/// Writes a result. A reader that has gone away (`| head`) is no failure.
pub(crate) fn result(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(
            "the result could not be written",
            error.to_string(),
            "check where stdout leads to (disk full?) and run the command again",
        )),
        _ => Ok(()),
    }
}

/// Says what is wrong. When stderr is gone too, the exit code still tells.
pub(crate) fn failure(failure: &Failure) {
    let mut stderr = io::stderr().lock();
    let _ = writeln!(
        stderr,
        "error: {}\n  why:  {}\n  next: {}",
        failure.what,
        indented(&failure.why),
        indented(&failure.next)
    );
}

/// Says that something takes its time, to a person and not to a log.
pub(crate) fn progress(line: &str) {
    let mut stderr = io::stderr().lock();
    if stderr.is_terminal() {
        let _ = writeln!(stderr, "{line}");
    }
}

/// Keeps the second and further lines under the first.
fn indented(text: &str) -> String {
    text.replace('\n', "\n        ")
}
