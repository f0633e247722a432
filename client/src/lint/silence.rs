//! Findings that somebody silenced in the file: `# strongroom:allow RULE the reason`, on the line or on the one above.

use splice::Place;

use super::{
    finding::Finding,
    rule::{self, Rule},
};

const MARK: &str = "strongroom:allow";

struct Silence {
    place: Place,
    rule: Option<&'static Rule>,
    has_reason: bool,
    used: bool,
}

/// The findings that are left, with what is wrong with the comments themselves; of a file that is no longer so, only some rules were
/// asked, and a comment may be for one of the others.
pub(crate) fn apply(text: &str, findings: Vec<Finding>, is_current: bool) -> Vec<Finding> {
    if !text.contains(MARK) {
        return findings;
    }
    let mut silences: Vec<_> =
        text.lines().enumerate().filter_map(|(i, line)| read(i + 1, line)).collect();
    let mut out = Vec::new();
    for finding in findings {
        let line = finding.place.line;
        let silence = silences.iter_mut().find(|silence| {
            silence.rule == Some(finding.rule)
                && (silence.place.line == line || silence.place.line + 1 == line)
        });
        match silence {
            Some(silence) => silence.used = true,
            None => out.push(finding),
        }
    }
    for Silence { place, rule, has_reason, used } in silences {
        if rule.is_none() {
            out.push(Finding::new(&rule::UNUSED, place, "it names no rule"));
        } else if !has_reason {
            out.push(Finding::new(&rule::NO_REASON, place, ""));
        } else if !used && is_current {
            out.push(Finding::new(&rule::UNUSED, place, ""));
        }
    }
    out
}

fn read(line: usize, text: &str) -> Option<Silence> {
    let (before, behind) = text.split_once(MARK)?;
    // In a comment, not in a value.
    let at = before.rfind('#').filter(|at| {
        let (value, blank) = before.split_at(*at);
        blank.trim_start_matches('#').trim().is_empty()
            && (value.is_empty() || value.ends_with(char::is_whitespace))
    })?;
    let mut words = behind.split_whitespace();
    let id = words.next().unwrap_or_default();
    Some(Silence {
        place: Place { line, column: before.get(..at)?.chars().count() + 1 },
        rule: rule::ALL.into_iter().find(|rule| rule.id == id),
        has_reason: words.next().is_some(),
        used: false,
    })
}
