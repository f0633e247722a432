//! Which bytes an edit puts in the place of which.

use std::ops::Range;

use super::Members;
use crate::{
    File, Kind, NodeId, Trouble, Value,
    node::{Raw, Style},
    scalar,
    value::{block, deeper, flow, item, json, key},
};

/// New text in the place of old.
#[derive(Debug)]
pub(crate) struct Patch {
    pub(crate) range: Range<usize>,
    pub(crate) text: String,
}

/// How a file is laid out.
pub(crate) struct Layout<'f, 'a> {
    file: &'f File<'a>,
    line_end: &'static str,
}

impl<'f, 'a> Layout<'f, 'a> {
    pub(crate) fn new(file: &'f File<'a>) -> Self {
        let first = file.next_line(0);
        let crlf = file.text.get(..first).is_some_and(|line| line.ends_with("\r\n"));
        Self { file, line_end: if crlf { "\r\n" } else { "\n" } }
    }

    /// Another text for a scalar.
    pub(crate) fn set(&self, node: NodeId, text: &str) -> Patch {
        let raw = self.raw(node);
        let in_flow = self.in_flow(node);
        let written = if self.is_json(node) {
            scalar::double(text)
        } else {
            let literal = || {
                scalar::literal(text, self.indent(node).max(1), self.line_end)
                    .filter(|_| !in_flow && self.is_value(node))
            };
            let plain = || scalar::can_be_plain(text).then(|| text.to_owned());
            match raw.style {
                Style::Single => scalar::single(text),
                Style::Double => None,
                Style::Block => literal().or_else(plain),
                _ => plain().or_else(literal),
            }
            .unwrap_or_else(|| scalar::double(text))
        };
        let (start, end) = (raw.start as usize, raw.end as usize);
        let blank =
            start == end && self.byte_before(start).is_some_and(|byte| !byte.is_ascii_whitespace());
        Patch { range: start..end, text: if blank { format!(" {written}") } else { written } }
    }

    /// A value in the place of a node.
    pub(crate) fn replace(&self, node: NodeId, value: &Value) -> Result<Vec<Patch>, Trouble> {
        let raw = self.raw(node);
        let (outer, end) = (raw.outer as usize, raw.end as usize);
        if self.is_json(node) {
            return Ok(vec![Patch { range: outer..end, text: self.json(node, value) }]);
        }
        if self.in_flow(node) {
            return Ok(vec![Patch { range: outer..end, text: flow(value) }]);
        }
        let text = self.written(node, value);
        let Some(parent) = self.parent(node) else {
            let text = text.trim_start_matches([' ', '\r', '\n']).to_owned();
            return Ok(vec![Patch { range: outer..end, text }]);
        };
        let begun = self.behind_indicator(node, parent)?;
        if self.file.text.get(begun..outer).is_some_and(|between| between.contains('#')) {
            return Err(Trouble::Layout);
        }
        Ok(vec![Patch { range: begun..end, text }])
    }

    /// What comes into a mapping or sequence, and goes.
    pub(crate) fn members(&self, node: NodeId, members: &Members) -> Result<Vec<Patch>, Trouble> {
        let raw = self.raw(node);
        let is_empty = self.file.children(node).next().is_none();
        match raw.style {
            Style::FlowMapping | Style::FlowSequence
                if is_empty && !self.in_flow(node) && !self.is_json(node) =>
            {
                self.fill(node, members)
            }
            Style::FlowMapping | Style::FlowSequence => self.flow_members(node, members),
            Style::BlockMapping | Style::BlockSequence if self.in_flow(node) => {
                Err(Trouble::Layout)
            }
            Style::BlockMapping | Style::BlockSequence => self.block_members(node, members),
            _ if self.in_flow(node) => Err(Trouble::Layout),
            _ => self.fill(node, members),
        }
    }

