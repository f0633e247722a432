use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::{DataKey, Opened, Plaintext};

/// The most bytes that the values and what all of `template.data` becomes may have together, judged on what the values could be at most.
/// It is what an API server takes: were it judged there, text of the right length beside a value, or around `quote`, would tell of it.
const MAX_RENDERED: usize = 1_048_576;

/// What a Secret has besides values, in clear text. Its type is bound to the values; the rest may be edited by whoever may edit the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    /// The type; `Opaque` where it is not written.
    pub secret_type: Option<String>,
    /// Whether the Secret may not be changed.
    pub immutable: Option<bool>,
    /// Labels of the Secret.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Secret.
    pub annotations: BTreeMap<String, String>,
    /// Texts in which `{{ key }}`, `{{ key | base64 }}` and `{{ key | quote }}` stand for values.
    pub data: BTreeMap<DataKey, String>,
}

/// Why a template is refused: for its text and the names of the values, never for what they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template of {key}, line {line}: {why}")]
pub struct TemplateError {
    /// Whose template.
    pub key: DataKey,
    /// In which line of it, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub why: TemplateErrorKind,
}

/// What is wrong with a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateErrorKind {
    /// An open brace that is not closed.
    #[error("'{{{{' is not closed; a literal one is written {{{{ \"{{{{\" }}}}")]
    Open,
    /// What stands between the braces is no expression.
    #[error(
        "between the braces stands neither a key, nor a key and | base64 or | quote, nor \"{{{{\""
    )]
    Expression,
    /// A key that is not among the values.
    #[error("it names a key that is not among the values")]
    NoKey,
    /// It could become too long.
    #[error("with it, the values and what the template makes could be over 1,048,576 bytes")]
    TooLong,
}

impl Template {
    /// The type of the Secret.
    #[must_use]
    pub fn secret_type(&self) -> &str {
        self.secret_type.as_deref().unwrap_or("Opaque")
    }

    /// Whether every text can be rendered with values of these keys.
    ///
    /// # Errors
    /// The first that cannot.
    pub fn check(&self, lengths: &BTreeMap<&str, usize>) -> Result<(), TemplateError> {
        self.parse_data(lengths).map(drop)
    }

    /// Takes all texts apart. `lengths`: of each value, the most bytes that it can have.
    pub(crate) fn parse_data<'t>(
        &'t self,
        lengths: &BTreeMap<&str, usize>,
    ) -> Result<Vec<(&'t DataKey, Parts<'t>)>, TemplateError> {
        let values = lengths.values().fold(0, |sum: usize, len| sum.saturating_add(*len));
        let mut left = MAX_RENDERED.saturating_sub(values);
        self.data
            .iter()
            .map(|(key, text)| {
                let parts = Parts::parse(key, text)?;
                for (line, part) in &parts.0 {
                    let error = |why| TemplateError { key: key.clone(), line: *line, why };
                    let len = part
                        .len_at_most(|key| lengths.get(key).copied())
                        .ok_or_else(|| error(TemplateErrorKind::NoKey))?;
                    left =
                        left.checked_sub(len).ok_or_else(|| error(TemplateErrorKind::TooLong))?;
                }
                Ok((key, parts))
            })
            .collect()
    }
}

/// A text, taken apart: each part with its line.
pub(crate) struct Parts<'t>(Vec<(usize, Part<'t>)>);

