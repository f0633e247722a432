//! What was found where.

use std::path::PathBuf;

use splice::Place;

use super::rule::Rule;

/// Something that a rule found. Nothing of a value is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) rule: &'static Rule,
    pub(crate) place: Place,
    /// What exactly, where the rule alone does not say it.
    detail: String,
}

impl Finding {
    pub(crate) fn new(rule: &'static Rule, place: Place, detail: impl Into<String>) -> Self {
        Self { rule, place, detail: detail.into() }
    }

    /// What is wrong, in one line.
    pub(crate) fn message(&self) -> &str {
        if self.detail.is_empty() { self.rule.what } else { &self.detail }
    }
}

/// A finding in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// The commit that brought it, where it is of one.
    pub(crate) commit: Option<String>,
    pub(crate) finding: Finding,
}

/// The beginning of a file.
pub(crate) const TOP: Place = Place { line: 1, column: 1 };

/// Where a byte of a text is.
pub(crate) fn place(text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit_once('\n').map_or(before, |(_, line)| line);
    Place {
        line: before.matches('\n').count() + 1,
        column: line.trim_start_matches('\u{feff}').chars().count() + 1,
    }
}
