use std::ops::Range;

use crate::{
    read::{is_break, is_space},
    tree::{NodeId, compact},
};

/// One document of a file.
///
/// The documents of a file cover all its bytes: comments and directives before `---` belong to the document that they stand
/// before, a `...` line to the one that it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    // Four bytes each, because a hostile file may be all marker lines.
    span: (u32, u32),
    content: (u32, u32),
    root: Option<NodeId>,
    explicit: bool,
}

impl Document {
    fn new(begin: usize, content: usize, explicit: bool) -> Self {
        let (begin, content) = (compact(begin), compact(content));
        Self { span: (begin, content), content: (content, content), root: None, explicit }
    }

    /// Its bytes in the file, with its `---` and `...` lines, comments and directives.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.0 as usize..self.span.1 as usize
    }

    /// The bytes between its marker lines: what [`Splice::replace_document`](crate::Splice::replace_document) replaces.
    #[must_use]
    pub fn content(&self) -> Range<usize> {
        self.content.0 as usize..self.content.1 as usize
    }

    /// Its value; `None` for a document without any.
    #[must_use]
    pub fn root(&self) -> Option<NodeId> {
        self.root
    }

    /// Whether it begins with `---`.
    #[must_use]
    pub fn is_explicit(&self) -> bool {
        self.explicit
    }

    pub(crate) fn set_root(&mut self, root: Option<NodeId>) {
        self.root = root;
    }

    fn ended(mut self, at: usize) -> Self {
        self.span.1 = compact(at);
        self.content.1 = compact(at);
        self
    }
}

/// Finds the documents by their marker lines. This is exact: `---` and `...` at the start of a line are markers in every
/// context (YAML 1.2.2, 9.1.2 and production 206), so no content needs to be understood for it.
pub(crate) fn split(text: &[u8]) -> Vec<Document> {
    let start = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let mut documents: Vec<Document> = Vec::new();
    let mut open: Option<Document> = None;
    // Where the next document begins, with what stands before its `---`.
    let mut begin = 0;
    let mut line = start;
    while line < text.len() {
        let rest = text.get(line..).unwrap_or_default();
        let next = line + line_length(rest);
        match marker(rest) {
            Some(b'-') => {
                if let Some(document) = open.take() {
                    add(&mut documents, document.ended(line));
                    begin = line;
                }
                open = Some(Document::new(begin, line + 3, true));
            }
            Some(_) => {
                if let Some(document) = open.take() {
                    add(&mut documents, document.ended(line));
                }
                if let Some(document) = documents.last_mut() {
                    document.span.1 = compact(next);
                    begin = next;
                }
            }
            None if open.is_none() && has_content(rest) => {
                let content = if begin == 0 { start } else { begin };
                open = Some(Document::new(begin, content, false));
            }
            None => {}
        }
        line = next;
    }
    if let Some(document) = open {
        add(&mut documents, document.ended(text.len()));
    }
    // Comments after a last `...` line have no other document to belong to.
    if let Some(document) = documents.last_mut() {
        document.span.1 = compact(text.len());
    }
    documents
}

fn add(documents: &mut Vec<Document>, document: Document) {
    if documents.len() == documents.capacity() {
        documents.reserve_exact(16 + documents.len() / 4);
    }
    documents.push(document);
}

/// The first byte of the marker that a line is, with something after it or not.
fn marker(line: &[u8]) -> Option<u8> {
    let first = *line.first()?;
    let rest = line.strip_prefix(b"---").or_else(|| line.strip_prefix(b"..."))?;
    rest.first().is_none_or(|byte| is_space(*byte)).then_some(first)
}

/// Before a document only blank lines, comments and directives may stand; another line begins one.
fn has_content(line: &[u8]) -> bool {
    if line.first() == Some(&b'%') {
        return false;
    }
    let first = line.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    first.is_some_and(|byte| !is_break(*byte) && *byte != b'#')
}

/// Length of a line with its break.
pub(crate) fn line_length(text: &[u8]) -> usize {
    match text.iter().position(|byte| is_break(*byte)) {
        Some(at) if text.get(at) == Some(&b'\r') && text.get(at + 1) == Some(&b'\n') => at + 2,
        Some(at) => at + 1,
        None => text.len(),
    }
}
