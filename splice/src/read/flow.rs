use crate::{
    Problem,
    read::{Reader, Stop, is_flow_indicator, is_space},
    tree::{Raw, Shape},
};

impl Reader<'_> {
    /// Reads `[…]` or `{…}`.
    pub(super) fn flow_collection(&mut self, properties: Option<usize>) -> Result<usize, Stop> {
        self.enter()?;
        let open = self.cursor.at;
        let (shape, close) = if self.byte() == b'{' {
            (Shape::FlowMapping, b'}')
        } else {
            (Shape::FlowSequence, b']')
        };
        let index = self.push(Raw::leaf(shape, open, open), properties)?;
        self.cursor.at += 1;
        loop {
            self.gap();
            if self.at_end() {
                return Err(Stop { at: open, problem: Problem::Unclosed });
            }
            if self.byte() == close {
                break;
            }
            if shape == Shape::FlowMapping {
                self.flow_entry(close)?;
            } else {
                self.flow_item(close)?;
            }
            self.gap();
            match self.byte() {
                b',' => self.cursor.at += 1,
                byte if byte == close => {}
                0 => return Err(Stop { at: open, problem: Problem::Unclosed }),
                _ => return self.stop(Problem::ExpectedSeparator),
            }
        }
        self.cursor.at += 1;
        self.close(index, self.cursor.at);
        self.leave();
        Ok(index)
    }

    /// `key: value`, `key`, `: value` or `? key : value`.
    fn flow_entry(&mut self, close: u8) -> Result<(), Stop> {
        let explicit = self.at_explicit();
        let key = self.tree.nodes.len();
        self.flow_key(explicit, close)?;
        self.mark(key, |raw| raw.explicit = explicit);
        self.flow_value(key, close)
    }

    fn flow_item(&mut self, close: u8) -> Result<(), Stop> {
        let index = self.tree.nodes.len();
        let (start, line) = (self.cursor.at, self.cursor.line);
        let explicit = self.at_explicit();
        self.flow_key(explicit, close)?;
        let after = self.cursor;
        self.gap();
        let pair = explicit || (self.cursor.line == line && self.at_colon(index));
        self.cursor = after;
        if !pair {
            return Ok(());
        }
        self.insert(index, Raw::leaf(Shape::Pair, start, start), None)?;
        self.mark(index + 1, |raw| raw.explicit = explicit);
        let value = self.tree.nodes.len();
        self.flow_value(index + 1, close)?;
        self.close(index, self.end_of(value).max(start));
        Ok(())
    }

    fn at_explicit(&self) -> bool {
        self.byte() == b'?' && is_space(self.ahead(1))
    }

    fn flow_key(&mut self, explicit: bool, close: u8) -> Result<(), Stop> {
        if explicit {
            self.cursor.at += 1;
            let after = self.cursor;
            self.gap();
            if self.byte() == b',' || self.byte() == close || self.at_value_indicator() {
                self.cursor = after;
                self.empty(after.at, None)?;
                return Ok(());
            }
        } else if self.at_value_indicator() {
            self.empty(self.cursor.at, None)?;
            return Ok(());
        }
        let node = self.flow_node()?;
        self.check_buffered(node)
    }

    /// What follows the key at index `key`.
    fn flow_value(&mut self, key: usize, close: u8) -> Result<(), Stop> {
        let after = self.cursor;
        self.gap();
        if !self.at_colon(key) {
            self.cursor = after;
            let value = self.empty(after.at, None)?;
            self.mark(value, |raw| raw.bare = true);
            return Ok(());
        }
        self.cursor.at += 1;
        let after = self.cursor;
        self.gap();
        if self.byte() == b',' || self.byte() == close {
            self.cursor = after;
            self.empty(after.at, None)?;
        } else {
            self.flow_node()?;
        }
        Ok(())
    }

    /// A colon before a blank, or, as JSON has it, right after a quoted or bracketed key.
    fn at_colon(&self, key: usize) -> bool {
        let like_json = self.raw(key).is_some_and(|raw| {
            matches!(raw.shape, Shape::Single | Shape::Double) || raw.shape.is_collection()
        });
        self.at_value_indicator() || (self.byte() == b':' && like_json)
    }

    fn at_value_indicator(&self) -> bool {
        let next = self.ahead(1);
        self.byte() == b':' && (is_space(next) || is_flow_indicator(next))
    }

    fn flow_node(&mut self) -> Result<usize, Stop> {
        let properties = self.properties(true)?;
        if properties.is_some() {
            let end = self.cursor;
            self.gap();
            if matches!(self.byte(), b',' | b']' | b'}' | 0) || self.at_value_indicator() {
                self.cursor = end;
                return self.empty(end.at, properties);
            }
        }
        match self.byte() {
            b'[' | b'{' => self.flow_collection(properties),
            b'"' | b'\'' => self.quoted(properties),
            b'*' => self.alias(true, properties),
            _ => self.plain(None, properties),
        }
    }
}
