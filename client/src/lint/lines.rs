//! Secrets in what is no YAML yet: the template of a chart, a manifest inside of a text. Judged by lines and their indentation.
//!
//! Promise: a value that is written out is found in block style, wherever `kind` stands among the fields; one that a template puts in is
//! not. Deliberately absent: the language of the templates.

use super::literal::is_reference;

/// A Secret with values that are written out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plain {
    /// The first of them: its line, counted from 0, and how far it is indented.
    pub(crate) line: usize,
    pub(crate) indent: usize,
    /// How many there are.
    pub(crate) values: usize,
}

/// The Secrets of a text.
pub(crate) fn secrets(text: &str) -> Vec<Plain> {
    let lines: Vec<Line<'_>> = text.lines().map(Line::parse).collect();
    let mut out = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if line.key == "kind" && unquoted(line.value) == "Secret" {
            out.extend(secret(&lines, at, line.indent));
        }
    }
    out
}

/// A line, taken apart as far as a line can be.
#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    /// Column of what stands behind blanks and the dashes of items.
    indent: usize,
    /// A new item begins, with its dash at this column.
    dash: Option<usize>,
    key: &'a str,
    value: &'a str,
    content: &'a str,
    /// A document ends here.
    is_marker: bool,
}

impl<'a> Line<'a> {
    fn parse(text: &'a str) -> Self {
        let dash = text
            .find(|c: char| c != ' ')
            .filter(|at| text.get(*at..).is_some_and(|rest| rest.starts_with("- ")));
        let content = text.trim_start_matches([' ', '-']).trim_end();
        let indent = text.len() - text.trim_start_matches([' ', '-']).len();
        // A key has no blank in it; what a template does with its own braces is none.
        let (key, value) = content
            .split_once(':')
            .filter(|(_, value)| value.is_empty() || value.starts_with(' '))
            .unwrap_or(("", ""));
        Self {
            indent,
            dash,
            key: key.trim().trim_matches(['"', '\'']),
            value: value.trim(),
            content,
            is_marker: text.starts_with("---") || text.starts_with("..."),
        }
    }

    /// Blank, a comment, or a line that only steers a template: it belongs to whatever is around it.
    fn is_between(&self) -> bool {
        self.content.is_empty()
            || self.content.starts_with('#')
            || (self.content.starts_with("{{") && self.content.ends_with("}}"))
    }
}

