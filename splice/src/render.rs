//! Writing values: new documents as a whole, and the new parts that edits put into old ones.

use crate::{
    Style, Value,
    quote::{Room, double, write},
};

/// A new document of YAML: block style, two spaces, sequences in the column of their key.
#[must_use]
pub fn render(value: &Value) -> String {
    let layout = Layout::default();
    let mut out = String::new();
    if value.is_block() {
        layout.lines(&mut out, value, 0);
    } else {
        out.push_str(layout.after(value, 0).trim_start());
    }
    out.push('\n');
    out
}

/// A new document of JSON, two spaces, one entry on each line.
#[must_use]
pub fn render_json(value: &Value) -> String {
    let layout = Layout { json: true, ..Layout::default() };
    let mut out = String::new();
    layout.pretty(&mut out, value, "", "  ");
    out.push('\n');
    out
}

/// How the text around is laid out, so that new text looks like it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout<'a> {
    pub(crate) line_break: &'a str,
    /// Spaces by which a mapping is indented under its key.
    pub(crate) step: usize,
    /// Sequences stand in the column of their key.
    pub(crate) indentless: bool,
    pub(crate) json: bool,
    /// No line break follows what is written.
    pub(crate) ends_file: bool,
    /// What follows would become part of a block text.
    pub(crate) no_lines: bool,
    /// What stands between a key's colon and its value, between brackets.
    pub(crate) colon: &'a str,
    /// What stands between entries, between brackets.
    pub(crate) comma: &'a str,
}

impl Default for Layout<'_> {
    fn default() -> Self {
        Self {
            line_break: "\n",
            step: 2,
            indentless: true,
            json: false,
            ends_file: false,
            no_lines: false,
            colon: ": ",
            comma: ", ",
        }
    }
}

impl Layout<'_> {
    /// The entries of a mapping or the items of a sequence, each on its line; the first where the text ends now.
    pub(crate) fn lines(&self, out: &mut String, value: &Value, column: usize) {
        match value.comments().1 {
            Value::Mapping(entries) => {
                for (number, (key, value)) in entries.iter().enumerate() {
                    if number > 0 {
                        self.new_line(out, column);
                    }
                    let value = self.comments(out, value, column);
                    out.push_str(&self.entry(key, value, column, Style::Plain));
                }
            }
            Value::Sequence(items) => {
                for (number, item) in items.iter().enumerate() {
                    if number > 0 {
                        self.new_line(out, column);
                    }
                    let item = self.comments(out, item, column);
                    out.push_str(&self.item(item, column));
                }
            }
            _ => {}
        }
    }

    /// The comments of a value, each with the line break behind it; returns the value without them.
    fn comments<'v>(&self, out: &mut String, value: &'v Value, column: usize) -> &'v Value {
        let (comments, value) = value.comments();
        for comment in comments {
            out.push_str(comment);
            self.new_line(out, column);
        }
        value
    }

    /// `key: value` in a mapping in `column`.
    pub(crate) fn entry(
        &self,
        key: &str,
        value: &Value,
        column: usize,
        key_style: Style,
    ) -> String {
        let mut out = self.key(key, key_style, false);
        out.push(':');
        out.push_str(&self.after(value, column));
        out
    }

    /// `- value` in a sequence in `column`.
    pub(crate) fn item(&self, value: &Value, column: usize) -> String {
        let mut out = "-".to_owned();
        if value.is_block() {
            out.push(' ');
            self.lines(&mut out, value, column + 2);
        } else {
            out.push_str(&self.after(value, column));
        }
        out
    }

    /// What follows the colon of a key in `column`.
    pub(crate) fn after(&self, value: &Value, column: usize) -> String {
        let mut out = String::new();
        match value.comments().1 {
            Value::Text(text) => {
                out.push(' ');
                let room = self.room(false, Some(column + self.step));
                out.push_str(&write(text, Style::Plain, room));
            }
            value if value.is_block() => {
                let below = self.below(value, column);
                self.new_line(&mut out, below);
                self.lines(&mut out, value, below);
            }
            value => {
                out.push(' ');
                out.push_str(&self.inline(value));
            }
        }
        out
    }

    /// Column of a collection under a key in `column`.
    pub(crate) fn below(&self, value: &Value, column: usize) -> usize {
        let same = self.indentless && matches!(value.bare(), Value::Sequence(_));
        if same { column } else { column + self.step }
    }

    /// On one line, between brackets.
    pub(crate) fn inline(&self, value: &Value) -> String {
        match value.bare() {
            Value::Text(text) => write(text, Style::Plain, self.room(true, None)),
            Value::Null => "null".to_owned(),
            Value::Bool(bool) => bool.to_string(),
            Value::Integer(integer) => integer.to_string(),
            Value::Sequence(items) => {
                let items: Vec<_> = items.iter().map(|item| self.inline(item)).collect();
                ["[", &items.join(self.comma), "]"].concat()
            }
            Value::Mapping(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| self.inline_entry(key, value, Style::Plain))
                    .collect();
                ["{", &entries.join(self.comma), "}"].concat()
            }
            Value::Flow(_) | Value::Commented(..) => String::new(),
        }
    }

    pub(crate) fn inline_entry(&self, key: &str, value: &Value, key_style: Style) -> String {
        [&self.key(key, key_style, true), self.colon, &self.inline(value)].concat()
    }

    /// JSON with one entry on each line; `indent` is that of the line it begins on.
    pub(crate) fn pretty(&self, out: &mut String, value: &Value, indent: &str, step: &str) {
        let deeper = [indent, step].concat();
        match value.comments().1 {
            Value::Mapping(entries) if !entries.is_empty() => {
                out.push('{');
                for (number, (key, value)) in entries.iter().enumerate() {
                    out.push_str(if number > 0 { "," } else { "" });
                    out.push_str(self.line_break);
                    out.push_str(&deeper);
                    out.push_str(&self.key(key, Style::Double, true));
                    out.push_str(self.colon);
                    self.pretty(out, value, &deeper, step);
                }
                out.push_str(self.line_break);
                out.push_str(indent);
                out.push('}');
            }
            Value::Sequence(items) if !items.is_empty() => {
                out.push('[');
                for (number, item) in items.iter().enumerate() {
                    out.push_str(if number > 0 { "," } else { "" });
                    out.push_str(self.line_break);
                    out.push_str(&deeper);
                    self.pretty(out, item, &deeper, step);
                }
                out.push_str(self.line_break);
                out.push_str(indent);
                out.push(']');
            }
            value => out.push_str(&self.inline(value)),
        }
    }

    pub(crate) fn key(&self, key: &str, style: Style, in_flow: bool) -> String {
        if self.json { double(key) } else { write(key, style, self.room(in_flow, None)) }
    }

    pub(crate) fn new_line(&self, out: &mut String, column: usize) {
        out.push_str(self.line_break);
        out.extend(std::iter::repeat_n(' ', column));
    }

    fn room(&self, in_flow: bool, lines: Option<usize>) -> Room<'_> {
        Room {
            in_flow,
            json: self.json,
            lines: lines.filter(|_| !self.no_lines),
            header: "",
            ends_file: self.ends_file,
            line_break: self.line_break,
        }
    }
}
