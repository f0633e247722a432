//! How much of a document must be read again to prove an edit.
//!
//! An entry of a block collection is whole lines, from the line of its key or dash to the next line with content. Read alone,
//! these lines are a collection of one entry, and mean what they mean in the document:
//!
//! - What stands before cannot reach into them. A plain or block scalar goes on only on lines indented more than the
//!   collection it is in (YAML 1.2.2, 6.1 and 8.1.1.1), and brackets and quotes before were closed in the old text, which is the
//!   same there.
//! - They cannot reach beyond themselves, because they parse as a whole, and the next line with content is indented no more
//!   than they are; blank lines and comments, which a block text could swallow, are read with them.
//! - Their indentation is relative: everything in the entry is measured against the column of the collection, which is checked
//!   to be the same.
//!
//! An alias to something outside, a directive, or anything else that context decides makes the reading alone fail, or is looked
//! for; then the whole document is read.

use std::ops::Range;

use crate::{
    File, NodeId,
    read::{is_blank, is_break},
    tree::{Raw, Shape},
};

/// An entry that holds all changes to a document.
#[derive(Debug)]
pub(crate) struct Neighbourhood {
    /// The collection it is in.
    pub(crate) collection: NodeId,
    pub(crate) key: Option<NodeId>,
    pub(crate) value: NodeId,
    /// Its lines.
    pub(crate) lines: Range<usize>,
}

impl Neighbourhood {
    /// The innermost entry that holds the nodes from `first` to `last`, and the bytes `touched`.
    pub(crate) fn find(
        file: &File<'_>,
        root: NodeId,
        nodes: (NodeId, NodeId),
        touched: &Range<usize>,
    ) -> Option<Self> {
        let mut found = None;
        let mut collection = root;
        while let Some(entry) = entry(file, collection, nodes) {
            let fits = entry.lines.start <= touched.start && touched.end <= entry.lines.end;
            if !fits
                || !matches!(
                    file.node(collection).shape(),
                    Shape::BlockMapping | Shape::BlockSequence
                )
            {
                break;
            }
            collection = entry.value;
            // An entry beside the dash of another has no line of its own; one further in may have.
            let before = file.slice(line_start(file, entry.lines.start)..entry.lines.start);
            if before.bytes().all(|byte| byte == b' ') {
                let lines = entry.lines.start - before.len()..entry.lines.end;
                found = Some(Self { lines, ..entry });
            }
        }
        found
    }
}

/// The entry of a collection whose value holds the nodes, from its key or dash.
fn entry(file: &File<'_>, collection: NodeId, nodes: (NodeId, NodeId)) -> Option<Neighbourhood> {
    let tree = file.tree();
    let shape = tree.get(collection)?.shape;
    let mut before = tree.get(collection)?.start as usize;
    let mut key = None;
    for child in tree.children(collection) {
        let raw = tree.get(child)?;
        if shape.is_mapping() && key.is_none() {
            key = Some(child);
            continue;
        }
        if child <= nodes.0 && nodes.1.index() < child.index() + raw.size() {
            let start = match key {
                Some(key) if tree.get(key).is_some_and(|raw| raw.explicit) => return None,
                Some(key) => tree.outer_start(key),
                None => crate::edit::find_past_gap(file, before, b'-')?,
            };
            let lines = start..next_content(file, raw);
            return Some(Neighbourhood { collection, key, value: child, lines });
        }
        key = None;
        before = raw.end as usize;
    }
    None
}

/// Where the next line with content begins after a node, or the document ends.
fn next_content(file: &File<'_>, raw: &Raw) -> usize {
    let bytes = file.bytes();
    let document = file.document_at(raw.start as usize);
    let end = document.map_or(bytes.len(), |document| document.content().end);
    let mut at = raw.end as usize;
    while at < end {
        match bytes.get(at) {
            Some(byte) if is_blank(*byte) || is_break(*byte) => at += 1,
            Some(b'#') => {
                at += bytes
                    .get(at..)
                    .unwrap_or_default()
                    .iter()
                    .take_while(|byte| !is_break(**byte))
                    .count()
            }
            _ => return line_start(file, at).max(raw.end as usize),
        }
    }
    end
}

fn line_start(file: &File<'_>, offset: usize) -> usize {
    crate::file::line_start(file.bytes(), offset)
}
