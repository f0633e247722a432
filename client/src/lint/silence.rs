//! Findings that somebody silenced in the file: `# strongroom:allow RULE the reason`, on the line or on the one above.

use splice::Place;

use super::{
    finding::Finding,
    rule::{self, Rule},
};

const MARK: &str = "strongroom:allow";

struct Silence {
    line: usize,
    column: usize,
    rule: Option<&'static Rule>,
    has_reason: bool,
    used: bool,
}

/// The findings that are left, with what is wrong with the comments themselves.
pub(crate) fn apply(text: &str, findings: Vec<Finding>) -> Vec<Finding> {
    if !text.contains(MARK) {
        return findings;
    }
    let mut silences: Vec<_> =
        text.lines().enumerate().filter_map(|(i, line)| read(i + 1, line)).collect();
    let mut out: Vec<_> = findings
        .into_iter()
        .filter(|finding| {
            let silence = silences.iter_mut().find(|silence| {
                silence.rule == Some(finding.rule)
                    && (silence.line == finding.place.line
                        || silence.line + 1 == finding.place.line)
            });
            match silence {
                Some(silence) => {
                    silence.used = true;
                    false
                }
                None => true,
            }
        })
        .collect();
    for silence in silences {
        let place = Place { line: silence.line, column: silence.column };
        if silence.rule.is_none() {
            out.push(Finding::new(&rule::UNUSED, place, "it names no rule"));
        } else if !silence.used {
            out.push(Finding::new(&rule::UNUSED, place, String::new()));
        } else if !silence.has_reason {
            out.push(Finding::new(&rule::NO_REASON, place, String::new()));
        }
    }
    out
}

fn read(line: usize, text: &str) -> Option<Silence> {
    let (before, behind) = text.split_once(MARK)?;
    // In a comment, not in a value.
    let column = before
        .rfind('#')
        .filter(|at| before.get(at + 1..).is_some_and(|blank| blank.trim().is_empty()))?;
    let mut words = behind.split_whitespace();
    let id = words.next().unwrap_or_default();
    Some(Silence {
        line,
        column: before.get(..column)?.chars().count() + 1,
        rule: rule::ALL.into_iter().find(|rule| rule.id == id),
        has_reason: words.next().is_some(),
        used: false,
    })
}