/// The values of the object whose `kind` stands at a line.
fn secret(lines: &[Line<'_>], kind: usize, indent: usize) -> Option<Plain> {
    // Upwards to where its mapping begins: at its own dash, or behind what is indented less.
    let mut start = kind;
    while start > 0
        && lines.get(start).is_some_and(|line| line.dash.is_none_or(|_| line.indent > indent))
    {
        let before = lines.get(start - 1)?;
        if is_outside(before, indent) {
            break;
        }
        start -= 1;
    }
    let rest = lines.get(start..)?;
    let end = rest
        .iter()
        .enumerate()
        .skip(1)
        .position(|(_, line)| {
            is_outside(line, indent) || line.dash.is_some_and(|dash| dash < indent)
        })
        .map_or(rest.len(), |len| len + 1);
    let object = rest.get(..end)?;
    let mut found: Option<Plain> = None;
    for (at, line) in object.iter().enumerate() {
        if line.indent != indent || !matches!(line.key, "data" | "stringData") {
            continue;
        }
        let behind = object.get(at + 1..).unwrap_or_default();
        for (offset, entry) in values(line, behind, indent) {
            let found = found.get_or_insert(Plain {
                line: start + at + offset,
                indent: entry.indent,
                values: 0,
            });
            found.values += 1;
        }
    }
    found
}

/// Whether a line ends the object that is indented so.
fn is_outside(line: &Line<'_>, indent: usize) -> bool {
    line.is_marker || (!line.is_between() && line.indent < indent)
}

/// The values below `data` that are written out, each with how many lines below it stands.
fn values<'a>(data: &Line<'a>, behind: &[Line<'a>], indent: usize) -> Vec<(usize, Line<'a>)> {
    if data.value.starts_with('{') && !data.value.starts_with("{{") {
        let inner = data.value.trim_matches(['{', '}', ' ']);
        let is_plain =
            inner.split_once(':').is_some_and(|(_, value)| !is_reference(unquoted(value)));
        return if is_plain { vec![(0, *data)] } else { Vec::new() };
    }
    let mut out = Vec::new();
    let mut entries = None;
    for (at, line) in behind.iter().enumerate() {
        if line.is_between() {
            continue;
        }
        if line.indent <= indent {
            break;
        }
        if line.indent != *entries.get_or_insert(line.indent) || line.key.is_empty() {
            continue;
        }
        let value = unquoted(line.value);
        let is_block = value.is_empty() || line.value.starts_with(['|', '>']);
        let is_plain = if is_block {
            let block: Vec<_> = behind
                .get(at + 1..)
                .unwrap_or_default()
                .iter()
                .take_while(|inner| inner.content.is_empty() || inner.indent > line.indent)
                .map(|inner| inner.content)
                .filter(|content| !content.is_empty())
                .collect();
            !block.is_empty() && !block.iter().any(|content| is_reference(content))
        } else {
            !is_reference(value)
        };
        if is_plain {
            out.push((at + 1, *line));
        }
    }
    out
}

/// A scalar of one line, without quotes and comment.
fn unquoted(value: &str) -> &str {
    let value = value.trim();
    for quote in ['"', '\''] {
        if let Some((text, _)) = value.strip_prefix(quote).and_then(|rest| rest.rsplit_once(quote))
        {
            return text;
        }
    }
    if value.starts_with('#') {
        return "";
    }
    value.split_once(" #").map_or(value, |(text, _)| text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(text: &str) -> Vec<(usize, usize)> {
        secrets(text).iter().map(|plain| (plain.line, plain.values)).collect()
    }

    #[test]
    fn values_that_are_written_out_are_found_wherever_kind_stands() {
        for text in [
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  a: eA==\n",
            "{{- if .Values.on }}\napiVersion: v1\ndata:\n  a: eA==\n  b: {{ .Values.b | b64enc }}\nkind: Secret\n{{- end }}\n",
            "kind: ConfigMap\ndata:\n  a: {{ .x }}\n---\nkind: \"Secret\" # ours\nstringData:\n  {{- range .x }}\n  a: |\n    text\n  {{- end }}\n",
            "items:\n- apiVersion: v1\n  kind: Secret\n  stringData:\n    a: 'x'\n- kind: ConfigMap\n  data:\n    b: {{ .x }}\n",
            "kind: Secret\nstringData: {a: x}\nname: {{ .x }}\n",
        ] {
            assert_eq!(lines_of(text).len(), 1, "{text}");
            assert_eq!(lines_of(text)[0].1, 1, "{text}");
        }
    }

    #[test]
    fn values_that_a_template_puts_in_are_not() {
        for text in [
            "kind: Secret\ndata:\n  a: {{ .Values.a | b64enc | quote }}\n  b: \"{{ .Values.b }}\"\n",
            "kind: Secret\ndata:\n{{ toYaml .Values.data | indent 2 }}\n",
            "kind: Secret\nstringData:\n  a: |\n    user={{ .Values.user }}\n    host=db\n",
            "kind: Secret\ndata: {}\ntype: Opaque\n",
            "kind: Secret\ndata:\n  {{ $key }}: {{ $value }}\n---\nkind: ConfigMap\ndata:\n  a: b\n",
            "kind: ConfigMap\ndata:\n  a: b\n---\nkind: Secret\nmetadata: {name: {{ .x }}}\n",
            "kind: SealedSecret\nspec:\n  values:\n    a: b\n",
        ] {
            assert_eq!(lines_of(text), [], "{text}");
        }
    }
}