enum Part<'t> {
    Text(&'t str),
    Value(&'t str, Form),
}

#[derive(Clone, Copy)]
enum Form {
    Bytes,
    Base64,
    Quote,
}

impl<'t> Parts<'t> {
    fn parse(key: &DataKey, text: &'t str) -> Result<Self, TemplateError> {
        let (mut parts, mut rest, mut line) = (Vec::new(), text, 1);
        while let Some((before, after)) = rest.split_once("{{") {
            parts.push((line, Part::Text(before)));
            line += before.matches('\n').count();
            let error = |why| TemplateError { key: key.clone(), line, why };
            let (part, len) = expression(after).map_err(error)?;
            parts.push((line, part));
            let (inside, behind) = after.split_at(len);
            line += inside.matches('\n').count();
            rest = behind;
        }
        parts.push((line, Part::Text(rest)));
        Ok(Self(parts))
    }

    /// The text with the values in it. Values that are not there were refused when it was parsed.
    pub(crate) fn render(&self, values: &Opened) -> Plaintext {
        let bytes = |key: &str| values.get(key).map_or(&[][..], Plaintext::expose_secret);
        let len = |key: &str| Some(bytes(key).len());
        let len = self.0.iter().filter_map(|(_, part)| part.len_at_most(len)).sum();
        // It never grows, so no copy is left behind.
        let mut out = Zeroizing::new(Vec::with_capacity(len));
        for (_, part) in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Value(key, Form::Bytes) => out.extend_from_slice(bytes(key)),
                Part::Value(key, Form::Base64) => {
                    let text = Zeroizing::new(data_encoding::BASE64.encode(bytes(key)));
                    out.extend_from_slice(text.as_bytes());
                }
                Part::Value(key, Form::Quote) => quote(&mut out, bytes(key)),
            }
        }
        out.into()
    }
}

impl Part<'_> {
    /// The most bytes that it becomes; `None` where it names a key that is not there.
    fn len_at_most(&self, value: impl Fn(&str) -> Option<usize>) -> Option<usize> {
        Some(match self {
            Self::Text(text) => text.len(),
            Self::Value(key, Form::Bytes) => value(key)?,
            Self::Value(key, Form::Base64) => data_encoding::BASE64.encode_len(value(key)?),
            // A control character becomes six, and the quotes two.
            Self::Value(key, Form::Quote) => value(key)?.saturating_mul(6).saturating_add(2),
        })
    }
}

/// What stands behind `{{`, and how long it is with its `}}`.
fn expression(text: &str) -> Result<(Part<'_>, usize), TemplateErrorKind> {
    let literal = text.trim_start_matches(is_blank);
    if let Some(behind) = literal.strip_prefix("\"{{\"") {
        let behind = behind.trim_start_matches(is_blank);
        let (between, rest) = behind.split_once("}}").ok_or(TemplateErrorKind::Open)?;
        if !between.is_empty() {
            return Err(TemplateErrorKind::Expression);
        }
        return Ok((Part::Text("{{"), text.len() - rest.len()));
    }
    let (inside, rest) = text.split_once("}}").ok_or(TemplateErrorKind::Open)?;
    let (key, form) = match inside.split_once('|') {
        None => (inside, Form::Bytes),
        Some((key, function)) => match function.trim_matches(is_blank) {
            "base64" => (key, Form::Base64),
            "quote" => (key, Form::Quote),
            _ => return Err(TemplateErrorKind::Expression),
        },
    };
    let key = key.trim_matches(is_blank);
    DataKey::parse(key).ok_or(TemplateErrorKind::Expression)?;
    Ok((Part::Value(key, form), text.len() - rest.len()))
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

/// A JSON string, which YAML reads too: RFC 8259, section 7, with the short escapes. What is no UTF-8 becomes U+FFFD.
fn quote(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut write = |text: &str| {
        #[expect(clippy::expect_used, reason = "text is written to memory")]
        serde_json::to_writer(&mut *out, text).expect("a string is JSON");
    };
    match str::from_utf8(bytes) {
        Ok(text) => write(text),
        Err(_) => {
            // `String::from_utf8_lossy` would grow, and leave copies behind. A byte becomes three at most.
            let mut text = Zeroizing::new(String::with_capacity(bytes.len().saturating_mul(3)));
            for chunk in bytes.utf8_chunks() {
                text.push_str(chunk.valid());
                if !chunk.invalid().is_empty() {
                    text.push(char::REPLACEMENT_CHARACTER);
                }
            }
            write(&text);
        }
    }
}
