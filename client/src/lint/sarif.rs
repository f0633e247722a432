//! SARIF 2.1.0 (OASIS), for code hosts that show findings beside the lines.

use std::{os::unix::ffi::OsStrExt as _, path::Path};

use serde_json::{Value as Json, json};

use super::{finding::Found, rule};

/// A log with one run.
pub(crate) fn log(found: &[Found]) -> Json {
    let rules: Vec<_> = rule::ALL
        .into_iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "name": rule.name,
                "shortDescription": {"text": rule.what},
                "help": {"text": rule.next},
                "defaultConfiguration": {"level": rule.severity.as_str()},
            })
        })
        .collect();
    let results: Vec<_> = found
        .iter()
        .map(|Found { path, commit, finding }| {
            let message = match commit {
                Some(commit) => format!("{} (commit {commit})", finding.message()),
                None => finding.message().to_owned(),
            };
            json!({
                "ruleId": finding.rule.id,
                "ruleIndex": rule::ALL.iter().position(|rule| rule.id == finding.rule.id),
                "level": finding.rule.severity.as_str(),
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
fn uri(path: &Path) -> String {
    let escaped = path.as_os_str().as_bytes().iter().map(|byte| match *byte {
        byte if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    });
    escaped.collect()
}
