//! From bytes to a [`File`]. The grammar is saphyr's; where things end and begin, which its events say only roughly, is found here.

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag as SaphyrTag};

use crate::{
    Document, File, NodeId, ParseError, Problem,
    node::{Raw, Style, Tag},
};

/// Places are 32-bit numbers.
const MOST: usize = 256 << 20;
/// Deeper than any manifest, and far from where a stack ends.
const DEEPEST: usize = 128;

/// Takes a file apart.
///
/// # Errors
/// [`ParseError`], with the first place that is wrong.
pub fn parse(bytes: &[u8]) -> Result<File<'_>, ParseError> {
    let nothing = File {
        text: "",
        nodes: Vec::new(),
        documents: Vec::new(),
        texts: Vec::new(),
        aliased: Vec::new(),
    };
    if bytes.len() > MOST {
        return Err(ParseError { place: nothing.place(0), problem: Problem::TooLarge });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid =
            bytes.get(..error.valid_up_to()).and_then(|valid| std::str::from_utf8(valid).ok());
        let file = File { text: valid.unwrap_or_default(), ..empty() };
        ParseError { place: file.place(error.valid_up_to()), problem: Problem::NotUtf8 }
    })?;
    let mut reader = Reader {
        file: File { text, ..nothing },
        offsets: Offsets::new(text),
        open: Vec::new(),
        anchors: Vec::new(),
        cursor: 0,
        begun: 0,
    };
    reader.read()?;
    reader.check_line_breaks()?;
    Ok(reader.file)
}

fn empty() -> File<'static> {
    File {
        text: "",
        nodes: Vec::new(),
        documents: Vec::new(),
        texts: Vec::new(),
        aliased: Vec::new(),
    }
}

struct Reader<'a> {
    file: File<'a>,
    offsets: Offsets<'a>,
    /// Mappings and sequences that are not yet at their end.
    open: Vec<NodeId>,
    /// Which node each anchor is on, by saphyr's number.
    anchors: Vec<(usize, NodeId)>,
    /// Behind the last thing that was located.
    cursor: usize,
    /// Where the current document begins.
    begun: usize,
}

