use crate::{
    Problem,
    read::{Cursor, Reader, Stop, is_blank, is_break, is_flow_indicator, is_space},
    tree::{Raw, Shape},
};

impl Reader<'_> {
    /// Takes an anchor and a tag, in either order and each at most once; gives where they start. The cursor is behind them.
    pub(super) fn properties(&mut self, in_flow: bool) -> Result<Option<usize>, Stop> {
        let start = self.cursor.at;
        let (mut anchor, mut tag) = (false, false);
        let mut end = self.cursor;
        loop {
            let seen = match self.byte() {
                b'&' => &mut anchor,
                b'!' => &mut tag,
                _ => break,
            };
            if *seen {
                return self.stop(Problem::Properties);
            }
            *seen = true;
            self.name(in_flow)?;
            end = self.cursor;
            self.skip_blanks();
        }
        self.cursor = end;
        Ok((anchor || tag).then_some(start))
    }

    /// A name after `&`, `*` or `!`, to the next blank.
    fn name(&mut self, in_flow: bool) -> Result<(), Stop> {
        let start = self.cursor.at;
        let verbatim = self.byte() == b'!' && self.ahead(1) == b'<';
        let tag = self.byte() == b'!';
        self.cursor.at += 1;
        while !is_space(self.byte())
            && (verbatim || !is_flow_indicator(self.byte()) || (tag && !in_flow))
        {
            self.cursor.at += 1;
            if verbatim && self.text.get(self.cursor.at - 1) == Some(&b'>') {
                break;
            }
        }
        if !tag && self.cursor.at == start + 1 {
            return self.stop(Problem::Properties);
        }
        Ok(())
    }

    pub(super) fn alias(
        &mut self,
        in_flow: bool,
        properties: Option<usize>,
    ) -> Result<usize, Stop> {
        if properties.is_some() {
            return self.stop(Problem::Properties);
        }
        let start = self.cursor.at;
        self.name(in_flow)?;
        self.push(Raw::leaf(Shape::Alias, start, self.cursor.at), None)
    }

    pub(super) fn quoted(&mut self, properties: Option<usize>) -> Result<usize, Stop> {
        let start = self.cursor.at;
        let quote = self.byte();
        self.cursor.at += 1;
        loop {
            match self.byte() {
                0 => return Err(Stop { at: start, problem: Problem::Unclosed }),
                b'\'' if quote == b'\'' && self.ahead(1) == b'\'' => self.cursor.at += 2,
                byte if byte == quote => break,
                b'\\' if quote == b'"' => {
                    self.cursor.at += 1;
                    if !self.take_break() {
                        self.cursor.at += 1;
                    }
                }
                b'\r' | b'\n' => {
                    self.take_break();
                }
                _ => self.cursor.at += 1,
            }
        }
        self.cursor.at += 1;
        let shape = if quote == b'"' { Shape::Double } else { Shape::Single };
        self.push(Raw::leaf(shape, start, self.cursor.at), properties)
    }

    /// A plain scalar: in block style further lines are indented more than `parent`, in flow style it is `None`.
    pub(super) fn plain(
        &mut self,
        parent: Option<i32>,
        properties: Option<usize>,
    ) -> Result<usize, Stop> {
        let in_flow = parent.is_none();
        let start = self.cursor.at;
        let next = self.ahead(1);
        let begins = match self.byte() {
            b'-' | b'?' | b':' => !(is_space(next) || in_flow && is_flow_indicator(next)),
            0 | b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>'
            | b'\'' | b'"' | b'%' | b'@' | b'`' => false,
            byte => !is_space(byte),
        };
        if !begins {
            return self.stop(Problem::Unexpected);
        }
        let mut end;
        loop {
            end = self.plain_line(in_flow);
            let after = Cursor { at: end, line: self.cursor.line };
            if !is_break(self.byte()) || !self.continues(parent) {
                self.cursor = after;
                break;
            }
        }
        self.push(Raw::leaf(Shape::Plain, start, end), properties)
    }

    /// Takes what belongs to the scalar on this line, and blanks after it; gives the end without them.
    fn plain_line(&mut self, in_flow: bool) -> usize {
        let mut end = self.cursor.at;
        loop {
            let byte = self.byte();
            let next = self.ahead(1);
            let ends = match byte {
                0 | b'\n' | b'\r' => true,
                b':' => is_space(next) || (in_flow && is_flow_indicator(next)),
                b'#' => end != self.cursor.at,
                _ => in_flow && is_flow_indicator(byte),
            };
            if ends {
                return end;
            }
            self.cursor.at += 1;
            if !is_blank(byte) {
                end = self.cursor.at;
            }
        }
    }

    /// At a line break: goes to the next line that has content, and says whether the scalar goes on there.
    fn continues(&mut self, parent: Option<i32>) -> bool {
        while self.take_break() {
            self.skip_blanks();
        }
        if self.at_end() || self.byte() == b'#' {
            return false;
        }
        let next = self.ahead(1);
        match parent {
            Some(parent) => self.column() > parent && !(self.byte() == b':' && is_space(next)),
            None => {
                !is_flow_indicator(self.byte())
                    && !(self.byte() == b':' && (is_space(next) || is_flow_indicator(next)))
            }
        }
    }

    /// `|` or `>` and the lines below. The span ends with the last line of the text, before its line break; blank lines after
    /// it are in the span only with `+`, which makes them text.
    pub(super) fn block_scalar(
        &mut self,
        parent: i32,
        properties: Option<usize>,
    ) -> Result<usize, Stop> {
        let start = self.cursor.at;
        let shape = if self.byte() == b'|' { Shape::Literal } else { Shape::Folded };
        self.cursor.at += 1;
        let (mut digit, mut chomp) = (0, 0);
        loop {
            match self.byte() {
                byte @ b'1'..=b'9' if digit == 0 => digit = usize::from(byte - b'0'),
                byte @ (b'+' | b'-') if chomp == 0 => chomp = byte,
                byte if is_space(byte) => break,
                _ => return self.stop(Problem::BlockHeader),
            }
            self.cursor.at += 1;
        }
        let mut end = self.cursor;
        self.skip_blanks();
        if self.byte() == b'#' && self.cursor.at > end.at {
            while !self.at_end() && !is_break(self.byte()) {
                self.cursor.at += 1;
            }
        }
        if !self.at_end() && !is_break(self.byte()) {
            return self.stop(Problem::BlockHeader);
        }
        let header_end = self.cursor;
        let around = usize::try_from(parent).unwrap_or(0);
        let mut indent = (digit > 0).then_some(around + digit);
        let least = usize::try_from(parent + 1).unwrap_or(0);
        while self.take_break() {
            let line = self.cursor;
            while self.byte() == b' '
                && indent.is_none_or(|indent| self.cursor.at - line.at < indent)
            {
                self.cursor.at += 1;
            }
            let spaces = self.cursor.at - line.at;
            if is_break(self.byte()) || self.at_end() {
                // A line of spaces. The end of the file right after a line break is no line.
                if chomp == b'+' && !(self.at_end() && spaces == 0) {
                    end = self.cursor;
                }
                continue;
            }
            if spaces < indent.unwrap_or(least) {
                break;
            }
            indent = Some(spaces);
            while !self.at_end() && !is_break(self.byte()) {
                self.cursor.at += 1;
            }
            end = self.cursor;
        }
        self.cursor =
            if end.at > header_end.at { end } else { Cursor { at: end.at, ..header_end } };
        let raw = Raw::leaf(shape, start, end.at).with_indent(indent.unwrap_or(least));
        self.push(raw, properties)
    }
}
