//! The end of a file without a last line break, which stays without one.

use crate::{
    File, NodeId, Refusal, SpliceError,
    edit::{
        Change, Inserted, Splice,
        layout::{line_end, line_start},
        patch::without_break,
    },
    tree::{Raw, Shape},
};

impl Splice<'_> {
    /// Where what stays of the text ends. Entries that vanish there take the break before them along, which a block text may not
    /// lose.
    pub(super) fn find_end(&self) -> Result<usize, SpliceError> {
        let file = self.file;
        let mut end = file.text().len();
        let mut last = file.documents().last().and_then(crate::Document::root);
        while let Some(node) = last.filter(|_| !file.text().ends_with(['\n', '\r'])) {
            let Some(raw) = file.tree().get(node) else { break };
            if let Some(Change::Text(_) | Change::Value(_)) = self.changes.get(&node) {
                break;
            }
            if !matches!(raw.shape, Shape::BlockMapping | Shape::BlockSequence) {
                let ends = file.slice(raw.end as usize..end).trim().is_empty();
                if end < file.text().len() && ends && keeps_break(file, raw) {
                    return self.refuse(node, Refusal::UnendedBlock);
                }
                break;
            }
            let spans = self.spans(node);
            if spans.last().is_none_or(|last| line_end(file, last.end) != end) {
                break;
            }
            let entries = self.entries(node);
            let removed = |index| entries.is_some_and(|entries| entries.removed.contains(&index));
            let followed = |index| {
                let here = |new: &Inserted| match new.after {
                    Some(after) => after == index,
                    None => index == 0 && removed(0),
                };
                entries.is_some_and(|entries| entries.inserted.iter().any(here))
            };
            let stays = (0..spans.len()).rev().find(|index| !removed(*index) || followed(*index));
            let Some(stays) = stays else { break };
            if let Some(gone) = spans.get(stays + 1) {
                let before = file.slice(0..line_start(file, gone.start));
                end = without_break(before).len();
            }
            let mapping = raw.shape.is_mapping();
            let child = if mapping { 2 * stays + 1 } else { stays };
            last = file.tree().children(node).nth(child).filter(|_| !followed(stays));
        }
        Ok(end)
    }

    /// Whether the last node of a collection is a block text whose end a line break would change for some readers.
    pub(super) fn ends_with_block_text(&self, node: NodeId) -> bool {
        let tree = self.file.tree();
        let size = tree.get(node).map_or(1, Raw::size);
        let last = tree.nodes.get(node.index() + size - 1);
        last.is_some_and(|raw| keeps_break(self.file, raw))
    }
}

/// A block text with the line break at its end.
fn keeps_break(file: &File<'_>, raw: &Raw) -> bool {
    let header = file.slice(raw.start as usize..line_end(file, raw.start as usize));
    let strips = header.split([' ', '\t']).next().is_some_and(|header| header.contains('-'));
    raw.shape.is_block_text() && !strips
}
