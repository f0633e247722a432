//! Grows documents of many styles from a tree, as people and tools write them.

use proptest::prelude::*;

/// What a document holds, with a byte that chooses among the ways to write each part.
#[derive(Debug, Clone)]
pub(crate) enum Tree {
    Leaf(u8, u8),
    Mapping(u8, Vec<Tree>),
    Sequence(u8, Vec<Tree>),
}

/// A file: documents, and a byte of habits (line breaks, byte order mark, end of file).
#[derive(Debug, Clone)]
pub(crate) struct Grown {
    pub(crate) documents: Vec<Tree>,
    pub(crate) habits: u8,
}

pub(crate) fn files() -> impl Strategy<Value = Grown> {
    let leaf = (any::<u8>(), any::<u8>()).prop_map(|(style, text)| Tree::Leaf(style, text));
    let tree = leaf.prop_recursive(4, 24, 4, |inner| {
        let inner = prop::collection::vec(inner, 0..6);
        prop_oneof![
            3 => (any::<u8>(), inner.clone()).prop_map(|(style, of)| Tree::Mapping(style, of)),
            2 => (any::<u8>(), inner).prop_map(|(style, of)| Tree::Sequence(style, of)),
        ]
    });
    (prop::collection::vec(tree, 1..4), any::<u8>())
        .prop_map(|(documents, habits)| Grown { documents, habits })
}

const TEXTS: [&str; 12] = [
    "x",
    "two words",
    "http://x.y/z?q#f",
    "it's",
    "a, b",
    "0x1F",
    "yes",
    "",
    "ключ 🔑",
    "v1.2-rc",
    "a\\b",
    "#no comment",
];
const KEYS: [&str; 8] = ["name", "'quoted'", "\"double\"", "tls.crt", "a key", "ключ", "x/y", "0a"];

struct Writer {
    out: String,
    json: bool,
    anchors: usize,
    step: usize,
    indented: bool,
}

impl Grown {
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        for (number, tree) in self.documents.iter().enumerate() {
            let style = match tree {
                Tree::Leaf(style, _) | Tree::Mapping(style, _) | Tree::Sequence(style, _) => *style,
            };
            let json = self.habits & 0x70 == 0x70;
            if number > 0 || style & 1 == 1 {
                out.push_str(if style & 2 == 2 && number > 0 {
                    "...\n# between\n---\n"
                } else {
                    "---\n"
                });
            }
            if style & 4 == 4 && !json {
                out.push_str("# head\n\n");
            }
            let step = if self.habits & 4 == 4 { 4 } else { 2 };
            let indented = self.habits & 8 == 8;
            let mut writer = Writer { out, json, anchors: 0, step, indented };
            if json {
                writer.json_value(tree, 0, self.habits & 0x80 == 0x80);
                writer.out.push('\n');
            } else {
                writer.block(tree, 0, true);
            }
            out = writer.out;
            if style & 0x18 == 0x18 && !json {
                out.push_str(&format!("{}# tail\n", " ".repeat(usize::from(style >> 6))));
            }
        }
        if self.habits & 1 == 1 {
            out = out.replace('\n', if self.habits & 0x80 == 0x80 { "\r" } else { "\r\n" });
        }
        if self.habits & 2 == 2 {
            out.truncate(out.trim_end_matches(['\r', '\n']).len());
        }
        if self.habits & 0x30 == 0x30 {
            out.insert(0, '\u{feff}');
        }
        out
    }
}

impl Writer {
    /// Writes a node where the text ends now; `at_line` if that is the start of a line (a root).
    fn block(&mut self, tree: &Tree, column: usize, at_line: bool) {
        match tree {
            Tree::Leaf(style, text) => {
                if !at_line {
                    self.out.push(' ');
                }
                self.leaf(*style, *text, column, at_line);
            }
            Tree::Mapping(style, of) if of.is_empty() || style % 5 == 0 => {
                self.out.push_str(if at_line { "" } else { " " });
                self.flow(tree, column);
                self.end_line(*style);
            }
            Tree::Sequence(style, of) if of.is_empty() || style % 5 == 0 => {
                self.out.push_str(if at_line { "" } else { " " });
                self.flow(tree, column);
                self.end_line(*style);
            }
            Tree::Mapping(style, of) => {
                if !at_line {
                    self.end_line(*style);
                }
                self.entries(*style, of, column, false);
            }
            Tree::Sequence(style, of) => {
                if !at_line {
                    self.end_line(*style);
                }
                self.items(*style, of, column, false);
            }
        }
    }

    fn items(&mut self, style: u8, of: &[Tree], column: usize, beside: bool) {
        for (number, item) in of.iter().enumerate() {
            if number > 0 || !beside {
                if number > 0 || style % 13 == 5 {
                    self.between(style, column);
                }
                self.indent(column);
            }
            self.out.push('-');
            // A compact collection beside the dash, or one below.
            let compact = |style: u8, of: &[Tree]| {
                !of.is_empty() && !style.is_multiple_of(5) && !style.is_multiple_of(3)
            };
            match item {
                Tree::Mapping(style, of) if compact(*style, of) => {
                    self.out.push(' ');
                    self.entries(*style, of, column + 2, true);
                }
                Tree::Sequence(style, of) if compact(*style, of) => {
                    self.out.push(' ');
                    self.items(*style, of, column + 2, true);
                }
                item => self.block(item, column + 2, false),
            }
        }
    }

    fn entries(&mut self, style: u8, of: &[Tree], column: usize, beside: bool) {
        for (number, value) in of.iter().enumerate() {
            if number > 0 || !beside {
                if number > 0 || style % 13 == 5 {
                    self.between(style, column);
                }
                self.indent(column);
            }
            self.key(style, number);
            self.out.push(':');
            let sequence = matches!(value, Tree::Sequence(..));
            let below = if sequence && !self.indented { column } else { column + self.step };
            self.block(value, below, false);
        }
    }

