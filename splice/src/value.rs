use std::fmt;

use crate::quote::double;

/// What an edit writes.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// Text; it is quoted where a reader could take it for something else.
    Text(String),
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Integer(i64),
    /// Keys with values, in this order; a key must not stand twice.
    Mapping(Vec<(String, Value)>),
    /// Values in order.
    Sequence(Vec<Value>),
    /// A value of a new block collection, with comments above its line, each from its `#` on. Elsewhere they are left out.
    Commented(Vec<String>, Box<Value>),
    /// A mapping or sequence written with brackets on one line, with all that it holds.
    Flow(Box<Value>),
}

impl Value {
    /// A mapping of these entries.
    pub fn mapping<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        Self::Mapping(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// A sequence of these items.
    pub fn sequence(items: impl IntoIterator<Item = Value>) -> Self {
        Self::Sequence(items.into_iter().collect())
    }

    /// The same, with brackets on one line.
    #[must_use]
    pub fn flow(self) -> Self {
        Self::Flow(Box::new(self))
    }

    /// The same, with comments above it: a line each, which begins with `#`.
    #[must_use]
    pub fn commented(self, comments: Vec<String>) -> Self {
        Self::Commented(comments, Box::new(self))
    }

    /// The value without its comments and the wish for brackets.
    pub(crate) fn bare(&self) -> &Self {
        let mut value = self;
        while let Self::Flow(inner) | Self::Commented(_, inner) = value {
            value = inner;
        }
        value
    }

    /// Its comments, and the value without them.
    pub(crate) fn comments(&self) -> (&[String], &Self) {
        match self {
            Self::Commented(comments, inner) => (comments, inner),
            value => (&[], value),
        }
    }

    /// Whether it is written with lines of its own in block style.
    pub(crate) fn is_block(&self) -> bool {
        match self {
            Self::Mapping(entries) => !entries.is_empty(),
            Self::Sequence(items) => !items.is_empty(),
            Self::Commented(_, inner) => inner.is_block(),
            _ => false,
        }
    }

    /// Whether it is nested at most `levels` deep and no mapping in it has a key twice.
    pub(crate) fn is_sound(&self, levels: usize) -> bool {
        let Some(below) = levels.checked_sub(1) else { return false };
        match self {
            Self::Text(_) | Self::Null | Self::Bool(_) | Self::Integer(_) => true,
            Self::Flow(inner) => inner.is_sound(below),
            Self::Commented(comments, inner) => {
                comments.iter().all(|comment| is_comment(comment)) && inner.is_sound(below)
            }
            Self::Sequence(items) => items.iter().all(|item| item.is_sound(below)),
            Self::Mapping(entries) => {
                let keys: std::collections::BTreeSet<_> =
                    entries.iter().map(|(key, _)| key).collect();
                keys.len() == entries.len()
                    && entries.iter().all(|(key, value)| key_fits(key) && value.is_sound(below))
            }
        }
    }
}

/// One line, of characters that YAML takes as they are.
fn is_comment(text: &str) -> bool {
    let is_other = |char: char| {
        char.is_control() && char != '\t' || matches!(char, '\u{2028}' | '\u{2029}' | '\u{feff}')
    };
    text.starts_with('#') && !text.contains(is_other)
}

/// Readers take keys of up to 1,024 characters without `?`.
pub(crate) fn key_fits(key: &str) -> bool {
    key.len() <= 1000 && double(key).len() <= 1000
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Tells the kind only: a value may be a secret on its way into a file.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text(…)",
            Self::Null => "Null",
            Self::Bool(_) => "Bool(…)",
            Self::Integer(_) => "Integer(…)",
            Self::Mapping(_) => "Mapping(…)",
            Self::Sequence(_) => "Sequence(…)",
            Self::Commented(..) => "Commented(…)",
            Self::Flow(_) => "Flow(…)",
        })
    }
}
