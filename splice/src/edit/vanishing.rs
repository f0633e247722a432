//! Lines that vanish, and what comes to stand together where they were.
//!
//! A block text ends where something that is indented less follows it. Where that vanishes, a comment, a blank line or the end
//! of the file must not change what the text says.

use std::ops::Range;

use crate::{
    File, NodeId, Refusal, SpliceError,
    edit::{
        Change, Entries, Splice,
        layout::{begins_line, line_end, lines_of, past_break},
    },
    tree::Raw,
};

/// What is known of the lines that vanish before any text is made.
#[derive(Debug)]
pub(super) struct Vanishing {
    /// Lines of removed entries, in order.
    pub(super) entries: Vec<Range<usize>>,
    /// Blank lines that go with them.
    pub(super) blank: Vec<Range<usize>>,
    /// Where what stays of the text ends.
    pub(super) end: usize,
}

impl<'f> Splice<'f> {
    pub(super) fn find_vanishing(&mut self) -> Result<(), SpliceError> {
        for (node, change) in &self.changes {
            let Change::Entries(entries) = change else { continue };
            if entries.removed.is_empty() || self.file.node(*node).is_flow() {
                continue;
            }
            let spans = self.spans(*node);
            for (index, span) in spans.iter().enumerate() {
                if entries.removed.contains(&index) && self.vanishes(*node, entries, &spans, index)
                {
                    self.vanishing.entries.push(lines_of(self.file, span));
                }
            }
        }
        self.vanishing.entries.sort_by_key(|lines| lines.start);
        let gone = self.vanishing.entries.clone();
        gone.chunk_by(|one, next| is_blank(self.file, one.end..next.start))
            .try_for_each(|gone| self.join_around(gone))
    }

    /// Whether the lines of a removed entry go, and nothing comes in their place.
    fn vanishes(
        &self,
        node: NodeId,
        entries: &Entries,
        spans: &[Range<usize>],
        index: usize,
    ) -> bool {
        let emptied = spans.len() == entries.removed.len() && entries.inserted.is_empty();
        if emptied && index == 0 && self.beside_key(node, spans).is_none() {
            return false;
        }
        spans.get(index).is_some_and(|span| begins_line(self.file, span.start))
            && entries.in_place_of(index).next().is_none()
    }

    /// Lets what stands above and below entries that vanish, with only blank lines between them, come together.
    fn join_around(&mut self, gone: &[Range<usize>]) -> Result<(), SpliceError> {
        let file = self.file;
        let (Some(first), Some(last)) = (gone.first(), gone.last()) else { return Ok(()) };
        let ends_file = last.end == file.text().len() && !file.text().ends_with(['\n', '\r']);
        if ends_file {
            let between = gone.windows(2).filter_map(|pair| match pair {
                [one, next] if one.end < next.start => Some(one.end..next.start),
                _ => None,
            });
            self.vanishing.blank.extend(between);
            self.vanishing.end = file.slice(0..first.start).trim_end_matches(['\n', '\r']).len();
        }
        let Some((id, raw)) = self.block_text_above(first.start) else { return Ok(()) };
        let (mut blank, mut obstacle) = (Vec::new(), None);
        if ends_file {
            let place = file.place(raw.start as usize);
            obstacle = keeps_break(file, raw).then_some((last.end, place, Refusal::UnendedBlock));
        } else {
            for line in self.below(first.start) {
                let swallowed = line.is_swallowed(raw.indent());
                if line.is_comment() {
                    let at = line.range.start + line.indentation;
                    obstacle = swallowed.then_some((at, file.place(at), Refusal::Comment));
                    break;
                }
                if swallowed || header(file, raw).contains('+') {
                    blank.push(line.range);
                }
            }
        }
        if blank.is_empty() && obstacle.is_none() {
            return Ok(());
        }
        let new = self.new_text_behind(id, raw.end as usize..last.end);
        let is_below = |at: usize| new.is_none_or(|new| at < new);
        self.vanishing.blank.extend(blank.into_iter().filter(|lines| is_below(lines.start)));
        match obstacle.filter(|(at, ..)| is_below(*at)) {
            Some((_, place, refusal)) => Err(SpliceError { place, refusal }),
            None => Ok(()),
        }
    }