    /// The first members of what is empty: on lines of their own below.
    fn fill(&self, node: NodeId, members: &Members) -> Result<Vec<Patch>, Trouble> {
        if members.added.is_empty() {
            return Ok(Vec::new());
        }
        let entries =
            |(_, name, value): &(_, Option<String>, Value)| Some((name.clone()?, value.clone()));
        let value = match members.added.first() {
            Some((_, Some(_), _)) => {
                Value::Mapping(members.added.iter().filter_map(entries).collect())
            }
            _ => Value::Sequence(members.added.iter().map(|(.., value)| value.clone()).collect()),
        };
        let raw = self.raw(node);
        let (outer, end) = (raw.outer as usize, raw.end as usize);
        if outer != raw.start as usize {
            return Err(Trouble::Layout);
        }
        let text = self.written(node, &value);
        let Some(parent) = self.parent(node) else {
            return Ok(vec![Patch {
                range: outer..end,
                text: text.trim_start_matches([' ', '\r', '\n']).to_owned(),
            }]);
        };
        let begun = self.behind_indicator(node, parent)?;
        let line = self.file.next_line(end);
        let rest = self.file.text.get(end..line).unwrap_or_default();
        if rest.trim().is_empty() {
            return Ok(vec![Patch { range: begun..end, text }]);
        }
        // A comment behind it stays on its line.
        let (rest, text) = match rest.ends_with('\n') {
            true => (
                line,
                format!(
                    "{}{}",
                    text.strip_prefix(self.line_end).ok_or(Trouble::Layout)?,
                    self.line_end
                ),
            ),
            false => (line, text),
        };
        Ok(vec![
            Patch { range: begun..end, text: String::new() },
            Patch { range: rest..rest, text },
        ])
    }