impl<'a> Reader<'a> {
    fn read(&mut self) -> Result<(), ParseError> {
        let body = self.file.text.strip_prefix('\u{feff}').unwrap_or(self.file.text);
        let mut parser = Parser::new_from_str(body);
        // A keyed lookup of each alias would cost more than this list, which is short in what people write.
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| {
                let at = self.offsets.byte(error.marker().index());
                self.wrong(at, Problem::Syntax)
            })?;
            self.event(event, span)?;
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), ParseError> {
        let (from, to) =
            (self.offsets.byte(span.start.index()), self.offsets.byte(span.end.index()));
        match event {
            Event::DocumentStart(explicit) => {
                self.begun = if explicit { to } else { self.cursor };
                self.cursor = self.begun;
                self.file.documents.push(Document { root: None, span: self.begun..self.begun });
            }
            Event::DocumentEnd => {
                let begun = self.begun;
                if let Some(document) = self.file.documents.last_mut() {
                    document.span = begun..from.max(begun);
                }
                self.cursor = to.max(self.cursor);
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_deref(), from, to)?
            }
            Event::Alias(anchor) => {
                self.push(Raw { outer: compact(from), ..raw(Style::Alias, from, to) });
                if let Some((_, node)) =
                    self.anchors.iter().rev().find(|(number, _)| *number == anchor)
                {
                    self.file.aliased.push(*node);
                }
                self.close(to);
            }
            Event::MappingStart(anchor, tag) => {
                self.collection(true, anchor, tag.as_deref(), from, to)?
            }
            Event::SequenceStart(anchor, tag) => {
                self.collection(false, anchor, tag.as_deref(), from, to)?
            }
            Event::MappingEnd | Event::SequenceEnd => self.end(to)?,
            _ => {}
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&SaphyrTag>,
        from: usize,
        to: usize,
    ) -> Result<(), ParseError> {
        let has_properties = anchor > 0 || tag.is_some();
        let (outer, start, end, style) = match style {
            ScalarStyle::Literal | ScalarStyle::Folded => {
                let (outer, start) = self.block_header(self.cursor)?;
                (outer, start, self.block_end(start, to), Style::Block)
            }
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                let start = if has_properties { self.behind_properties(from) } else { from };
                let (end, style) = self.quoted_end(start)?;
                (from, start, end, style)
            }
            ScalarStyle::Plain => {
                let start =
                    if has_properties { self.behind_properties(from).min(to) } else { from };
                match text.is_empty() {
                    // Nothing stands there: behind the colon, or behind what it has instead of a text.
                    true if !has_properties => {
                        let behind = from + usize::from(self.byte(from) == Some(b':'));
                        (behind, behind, behind, Style::Plain)
                    }
                    true => {
                        let end = self.trimmed_end(from, to.max(start));
                        (from, end, end, Style::Plain)
                    }
                    false => (from, start, self.trimmed_end(start, to), Style::Plain),
                }
            }
        };
        let id = self.push(Raw {
            outer: compact(outer),
            tag: tag.map_or(Tag::None, |tag| {
                if tag.is_yaml_core_schema() && tag.suffix == "str" {
                    Tag::Text
                } else {
                    Tag::Other
                }
            }),
            ..raw(style, start, end)
        });
        let written = self.file.text.get(start..end).unwrap_or_default();
        let same = match style {
            Style::Single | Style::Double => {
                written.get(1..written.len().saturating_sub(1)) == Some(text)
            }
            _ => written == text,
        };
        if !same {
            self.file.texts.push((id, text.into()));
            if let Some(raw) = self.file.nodes.get_mut(id.0 as usize) {
                raw.decoded = true;
            }
        }
        self.anchored(anchor, id);
        self.close(end);
        Ok(())
    }

    fn collection(
        &mut self,
        is_mapping: bool,
        anchor: usize,
        tag: Option<&SaphyrTag>,
        from: usize,
        to: usize,
    ) -> Result<(), ParseError> {
        let start = if anchor > 0 || tag.is_some() { self.behind_properties(from) } else { from };
        let is_flow =
            self.byte(start) == Some(if is_mapping { b'{' } else { b'[' }) && to == start + 1;
        let style = match (is_mapping, is_flow) {
            (true, true) => Style::FlowMapping,
            (true, false) => Style::BlockMapping,
            (false, true) => Style::FlowSequence,
            (false, false) => Style::BlockSequence,
        };
        let id = self.push(Raw {
            outer: compact(from),
            tag: if tag.is_some() { Tag::Other } else { Tag::None },
            ..raw(style, start, start)
        });
        self.anchored(anchor, id);
        if is_flow {
            self.cursor = to;
        } else if start != from {
            self.cursor = start;
        }
        self.open.push(id);
        if self.open.len() > DEEPEST {
            return Err(self.wrong(start, Problem::TooDeep));
        }
        Ok(())
    }

    /// The end of the innermost mapping or sequence. A block begins and ends with what is in it.
    fn end(&mut self, to: usize) -> Result<(), ParseError> {
        let Some(id) = self.open.pop() else { return Ok(()) };
        let old = self.file.raw(id);
        let first = self.file.raw(NodeId(id.0 + 1));
        let mut new = old;
        new.next = compact(self.file.nodes.len());
        match old.style {
            Style::FlowMapping | Style::FlowSequence => new.end = compact(to),
            Style::BlockSequence => {
                new.start = compact(self.dash_before(first.outer as usize)?);
                new.end = compact(self.cursor);
            }
            _ => {
                new.start = first.outer;
                new.end = compact(self.cursor);
            }
        }
        let has_properties = old.outer != old.start;
        new.outer = if has_properties { old.outer } else { new.start };
        if let Some(node) = self.file.nodes.get_mut(id.0 as usize) {
            *node = new;
        }
        self.cursor = new.end as usize;
        Ok(())
    }

    fn push(&mut self, raw: Raw) -> NodeId {
        let id = NodeId(compact(self.file.nodes.len()));
        let is_nothing = raw.style == Style::Plain && raw.outer == raw.end;
        if let Some(document) =
            self.file.documents.last_mut().filter(|_| self.open.is_empty() && !is_nothing)
        {
            document.root = Some(id);
        }
        self.file.nodes.push(Raw { next: id.0 + 1, ..raw });
        id
    }

    fn close(&mut self, end: usize) {
        self.cursor = end.max(self.cursor);
    }

    fn anchored(&mut self, anchor: usize, id: NodeId) {
        if anchor > 0 {
            self.anchors.push((anchor, id));
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.file.text.as_bytes().get(at).copied()
    }

    /// Behind anchor and tag, and the blanks, comments and line ends that follow them.
    fn behind_properties(&self, from: usize) -> usize {
        let mut at = from;
        while matches!(self.byte(at), Some(b'&' | b'!')) {
            while self.byte(at).is_some_and(|byte| !byte.is_ascii_whitespace()) {
                at += 1;
            }
            at = self.behind_blanks(at);
        }
        at
    }

    fn behind_blanks(&self, from: usize) -> usize {
        let mut at = from;
        loop {
            match self.byte(at) {
                Some(byte) if byte.is_ascii_whitespace() => at += 1,
                Some(b'#') => {
                    while self.byte(at).is_some_and(|byte| byte != b'\n') {
                        at += 1;
                    }
                }
                _ => return at,
            }
        }
    }

    /// Where a block scalar's anchor or tag, and its `|` or `>`, are, looked for from behind what was before it.
    fn block_header(&self, from: usize) -> Result<(usize, usize), ParseError> {
        let mut at = from;
        let mut outer = None;
        loop {
            at = self.behind_blanks(at);
            match self.byte(at) {
                Some(b'|' | b'>') => return Ok((outer.unwrap_or(at), at)),
                Some(b'&' | b'!') => {
                    outer.get_or_insert(at);
                    at = self.behind_properties(at);
                }
                Some(b':' | b'-' | b'?' | b',') => at += 1,
                _ => return Err(self.wrong(at, Problem::Odd)),
            }
        }
    }

    /// The end of the last line of a block scalar, without its line end.
    fn block_end(&self, header: usize, to: usize) -> usize {
        let text = self.file.text;
        let line_end = |at: usize| {
            text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |len| at + len)
        };
        let first = line_end(header);
        let head = text.get(header..first).unwrap_or_default();
        let head = head.split('#').next().unwrap_or_default();
        let keeps = head.contains('+');
        let explicit = head.bytes().any(|byte| byte.is_ascii_digit());
        let (mut end, mut indent, mut at) = (self.trimmed_end(header, first), None, first);
        while at < text.len() {
            let (from, stop) = (at + 1, line_end(at + 1));
            let line = text.get(from..stop).unwrap_or_default().trim_end_matches('\r');
            if line.trim_matches(' ').is_empty() {
                if keeps && from <= to {
                    end = stop;
                }
                at = stop;
                continue;
            }
            let here = line.len() - line.trim_start_matches(' ').len();
            let inside = if explicit {
                from < to && from + here < to
            } else {
                from < to && here >= *indent.get_or_insert(here)
            };
            // What is not deeper than the line of the header is no content, and neither is a marker.
            if !inside
                || (indent == Some(0) && (line.starts_with("---") || line.starts_with("...")))
            {
                break;
            }
            end = stop - usize::from(text.get(from..stop).is_some_and(|line| line.ends_with('\r')));
            at = stop;
        }
        end
    }

    /// Where a quoted scalar ends.
    fn quoted_end(&self, start: usize) -> Result<(usize, Style), ParseError> {
        let quote = self.byte(start);
        let mut at = start + 1;
        loop {
            match (quote, self.byte(at)) {
                (Some(b'"'), Some(b'\\')) => at += 2,
                (Some(b'\''), Some(b'\'')) if self.byte(at + 1) == Some(b'\'') => at += 2,
                (Some(b'"'), Some(b'"')) => return Ok((at + 1, Style::Double)),
                (Some(b'\''), Some(b'\'')) => return Ok((at + 1, Style::Single)),
                (Some(b'"' | b'\''), Some(_)) => at += 1,
                _ => return Err(self.wrong(start, Problem::Odd)),
            }
        }
    }

    fn trimmed_end(&self, start: usize, end: usize) -> usize {
        start + self.file.text.get(start..end).unwrap_or_default().trim_end().len()
    }

    /// Line breaks that not every reader takes for one.
    fn check_line_breaks(&self) -> Result<(), ParseError> {
        let text = self.file.text;
        let disputed = text.match_indices(['\u{85}', '\u{2028}', '\u{2029}']).map(|(at, _)| at);
        let lone = text
            .match_indices('\r')
            .map(|(at, _)| at)
            .filter(|at| self.byte(at + 1) != Some(b'\n'));
        let quoted = |at: usize| {
            let behind = self.file.nodes.partition_point(|raw| (raw.start as usize) <= at);
            self.file
                .nodes
                .get(..behind)
                .and_then(<[Raw]>::last)
                .is_some_and(|raw| raw.style == Style::Double && at < raw.end as usize)
        };
        match disputed.chain(lone).find(|at| !quoted(*at)) {
            Some(at) => Err(self.wrong(at, Problem::DisputedLineBreak)),
            None => Ok(()),
        }
    }

    fn dash_before(&self, item: usize) -> Result<usize, ParseError> {
        self.file.dash_before(item).ok_or_else(|| self.wrong(item, Problem::Odd))
    }

    fn wrong(&self, at: usize, problem: Problem) -> ParseError {
        ParseError { place: self.file.place(at), problem }
    }
}

