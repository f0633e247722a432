//! From edits of text to a new text: patches must not touch each other, and each changed document must prove right.

use std::ops::Range;

use crate::{File, Refusal, SpliceError, proof::Proof, read::is_break};

/// What to put in the place of which bytes.
#[derive(Debug)]
pub(super) struct Patch {
    pub(super) range: Range<usize>,
    pub(super) text: String,
    /// The range is whole lines that vanish; other lines may come in their place.
    lines: bool,
}

#[derive(Debug)]
pub(super) struct Patches<'f> {
    file: &'f File<'f>,
    list: Vec<Patch>,
}

impl Patch {
    /// The lines of an insertion at the end of a line that vanishes, each with the break behind it instead of before it. At the
    /// end of a file without a last line break, the break before the vanishing line is there already.
    fn line_behind(&self, vanishing: &Self, file: &File<'_>) -> Option<String> {
        if !vanishing.lines || !self.range.is_empty() || self.range.start > vanishing.range.end {
            return None;
        }
        let line_break = file.slice(self.range.start..vanishing.range.end);
        match line_break {
            "\n" | "\r\n" | "\r" => {
                Some([self.text.strip_prefix(line_break)?, line_break].concat())
            }
            "" if file.slice(vanishing.range.clone()).ends_with(['\n', '\r']) => None,
            "" if vanishing.text.is_empty() || vanishing.text.ends_with(['\n', '\r']) => {
                let text = self.text.strip_prefix('\r').unwrap_or(&self.text);
                Some(text.strip_prefix('\n').unwrap_or(text).to_owned())
            }
            "" => Some(self.text.clone()),
            _ => None,
        }
    }
}

impl<'f> Patches<'f> {
    pub(super) fn new(file: &'f File<'f>) -> Self {
        Self { file, list: Vec::new() }
    }

    pub(super) fn replace(&mut self, range: Range<usize>, text: impl Into<String>) {
        let text = text.into();
        if !(range.is_empty() && text.is_empty()) {
            self.list.push(Patch { range, text, lines: false });
        }
    }

    pub(super) fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.replace(at..at, text);
    }

    /// Takes whole lines away.
    pub(super) fn remove_lines(&mut self, range: Range<usize>) {
        self.list.push(Patch { range, text: String::new(), lines: true });
    }

    /// Puts them in order.
    ///
    /// Lines that vanish at the end of a file without a last line break take the breaks before them, so that the file still has
    /// none at its end.
    pub(super) fn settle(mut self) -> Result<Self, SpliceError> {
        self.list.sort_by_key(|patch| (patch.range.start, !patch.range.is_empty()));
        let mut settled: Vec<Patch> = Vec::with_capacity(self.list.len());
        for patch in self.list {
            match settled.last_mut() {
                Some(last) if last.lines && patch.lines && last.range.end == patch.range.start => {
                    last.range.end = patch.range.end;
                }
                // A line that comes behind one that vanishes takes its place.
                Some(last) if let Some(line) = patch.line_behind(last, self.file) => {
                    last.text.push_str(&line);
                }
                Some(last) if last.range.end > patch.range.start => {
                    let place = self.file.place(patch.range.start);
                    return Err(SpliceError { place, refusal: Refusal::Overlap });
                }
                _ => settled.push(patch),
            }
        }
        let bytes = self.file.bytes();
        let unended = bytes.last().is_some_and(|byte| !is_break(*byte));
        let least = settled.iter().rev().nth(1).map_or(0, |patch| patch.range.end);
        if let Some(last) = settled.last_mut()
            && last.lines
            && unended
            && last.range.end == bytes.len()
        {
            if last.text.is_empty() {
                let before = self.file.slice(least..last.range.start);
                last.range.start = least + before.trim_end_matches(['\n', '\r']).len();
            } else {
                let text = &last.text;
                let ended = text.strip_suffix("\r\n").or_else(|| text.strip_suffix(['\n', '\r']));
                last.text.truncate(ended.unwrap_or(text).len());
            }
        }
        Ok(Self { file: self.file, list: settled })
    }

    /// The new text, each changed document proven.
    pub(super) fn apply(&self, file: &File<'_>, proof: &Proof<'_>) -> Result<String, SpliceError> {
        let grown: usize = self.list.iter().map(|patch| patch.text.len()).sum();
        let mut out = String::with_capacity(file.text().len() + grown);
        let mut patches = self.list.iter().peekable();
        let last = file.documents().len().saturating_sub(1);
        for (index, document) in file.documents().iter().enumerate() {
            let span = document.span();
            let begin = out.len();
            let mut at = span.start;
            let mut touched: Option<Range<usize>> = None;
            while let Some(patch) =
                patches.next_if(|patch| index == last || patch.range.start < span.end)
            {
                out.push_str(file.slice(at..patch.range.start));
                out.push_str(&patch.text);
                at = patch.range.end;
                let first = touched.map_or(patch.range.start, |touched| touched.start);
                touched = Some(first..patch.range.end);
            }
            out.push_str(file.slice(at..span.end));
            if let Some(touched) = touched {
                let text = out.get(begin..).unwrap_or_default();
                let ended = index == last || text.ends_with(['\n', '\r']);
                proof.check(index, &touched, text)?;
                if !ended || at > span.end {
                    return Err(proof.unproven(span.start));
                }
            }
        }
        if file.documents().is_empty() {
            out.push_str(file.text());
        }
        Ok(out)
    }
}
