//! How the text around an edit is laid out.

use std::ops::Range;

use crate::{
    File, NodeId, Style,
    edit::Splice,
    read::{is_blank, is_break},
    render::Layout,
    tree::{Raw, Shape},
};

/// Where a node stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    pub(super) parent: Option<NodeId>,
    /// Between brackets.
    pub(super) in_flow: bool,
    /// Column of the block collection around it.
    pub(super) column: Option<usize>,
}

impl<'f> Splice<'f> {
    pub(super) fn around(&self, node: NodeId) -> Around {
        let tree = self.file.tree();
        let document = self.file.document_of(node).and_then(|at| self.file.documents().get(at));
        let root = document.and_then(crate::Document::root).unwrap_or(node);
        let parent = tree.parent(root, node);
        let shape = parent.and_then(|parent| tree.get(parent)).map(|raw| raw.shape);
        let in_flow = shape.is_some_and(Shape::is_flow);
        let column = if in_flow { None } else { parent.map(|parent| self.column(parent)) };
        Around { parent, in_flow, column }
    }

    /// The column in which the keys or dashes of a block collection stand.
    pub(super) fn column(&self, collection: NodeId) -> usize {
        let start = self.file.tree().get(collection).map_or(0, |raw| raw.start as usize);
        self.column_of(start)
    }

    pub(super) fn column_of(&self, offset: usize) -> usize {
        offset - line_start(self.file, offset)
    }

    /// The layout near an offset in the document of a node.
    pub(super) fn layout(&self, node: NodeId, offset: usize) -> Layout<'f> {
        let json = self.is_json(node);
        let mut layout = Layout { line_break: self.line_break(offset), json, ..Layout::default() };
        let document = self.file.document_of(node).and_then(|at| self.file.documents().get(at));
        if let Some(root) = document.and_then(crate::Document::root)
            && !json
        {
            (layout.step, layout.indentless) = self.habits(root);
        }
        layout
    }

    /// The layout for new text of a collection in `column` that will stand before `end`, the end of a line.
    pub(super) fn layout_before(&self, node: NodeId, end: usize, column: usize) -> Layout<'f> {
        let ends_file = end >= self.vanishing.end;
        let no_lines = self.swallows_below(end, column + 1);
        Layout { ends_file, no_lines, ..self.layout(node, end) }
    }

    /// Step of indentation, and whether sequences stand in the column of their key: by the first example of each.
    fn habits(&self, root: NodeId) -> (usize, bool) {
        let tree = self.file.tree();
        let size = tree.get(root).map_or(0, Raw::size);
        let nodes = tree.nodes.get(root.index()..root.index() + size).unwrap_or_default();
        let (mut step, mut indentless) = (None, None);
        // Columns of the open block mappings, with the index where each ends.
        let mut open: Vec<(usize, usize)> = Vec::new();
        for (index, raw) in nodes.iter().enumerate() {
            while open.last().is_some_and(|(_, end)| *end <= index) {
                open.pop();
            }
            let above = open.last().map(|(column, _)| *column);
            match raw.shape {
                Shape::BlockMapping => {
                    let column = self.column_of(raw.start as usize);
                    if let Some(above) = above.filter(|above| *above < column) {
                        step = step.or(Some(column - above));
                    }
                    open.push((column, index + raw.size()));
                }
                Shape::BlockSequence => {
                    let column = self.column_of(raw.start as usize);
                    if let Some(above) = above {
                        indentless = indentless.or(Some(column == above));
                    }
                    // What is in a sequence is not under a key.
                    open.push((usize::MAX, index + raw.size()));
                }
                _ => {}
            }
            if step.is_some() && indentless.is_some() {
                break;
            }
        }
        (step.unwrap_or(2).min(8), indentless.unwrap_or(true))
    }

    /// The line break in use at an offset: the next one, else the one before.
    pub(super) fn line_break(&self, offset: usize) -> &'f str {
        let text = self.file.text();
        let (before, after) = text.split_at_checked(offset).unwrap_or((text, ""));
        let at = match after.find(['\n', '\r']) {
            Some(at) => offset + at,
            None => match before.rfind(['\n', '\r']) {
                Some(at) if before.get(..at).is_some_and(|before| before.ends_with('\r')) => at - 1,
                Some(at) => at,
                None => return "\n",
            },
        };
        let rest = text.get(at..).unwrap_or_default();
        ["\r\n", "\n", "\r"].into_iter().find(|found| rest.starts_with(found)).unwrap_or("\n")
    }

    /// A document of brackets, quotes and literals only, which readers of JSON must go on to read.
    pub(super) fn is_json(&self, node: NodeId) -> bool {
        let document = self.file.document_of(node).and_then(|at| self.file.documents().get(at));
        let Some(root) = document.and_then(crate::Document::root) else { return false };
        self.is_json_document(root)
    }

    pub(super) fn is_json_document(&self, root: NodeId) -> bool {
        let tree = self.file.tree();
        let Some(raw) = tree.get(root).filter(|raw| raw.shape.is_flow()) else { return false };
        let nodes = tree.nodes.get(root.index()..root.index() + raw.size()).unwrap_or_default();
        nodes.iter().all(|raw| match raw.shape {
            Shape::Double | Shape::FlowMapping | Shape::FlowSequence => !raw.has_properties,
            Shape::Plain => {
                let text = self.file.slice(raw.span());
                let number = text.starts_with(|char: char| char.is_ascii_digit() || char == '-');
                !raw.has_properties && (number || matches!(text, "true" | "false" | "null"))
            }
            _ => false,
        })
    }

    /// The style of the keys of a mapping, by its last.
    pub(super) fn key_style(&self, mapping: NodeId) -> Style {
        let last = self.file.node(mapping).entries().last();
        match last.and_then(|(key, _)| self.file.node(key).style()) {
            Some(style @ (Style::Single | Style::Double)) => style,
            _ => Style::Plain,
        }
    }
}

