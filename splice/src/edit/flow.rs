//! Laying out entries between brackets: on one line, or one on each line as pretty-printed JSON has them.

use std::ops::Range;

use crate::{
    NodeId, Refusal, SpliceError, Style,
    edit::{
        Entries, Inserted, Splice,
        block::as_value,
        layout::{
            Around, begins_line, find_past_gap, line_end, line_start, past_break, rest_is_free,
        },
        patch::Patches,
    },
    render::Layout,
    tree::Raw,
};

/// What becomes of the entries behind one that gets new ones behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Stays,
    /// All go, with their lines.
    Lines,
    /// All go, and the closing bracket moves up.
    Text,
}

impl<'f> Splice<'f> {
    pub(super) fn lay_out_flow(
        &self,
        patches: &mut Patches<'f>,
        node: NodeId,
        entries: &Entries,
    ) -> Result<(), SpliceError> {
        let spans = self.spans(node);
        let layout = self.flow_layout(node, &spans);
        if spans.len() == entries.removed.len() {
            return self.refill_flow(patches, node, &spans, entries, layout);
        }
        // What comes behind an entry that goes comes behind the one before it that stays: the comma between them is there.
        let anchor = |new: &Inserted| {
            let last = new.after?;
            (0..=last).rev().find(|index| !entries.removed.contains(index))
        };
        let first_kept = (0..spans.len()).find(|index| !entries.removed.contains(index));
        let at_start: Vec<_> =
            entries.inserted.iter().filter(|new| anchor(new).is_none()).collect();
        if let Some(first) = first_kept.and_then(|index| spans.get(index)) {
            self.insert_first_in_flow(patches, node, &at_start, first, layout);
        }
        for (index, span) in spans.iter().enumerate() {
            let new: Vec<_> =
                entries.inserted.iter().filter(|new| anchor(new) == Some(index)).collect();
            if !new.is_empty() {
                let behind = index + 1..spans.len();
                let goes = behind.clone().all(|at| entries.removed.contains(&at));
                let rest = match goes && !behind.is_empty() {
                    false => Rest::Stays,
                    true if self.has_own_lines(&spans, behind) => Rest::Lines,
                    true => Rest::Text,
                };
                self.insert_in_flow(patches, node, &new, (span, rest), layout);
            }
        }
        let mut index = 0;
        while index < spans.len() {
            if !entries.removed.contains(&index) {
                index += 1;
                continue;
            }
            let last = (index..spans.len()).take_while(|at| entries.removed.contains(at)).last();
            let last = last.unwrap_or(index);
            let serves = entries
                .inserted
                .iter()
                .any(|new| new.after.is_some() && anchor(new) == index.checked_sub(1));
            self.remove_in_flow(patches, node, &spans, index..last + 1, serves)?;
            index = last + 1;
        }
        Ok(())
    }

