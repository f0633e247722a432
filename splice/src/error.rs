use std::fmt;

/// A place in a file, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why bytes are not YAML that this crate changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ParseError {
    /// Where.
    pub place: Place,
    /// What.
    pub problem: Problem,
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Another encoding than UTF-8.
    #[error("not UTF-8: save the file as UTF-8")]
    NotUtf8,
    /// Over 256 MiB: places are 32-bit numbers, with room to spare.
    #[error("the file is too large")]
    TooLarge,
    /// Nested deeper than 128.
    #[error("nested deeper than 128 levels")]
    TooDeep,
    /// A line break that YAML 1.1 knows and 1.2 does not.
    #[error(
        "U+0085, U+2028 or U+2029 outside of double quotes: some readers take it for a line break"
    )]
    DisputedLineBreak,
    /// It is no YAML.
    #[error("this is not valid YAML")]
    Syntax,
    /// An indentation with a tab, or a block that a flow cannot hold, and other things that the reader and we would see differently.
    #[error("this is written in a way that cannot be located for certain: write it plainly")]
    Odd,
}

/// Why an edit is refused. The file is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {trouble}")]
pub struct SpliceError {
    /// Where.
    pub place: Place,
    /// What.
    pub trouble: Trouble,
}

impl SpliceError {
    /// Where.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }
}

/// What stands in the way of an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The node is an alias, or is meant by one elsewhere.
    #[error(
        "an alias is in the way: what is changed here would change elsewhere too; write both out"
    )]
    Alias,
    /// The mapping merges another one in.
    #[error("a merge key (<<) is in the way: write out what it brings")]
    Merge,
    /// A key stands twice in the mapping.
    #[error("a key stands twice here, and readers differ in which one counts: take one out")]
    DuplicateKey,
    /// A mapping in the way has keys that are no plain text.
    #[error("a key that is not simple text is in the way")]
    ComplexKey,
    /// The key is there already.
    #[error("this key is there already")]
    KeyExists,
    /// There is no such key or item.
    #[error("there is no such entry")]
    NoEntry,
    /// The node is of another kind than the edit needs.
    #[error("this is not the kind of node that can be changed so")]
    Kind,
    /// A comment would be lost, or the layout cannot be matched.
    #[error(
        "this is laid out in a way that cannot be matched: write each entry on lines of its own"
    )]
    Layout,
    /// Two edits at one place.
    #[error("two changes meet here")]
    Overlap,
    /// The result would not be what was asked for.
    #[error("the change could not be proved to be what was asked for, so it was not made")]
    Unproven,
}
