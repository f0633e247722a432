use std::fmt;

/// Where something is, counted as an editor counts: both from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A text that [`parse`](crate::parse) does not take. It names a place and fixed words, never what the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ParseError {
    /// Where reading stopped.
    pub place: Place,
    /// Why.
    pub problem: Problem,
}

/// Why a text is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A byte order mark of UTF-16 or UTF-32, or the zero bytes of one without a mark.
    #[error("this is UTF-16 or UTF-32: save the file as UTF-8")]
    WideEncoding,
    /// Bytes that are no UTF-8.
    #[error("not UTF-8: save the file as UTF-8")]
    NotUtf8,
    /// More than [`MAX_BYTES`](crate::MAX_BYTES).
    #[error("the file is larger than 16 MiB")]
    TooLarge,
    /// A control character, or a byte order mark after the start.
    #[error("a character that YAML forbids here: write it as an escape in double quotes")]
    ForbiddenCharacter,
    /// U+0085, U+2028 or U+2029: line breaks in YAML 1.1, text in YAML 1.2.
    #[error(
        "U+0085, U+2028 or U+2029, which readers of YAML 1.1 take for a line break: write it as an escape in double quotes"
    )]
    DisputedLineBreak,
    /// More than [`MAX_DEPTH`](crate::MAX_DEPTH) collections in each other.
    #[error("nested too deeply: at most 128 levels are read")]
    TooDeep,
    /// More nodes, or more anchors, than a file of this size may reasonably hold.
    #[error("too many values for a file of this size")]
    TooDense,
    /// A flow collection that readers must hold in memory as a whole.
    #[error(
        "a flow collection with too many values where a key could begin: write it in block style"
    )]
    LongFlow,
    /// A tab where spaces must indent.
    #[error("a tab indents a block: use spaces")]
    TabIndent,
    /// Indentation that belongs to no open collection.
    #[error("indentation that matches nothing above")]
    Indentation,
    /// A mapping or sequence that begins on the line of its key.
    #[error(
        "a mapping or sequence cannot begin on this line: begin it on the next line, or quote the text"
    )]
    NestedOnLine,
    /// A key without `?` that spans several lines.
    #[error("a key that spans several lines")]
    MultilineKey,
    /// A key was due.
    #[error("a key with a colon and a blank was expected")]
    ExpectedKey,
    /// A comma or a closing bracket was due.
    #[error("a comma or a closing bracket was expected")]
    ExpectedSeparator,
    /// An open quote or bracket.
    #[error("this quote or bracket is never closed")]
    Unclosed,
    /// A character that begins no value.
    #[error("a value cannot begin here with this character: quote it")]
    Unexpected,
    /// Two anchors or two tags on one value, or an empty name.
    #[error("an anchor or a tag that does not fit here")]
    Properties,
    /// A broken header of a block scalar.
    #[error("the header of this block text is not understood")]
    BlockHeader,
    /// Content after the end of the value of a document.
    #[error("content after the end of the document's value")]
    Trailing,
    /// The YAML library refuses the text.
    #[error("not valid YAML")]
    Invalid,
    /// The YAML library reads the text otherwise than this crate does.
    #[error(
        "this can be read in more than one way: write it more plainly, for example with quotes or with one entry per line"
    )]
    Disputed,
}

/// An edit that is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {refusal}")]
pub struct SpliceError {
    /// Where the obstacle is, in the file as it was parsed.
    pub place: Place,
    /// What it is.
    pub refusal: Refusal,
}

/// Why an edit is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The node id belongs to no node, or the document index to no document.
    #[error("there is no such node or document in this file")]
    NoSuchNode,
    /// The node is not of the kind that the edit needs.
    #[error("a value of another kind is here (text, mapping or sequence) than this edit needs")]
    WrongKind,
    /// No entry with that key, or no item with that index.
    #[error("there is no such entry here")]
    NoSuchEntry,
    /// The key to add is there already.
    #[error("this key exists already")]
    KeyExists,
    /// A key that stands twice in the mapping to edit; the place is that of the second.
    #[error("this key stands twice in its mapping: remove one")]
    DuplicateKey {
        /// Where it stands first.
        first: Place,
    },
    /// The node is an alias, or lies within what an alias elsewhere repeats.
    #[error(
        "an alias is in the way: this value is used in more than one place; write it out where it must differ"
    )]
    Alias,
    /// A merge key in the mapping to edit.
    #[error("a merge key (<<) is in the way: write the merged entries out")]
    MergeKey,
    /// A key written with `?`, or one that is not a scalar.
    #[error("a complex key (with ?, or a collection) is in the way: write it as a plain key")]
    ComplexKey,
    /// A tag that says that the value is not text.
    #[error("a tag is in the way: remove it, or change the value by hand")]
    Tag,
    /// A comment that an edit would have to drop or move.
    #[error("a comment is in the way: move it to a line of its own above the entry")]
    Comment,
    /// Two edits that touch the same text.
    #[error("two edits touch the same place: make them one after the other")]
    Overlap,
    /// A layout that new text cannot match.
    #[error(
        "the layout here is unusual, and a new entry cannot match it: put each entry on a line of its own"
    )]
    Layout,
    /// A block text that ends with the file, without a line break, which readers do not agree about.
    #[error(
        "the last line has no line break, and readers do not agree about the text before it: end the file with one"
    )]
    UnendedBlock,
    /// A key that is longer than readers take without `?`.
    #[error("a new key is longer than 1,000 bytes")]
    LongKey,
    /// A value nested too deeply, or a result that would be too large.
    #[error("the new value is too large or nested too deeply")]
    TooLarge,
    /// The new text of a document is not exactly one document.
    #[error("the new text is not exactly one YAML document")]
    NotOneDocument,
    /// The result did not read as it was meant: nothing is given out.
    #[error("the edit could not be proven right, so it was not made: change this place by hand")]
    Unproven,
}