    /// A block text with only blank lines between it and an offset.
    fn block_text_above(&self, offset: usize) -> Option<(NodeId, &'f Raw)> {
        let nodes = &self.file.tree().nodes;
        let last = nodes.partition_point(|raw| (raw.start as usize) < offset).checked_sub(1)?;
        let raw = nodes.get(last).filter(|raw| raw.shape.is_block_text())?;
        let id = NodeId(crate::tree::compact(last));
        is_blank(self.file, raw.end as usize..offset).then_some((id, raw))
    }

    /// Where the first new text comes behind a block text, if within `range`: at once where it is rewritten or goes itself.
    fn new_text_behind(&self, id: NodeId, range: Range<usize>) -> Option<usize> {
        let first = self.changes_around(id).filter_map(|(node, change)| {
            let Change::Entries(entries) = change else { return Some(range.start) };
            let spans = self.spans(node);
            let own = spans.partition_point(|span| span.end < range.start);
            if entries.removed.contains(&own) {
                return Some(range.start);
            }
            let new = entries.inserted.iter().filter_map(|new| spans.get(new.after?));
            new.map(|span| span.end).filter(|end| range.start <= *end && *end <= range.end).min()
        });
        first.min()
    }

    /// Changes of a node and of those that hold it.
    fn changes_around(&self, id: NodeId) -> impl Iterator<Item = (NodeId, &Change)> {
        let holds = move |node: NodeId| {
            let size = self.file.tree().get(node).map_or(1, Raw::size);
            id.index() < node.index() + size
        };
        let before = self.changes.range(..=id).map(|(node, change)| (*node, change));
        before.filter(move |(node, _)| holds(*node))
    }

    /// Whether a collection ends with an old block text whose end a line break would change for some readers.
    pub(super) fn ends_with_block_text(&self, node: NodeId) -> bool {
        let tree = self.file.tree();
        let size = tree.get(node).map_or(1, Raw::size);
        let last = NodeId(node.0.saturating_add(crate::tree::compact(size - 1)));
        let rewritten =
            self.changes_around(last).any(|(_, change)| !matches!(change, Change::Entries(_)));
        !rewritten && tree.get(last).is_some_and(|raw| keeps_break(self.file, raw))
    }

    /// Whether a block text in `column` would swallow a line below an offset.
    pub(super) fn swallows_below(&self, from: usize, column: usize) -> bool {
        let at = past_break(self.file, line_end(self.file, from));
        self.below(at).any(|line| line.is_swallowed(column))
    }

    /// Comments and blank lines from the start of a line on, without what vanishes between them.
    fn below(&self, mut at: usize) -> impl Iterator<Item = Line<'f>> {
        let (file, gone) = (self.file, &self.vanishing.entries);
        std::iter::from_fn(move || {
            while let Ok(index) = gone.binary_search_by_key(&at, |lines| lines.start) {
                at = gone.get(index)?.end;
            }
            let line = file.slice(at..line_end(file, at));
            let content = line.trim_start_matches(' ');
            let range = at..past_break(file, at + line.len());
            at = range.end;
            let line = Line { range, indentation: line.len() - content.len(), content };
            let is_blank = content.trim_start_matches('\t').is_empty();
            (!line.range.is_empty() && (is_blank || line.is_comment())).then_some(line)
        })
    }
}

/// A comment or a blank line.
struct Line<'f> {
    range: Range<usize>,
    indentation: usize,
    /// What follows the spaces.
    content: &'f str,
}

impl Line<'_> {
    fn is_comment(&self) -> bool {
        self.content.starts_with('#')
    }

    /// Whether it is part of a block text above it whose lines stand in `column`.
    fn is_swallowed(&self, column: usize) -> bool {
        self.indentation > column || (self.indentation == column && !self.content.is_empty())
    }
}

/// A block text with the line break at its end.
fn keeps_break(file: &File<'_>, raw: &Raw) -> bool {
    raw.shape.is_block_text() && !header(file, raw).contains('-')
}

/// `|` or `>`, and what belongs to it.
fn header<'f>(file: &File<'f>, raw: &Raw) -> &'f str {
    let line = file.slice(raw.start as usize..line_end(file, raw.start as usize));
    line.split([' ', '\t']).next().unwrap_or_default()
}

fn is_blank(file: &File<'_>, gap: Range<usize>) -> bool {
    file.slice(gap).trim().is_empty()
}