    /// A comment or a blank line between entries, or nothing.
    fn between(&mut self, style: u8, column: usize) {
        if style & 0x40 == 0x40 {
            self.indent(column + usize::from(style & 3));
            self.out.push_str("# above: \"it's\" {\n");
        }
        if style % 7 == 3 {
            self.out.push('\n');
        }
    }

    fn key(&mut self, style: u8, number: usize) {
        let key = KEYS[(usize::from(style >> 3) + number) % KEYS.len()];
        self.out.push_str(key);
    }

    fn leaf(&mut self, style: u8, text: u8, column: usize, root: bool) {
        let text = TEXTS[usize::from(text) % TEXTS.len()];
        let indent = " ".repeat(if root { 2 } else { column.max(1) });
        match style % 12 {
            0 => self.out.push_str("plain words"),
            1 => self.single(text),
            2 => self.double(text),
            3 => {
                self.out.push_str(&format!("|\n{indent}{text}x\n\n{indent}last\n"));
                return;
            }
            4 => {
                self.out.push_str(&format!(">-\n{indent}one\n{indent}two\n"));
                return;
            }
            5 if !root => {
                self.out.push_str(&format!("|+ # kept\n{indent}one\n\n"));
                return;
            }
            6 => {
                self.anchors += 1;
                self.out.push_str(&format!("&a{} ", self.anchors));
                self.single(text);
            }
            7 if self.anchors > 0 => self.out.push_str(&format!("*a{}", self.anchors)),
            8 => {
                self.out.push_str("!!str ");
                self.double(text);
            }
            9 => self.out.push_str(&format!("one\n{indent}two\n{indent}three")),
            10 if !root => {
                // Nothing at all.
                self.out.truncate(self.out.trim_end_matches(' ').len());
            }
            11 => self
                .out
                .push_str(["true", "12", "~", "null", "0x1F", "1e3"][usize::from(style) / 12 % 6]),
            _ => self.double(text),
        }
        self.end_line(if style % 12 == 9 { style & 0x7f } else { style });
    }

    fn single(&mut self, text: &str) {
        self.out.push_str(&format!("'{}'", text.replace('\'', "''")));
    }

    fn double(&mut self, text: &str) {
        self.out.push_str(&serde_json::to_string(text).expect("text"));
    }

    fn flow(&mut self, tree: &Tree, column: usize) {
        let (open, close, style, of) = match tree {
            Tree::Leaf(style, text) => {
                let text = TEXTS[usize::from(*text) % TEXTS.len()];
                return match style % 3 {
                    0 => self.out.push_str("plain"),
                    1 => self.single(text),
                    _ => self.double(text),
                };
            }
            Tree::Mapping(style, of) => ('{', '}', *style, of),
            Tree::Sequence(style, of) => ('[', ']', *style, of),
        };
        // One entry on each line, or the first beside the bracket; a flow collection is indented more than what it is in.
        let lines = style & 0x20 == 0x20 && !of.is_empty();
        let hangs = style % 11 == 7;
        let comment = if style % 7 == 3 { " # in: {'" } else { "" };
        let pad = if style % 11 == 5 && !lines { " " } else { "" };
        self.out.push(open);
        self.out.push_str(pad);
        for (number, value) in of.iter().enumerate() {
            if number > 0 {
                self.out.push_str(if lines { "," } else { ", " });
            }
            if lines && (number > 0 || !hangs) {
                self.out.push_str(if number > 0 { comment } else { "" });
                self.out.push('\n');
                if style % 11 == 3 {
                    self.indent(column + 1);
                    self.out.push_str("# between [\n");
                }
                self.indent(column + 2);
            }
            if open == '{' {
                self.key(style, number);
                self.out.push_str(": ");
            }
            self.flow(value, column + 2);
        }
        if lines && !hangs {
            if style & 1 == 1 {
                self.out.push(',');
            }
            self.out.push_str(if style & 2 == 2 { comment } else { "" });
            self.out.push('\n');
            self.indent(column + 1);
        }
        self.out.push_str(pad);
        self.out.push(close);
    }

    fn json_value(&mut self, tree: &Tree, column: usize, pretty: bool) {
        let (open, close, of) = match tree {
            Tree::Leaf(style, text) if style % 4 > 0 => {
                return self.double(TEXTS[usize::from(*text) % TEXTS.len()]);
            }
            Tree::Leaf(style, _) => {
                return self.out.push_str(["1", "true", "null"][usize::from(*style) / 4 % 3]);
            }
            Tree::Mapping(_, of) => ('{', '}', of),
            Tree::Sequence(_, of) => ('[', ']', of),
        };
        self.out.push(open);
        for (number, value) in of.iter().enumerate() {
            self.out.push_str(if number > 0 { "," } else { "" });
            if pretty {
                self.out.push('\n');
                self.indent(column + 2);
            }
            if open == '{' {
                self.out.push_str(&format!("\"key{number}\":{}", if pretty { " " } else { "" }));
            }
            self.json_value(value, column + 2, pretty);
        }
        if pretty && !of.is_empty() {
            self.out.push('\n');
            self.indent(column);
        }
        self.out.push(close);
    }

    fn indent(&mut self, column: usize) {
        self.out.extend(std::iter::repeat_n(' ', column));
    }

    fn end_line(&mut self, style: u8) {
        debug_assert!(!self.json);
        self.out.push_str(match style >> 6 {
            2 => " # beside: 'x",
            3 => "  ",
            _ => "",
        });
        self.out.push('\n');
    }
}
