//! Laying out texts, keys and whole values in the place of old ones.

use crate::{
    NodeId, Refusal, SpliceError, Style, Value,
    edit::{
        Entries, Splice, Whole,
        layout::{
            Around, begins_line, find_past_gap, has_comment, line_end, rest_is_free, swallows_below,
        },
        patch::Patches,
    },
    quote::{Room, write},
    render::{Layout, render, render_json},
    tree::{Raw, Shape},
};

impl<'f> Splice<'f> {
    pub(super) fn lay_out_text(
        &self,
        patches: &mut Patches<'f>,
        node: NodeId,
        text: &str,
    ) -> Result<(), SpliceError> {
        let Some(raw) = self.file.tree().get(node) else {
            return self.refuse(node, Refusal::NoSuchNode);
        };
        let style = self.file.node(node).style().unwrap_or(Style::Plain);
        self.lay_out_scalar(patches, node, raw, |room| write(text, style, room))
    }

    /// Writes a scalar in the place of any node that can stand on one line.
    fn lay_out_scalar(
        &self,
        patches: &mut Patches<'f>,
        node: NodeId,
        raw: &Raw,
        scalar: impl Fn(Room<'_>) -> String,
    ) -> Result<(), SpliceError> {
        let around = self.around(node);
        let layout = self.layout(node, raw.start as usize);
        let span = raw.span();
        // A comment behind `|` is in the span and stays on its line.
        let header = if raw.shape.is_block_text() { self.header_comment(raw) } else { "" };
        let ends_file = span.end == self.file.text().len();
        let column = around.column.map_or(layout.step, |column| column + layout.step);
        let has_lines = self.file.slice(span.clone()).contains(['\n', '\r']);
        let keeps = raw.shape.is_block_text() && has_lines && raw.indent() > 0;
        let lines = if keeps { raw.indent() } else { column };
        // Blanks or a comment behind the old text would become part of a block text.
        let rest = self.file.slice(span.end..line_end(self.file, span.end));
        let swallows = swallows_below(self.file, span.end, lines);
        let may_break = !around.in_flow && !layout.json && rest.is_empty() && !swallows;
        let room = Room {
            in_flow: around.in_flow,
            json: layout.json,
            lines: may_break.then_some(lines),
            header,
            ends_file,
            line_break: layout.line_break,
        };
        let mut text = scalar(room);
        if !header.is_empty() && !text.starts_with('|') {
            text.push_str(header);
        }
        if span.is_empty() {
            if raw.bare && !around.in_flow {
                return self.refuse(node, Refusal::ComplexKey);
            }
            text.insert_str(0, if raw.bare { ": " } else { " " });
        }
        let start = self.start_beside_key(node, raw, around).unwrap_or(span.start);
        if start < span.start {
            text.insert(0, ' ');
        } else if raw.shape == Shape::BlockSequence
            && let Some(key_column) = around.column.filter(|key| *key >= self.column_of(start))
        {
            // It stood in the column of its key, where nothing but a sequence may stand.
            let deeper = key_column + layout.step - self.column_of(start);
            text.insert_str(0, &" ".repeat(deeper));
        }
        patches.replace(start..span.end, text);
        Ok(())
    }

    /// A scalar in the place of a block collection moves up beside its key, if nothing but blanks is between.
    fn start_beside_key(&self, node: NodeId, raw: &Raw, around: Around) -> Option<usize> {
        let block = matches!(raw.shape, Shape::BlockMapping | Shape::BlockSequence);
        let key = self.key_of(around.parent, node).filter(|_| block && !raw.has_properties)?;
        let start = self.past_colon(key)?;
        self.file.slice(start..raw.start as usize).trim().is_empty().then_some(start)
    }

    /// The comment behind the header of a block text, with the blanks before it.
    fn header_comment(&self, raw: &Raw) -> &'f str {
        let line = self.file.slice(raw.start as usize..line_end(self.file, raw.start as usize));
        if raw.end as usize <= raw.start as usize + line.len() {
            return "";
        }
        let at = line.find([' ', '\t']).unwrap_or(line.len());
        line.get(at..).unwrap_or_default().trim_end_matches([' ', '\t'])
    }

    /// Writes new keys in the place of old ones.
    pub(super) fn lay_out_keys(
        &self,
        patches: &mut Patches<'f>,
        mapping: NodeId,
        entries: &Entries,
    ) -> Result<(), SpliceError> {
        let in_flow = self.file.node(mapping).is_flow();
        let json = self.is_json(mapping);
        for (index, (key, _)) in self.file.node(mapping).entries().enumerate() {
            let Some(new) = entries.renamed.get(&index) else { continue };
            let view = self.file.node(key);
            if view.span().is_empty() {
                return self.refuse(key, Refusal::ComplexKey);
            }
            let room =
                Room { in_flow, json, lines: None, header: "", ends_file: false, line_break: "\n" };
            let style = view.style().unwrap_or(Style::Plain);
            patches.replace(view.span(), write(new, style, room));
        }
        Ok(())
    }

