use std::{borrow::Cow, ops::Range};

use crate::{
    Document, Node, ParseError, Place, Problem,
    document::{line_length, split},
    judge::{judge, judge_empty},
    read::{Reader, Stop},
    tree::{NodeId, Tree, compact},
};

/// The largest file that is read.
pub const MAX_BYTES: usize = 16 << 20;

/// Bytes between two entries of the line index.
const STEP: usize = 1024;

/// A text that has been read, with the place of every value in it.
#[derive(Debug)]
pub struct File<'a> {
    text: &'a str,
    documents: Vec<Document>,
    tree: Tree,
    /// Line breaks before each [`STEP`] bytes.
    lines: Vec<u32>,
}

/// Reads all documents of a text in UTF-8. A byte order mark at its start is kept and means nothing.
///
/// The text is read twice, by this crate for spans and by `saphyr-parser` for its meaning; what the two do not read alike is
/// refused. Time is linear, and memory is below ten times the text plus two MiB.
///
/// # Errors
/// What is no YAML, what only some readers would take, and what goes beyond the limits: [`Problem`] lists it.
pub fn parse(text: &[u8]) -> Result<File<'_>, ParseError> {
    let text = check_bytes(text)?;
    let bytes = text.as_bytes();
    let mut documents = split(bytes);
    let mut reader = Reader::new(bytes);
    let lines = index_lines(bytes);
    let at_place =
        |stop: Stop| ParseError { place: place_in(text, &lines, stop.at), problem: stop.problem };
    for document in &mut documents {
        let content = document.content();
        let line = if document.is_explicit() { content.start - 3 } else { content.start };
        let root = reader.document(line, content.start, content.end).map_err(at_place)?;
        document.set_root(root.map(NodeId));
    }
    let mut tree = reader.finish();
    if documents.is_empty() {
        judge_empty(text).map_err(at_place)?;
    }
    for document in &documents {
        judge(text, &mut tree, document).map_err(at_place)?;
    }
    Ok(File { text, documents, tree, lines })
}

impl<'a> File<'a> {
    /// The documents, empty ones too. A text without content has none.
    #[must_use]
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// A node by its id; for an id of another file, some node or an empty text.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Node<'_> {
        Node::new(self, id)
    }

    /// The value of a key of a mapping; none of anything else.
    #[must_use]
    pub fn field(&self, mapping: NodeId, key: &str) -> Option<NodeId> {
        self.node(mapping).get(key)
    }

    /// The text of a value of a mapping, where it is text to every reader.
    #[must_use]
    pub fn field_text(&self, mapping: NodeId, key: &str) -> Option<Cow<'_, str>> {
        let node = self.node(self.field(mapping, key)?);
        node.is_text().then(|| node.text())
    }

    /// Keys and values of a mapping, in its order; none of anything else.
    pub fn entries(&self, mapping: NodeId) -> impl Iterator<Item = (NodeId, NodeId)> {
        self.node(mapping).entries()
    }

    /// The items of a sequence; none of anything else.
    pub fn items(&self, sequence: NodeId) -> impl Iterator<Item = NodeId> {
        self.node(sequence).items()
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The place of a byte.
    #[must_use]
    pub fn place(&self, offset: usize) -> Place {
        place_in(self.text, &self.lines, offset)
    }

    /// A line by its number from 1, without its break; empty where there is none.
    #[must_use]
    pub fn line(&self, line: usize) -> &'a str {
        let step =
            self.lines.partition_point(|before| (*before as usize) + 1 < line).saturating_sub(1);
        let mut at = step * STEP;
        let mut number = self.lines.get(step).map_or(1, |before| *before as usize + 1);
        let bytes = self.text.as_bytes();
        while number < line {
            let length = line_length(bytes.get(at..).unwrap_or_default());
            if length == 0 || at + length >= bytes.len() {
                return "";
            }
            at += length;
            number += 1;
        }
        let start = line_start(bytes, at);
        let length = line_length(bytes.get(at..).unwrap_or_default());
        let line = bytes.get(start..at + length).unwrap_or_default();
        let line = std::str::from_utf8(line).unwrap_or_default();
        line.trim_end_matches(['\r', '\n']).trim_start_matches('\u{feff}')
    }

    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    pub(crate) fn slice(&self, range: Range<usize>) -> &'a str {
        self.text.get(range).unwrap_or_default()
    }

    /// The decoded text of a scalar.
    pub(crate) fn scalar(&self, id: NodeId) -> Cow<'a, str> {
        self.tree.get(id).map_or(Cow::Borrowed(""), |raw| crate::decode::decode(self.text, raw))
    }

    /// The document that a node is in.
    pub(crate) fn document_of(&self, id: NodeId) -> Option<usize> {
        let start = self.tree.get(id)?.start as usize;
        let index = self.documents.partition_point(|document| document.span().end <= start);
        Some(index.min(self.documents.len().checked_sub(1)?))
    }

    /// The document that a byte is in.
    pub(crate) fn document_at(&self, offset: usize) -> Option<&Document> {
        let index = self.documents.partition_point(|document| document.span().end <= offset);
        self.documents.get(index).or(self.documents.last())
    }
}

