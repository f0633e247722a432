use crate::{
    Problem,
    read::{Cursor, Place, Reader, Stop, is_blank, is_space},
    tree::{Raw, Shape},
};

impl Reader<'_> {
    /// Reads the node that begins at the cursor.
    pub(super) fn block_node(&mut self, place: Place) -> Result<usize, Stop> {
        self.enter()?;
        let first = self.properties(false)?;
        let node = if let Some(start) = first {
            let end = self.cursor;
            if self.gap() || self.at_end() {
                let below = Place { fresh: true, ..place };
                if self.begins(below) {
                    self.content(below, Some(start), None)?
                } else {
                    self.cursor = end;
                    self.empty(end.at, Some(start))?
                }
            } else {
                self.content(place, None, Some(start))?
            }
        } else {
            self.content(place, None, None)?
        };
        self.leave();
        Ok(node)
    }

    /// After a gap that ended a line: does the node of this place begin here, or is it empty?
    fn begins(&self, place: Place) -> bool {
        if self.at_end() {
            return false;
        }
        let column = self.column();
        column > place.parent
            || (place.indentless && column == place.parent && self.at_indicator(b'-'))
    }

    fn at_indicator(&self, indicator: u8) -> bool {
        self.byte() == indicator && is_space(self.ahead(1))
    }

    /// `outer` are properties on a line before, which belong to a collection that begins here; `inner` those on this line.
    fn content(
        &mut self,
        place: Place,
        outer: Option<usize>,
        inner: Option<usize>,
    ) -> Result<usize, Stop> {
        let column = inner.map_or(self.column(), |start| {
            i32::try_from(start.saturating_sub(self.cursor.line)).unwrap_or(i32::MAX)
        });
        let inner = if outer.is_some() { self.properties(false)? } else { inner };
        if inner.is_some() {
            self.skip_blanks();
        }
        if self.at_indicator(b'-') || self.at_indicator(b'?') {
            if inner.is_some() {
                return self.stop(Problem::Properties);
            }
            self.check_begin(place)?;
            return if self.byte() == b'-' {
                self.block_sequence(column, outer)
            } else {
                let index = self.tree.nodes.len();
                let mapping = Raw::leaf(Shape::BlockMapping, self.cursor.at, self.cursor.at);
                self.push(mapping, outer)?;
                self.block_mapping(column, index, None)
            };
        }
        if matches!(self.byte(), b'|' | b'>') {
            return self.block_scalar(place.parent, outer.or(inner));
        }

        let index = self.tree.nodes.len();
        let begin = inner.unwrap_or(self.cursor.at);
        let line = self.cursor.line;
        if self.at_indicator(b':') {
            self.empty(self.cursor.at, inner)?;
        } else {
            self.key_or_value(place, inner)?;
        }
        let after = self.cursor;
        self.skip_blanks();
        if self.at_indicator(b':') {
            if self.cursor.line != line {
                return self.stop(Problem::MultilineKey);
            }
            self.check_begin(place)?;
            self.insert(index, Raw::leaf(Shape::BlockMapping, begin, begin), outer)?;
            return self.block_mapping(column, index, Some(index + 1));
        }
        self.cursor = after;
        // Properties of a line before belong to this value after all.
        if let Some(start) = outer {
            self.extend_properties(index, start);
        }
        if place.fresh && place.parent >= 0 {
            self.check_buffered(index)?;
        }
        Ok(index)
    }

    /// An anchor on one line and a tag on the next may mark one value.
    fn extend_properties(&mut self, index: usize, start: usize) {
        let known = self.raw(index).is_some_and(|raw| raw.has_properties);
        let entry = self.tree.properties.iter_mut().rev().find(|entry| entry.0 as usize == index);
        match entry.filter(|_| known) {
            Some(entry) => entry.1 = crate::tree::compact(start),
            None => {
                self.mark(index, |raw| raw.has_properties = true);
                self.tree.note(index, start);
            }
        }
    }

    /// A collection may begin at the start of a line, behind spaces only, or behind another one's indicator.
    fn check_begin(&self, place: Place) -> Result<(), Stop> {
        if !place.fresh {
            return self.stop(Problem::NestedOnLine);
        }
        let indentation = self.text.get(self.cursor.line..self.cursor.at).unwrap_or_default();
        if indentation.contains(&b'\t') && indentation.iter().all(|byte| is_blank(*byte)) {
            return self.stop(Problem::TabIndent);
        }
        Ok(())
    }

    /// What may be a key is held back by the library with all its tokens, so it may not be large.
    pub(super) fn check_buffered(&self, index: usize) -> Result<(), Stop> {
        match self.raw(index) {
            Some(raw) if raw.size() > self.most_buffered => {
                Err(Stop { at: raw.start as usize, problem: Problem::LongFlow })
            }
            _ => Ok(()),
        }
    }

    fn key_or_value(&mut self, place: Place, properties: Option<usize>) -> Result<usize, Stop> {
        match self.byte() {
            b'[' | b'{' => self.flow_collection(properties),
            b'"' | b'\'' => self.quoted(properties),
            b'*' => self.alias(false, properties),
            _ => self.plain(Some(place.parent), properties),
        }
    }

    /// Reads entries in `column`; `first` is a key that has been read, with the cursor at its colon.
    fn block_mapping(
        &mut self,
        column: i32,
        index: usize,
        first: Option<usize>,
    ) -> Result<usize, Stop> {
        let mut key = first;
        loop {
            let end = if let Some(key) = key.take() {
                self.check_key(key)?;
                self.cursor.at += 1;
                self.block_value(column, false)?
            } else if self.at_indicator(b'?') {
                self.explicit_entry(column)?
            } else {
                let line = self.cursor.line;
                let properties = self.properties(false)?;
                self.skip_blanks();
                let next = self.tree.nodes.len();
                if self.at_indicator(b':') {
                    self.empty(self.cursor.at, properties)?;
                } else if self.at_indicator(b'-') {
                    return self.stop(Problem::ExpectedKey);
                } else {
                    let place = Place { parent: column, fresh: true, indentless: false };
                    self.key_or_value(place, properties)?;
                }
                self.skip_blanks();
                if self.cursor.line != line {
                    return Err(Stop { at: self.start_of(next), problem: Problem::MultilineKey });
                }
                if !self.at_indicator(b':') {
                    return self.stop(Problem::ExpectedKey);
                }
                key = Some(next);
                continue;
            };
            let after = self.cursor;
            if !self.next_entry(column)? {
                self.cursor = after;
                self.close(index, end);
                return Ok(index);
            }
        }
    }

    /// A key without `?` has at most 1,024 characters in every reader; the library would stop being sure of it.
    fn check_key(&self, key: usize) -> Result<(), Stop> {
        let start = self.start_of(key);
        if self.cursor.at - start > 1000 {
            return Err(Stop { at: start, problem: Problem::ExpectedKey });
        }
        Ok(())
    }

    fn start_of(&self, index: usize) -> usize {
        self.raw(index).map_or(self.cursor.at, |raw| raw.start as usize)
    }

    /// `? key` and, on a line of its own in the same column, `: value`.
    fn explicit_entry(&mut self, column: i32) -> Result<usize, Stop> {
        self.cursor.at += 1;
        let key = self.tree.nodes.len();
        let end = self.block_value(column, true)?;
        self.mark(key, |raw| raw.explicit = true);
        let after = self.cursor;
        self.gap();
        if !self.at_end() && self.column() == column && self.at_indicator(b':') {
            self.cursor.at += 1;
            return self.block_value(column, true);
        }
        self.cursor = after;
        let value = self.empty(end, None)?;
        self.mark(value, |raw| raw.bare = true);
        Ok(end)
    }

    /// What follows a colon or `?` of the mapping in `column`; gives its end.
    fn block_value(&mut self, column: i32, fresh: bool) -> Result<usize, Stop> {
        let after = self.cursor;
        let crossed = self.gap();
        let place = Place { parent: column, fresh: fresh || crossed, indentless: true };
        let node = if self.at_end() || (crossed && !self.begins(place)) {
            self.cursor = after;
            self.empty(after.at, None)?
        } else {
            self.block_node(place)?
        };
        Ok(self.end_of(node))
    }

    fn block_sequence(&mut self, column: i32, properties: Option<usize>) -> Result<usize, Stop> {
        let start = self.cursor.at;
        let index = self.push(Raw::leaf(Shape::BlockSequence, start, start), properties)?;
        loop {
            self.cursor.at += 1;
            let after = self.cursor;
            let crossed = self.gap();
            let place = Place { parent: column, fresh: true, indentless: false };
            let node = if self.at_end() || (crossed && !self.begins(place)) {
                self.cursor = after;
                self.empty(after.at, None)?
            } else {
                self.block_node(place)?
            };
            let end = self.end_of(node);
            let after = self.cursor;
            let more = self.next_entry(column)? && self.at_indicator(b'-');
            if !more {
                self.cursor = after;
                self.close(index, end);
                return Ok(index);
            }
        }
    }

    /// Goes on to the next entry of a collection in `column`, if there is one.
    fn next_entry(&mut self, column: i32) -> Result<bool, Stop> {
        let Cursor { line, .. } = self.cursor;
        self.gap();
        if self.at_end() || self.column() < column {
            return Ok(false);
        }
        if self.cursor.line == line {
            return self.stop(Problem::Unexpected);
        }
        if self.column() > column {
            return self.stop(Problem::Indentation);
        }
        let indentation = self.text.get(self.cursor.line..self.cursor.at).unwrap_or_default();
        if indentation.contains(&b'\t') {
            return self.stop(Problem::TabIndent);
        }
        Ok(true)
    }
}
