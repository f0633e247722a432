//! Trees without layout: what a file says, and what it is to say after an edit.

use crate::{File, Kind, NodeId, Value, node::Tag};

/// What a node says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plain {
    /// Its text, whether every reader takes it for text, and whether it has a tag of its own.
    Scalar(String, bool, bool),
    Mapping(Vec<(Plain, Said)>),
    Sequence(Vec<Said>),
    Alias(String),
}

/// What a node says, and which node of the file before the edit it was.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) was: Option<NodeId>,
    pub(crate) plain: Plain,
}

impl PartialEq for Said {
    fn eq(&self, other: &Self) -> bool {
        self.plain == other.plain
    }
}

impl Said {
    /// What a node of a file says.
    pub(crate) fn of(file: &File<'_>, id: NodeId) -> Self {
        let node = file.node(id);
        let raw = file.raw(id);
        let plain = match node.kind() {
            Kind::Scalar => {
                Plain::Scalar(node.text().into_owned(), node.is_text(), raw.tag == Tag::Other)
            }
            Kind::Mapping => Plain::Mapping(
                file.entries(id)
                    .map(|(key, value)| (Self::of(file, key).plain, Self::of(file, value)))
                    .collect(),
            ),
            Kind::Sequence => {
                Plain::Sequence(file.items(id).map(|item| Self::of(file, item)).collect())
            }
            Kind::Alias => Plain::Alias(file.text.get(node.span()).unwrap_or_default().to_owned()),
        };
        Self { was: Some(id), plain }
    }

    /// What a value says when it is written.
    pub(crate) fn new(value: &Value) -> Self {
        Self { was: None, plain: Plain::new(value) }
    }

    /// The part that was this node.
    pub(crate) fn find(&mut self, path: &[NodeId]) -> Option<&mut Self> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        match &mut self.plain {
            Plain::Mapping(entries) => {
                entries.iter_mut().find(|(_, said)| said.was == Some(*first))?.1.find(rest)
            }
            Plain::Sequence(items) => {
                items.iter_mut().find(|said| said.was == Some(*first))?.find(rest)
            }
            _ => None,
        }
    }
}

impl Plain {
    fn new(value: &Value) -> Self {
        match value {
            Value::Text(text) => Self::Scalar(text.clone(), true, false),
            Value::Bool(truth) => Self::Scalar(truth.to_string(), false, false),
            Value::Integer(number) => Self::Scalar(number.to_string(), false, false),
            Value::Mapping(entries) => Self::Mapping(
                entries.iter().map(|(key, value)| (Self::key(key), Said::new(value))).collect(),
            ),
            Value::Sequence(items) => Self::Sequence(items.iter().map(Said::new).collect()),
            Value::Flow(value) => Self::new(value),
        }
    }

    pub(crate) fn key(name: &str) -> Self {
        Self::Scalar(name.to_owned(), true, false)
    }
}
