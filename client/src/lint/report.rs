//! What was found, as text and as JSON.

use serde_json::{Value as Json, json};

use super::{finding::Found, rule::Severity};
use crate::output::{self, plain};

/// A line for each finding, and what to do next: once for findings of one rule in a row.
pub(crate) fn text(found: &[Found]) -> String {
    let mut out = String::new();
    for (at, Found { path, commit, finding }) in found.iter().enumerate() {
        let rule = finding.rule;
        let level = rule.severity.as_str();
        let level = match rule.severity {
            Severity::Error => output::red(level),
            Severity::Warning => output::yellow(level),
        };
        let commit = commit.as_ref().and_then(|commit| commit.get(..12));
        let commit = commit.map(|commit| format!(" (commit {commit})")).unwrap_or_default();
        let place = finding.place;
        // A path is anybody's: a line break in one would look like another finding.
        let path = plain(&path.to_string_lossy()).replace('\n', "\u{fffd}");
        out += &format!(
            "{path}:{}:{}: {level} {} {}{commit}\n",
            place.line,
            place.column,
            rule.id,
            plain(finding.message()),
        );
        if found.get(at + 1).is_none_or(|next| next.finding.rule != rule) {
            out += &format!("  next: {}\n", rule.next);
        }
    }
    out
}

/// How many there are, for people.
pub(crate) fn summary(found: &[Found], files: usize) -> String {
    let count =
        |severity| found.iter().filter(|found| found.finding.rule.severity == severity).count();
    let counted =
        |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    format!(
        "{} looked at: {}, {}",
        counted(files, "file"),
        counted(errors, "error"),
        counted(warnings, "warning")
    )
}

/// For scripts. Fields are added, never renamed.
pub(crate) fn json(found: &[Found], files: usize) -> Json {
    let findings: Vec<_> = found
        .iter()
        .map(|Found { path, commit, finding }| {
            json!({
                "rule": finding.rule.id,
                "name": finding.rule.name,
                "severity": finding.rule.severity.as_str(),
                "file": path.to_string_lossy(),
                "line": finding.place.line,
                "column": finding.place.column,
                "commit": commit,
                "message": finding.message(),
                "next": finding.rule.next,
            })
        })
        .collect();
    json!({"schema": "strongroom.dev/lint/v1", "files": files, "findings": findings})
}