/// Where the line of an offset begins; a byte order mark is no part of it.
pub(super) fn line_start(file: &File<'_>, offset: usize) -> usize {
    let start = crate::file::line_start(file.bytes(), offset);
    if start == 0 && file.text().starts_with('\u{feff}') { 3.min(offset) } else { start }
}

/// Where the line of an offset ends, before its break.
pub(crate) fn line_end(file: &File<'_>, offset: usize) -> usize {
    let rest = file.bytes().get(offset..).unwrap_or_default();
    offset + rest.iter().position(|byte| is_break(*byte)).unwrap_or(rest.len())
}

/// Past the line break that begins at an offset.
pub(super) fn past_break(file: &File<'_>, offset: usize) -> usize {
    let rest = file.bytes().get(offset..).unwrap_or_default();
    match rest {
        [b'\r', b'\n', ..] => offset + 2,
        [b'\r' | b'\n', ..] => offset + 1,
        _ => offset,
    }
}

/// The lines of a span that begins its line, with the break at their end.
pub(super) fn lines_of(file: &File<'_>, span: &Range<usize>) -> Range<usize> {
    line_start(file, span.start)..past_break(file, line_end(file, span.end))
}

/// Only blanks, or blanks and a comment, between an offset and the end of its line.
pub(super) fn rest_is_free(file: &File<'_>, offset: usize) -> bool {
    let rest = file.slice(offset..line_end(file, offset));
    let trimmed = rest.trim_start_matches([' ', '\t']);
    trimmed.is_empty() || (trimmed.starts_with('#') && trimmed.len() < rest.len())
}

/// A comment between an offset and the end of its line.
pub(super) fn has_comment(file: &File<'_>, offset: usize) -> bool {
    file.slice(offset..line_end(file, offset)).trim_start_matches([' ', '\t']).starts_with('#')
}

/// Only spaces stand before an offset on its line.
pub(super) fn begins_line(file: &File<'_>, offset: usize) -> bool {
    file.slice(line_start(file, offset)..offset).bytes().all(is_blank)
}

/// The next byte of this sort after an offset, past blanks, line breaks and comments.
pub(crate) fn find_past_gap(file: &File<'_>, from: usize, wanted: u8) -> Option<usize> {
    let mut at = from;
    loop {
        match file.bytes().get(at)? {
            byte if *byte == wanted => return Some(at),
            b'#' => at = line_end(file, at),
            byte if is_blank(*byte) || is_break(*byte) => at += 1,
            _ => return None,
        }
    }
}