fn raw(style: Style, start: usize, end: usize) -> Raw {
    Raw {
        outer: compact(start),
        start: compact(start),
        end: compact(end),
        next: 0,
        style,
        decoded: false,
        tag: Tag::None,
    }
}

/// Lengths were checked when the file came in.
fn compact(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

/// From saphyr's character numbers to bytes.
struct Offsets<'a> {
    /// The byte of every 64th character; empty where all characters are one byte.
    marks: Vec<u32>,
    /// A byte order mark that saphyr does not see.
    skipped: usize,
    body: &'a str,
}

impl<'a> Offsets<'a> {
    const STEP: usize = 64;

    fn new(text: &'a str) -> Self {
        let body = text.strip_prefix('\u{feff}').unwrap_or(text);
        let skipped = text.len() - body.len();
        let marks = if body.is_ascii() {
            Vec::new()
        } else {
            body.char_indices().step_by(Self::STEP).map(|(at, _)| compact(at)).collect()
        };
        Self { marks, skipped, body }
    }

    fn byte(&self, character: usize) -> usize {
        if self.marks.is_empty() {
            return self.skipped + character.min(self.body.len());
        }
        let mark =
            self.marks.get(character / Self::STEP).map_or(self.body.len(), |mark| *mark as usize);
        let rest = self.body.get(mark..).unwrap_or_default();
        let within =
            rest.char_indices().nth(character % Self::STEP).map_or(rest.len(), |(at, _)| at);
        self.skipped + mark + within
    }
}
