use crate::{error::Trouble, scalar};

/// Something to be written.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Text: quoted where a reader could take it for anything else.
    Text(String),
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Keys with values, in this order.
    Mapping(Vec<(String, Value)>),
    /// Items, in this order.
    Sequence(Vec<Value>),
    /// The same on one line, with braces or brackets.
    Flow(Box<Value>),
}

impl Value {
    /// A mapping.
    pub fn mapping<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        Self::Mapping(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// A sequence.
    pub fn sequence(items: impl IntoIterator<Item = Value>) -> Self {
        Self::Sequence(items.into_iter().collect())
    }

    /// The same, on one line.
    #[must_use]
    pub fn flow(self) -> Self {
        Self::Flow(Box::new(self))
    }
}

/// A document of its own, as YAML, with the end of its last line.
#[must_use]
pub fn render(value: &Value) -> String {
    block(value, 0, "\n").trim_start_matches('\n').to_owned() + "\n"
}

/// The same as JSON, with two blanks a level.
#[must_use]
pub fn render_json(value: &Value) -> String {
    json(value, Some(0), "\n") + "\n"
}

/// What stands behind `key:` or `-`, with the blank or line end before it, its lines indented by `indent`. Without a last line end.
pub(crate) fn block(value: &Value, indent: usize, line_end: &str) -> String {
    let lines = |lines: Vec<String>| {
        lines
            .iter()
            .map(|line| format!("{line_end}{}{line}", " ".repeat(indent)))
            .collect::<String>()
    };
    match value {
        Value::Mapping(entries) if !entries.is_empty() => lines(
            entries
                .iter()
                .map(|(name, value)| {
                    format!("{}:{}", key(name), block(value, indent + deeper(value), line_end))
                })
                .collect(),
        ),
        Value::Sequence(items) if !items.is_empty() => {
            lines(items.iter().map(|item| self::item(item, indent, line_end)).collect())
        }
        Value::Text(text) => match scalar::literal(text, indent.max(1), line_end) {
            Some(literal) => format!(" {literal}"),
            None => format!(" {}", flow(value)),
        },
        _ => format!(" {}", flow(value)),
    }
}

/// An item of a block sequence whose dash is in column `indent`, from the dash on.
pub(crate) fn item(value: &Value, indent: usize, line_end: &str) -> String {
    let text = block(value, indent + 2, line_end);
    // A mapping or sequence begins on the line of the dash.
    let inline = text.strip_prefix(line_end).map(|text| text.trim_start_matches(' ').to_owned());
    match (value, inline) {
        (Value::Mapping(_) | Value::Sequence(_), Some(inline)) => format!("- {inline}"),
        _ => format!("-{text}"),
    }
}

/// How much deeper what stands behind a key is: sequences stand below their key, as kubectl writes them.
pub(crate) fn deeper(value: &Value) -> usize {
    if matches!(value, Value::Sequence(_)) { 0 } else { 2 }
}

/// On one line.
pub(crate) fn flow(value: &Value) -> String {
    match value {
        Value::Text(text) => plain_or_quoted(text),
        Value::Bool(truth) => truth.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Mapping(entries) => {
            let entries: Vec<_> = entries
                .iter()
                .map(|(name, value)| format!("{}: {}", key(name), flow(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Sequence(items) => {
            format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", "))
        }
        Value::Flow(value) => flow(value),
    }
}

/// As JSON: on lines of its own from `indent` on, or on one line.
pub(crate) fn json(value: &Value, indent: Option<usize>, line_end: &str) -> String {
    let deeper = indent.map(|indent| indent + 2);
    let (before, behind, between) = match (indent, deeper) {
        (Some(indent), Some(deeper)) => (
            format!("{line_end}{}", " ".repeat(deeper)),
            format!("{line_end}{}", " ".repeat(indent)),
            format!(",{line_end}{}", " ".repeat(deeper)),
        ),
        _ => (String::new(), String::new(), ", ".to_owned()),
    };
    match value {
        Value::Text(text) => scalar::double(text),
        Value::Bool(truth) => truth.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Mapping(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Sequence(items) if items.is_empty() => "[]".to_owned(),
        Value::Mapping(entries) => {
            let entry = |(name, value): &(String, Value)| {
                format!("{}: {}", scalar::double(name), json(value, deeper, line_end))
            };
            format!(
                "{{{before}{}{behind}}}",
                entries.iter().map(entry).collect::<Vec<_>>().join(&between)
            )
        }
        Value::Sequence(items) => {
            let items: Vec<_> = items.iter().map(|item| json(item, deeper, line_end)).collect();
            format!("[{before}{}{behind}]", items.join(&between))
        }
        Value::Flow(value) => json(value, None, line_end),
    }
}

/// A key, in a block or in a flow.
pub(crate) fn key(name: &str) -> String {
    plain_or_quoted(name)
}

fn plain_or_quoted(text: &str) -> String {
    if scalar::can_be_plain(text) { text.to_owned() } else { scalar::double(text) }
}

impl Value {
    /// Whether no mapping in it has a key twice.
    pub(crate) fn check(&self) -> Result<(), Trouble> {
        match self {
            Self::Mapping(entries) => {
                let mut names: Vec<_> = entries.iter().map(|(name, _)| name).collect();
                names.sort();
                if names.array_windows().any(|[a, b]| a == b) {
                    return Err(Trouble::DuplicateKey);
                }
                entries.iter().try_for_each(|(_, value)| value.check())
            }
            Self::Sequence(items) => items.iter().try_for_each(Self::check),
            Self::Flow(value) => value.check(),
            _ => Ok(()),
        }
    }
}
