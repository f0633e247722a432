//! Laying out entries of block collections: each has lines of its own.

use std::ops::Range;

use crate::{
    NodeId, Refusal, SpliceError, Value,
    edit::{
        Entries, Inserted, Splice,
        layout::{
            begins_line, find_past_gap, has_comment, line_end, line_start, lines_of, rest_is_free,
        },
        patch::Patches,
    },
    render::Layout,
    tree::Shape,
};

impl<'f> Splice<'f> {
    /// Entries of a collection from the start of their key (with its anchor or tag) or dash to the end of their value.
    pub(super) fn spans(&self, collection: NodeId) -> Vec<Range<usize>> {
        let tree = self.file.tree();
        let end = |id: NodeId| tree.get(id).map_or(0, |raw| raw.end as usize);
        let Some(raw) = tree.get(collection) else { return Vec::new() };
        if raw.shape.is_mapping() {
            let entries = self.file.node(collection).entries();
            return entries.map(|(key, value)| tree.outer_start(key)..end(value)).collect();
        }
        let mut at = raw.start as usize;
        let items = self.file.node(collection).items();
        items
            .map(|item| {
                let start = if raw.shape == Shape::BlockSequence {
                    find_past_gap(self.file, at, b'-').unwrap_or(at)
                } else {
                    tree.outer_start(item)
                };
                at = end(item);
                start..at
            })
            .collect()
    }

    pub(super) fn lay_out_block(
        &self,
        patches: &mut Patches<'f>,
        node: NodeId,
        entries: &Entries,
    ) -> Result<(), SpliceError> {
        let spans = self.spans(node);
        if spans.len() == entries.removed.len() && entries.inserted.is_empty() {
            return self.lay_out_emptied(patches, node, &spans);
        }
        self.insert_first(patches, node, entries, &spans);
        let mut index = 0;
        while let Some(span) = spans.get(index) {
            if entries.removed.contains(&index) {
                index = self.remove_block_entry(patches, node, entries, &spans, index)?;
                continue;
            }
            self.insert_after(patches, node, entries, index, span)?;
            index += 1;
        }
        Ok(())
    }

    /// New entries before the first, unless that is removed: then its removal writes them.
    fn insert_first(
        &self,
        patches: &mut Patches<'f>,
        node: NodeId,
        entries: &Entries,
        spans: &[Range<usize>],
    ) {
        let (Some(first), false) = (spans.first(), entries.removed.contains(&0)) else { return };
        let layout = self.layout(node, first.start);
        let column = self.column(node);
        for new in entries.inserted.iter().filter(|new| new.after.is_none()) {
            let mut text = self.written(node, new, column, layout);
            layout.new_line(&mut text, column);
            patches.insert(first.start, text);
        }
    }

    /// New entries below the last line of one, before its line break: so a file without a last line break still has none.
    fn insert_after(
        &self,
        patches: &mut Patches<'f>,
        node: NodeId,
        entries: &Entries,
        index: usize,
        span: &Range<usize>,
    ) -> Result<(), SpliceError> {
        let mut new = entries.inserted.iter().filter(|new| new.after == Some(index)).peekable();
        if new.peek().is_none() {
            return Ok(());
        }
        let end = line_end(self.file, span.end);
        if !rest_is_free(self.file, span.end) {
            return self.refuse(node, Refusal::Layout);
        }
        let ends_file = end == self.file.text().len();
        if ends_file && self.ends_with_block_text(node) {
            return Err(SpliceError {
                place: self.file.place(span.start),
                refusal: Refusal::UnendedBlock,
            });
        }
        let column = self.column(node);
        let layout = self.layout_before(node, end, column);
        let mut text = String::new();
        for new in new {
            layout.new_line(&mut text, column);
            text.push_str(&self.written(node, new, column, layout));
        }
        patches.insert(end, text);
        Ok(())
    }

    fn written(&self, node: NodeId, new: &Inserted, column: usize, layout: Layout<'_>) -> String {
        match &new.key {
            Some(key) => layout.entry(key, &new.value, column, self.key_style(node)),
            None => layout.item(&new.value, column),
        }
    }