/// UTF-8, in bounds, without characters that YAML forbids or that its versions read differently.
fn check_bytes(bytes: &[u8]) -> Result<&str, ParseError> {
    let refuse = |place, problem| Err(ParseError { place, problem });
    let start = Place { line: 1, column: 1 };
    if bytes.len() > MAX_BYTES {
        return refuse(start, Problem::TooLarge);
    }
    let head = bytes.get(..4).unwrap_or(bytes);
    if head.starts_with(b"\xff\xfe")
        || head.starts_with(b"\xfe\xff")
        || head.iter().take(2).any(|byte| *byte == 0)
    {
        return refuse(start, Problem::WideEncoding);
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let (valid, _) = bytes.split_at(error.valid_up_to());
            let valid = std::str::from_utf8(valid).unwrap_or_default();
            let place = place_in(valid, &index_lines(valid.as_bytes()), valid.len());
            return refuse(place, Problem::NotUtf8);
        }
    };
    match forbidden(bytes) {
        Some((at, problem)) => refuse(place_in(text, &index_lines(bytes), at), problem),
        None => Ok(text),
    }
}

/// The first character that YAML 1.1 and 1.2 do not both allow as a plain character (YAML 1.2.2, production 1, without NEL).
fn forbidden(bytes: &[u8]) -> Option<(usize, Problem)> {
    let mut at = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    while let Some(rest) = bytes.get(at..) {
        // Most bytes are printable ASCII; the rest decide on their first.
        at += rest.iter().position(|byte| !matches!(byte, 0x20..=0x7e))?;
        match bytes.get(at..)? {
            [b'\t' | b'\n' | b'\r', ..] => {}
            [0..=0x1f | 0x7f, ..] => return Some((at, Problem::ForbiddenCharacter)),
            [0xc2, 0x85, ..] | [0xe2, 0x80, 0xa8 | 0xa9, ..] => {
                return Some((at, Problem::DisputedLineBreak));
            }
            [0xc2, 0x80..=0x9f, ..] | [0xef, 0xbb, 0xbf, ..] | [0xef, 0xbf, 0xbe | 0xbf, ..] => {
                return Some((at, Problem::ForbiddenCharacter));
            }
            _ => {}
        }
        at += 1;
    }
    None
}

fn index_lines(bytes: &[u8]) -> Vec<u32> {
    let mut lines = Vec::with_capacity(bytes.len() / STEP + 1);
    let mut before = 0;
    for (number, block) in bytes.chunks(STEP).enumerate() {
        lines.push(compact(before));
        before += breaks_in(bytes, number * STEP, number * STEP + block.len());
    }
    lines
}

/// Line breaks that end between two offsets; CR LF is one, and ends with its LF.
fn breaks_in(bytes: &[u8], start: usize, end: usize) -> usize {
    let block = bytes.get(start..end).unwrap_or_default();
    let next = block.iter().skip(1).copied().chain([bytes.get(end).copied().unwrap_or(0)]);
    block
        .iter()
        .zip(next)
        .filter(|(byte, next)| **byte == b'\n' || (**byte == b'\r' && *next != b'\n'))
        .count()
}

fn place_in(text: &str, lines: &[u32], offset: usize) -> Place {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let bytes = text.as_bytes();
    let step = offset / STEP;
    let before = lines.get(step).map_or_else(
        || breaks_in(bytes, 0, offset),
        |before| *before as usize + breaks_in(bytes, step * STEP, offset),
    );
    let line = text.get(line_start(bytes, offset)..offset).unwrap_or_default();
    let column = line.chars().filter(|char| *char != '\u{feff}').count() + 1;
    Place { line: before + 1, column }
}

/// Where the line begins that an offset is in.
pub(crate) fn line_start(bytes: &[u8], offset: usize) -> usize {
    let before = bytes.get(..offset).unwrap_or_default();
    let between = before.last() == Some(&b'\r') && bytes.get(offset) == Some(&b'\n');
    let before = if between { before.get(..offset - 1).unwrap_or_default() } else { before };
    before.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1)
}
