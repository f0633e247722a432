//! Logs: to standard error, as text on a terminal and as JSON anywhere else.
//!
//! Invariant: no key, plaintext or token is ever a field. Secret types print as `redacted`.

use std::io::{self, IsTerminal};

use tracing_subscriber::{
    filter::{ParseError, Targets},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// Starts logging. `filter` is a level, or targets with levels: `info`, `strongroomd=debug,h2=warn`.
///
/// # Errors
/// A filter that is none.
pub fn start(filter: &str) -> Result<(), ParseError> {
    let filter: Targets = filter.parse()?;
    let terminal = io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(terminal);
    let registry = tracing_subscriber::registry().with(filter);
    if terminal {
        registry.with(lines).init();
    } else {
        registry.with(lines.json().flatten_event(true)).init();
    }
    Ok(())
}