    pub(super) fn lay_out_value(
        &self,
        patches: &mut Patches<'f>,
        node: NodeId,
        value: &Value,
    ) -> Result<(), SpliceError> {
        let Some(raw) = self.file.tree().get(node) else {
            return self.refuse(node, Refusal::NoSuchNode);
        };
        let around = self.around(node);
        let mut layout = self.layout(node, raw.start as usize);
        if let Value::Text(text) = value {
            return self.lay_out_scalar(patches, node, raw, |room| write(text, Style::Plain, room));
        }
        if !value.is_block() || around.in_flow || layout.json {
            layout.ends_file = raw.end as usize == self.file.text().len();
            let text = self.between_brackets(raw, value, layout);
            return self.lay_out_scalar(patches, node, raw, |_| text.clone());
        }
        self.lay_out_below(
            patches,
            node,
            raw,
            around,
            &|out, column| {
                let end = line_end(self.file, raw.end as usize);
                self.layout_before(node, end, column).lines(out, value, column);
            },
            matches!(value, Value::Sequence(_)),
        )
    }

    /// On one line, or as JSON on as many as the old value had.
    fn between_brackets(&self, raw: &Raw, value: &Value, layout: Layout<'_>) -> String {
        let pretty =
            layout.json && raw.shape.is_collection() && self.file.slice(raw.span()).contains('\n');
        if !pretty {
            return layout.inline(value);
        }
        let start = super::layout::line_start(self.file, raw.start as usize);
        let line = self.file.slice(start..line_end(self.file, start));
        let indent = line.get(..line.len() - line.trim_start().len()).unwrap_or_default();
        let mut out = String::new();
        layout.pretty(&mut out, value, indent, "  ");
        out
    }

    /// Writes a block collection in the place of a node, with `write` for its lines in a column.
    pub(super) fn lay_out_below(
        &self,
        patches: &mut Patches<'f>,
        node: NodeId,
        raw: &Raw,
        around: Around,
        write: &dyn Fn(&mut String, usize),
        sequence: bool,
    ) -> Result<(), SpliceError> {
        let span = raw.span();
        let layout = self.layout(node, span.start);
        // Behind the last entry of a block collection it belongs to that entry, and goes along.
        let is_block = raw.shape.is_collection() && !raw.shape.is_flow();
        let comment = has_comment(self.file, span.end) && !is_block;
        // Blanks at the end of the line would become part of a block text in the last new line.
        let whole = span.start..line_end(self.file, span.end);
        let mut text = String::new();
        let parent = around.parent.and_then(|parent| self.file.tree().get(parent));
        let under_key = parent.is_some_and(|parent| parent.shape == Shape::BlockMapping);
        if begins_line(self.file, span.start) && !span.is_empty() {
            // It has a line of its own already.
            if comment {
                return self.refuse(node, Refusal::Comment);
            }
            let mut below = self.column_of(span.start);
            // A mapping in the place of a sequence that stood in the column of its key.
            if let (true, false, Some(key_column)) = (under_key, sequence, around.column)
                && below <= key_column
            {
                text.extend(std::iter::repeat_n(' ', key_column + layout.step - below));
                below = key_column + layout.step;
            }
            write(&mut text, below);
            patches.replace(whole, text);
        } else if under_key && !raw.bare {
            let Some(key_column) = around.column else { return self.refuse(node, Refusal::Layout) };
            let below =
                if sequence && layout.indentless { key_column } else { key_column + layout.step };
            let end = line_end(self.file, span.end);
            if !rest_is_free(self.file, span.end) || raw.shape.is_block_text() {
                return self.refuse(node, Refusal::Layout);
            }
            layout.new_line(&mut text, below);
            write(&mut text, below);
            let before = self.file.slice(0..span.start);
            let start = if span.is_empty() {
                span.start
            } else {
                before.trim_end_matches([' ', '\t']).len()
            };
            patches.replace(start..span.end, "");
            patches.insert(end, text);
        } else if parent.is_some_and(|parent| parent.shape == Shape::BlockSequence) {
            if comment || raw.has_properties {
                return self.refuse(node, if comment { Refusal::Comment } else { Refusal::Layout });
            }
            if span.is_empty() {
                text.push(' ');
                write(&mut text, self.column_of(span.start) + 1);
            } else {
                write(&mut text, self.column_of(span.start));
            }
            patches.replace(whole, text);
        } else {
            return self.refuse(node, Refusal::Layout);
        }
        Ok(())
    }

    pub(super) fn lay_out_document(
        &self,
        patches: &mut Patches<'f>,
        index: usize,
        whole: &Whole,
    ) -> Result<(), SpliceError> {
        let Some(document) = self.file.documents().get(index) else {
            return Err(SpliceError { place: self.file.place(0), refusal: Refusal::NoSuchNode });
        };
        let content = document.content();
        let line_break = self.line_break(content.start);
        let mut text = match whole {
            Whole::Text(text) => text.clone(),
            Whole::Value(value) => {
                let json = document.root().is_some_and(|root| self.is_json_document(root));
                let text = if json { render_json(value) } else { render(value) };
                if line_break == "\n" { text } else { text.replace('\n', line_break) }
            }
        };
        let old = self.file.slice(content.clone());
        let ends = |text: &str| text.ends_with(['\n', '\r']);
        if !ends(&text) && (ends(old) || content.end < self.file.text().len()) {
            text.push_str(line_break);
        }
        if document.is_explicit() {
            text.insert_str(0, line_break);
        }
        patches.replace(content, text);
        Ok(())
    }

    /// Past the colon of an entry, or `None` if the key has none.
    pub(super) fn past_colon(&self, key: NodeId) -> Option<usize> {
        let end = self.file.tree().get(key)?.end as usize;
        find_past_gap(self.file, end, b':').map(|at| at + 1)
    }
}
