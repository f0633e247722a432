//! Logs: to standard error, as text on a terminal and as JSON anywhere else.
//!
//! Invariant: no key, plaintext or token is ever a field. Secret types print as `redacted`.

use std::io::{self, IsTerminal};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    filter::{ParseError, Targets, filter_fn},
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
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(is_discreet));
    if terminal {
        registry.with(lines).init();
    } else {
        registry.with(lines.json().flatten_event(true)).init();
    }
    Ok(())
}

/// The AWS SDK traces requests and what it signs. It leaves out keys and tokens there, until a variable of the environment
/// (`LOG_SIGNABLE_BODY`) says otherwise: nobody's environment decides that here.
fn is_discreet(event: &Metadata<'_>) -> bool {
    *event.level() <= Level::INFO || !event.target().starts_with("aws_")
}
