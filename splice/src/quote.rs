//! Writing a text as a scalar: the style that was asked for where it is exact, else one that is.

use std::fmt::Write;

use crate::{Style, resolve};

/// What the place allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room<'a> {
    /// Between brackets.
    pub(crate) in_flow: bool,
    /// In a file of JSON.
    pub(crate) json: bool,
    /// Indentation for the lines of a block text, where one may stand.
    pub(crate) lines: Option<usize>,
    /// What follows the header of a block text on its line: a comment that was there before.
    pub(crate) header: &'a str,
    /// No line break follows, so that a block text could not end with one.
    pub(crate) ends_file: bool,
    pub(crate) line_break: &'a str,
}

pub(crate) fn write(text: &str, style: Style, room: Room<'_>) -> String {
    if room.json {
        return double(text);
    }
    let single_line = !text.contains('\n');
    match style {
        Style::Plain if is_plain(text, room.in_flow) => return text.to_owned(),
        Style::Single | Style::Plain
            if single_line && is_printable(text) && style == Style::Single =>
        {
            return single(text);
        }
        Style::Literal | Style::Folded => {
            if let Some(block) = literal(text, room) {
                return block;
            }
        }
        Style::Plain | Style::Single if !single_line => {
            if let Some(block) = literal(text, room) {
                return block;
            }
        }
        _ => {}
    }
    double(text)
}

fn single(text: &str) -> String {
    ["'", &text.replace('\'', "''"), "'"].concat()
}

/// Double quotes with the escapes of JSON, which are escapes of YAML too.
pub(crate) fn double(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // All of these are in the first plane, so four digits do.
            char if !is_printable_char(char) => {
                // Writing to a String does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

/// A literal block that reads as exactly this text, if there is one that is plain to see.
fn literal(text: &str, room: Room<'_>) -> Option<String> {
    let indent = room.lines?;
    let body = text.strip_suffix('\n').unwrap_or(text);
    let chomp = if body.len() == text.len() { "-" } else { "" };
    let printable = text
        .split('\n')
        .all(|line| line.chars().all(|char| char == '\t' || is_printable_char(char)));
    // Blank lines of blanks and leading blanks would need an indentation indicator or mislead the eye; further line breaks at
    // the end would need `+`, which also takes blank lines of the file that follow.
    let odd_line = |line: &str| !line.is_empty() && line.trim_matches([' ', '\t']).is_empty();
    let first = body.split('\n').find(|line| !line.is_empty())?;
    if !printable
        || body.ends_with('\n')
        || first.starts_with([' ', '\t'])
        || body.split('\n').any(odd_line)
        || (room.ends_file && chomp.is_empty())
    {
        return None;
    }
    let mut out = ["|", chomp, room.header].concat();
    for line in body.split('\n') {
        out.push_str(room.line_break);
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(line);
        }
    }
    Some(out)
}

/// Whether a text may stand without quotes. Stricter than YAML: what needs a second look is quoted.
fn is_plain(text: &str, in_flow: bool) -> bool {
    let begins = text.starts_with(|char: char| char.is_alphanumeric() || "/_.+".contains(char));
    let ends = !text.ends_with([' ', ':']);
    let special = |char: char| in_flow && ",[]{}".contains(char);
    let inner =
        text.chars().all(|char| is_printable_char(char) && !special(char) && char != '\u{a0}');
    let flow_colon = in_flow && text.contains("::");
    begins
        && ends
        && inner
        && !flow_colon
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.starts_with("...")
        && resolve::is_surely_text(text)
}

fn is_printable(text: &str) -> bool {
    text.chars().all(is_printable_char)
}

/// Without control characters, without what YAML 1.1 takes for a line break, without byte order marks and noncharacters.
fn is_printable_char(char: char) -> bool {
    !matches!(char, '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}
