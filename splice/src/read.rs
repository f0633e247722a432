//! The reader: text to nodes with exact spans.
//!
//! It is strict where a span would be doubtful and lenient about validity: the [`judge`](crate::judge) lets the YAML library
//! read the same text, and only what both read alike is taken. It never looks back and never expands an alias, and its
//! recursion is bounded, so time is linear and the stack is small.

mod block;
mod flow;
mod scalar;

use crate::{
    Problem,
    tree::{Raw, Tree, compact},
};

/// Collections in each other that are read. The YAML library stops at 255 for flow collections.
pub const MAX_DEPTH: usize = 128;

/// Where reading stopped, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) at: usize,
    pub(crate) problem: Problem,
}

/// Where the reader is: an offset, and where its line begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    at: usize,
    line: usize,
}

/// Reads one document after the other into one tree.
pub(crate) struct Reader<'a> {
    text: &'a [u8],
    cursor: Cursor,
    /// End of the document's content: no marker line lies before it.
    end: usize,
    depth: usize,
    tree: Tree,
    most_nodes: usize,
    /// Nodes that one flow collection may hold where the library would keep all its tokens, because a key could begin.
    most_buffered: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            cursor: Cursor { at: 0, line: 0 },
            end: text.len(),
            depth: 0,
            tree: Tree::default(),
            most_nodes: 4096 + text.len() / 3,
            most_buffered: 4096.max(text.len() / 32),
        }
    }

    /// Reads the content of one document, from `start` on its line that begins at `line`, to `end`. Gives its root.
    pub(crate) fn document(
        &mut self,
        line: usize,
        start: usize,
        end: usize,
    ) -> Result<Option<u32>, Stop> {
        self.cursor = Cursor { at: start, line };
        self.end = end;
        self.depth = 0;
        let fresh = self.gap() || start == line;
        if self.at_end() {
            return Ok(None);
        }
        let root = compact(self.tree.nodes.len());
        self.block_node(Place { parent: -1, fresh, indentless: false })?;
        self.gap();
        if self.at_end() { Ok(Some(root)) } else { self.stop(Problem::Trailing) }
    }

    pub(crate) fn finish(mut self) -> Tree {
        self.tree.nodes.shrink_to_fit();
        self.tree.properties.sort_unstable();
        self.tree
    }

    fn byte(&self) -> u8 {
        self.ahead(0)
    }

    /// A byte further on, or 0 past the end; the text holds no 0.
    fn ahead(&self, by: usize) -> u8 {
        let at = self.cursor.at + by;
        if at < self.end { self.text.get(at).copied().unwrap_or(0) } else { 0 }
    }

    fn at_end(&self) -> bool {
        self.cursor.at >= self.end
    }

    fn column(&self) -> i32 {
        i32::try_from(self.cursor.at - self.cursor.line).unwrap_or(i32::MAX)
    }

    fn stop<T>(&self, problem: Problem) -> Result<T, Stop> {
        Err(Stop { at: self.cursor.at, problem })
    }

    fn skip_blanks(&mut self) {
        while is_blank(self.byte()) {
            self.cursor.at += 1;
        }
    }

    /// Takes a line break, if one is here.
    fn take_break(&mut self) -> bool {
        let length = match (self.byte(), self.ahead(1)) {
            (b'\r', b'\n') => 2,
            (b'\r' | b'\n', _) => 1,
            _ => return false,
        };
        self.cursor.at += length;
        self.cursor.line = self.cursor.at;
        true
    }

    /// Skips blanks, comments and line breaks; says whether a line ended.
    fn gap(&mut self) -> bool {
        let mut crossed = false;
        loop {
            self.skip_blanks();
            let before = self.cursor.at.checked_sub(1).and_then(|at| self.text.get(at));
            if self.byte() == b'#'
                && (self.cursor.at == self.cursor.line
                    || before.is_some_and(|byte| is_blank(*byte)))
            {
                while !self.at_end() && !is_break(self.byte()) {
                    self.cursor.at += 1;
                }
            }
            if !self.take_break() {
                return crossed;
            }
            crossed = true;
        }
    }

    fn enter(&mut self) -> Result<(), Stop> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { self.stop(Problem::TooDeep) } else { Ok(()) }
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Adds a node and gives its index. Growth by a quarter, not double, keeps the peak near what is needed.
    fn push(&mut self, mut raw: Raw, properties: Option<usize>) -> Result<usize, Stop> {
        let nodes = &mut self.tree.nodes;
        let index = nodes.len();
        if index >= self.most_nodes {
            return self.stop(Problem::TooDense);
        }
        if index == nodes.capacity() {
            nodes.reserve_exact(64 + index / 4);
        }
        if let Some(start) = properties {
            raw.has_properties = true;
            self.tree.note(index, start);
        }
        self.tree.nodes.push(raw);
        Ok(index)
    }

    /// Puts a collection before its first child, once that turned out to be one. Only short keys move, so this stays linear.
    fn insert(
        &mut self,
        index: usize,
        mut raw: Raw,
        properties: Option<usize>,
    ) -> Result<(), Stop> {
        if self.tree.nodes.len() >= self.most_nodes {
            return self.stop(Problem::TooDense);
        }
        for entry in self.tree.properties.iter_mut().rev() {
            if (entry.0 as usize) < index {
                break;
            }
            entry.0 += 1;
        }
        if let Some(start) = properties {
            raw.has_properties = true;
            self.tree.note(index, start);
        }
        if self.tree.nodes.len() == self.tree.nodes.capacity() {
            self.tree.nodes.reserve_exact(64 + index / 4);
        }
        self.tree.nodes.insert(index, raw);
        Ok(())
    }

    fn empty(&mut self, at: usize, properties: Option<usize>) -> Result<usize, Stop> {
        self.push(Raw::leaf(crate::tree::Shape::Plain, at, at), properties)
    }

    /// Ends the collection at `index`: all nodes added since are in it.
    fn close(&mut self, index: usize, end: usize) {
        let size = self.tree.nodes.len() - index;
        if let Some(raw) = self.tree.nodes.get_mut(index) {
            raw.set_size(size);
            raw.end = compact(end);
        }
    }

    fn mark(&mut self, index: usize, change: impl FnOnce(&mut Raw)) {
        if let Some(raw) = self.tree.nodes.get_mut(index) {
            change(raw);
        }
    }

    fn raw(&self, index: usize) -> Option<&Raw> {
        self.tree.nodes.get(index)
    }

    /// End of a node that has been read.
    fn end_of(&self, index: usize) -> usize {
        self.raw(index).map_or(self.cursor.at, |raw| raw.end as usize)
    }
}

impl Tree {
    fn note(&mut self, node: usize, start: usize) {
        if self.properties.len() == self.properties.capacity() {
            self.properties.reserve_exact(16 + self.properties.len() / 4);
        }
        self.properties.push((compact(node), compact(start)));
    }
}

/// Where a node of block style stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Column of the collection around it, -1 for none: lines of the node are indented further.
    parent: i32,
    /// A collection may begin here: at the start of a line, or after `- `.
    fresh: bool,
    /// It is the value of a key, so a sequence may begin in the column of that key.
    indentless: bool,
}

pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

pub(crate) fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// A blank, a line break or the end.
pub(crate) fn is_space(byte: u8) -> bool {
    byte == 0 || is_blank(byte) || is_break(byte)
}

pub(crate) fn is_flow_indicator(byte: u8) -> bool {
    matches!(byte, b',' | b'[' | b']' | b'{' | b'}')
}