    /// Removes the entry at `index`, or puts new entries in its place; gives the next index to look at.
    fn remove_block_entry(
        &self,
        patches: &mut Patches<'f>,
        node: NodeId,
        entries: &Entries,
        spans: &[Range<usize>],
        index: usize,
    ) -> Result<usize, SpliceError> {
        let Some(span) = spans.get(index) else { return Ok(index + 1) };
        let column = self.column(node);
        let end = line_end(self.file, span.end);
        if !rest_is_free(self.file, span.end) {
            return self.refuse(node, Refusal::Layout);
        }
        let layout = self.layout_before(node, end, column);
        let new: Vec<_> =
            entries.in_place_of(index).map(|new| self.written(node, new, column, layout)).collect();
        let joint = {
            let mut joint = String::new();
            layout.new_line(&mut joint, column);
            joint
        };
        if !new.is_empty() {
            patches.replace(span.start..end, new.join(&joint));
            return Ok(index + 1);
        }
        if begins_line(self.file, span.start) {
            patches.remove_lines(lines_of(self.file, span));
            return Ok(index + 1);
        }
        // The first of a mapping that begins behind a dash: the next entry that stays moves up beside the dash.
        let kept = (index..spans.len()).find(|index| {
            !entries.removed.contains(index)
                || entries.inserted.iter().any(|new| new.after == Some(*index))
        });
        let Some((kept, next)) = kept.and_then(|kept| Some((kept, spans.get(kept)?))) else {
            return self.refuse(node, Refusal::Layout);
        };
        let between = self.file.slice(end..line_start(self.file, next.start));
        let comments = between.lines().any(|line| line.trim_start().starts_with('#'));
        if comments {
            return self.refuse(node, Refusal::Comment);
        }
        patches.replace(span.start..next.start, "");
        Ok(kept)
    }

    /// All entries go: `{}` or `[]` is left, behind the key or in the place of the first entry.
    fn lay_out_emptied(
        &self,
        patches: &mut Patches<'f>,
        node: NodeId,
        spans: &[Range<usize>],
    ) -> Result<(), SpliceError> {
        let empty = if self.file.node(node).shape().is_mapping() { "{}" } else { "[]" };
        let around = self.around(node);
        let key = self.key_of(around.parent, node);
        let behind = self.beside_key(node, spans);
        for (index, span) in spans.iter().enumerate() {
            let end = line_end(self.file, span.end);
            if !rest_is_free(self.file, span.end) {
                return self.refuse(node, Refusal::Layout);
            }
            if index == 0 && behind.is_none() {
                let stays = if has_comment(self.file, span.end) { span.end } else { end };
                let stays = if spans.len() == 1 { end } else { stays };
                // Where a sequence stood in the column of its key, nothing else may stand.
                let key_column = around.column.filter(|_| key.is_some());
                let deeper =
                    key_column.filter(|key| *key >= self.column_of(span.start)).map_or(0, |_| 2);
                let text = [&" ".repeat(deeper), empty].concat();
                patches.replace(span.start..stays.max(span.end), text);
            } else {
                patches.remove_lines(lines_of(self.file, span));
            }
        }
        if let Some(behind) = behind {
            patches.insert(behind, [" ", empty].concat());
        }
        Ok(())
    }

    /// Where `{}` or `[]` stands behind a key, if all lines below it go.
    pub(super) fn beside_key(&self, node: NodeId, spans: &[Range<usize>]) -> Option<usize> {
        if self.file.tree().get(node).is_some_and(|raw| raw.has_properties) {
            return None;
        }
        let key = self.key_of(self.around(node).parent, node)?;
        spans.first().filter(|first| begins_line(self.file, first.start))?;
        self.past_colon(key)
    }

    /// The key whose value a node is, in a block mapping.
    pub(super) fn key_of(&self, parent: Option<NodeId>, node: NodeId) -> Option<NodeId> {
        let parent =
            parent.filter(|parent| self.file.node(*parent).shape() == Shape::BlockMapping)?;
        self.file.node(parent).entries().find(|(_, value)| *value == node).map(|(key, _)| key)
    }

    /// The first entries of a collection that had none.
    pub(super) fn lay_out_first(
        &self,
        patches: &mut Patches<'f>,
        node: NodeId,
        entries: &Entries,
    ) -> Result<(), SpliceError> {
        let Some(raw) = self.file.tree().get(node) else {
            return self.refuse(node, Refusal::NoSuchNode);
        };
        let around = self.around(node);
        if around.in_flow || around.parent.is_none() || self.is_json(node) {
            return self.lay_out_first_in_flow(patches, node, raw, around, entries);
        }
        let is_collection = raw.shape.is_collection();
        let inner = self.file.slice(raw.start as usize + 1..(raw.end as usize).saturating_sub(1));
        if is_collection && !inner.trim().is_empty() {
            return self.refuse(node, Refusal::Comment);
        }
        let sequence = entries.inserted.iter().any(|new| new.key.is_none());
        let end = line_end(self.file, raw.end as usize);
        let layout = self.layout_before(node, end, around.column.unwrap_or(0));
        self.lay_out_below(
            patches,
            node,
            raw,
            around,
            &|out, column| {
                layout.lines(out, &as_value(entries), column);
            },
            sequence,
        )
    }
}

/// New entries as a value of their own.
pub(super) fn as_value(entries: &Entries) -> Value {
    let new = entries.inserted.iter();
    if entries.inserted.iter().any(|new| new.key.is_none()) {
        return Value::Sequence(new.map(|new| new.value.clone()).collect());
    }
    Value::Mapping(
        new.map(|new| (new.key.clone().unwrap_or_default(), new.value.clone())).collect(),
    )
}
