//! Another reader of YAML: `libyaml-safer`, a port of libyaml, which go-yaml (kubectl) and PyYAML are made of too.

use libyaml_safer::{EventData, Parser, ScalarStyle};
use splice::{File, Kind, NodeId, Style};

/// What a reader says, one after the other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Document,
    /// A text, and whether it stands without quotes.
    Scalar(String, bool),
    Alias(String),
    Mapping,
    Sequence,
    End,
}

/// What libyaml reads; `None` where it refuses.
pub(crate) fn libyaml(text: &str) -> Option<Vec<Said>> {
    let mut input = text.as_bytes();
    let mut parser = Parser::new();
    parser.set_input(&mut input);
    let mut said = Vec::new();
    loop {
        match parser.parse().ok()?.data {
            EventData::StreamStart { .. } => {}
            EventData::StreamEnd => return Some(said),
            EventData::DocumentStart { .. } => said.push(Said::Document),
            EventData::Alias { anchor } => said.push(Said::Alias(anchor)),
            EventData::Scalar { value, style, .. } => {
                said.push(Said::Scalar(value, style == ScalarStyle::Plain));
            }
            EventData::SequenceStart { .. } => said.push(Said::Sequence),
            EventData::MappingStart { .. } => said.push(Said::Mapping),
            EventData::SequenceEnd | EventData::MappingEnd | EventData::DocumentEnd { .. } => {
                said.push(Said::End);
            }
        }
    }
}

/// With a line break at its end: libyaml-safer panics at a block text that ends with the file.
pub(crate) fn ended(text: &str) -> String {
    if text.ends_with(['\n', '\r']) { text.to_owned() } else { [text, "\n"].concat() }
}

/// What this crate reads.
pub(crate) fn ours(file: &File<'_>) -> Vec<Said> {
    let mut said = Vec::new();
    for document in file.documents() {
        said.push(Said::Document);
        match document.root() {
            Some(root) => tell(file, root, &mut said),
            None => said.push(Said::Scalar(String::new(), true)),
        }
        said.push(Said::End);
    }
    said
}

fn tell(file: &File<'_>, id: NodeId, said: &mut Vec<Said>) {
    let node = file.node(id);
    match node.kind() {
        Kind::Scalar => {
            said.push(Said::Scalar(node.text().into_owned(), node.style() == Some(Style::Plain)));
        }
        Kind::Alias => said.push(Said::Alias(node.alias().unwrap_or_default().to_owned())),
        Kind::Mapping => {
            said.push(Said::Mapping);
            for (key, value) in node.entries() {
                tell(file, key, said);
                tell(file, value, said);
            }
            said.push(Said::End);
        }
        Kind::Sequence => {
            said.push(Said::Sequence);
            for item in node.items() {
                tell(file, item, said);
            }
            said.push(Said::End);
        }
    }
}