    fn block_members(&self, node: NodeId, members: &Members) -> Result<Vec<Patch>, Trouble> {
        let entries = self.block_entries(node)?;
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Err(Trouble::Layout);
        };
        let column = self.column(first.start);
        let mut out = Vec::new();
        let gone = |entry: &Entry| members.removed.contains(&entry.value);
        let all_gone = entries.iter().all(gone);
        if all_gone && members.added.is_empty() {
            out.push(self.emptied(node)?);
            let inline = self
                .parent(node)
                .is_none_or(|parent| self.file.node(parent).kind() == Kind::Sequence);
            if inline {
                let inside = self.raw(node).start as usize..self.raw(node).end as usize;
                let comments =
                    self.file.text.get(inside.clone()).is_some_and(|text| text.contains('#'));
                let text = if self.file.node(node).kind() == Kind::Mapping { "{}" } else { "[]" };
                return if comments {
                    Err(Trouble::Layout)
                } else {
                    Ok(vec![Patch { range: inside, text: text.to_owned() }])
                };
            }
        }
        // The first entries may stand behind a dash: then what follows them moves up to it.
        let mut rest = entries.as_slice();
        if gone(first) && !self.begins_line(first.start) {
            let kept = entries.iter().position(|entry| !gone(entry)).ok_or(Trouble::Layout)?;
            let next = entries.get(kept).ok_or(Trouble::Layout)?;
            if self.file.text.get(first.start..next.start).is_none_or(|text| text.contains('#')) {
                return Err(Trouble::Layout);
            }
            out.push(Patch { range: first.start..next.start, text: String::new() });
            rest = entries.get(kept..).unwrap_or_default();
        }
        for entry in rest.iter().filter(|entry| gone(entry)) {
            out.push(self.without_lines(entry)?);
        }
        for (after, name, value) in &members.added {
            let behind = match after {
                Some(value) => {
                    entries.iter().find(|entry| entry.value == *value).ok_or(Trouble::NoEntry)?
                }
                None => last,
            };
            let line = match name {
                Some(name) => {
                    format!("{}:{}", key(name), block(value, column + deeper(value), self.line_end))
                }
                None => item(value, column, self.line_end),
            };
            out.push(self.line_behind(behind, column, &line)?);
        }
        Ok(out)
    }

    /// A line of its own behind an entry.
    fn line_behind(&self, entry: &Entry, column: usize, line: &str) -> Result<Patch, Trouble> {
        let at = self.file.next_line(entry.end);
        let rest = self.file.text.get(entry.end..at).unwrap_or_default().trim();
        if !(rest.is_empty() || rest.starts_with('#')) {
            return Err(Trouble::Layout);
        }
        let line = format!("{}{line}", " ".repeat(column));
        let text = if self.file.text.get(..at).is_some_and(|before| before.ends_with('\n')) {
            line + self.line_end
        } else {
            self.line_end.to_owned() + &line
        };
        Ok(Patch { range: at..at, text })
    }

    /// An entry's lines, gone.
    fn without_lines(&self, entry: &Entry) -> Result<Patch, Trouble> {
        if !self.begins_line(entry.start) {
            return Err(Trouble::Layout);
        }
        let (mut start, end) = (self.file.line_start(entry.start), self.file.next_line(entry.end));
        if end == self.file.text.len() && !self.file.text.ends_with('\n') && start > 0 {
            start -= if self.file.text.get(..start).is_some_and(|before| before.ends_with("\r\n")) {
                2
            } else {
                1
            };
        }
        Ok(Patch { range: start..end, text: String::new() })
    }

    /// ` {}` or ` []` behind the key of what has no members any more.
    fn emptied(&self, node: NodeId) -> Result<Patch, Trouble> {
        let text = if self.file.node(node).kind() == Kind::Mapping { " {}" } else { " []" };
        let at = match self.parent(node) {
            Some(parent) => self.behind_indicator(node, parent)?,
            None => self.raw(node).outer as usize,
        };
        Ok(Patch { range: at..at, text: text.to_owned() })
    }

    fn flow_members(&self, node: NodeId, members: &Members) -> Result<Vec<Patch>, Trouble> {
        let raw = self.raw(node);
        let (start, end) = (raw.start as usize, raw.end as usize);
        let entries = self.flow_entries(node);
        let gone = |entry: &Entry| members.removed.contains(&entry.value);
        let kept: Vec<&Entry> = entries.iter().filter(|entry| !gone(entry)).collect();
        if self.file.text.as_bytes().get(start).is_none_or(|byte| !matches!(byte, b'{' | b'[')) {
            return Err(Trouble::Layout);
        }
        let is_json = self.is_json(node);
        let written = |name: &Option<String>, value: &Value, indent: usize| match (name, is_json) {
            (Some(name), true) => format!(
                "{}: {}",
                scalar::double(name),
                json(value, self.pretty(node, indent), self.line_end)
            ),
            (None, true) => json(value, self.pretty(node, indent), self.line_end),
            (Some(name), false) => format!("{}: {}", key(name), flow(value)),
            (None, false) => flow(value),
        };
        let Some(last_kept) = kept.last() else {
            let outer = self.line_indent(start);
            let lines = is_json && self.pretty(node, outer).is_some();
            let (before, between, behind) = if lines {
                let inner = format!("{}{}", self.line_end, " ".repeat(outer + 2));
                (
                    inner.clone(),
                    format!(",{inner}"),
                    format!("{}{}", self.line_end, " ".repeat(outer)),
                )
            } else {
                (String::new(), ", ".to_owned(), String::new())
            };
            let texts: Vec<_> = members
                .added
                .iter()
                .map(|(_, name, value)| written(name, value, outer + 2))
                .collect();
            let text = if texts.is_empty() {
                String::new()
            } else {
                format!("{before}{}{behind}", texts.join(&between))
            };
            if self.file.text.get(start..end).is_none_or(|inside| !is_json && inside.contains('#'))
            {
                return Err(Trouble::Layout);
            }
            return Ok(vec![Patch { range: start + 1..end - 1, text }]);
        };
        let mut out = Vec::new();
        for (i, entry) in entries.iter().enumerate().filter(|(_, entry)| gone(entry)) {
            // Up to the next entry, if one is kept further on; the last ones go with the comma before them.
            if entry.start < last_kept.start {
                let next = entries.get(i + 1).ok_or(Trouble::Layout)?;
                out.push(self.without_comment(entry.start..next.start)?);
            }
        }
        if let Some(last) = entries.last().filter(|last| gone(last)) {
            out.push(self.without_comment(last_kept.end..last.end)?);
        }
        let first = entries.first().map_or(start, |entry| entry.start);
        let separator = if self.begins_line(first) {
            format!(",{}{}", self.line_end, " ".repeat(self.column(first)))
        } else {
            ", ".to_owned()
        };
        for (after, name, value) in &members.added {
            let behind = match after {
                Some(value) => {
                    kept.iter().find(|entry| entry.value == *value).ok_or(Trouble::NoEntry)?
                }
                None => last_kept,
            };
            let text = format!("{separator}{}", written(name, value, self.line_indent(first)));
            out.push(Patch { range: behind.end..behind.end, text });
        }
        Ok(out)
    }

    fn without_comment(&self, range: Range<usize>) -> Result<Patch, Trouble> {
        Ok(Patch { range, text: String::new() })
    }

    /// What stands behind the indicator of a node in a block: its key's colon, or its dash.
    fn written(&self, node: NodeId, value: &Value) -> String {
        match self.parent(node) {
            None => block(value, 0, self.line_end),
            Some(parent) if self.file.node(parent).kind() == Kind::Sequence => {
                let dash = self.file.dash_before(self.raw(node).outer as usize).unwrap_or(0);
                item(value, self.column(dash), self.line_end).split_off(1)
            }
            Some(parent) => {
                let column = self
                    .file
                    .entries(parent)
                    .find(|(_, value)| *value == node)
                    .map_or(0, |(key, _)| self.column(self.raw(key).outer as usize));
                block(value, column + deeper(value), self.line_end)
            }
        }
    }

    /// Behind the colon or dash that a node in a block stands behind.
    fn behind_indicator(&self, node: NodeId, parent: NodeId) -> Result<usize, Trouble> {
        let outer = self.raw(node).outer as usize;
        if self.file.node(parent).kind() == Kind::Sequence {
            return self.file.dash_before(outer).map(|dash| dash + 1).ok_or(Trouble::Layout);
        }
        let (key, _) =
            self.file.entries(parent).find(|(_, value)| *value == node).ok_or(Trouble::Layout)?;
        let end = self.raw(key).end as usize;
        let between = self.file.text.get(end..outer).ok_or(Trouble::Layout)?;
        // Nothing but blanks stands between a key and its colon.
        let colon = between
            .find(':')
            .filter(|colon| between.get(..*colon).is_some_and(|blank| blank.trim().is_empty()));
        colon.map(|colon| end + colon + 1).ok_or(Trouble::Layout)
    }

    /// The entries of a block mapping, each from its key, or items of a sequence, each from its dash.
    fn block_entries(&self, node: NodeId) -> Result<Vec<Entry>, Trouble> {
        let mut out = Vec::new();
        if self.file.node(node).kind() == Kind::Mapping {
            for (key, value) in self.file.entries(node) {
                let (start, key_end) = (self.raw(key).outer as usize, self.raw(key).end as usize);
                let explicit = self
                    .file
                    .text
                    .get(..start)
                    .is_some_and(|before| before.trim_end_matches([' ', '\t']).ends_with('?'));
                if explicit || self.raw(key).style == Style::Block {
                    return Err(Trouble::ComplexKey);
                }
                out.push(Entry { start, end: (self.raw(value).end as usize).max(key_end), value });
            }
        } else {
            for value in self.file.items(node) {
                let start =
                    self.file.dash_before(self.raw(value).outer as usize).ok_or(Trouble::Layout)?;
                out.push(Entry {
                    start,
                    end: (self.raw(value).end as usize).max(start + 1),
                    value,
                });
            }
        }
        // Entries that are not one below the other at one column are laid out in a way that a new one could not follow.
        let column = out.first().map_or(0, |entry| self.column(entry.start));
        let odd = out.iter().any(|entry| {
            let line = self
                .file
                .text
                .get(self.file.line_start(entry.start)..entry.start)
                .unwrap_or_default();
            self.column(entry.start) != column || line.contains('\t')
        });
        if odd { Err(Trouble::Layout) } else { Ok(out) }
    }

    fn flow_entries(&self, node: NodeId) -> Vec<Entry> {
        let entry = |first: NodeId, value: NodeId| Entry {
            start: self.raw(first).outer as usize,
            end: (self.raw(value).end as usize).max(self.raw(first).end as usize),
            value,
        };
        match self.file.node(node).kind() {
            Kind::Mapping => {
                self.file.entries(node).map(|(key, value)| entry(key, value)).collect()
            }
            _ => self.file.items(node).map(|item| entry(item, item)).collect(),
        }
    }

    fn json(&self, node: NodeId, value: &Value) -> String {
        json(
            value,
            self.pretty(node, self.line_indent(self.raw(node).start as usize)),
            self.line_end,
        )
    }

    /// `indent`, if the document is JSON on many lines.
    fn pretty(&self, node: NodeId, indent: usize) -> Option<usize> {
        let root = self.file.path(node).first().map(|root| self.raw(*root))?;
        let text = self.file.text.get(root.start as usize..root.end as usize)?;
        text.contains('\n').then_some(indent)
    }

    /// Whether the document is JSON: a flow at its root whose keys are in double quotes.
    fn is_json(&self, node: NodeId) -> bool {
        let Some(root) = self.file.path(node).first().copied() else { return false };
        let raw = self.raw(root);
        let is_flow = matches!(raw.style, Style::FlowMapping | Style::FlowSequence);
        let mut inside =
            (root.0..raw.next).map(NodeId).filter(|id| self.file.node(*id).kind() == Kind::Mapping);
        is_flow
            && inside.all(|id| {
                self.file.entries(id).all(|(key, _)| self.raw(key).style == Style::Double)
            })
    }

    fn in_flow(&self, node: NodeId) -> bool {
        let path = self.file.path(node);
        let outside = path.get(..path.len().saturating_sub(1)).unwrap_or_default();
        outside
            .iter()
            .any(|id| matches!(self.raw(*id).style, Style::FlowMapping | Style::FlowSequence))
    }

    /// Whether a scalar stands where a literal block may: behind a colon or a dash.
    fn is_value(&self, node: NodeId) -> bool {
        let Some(parent) = self.parent(node) else { return false };
        self.file.node(parent).kind() == Kind::Sequence
            || self.file.entries(parent).any(|(_, value)| value == node)
    }

    /// How far the lines of a block scalar in a node's place are indented.
    fn indent(&self, node: NodeId) -> usize {
        let Some(parent) = self.parent(node) else { return 2 };
        if self.file.node(parent).kind() == Kind::Sequence {
            return self
                .file
                .dash_before(self.raw(node).outer as usize)
                .map_or(2, |dash| self.column(dash) + 2);
        }
        let key = self.file.entries(parent).find(|(_, value)| *value == node);
        key.map_or(2, |(key, _)| self.column(self.raw(key).outer as usize) + 2)
    }

    fn parent(&self, node: NodeId) -> Option<NodeId> {
        self.file.path(node).into_iter().rev().nth(1)
    }

    fn raw(&self, node: NodeId) -> Raw {
        self.file.raw(node)
    }

    /// The column of a byte, counted from 0, in characters.
    fn column(&self, at: usize) -> usize {
        let line = self.file.text.get(self.file.line_start(at)..at).unwrap_or_default();
        line.trim_start_matches('\u{feff}').chars().count()
    }

    /// How far the line of a byte is indented.
    fn line_indent(&self, at: usize) -> usize {
        let line = self.file.text.get(self.file.line_start(at)..at).unwrap_or_default();
        line.len() - line.trim_start_matches(' ').len()
    }

    fn begins_line(&self, at: usize) -> bool {
        let line = self.file.text.get(self.file.line_start(at)..at).unwrap_or_default();
        line.trim_start_matches('\u{feff}').trim_matches(' ').is_empty()
    }

    fn byte_before(&self, at: usize) -> Option<u8> {
        self.file.text.as_bytes().get(at.checked_sub(1)?).copied()
    }
}

/// An entry of a mapping or sequence, and which bytes are its own.
struct Entry {
    start: usize,
    end: usize,
    value: NodeId,
}
