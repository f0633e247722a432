//! The report as a table for people.

use std::fmt::Write as _;

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table};

use super::{
    check::{Report, Verdict},
    contract::readable,
};
use crate::table::{RULED, WIDTH_OF_A_FILE};

/// Renders the table and a last line that says it all. Colours appear on a terminal only.
pub(crate) fn render(report: &Report) -> String {
    let mut table = Table::new();
    table.load_style(RULED).set_content_arrangement(ContentArrangement::Dynamic).set_header([
        "result",
        "check",
        "what is checked",
        "found",
        "time",
    ]);
    if !table.is_tty() {
        table.set_width(WIDTH_OF_A_FILE);
    }
    for check in &report.checks {
        let time = check.microseconds.map(|time| readable(time.0)).unwrap_or_default();
        table.add_row([
            verdict(check.result),
            Cell::new(check.id),
            Cell::new(check.what),
            Cell::new(&check.detail),
            Cell::new(time).set_alignment(CellAlignment::Right),
        ]);
    }
    let mut text = table.trim_fmt();
    // Writing to a String does not fail.
    let _ = write!(text, "\n{}\n", summary(report));
    text
}

fn verdict(verdict: Verdict) -> Cell {
    let cell = Cell::new(verdict.name());
    match verdict {
        Verdict::Ok => cell.fg(Color::Green),
        Verdict::Warn => cell.fg(Color::Yellow),
        Verdict::Fail => cell.fg(Color::Red).add_attribute(Attribute::Bold),
        Verdict::Skipped => cell.fg(Color::DarkGrey),
    }
}

fn summary(report: &Report) -> String {
    let count = |verdict| report.checks.iter().filter(|check| check.result == verdict).count();
    let told = match report.result {
        Verdict::Fail => {
            "kube-apiserver cannot rely on this plugin: mend what failed, from the top"
        }
        Verdict::Warn => "kube-apiserver can use this plugin; look at the warnings",
        Verdict::Ok | Verdict::Skipped => "kube-apiserver can use this plugin",
    };
    format!(
        "{}: {} ok, {} warn, {} fail, {} skipped, in {}: {told}",
        report.socket,
        count(Verdict::Ok),
        count(Verdict::Warn),
        count(Verdict::Fail),
        count(Verdict::Skipped),
        readable(report.microseconds.0),
    )
}