    /// The layout with the blanks around colons and commas that this collection has.
    fn flow_layout(&self, node: NodeId, spans: &[Range<usize>]) -> Layout<'f> {
        let start = spans.first().map_or(0, |span| span.start);
        let mut layout = self.layout(node, start);
        if !layout.json {
            return layout;
        }
        if let Some((key, value)) = self.file.node(node).entries().next() {
            let between =
                self.file.slice(self.file.node(key).span().end..self.file.node(value).span().start);
            layout.colon = if between == ":" { ":" } else { ": " };
        } else if self.file.slice(start..line_end(self.file, start)).contains("\":\"") {
            layout.colon = ":";
        }
        let gap = match spans {
            [first, second, ..] => self.file.slice(first.end..second.start),
            _ if layout.colon == ":" => ",",
            _ => ", ",
        };
        layout.comma = if gap == "," { "," } else { ", " };
        layout
    }

    fn flow_entry(
        &self,
        node: NodeId,
        new: &Inserted,
        layout: Layout<'_>,
        indent: Option<&str>,
    ) -> String {
        let Some(indent) = indent.filter(|_| layout.json) else {
            return match &new.key {
                Some(key) => layout.inline_entry(key, &new.value, self.key_style(node)),
                None => layout.inline(&new.value),
            };
        };
        let mut out = String::new();
        if let Some(key) = &new.key {
            out.push_str(&layout.key(key, Style::Double, true));
            out.push_str(layout.colon);
        }
        layout.pretty(&mut out, &new.value, indent, &self.json_step(node, indent));
        out
    }

    /// By how much an entry is indented more than the line of its bracket.
    fn json_step(&self, node: NodeId, indent: &str) -> String {
        let open = self.file.node(node).span().start;
        let start = line_start(self.file, open);
        let line = self.file.slice(start..line_end(self.file, open));
        let outer = line.len() - line.trim_start_matches([' ', '\t']).len();
        indent.get(outer..).filter(|step| !step.is_empty()).unwrap_or("  ").to_owned()
    }

    /// The blanks before an entry that begins its line.
    fn own_indent(&self, span: &Range<usize>) -> Option<&'f str> {
        let start = line_start(self.file, span.start);
        begins_line(self.file, span.start).then(|| self.file.slice(start..span.start))
    }

    fn insert_first_in_flow(
        &self,
        patches: &mut Patches<'f>,
        node: NodeId,
        new: &[&Inserted],
        first: &Range<usize>,
        layout: Layout<'_>,
    ) {
        let indent = self.own_indent(first);
        for new in new {
            let mut text = self.flow_entry(node, new, layout, indent);
            match indent {
                Some(indent) => text.extend([",", layout.line_break, indent]),
                None => text.push_str(layout.comma),
            }
            patches.insert(first.start, text);
        }
    }

    fn insert_in_flow(
        &self,
        patches: &mut Patches<'f>,
        node: NodeId,
        new: &[&Inserted],
        (span, rest): (&Range<usize>, Rest),
        layout: Layout<'_>,
    ) {
        let comma = find_past_gap(self.file, span.end, b',');
        let end = comma.map_or(span.end, |at| at + 1);
        let indent = self.own_indent(span).filter(|_| rest_is_free(self.file, end));
        let Some(indent) = indent else {
            for new in new {
                patches.insert(
                    span.end,
                    [layout.comma, &self.flow_entry(node, new, layout, None)].concat(),
                );
            }
            return;
        };
        let mut text = String::new();
        for (number, new) in new.iter().enumerate() {
            if number > 0 || rest == Rest::Text {
                text.push(',');
            }
            text.push_str(layout.line_break);
            text.push_str(indent);
            text.push_str(&self.flow_entry(node, new, layout, Some(indent)));
        }
        if rest == Rest::Text {
            patches.insert(span.end, text);
            return;
        }
        // A comment at the end of the line stays with the entry before. Where all behind it goes, its comma serves the new one.
        if comma.is_some() {
            text.push_str(if rest == Rest::Lines { "" } else { "," });
        } else {
            patches.insert(span.end, ",");
        }
        patches.insert(line_end(self.file, end), text);
    }

    pub(super) fn lay_out_first_in_flow(
        &self,
        patches: &mut Patches<'f>,
        node: NodeId,
        raw: &Raw,
        around: Around,
        entries: &Entries,
    ) -> Result<(), SpliceError> {
        let span = raw.span();
        if around.parent.is_none() && !raw.shape.is_collection() {
            return self.refuse(node, Refusal::Layout);
        }
        if raw.shape.is_collection() {
            let inner = self.file.slice(span.start + 1..span.end.saturating_sub(1));
            if !inner.trim().is_empty() {
                return self.refuse(node, Refusal::Comment);
            }
        }
        let mut layout = self.flow_layout(node, &[]);
        let near = self.siblings(around);
        if layout.json && near.contains("\":") && !near.contains("\": ") {
            (layout.colon, layout.comma) = (":", ",");
        }
        let value = as_value(entries);
        let start = line_start(self.file, span.start);
        let line = self.file.slice(start..line_end(self.file, start));
        let outer =
            line.get(..line.len() - line.trim_start_matches([' ', '\t']).len()).unwrap_or_default();
        // In a file with an entry on each line, a new one has its line too.
        let pretty =
            layout.json && begins_line(self.file, start + outer.len()) && near.contains('\n');
        let mut text = String::new();
        if pretty {
            layout.pretty(&mut text, &value, outer, "  ");
        } else {
            text.push_str(&layout.inline(&value));
        }
        if span.is_empty() {
            text.insert_str(0, if raw.bare { ": " } else { " " });
        }
        patches.replace(span, text);
        Ok(())
    }

    fn siblings(&self, around: Around) -> &'f str {
        around.parent.map_or("", |parent| self.file.slice(self.file.node(parent).span()))
    }

    /// Takes all entries out, and puts new ones, if any, in the place of the first.
    fn refill_flow(
        &self,
        patches: &mut Patches<'f>,
        node: NodeId,
        spans: &[Range<usize>],
        entries: &Entries,
        layout: Layout<'_>,
    ) -> Result<(), SpliceError> {
        let span = self.file.node(node).span();
        let inner = span.start + 1..span.end.saturating_sub(1);
        let mut at = inner.start;
        for entry in spans {
            self.check_no_comment(at..entry.start)?;
            at = entry.end;
        }
        self.check_no_comment(at..inner.end)?;
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return Ok(()) };
        if entries.inserted.is_empty() {
            patches.replace(inner, "");
            return Ok(());
        }
        let indent = self.own_indent(first);
        let between = match indent {
            Some(indent) => [",", layout.line_break, indent].concat(),
            None => layout.comma.to_owned(),
        };
        let new: Vec<_> =
            entries.inserted.iter().map(|new| self.flow_entry(node, new, layout, indent)).collect();
        patches.replace(first.start..last.end, new.join(&between));
        Ok(())
    }

    /// Whether nothing else stands on the lines of a run of entries.
    fn has_own_lines(&self, spans: &[Range<usize>], run: Range<usize>) -> bool {
        let run = spans.get(run).unwrap_or_default();
        let end = run.last().map_or(0, |last| last.end);
        let end = find_past_gap(self.file, end, b',').map_or(end, |at| at + 1);
        rest_is_free(self.file, end) && run.iter().all(|span| begins_line(self.file, span.start))
    }

    /// Removes a run of entries, but not all.
    fn remove_in_flow(
        &self,
        patches: &mut Patches<'f>,
        node: NodeId,
        spans: &[Range<usize>],
        run: Range<usize>,
        comma_serves: bool,
    ) -> Result<(), SpliceError> {
        let (Some(first), Some(last)) = (spans.get(run.start), spans.get(run.end - 1)) else {
            return self.refuse(node, Refusal::NoSuchEntry);
        };
        let comma = find_past_gap(self.file, last.end, b',');
        let end = comma.map_or(last.end, |at| at + 1);
        let before = run.start.checked_sub(1).and_then(|at| spans.get(at));
        if self.has_own_lines(spans, run.clone()) {
            // The last entry takes the comma before it along.
            if let (None, Some(before), false) = (comma, before, comma_serves)
                && let Some(at) = find_past_gap(self.file, before.end, b',')
            {
                patches.replace(at..at + 1, "");
            }
            let mut from = line_start(self.file, first.start);
            for pair in spans.get(run).unwrap_or_default().windows(2) {
                if let [this, next] = pair {
                    let end = find_past_gap(self.file, this.end, b',').unwrap_or(this.end);
                    patches.remove_lines(from..past_break(self.file, line_end(self.file, end)));
                    from = line_start(self.file, next.start);
                }
            }
            patches.remove_lines(from..past_break(self.file, line_end(self.file, end)));
            return Ok(());
        }
        let range = match (spans.get(run.end), before) {
            (Some(next), _) => first.start..next.start,
            (None, Some(before)) => before.end..last.end,
            (None, None) => first.start..last.end,
        };
        let mut at = range.start;
        for span in spans.iter().filter(|span| span.start >= range.start && span.end <= range.end) {
            self.check_no_comment(at..span.start)?;
            at = span.end;
        }
        self.check_no_comment(at..range.end)?;
        patches.replace(range, "");
        Ok(())
    }

    /// No comment may vanish with what is between entries.
    fn check_no_comment(&self, gap: Range<usize>) -> Result<(), SpliceError> {
        match self.file.slice(gap.clone()).find('#') {
            Some(at) => {
                let place = self.file.place(gap.start + at);
                Err(SpliceError { place, refusal: Refusal::Comment })
            }
            None => Ok(()),
        }
    }
}
