//! The only place that prints: the report to stdout, everything else to stderr.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the one module that may")]

pub(crate) fn report(text: &str) {
    println!("{text}");
}

pub(crate) fn progress(line: &str) {
    eprintln!("{line}");
}

pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
