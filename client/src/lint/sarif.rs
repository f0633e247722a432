//! SARIF 2.1.0 (OASIS), for code hosts that show findings beside the lines.

use serde_json::{Value as Json, json};

use super::{
    Found,
    rule::{self, Severity},
};

/// A log with one run.
pub(crate) fn log(found: &[Found]) -> Json {
    let level = |severity| if severity == Severity::Error { "error" } else { "warning" };
    let rules: Vec<_> = rule::ALL
        .into_iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "name": rule.name,
                "shortDescription": {"text": rule.what},
                "help": {"text": rule.next},
                "defaultConfiguration": {"level": level(rule.severity)},
            })
        })
        .collect();
    let results: Vec<_> = found
        .iter()
        .map(|Found { path, commit, finding }| {
            let message = match commit {
                Some(commit) => format!("{} (commit {commit})", finding.message()),
                None => finding.message(),
            };
            json!({
                "ruleId": finding.rule.id,
                "ruleIndex": rule::ALL.iter().position(|rule| rule.id == finding.rule.id),
                "level": level(finding.rule.severity),
                "message": {"text": message},
                "locations": [{
                    "physicalLocation": {
                        "artifactLocation": {"uri": uri(path)},
                        "region": {"startLine": finding.place.line, "startColumn": finding.place.column},
                    },
                }],
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "strongroom", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// A relative reference (RFC 3986): what is no unreserved character is escaped.
fn uri(path: &str) -> String {
    path.bytes()
        .map(|byte| match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
