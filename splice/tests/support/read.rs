//! What libyaml reads, as a tree in which a test does what it asks of the crate.

use splice::{File, NodeId, Value};

use crate::{independent::Said, texts::HARD};

/// A node, without anchor and tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Read {
    /// A text, and whether it stands without quotes.
    Scalar(String, bool),
    Alias(String),
    /// Keys and values in turn.
    Mapping(Vec<Read>),
    Sequence(Vec<Read>),
}

impl Read {
    /// A new text.
    pub(crate) fn text(text: &str) -> Self {
        Self::Scalar(text.to_owned(), false)
    }

    /// A new value.
    pub(crate) fn of(value: &Value) -> Self {
        let word = |word: &str| Self::Scalar(word.to_owned(), true);
        match value {
            Value::Text(text) => Self::text(text),
            Value::Null => word("null"),
            Value::Bool(bool) => word(&bool.to_string()),
            Value::Integer(integer) => word(&integer.to_string()),
            Value::Flow(inner) | Value::Commented(_, inner) => Self::of(inner),
            Value::Sequence(items) => Self::Sequence(items.iter().map(Self::of).collect()),
            Value::Mapping(entries) => Self::Mapping(
                entries.iter().flat_map(|(key, of)| [Self::text(key), Self::of(of)]).collect(),
            ),
            _ => panic!("what is read of {value:?}?"),
        }
    }

    /// Equal but for quotes, which an easy text may have or not; hard ones have them or not as was meant.
    pub(crate) fn is(&self, meant: &Self) -> bool {
        match (self, meant) {
            (Self::Scalar(is, plain), Self::Scalar(meant, was_plain)) => {
                is == meant && (plain == was_plain || !HARD.contains(&is.as_str()))
            }
            (Self::Alias(is), Self::Alias(meant)) => is == meant,
            (Self::Mapping(is), Self::Mapping(meant))
            | (Self::Sequence(is), Self::Sequence(meant)) => are(is, meant),
            _ => false,
        }
    }
}

/// Whether all are what was meant, and no more.
pub(crate) fn are(is: &[Read], meant: &[Read]) -> bool {
    is.len() == meant.len() && is.iter().zip(meant).all(|(is, meant)| is.is(meant))
}

/// The values of all documents.
pub(crate) fn reads(said: Vec<Said>) -> Vec<Read> {
    let mut stack: Vec<(Option<Said>, Vec<Read>)> = vec![(None, Vec::new())];
    for word in said {
        let done = match word {
            Said::Document | Said::Mapping | Said::Sequence => {
                stack.push((Some(word), Vec::new()));
                continue;
            }
            Said::Scalar(text, plain) => Read::Scalar(text, plain),
            Said::Alias(name) => Read::Alias(name),
            Said::End => match stack.pop().expect("an open one") {
                (Some(Said::Mapping), of) => Read::Mapping(of),
                (Some(Said::Sequence), of) => Read::Sequence(of),
                (_, mut of) => of.remove(0),
            },
        };
        stack.last_mut().expect("the outermost").1.push(done);
    }
    stack.pop().expect("the outermost").1
}

/// All nodes that are values, with the way to them from the document: positions among children.
pub(crate) fn values(file: &File<'_>) -> Vec<(NodeId, Vec<usize>)> {
    fn walk(file: &File<'_>, id: NodeId, way: &[usize], out: &mut Vec<(NodeId, Vec<usize>)>) {
        out.push((id, way.to_vec()));
        let node = file.node(id);
        for (at, (_, value)) in node.entries().enumerate() {
            walk(file, value, &[way, &[2 * at + 1]].concat(), out);
        }
        for (at, item) in node.items().enumerate() {
            walk(file, item, &[way, &[at]].concat(), out);
        }
    }
    let mut out = Vec::new();
    for (index, document) in file.documents().iter().enumerate() {
        if let Some(root) = document.root() {
            walk(file, root, &[index], &mut out);
        }
    }
    out
}

/// The node at the end of a way.
pub(crate) fn at<'r>(reads: &'r mut [Read], way: &[usize]) -> &'r mut Read {
    let (first, rest) = way.split_first().expect("a way");
    rest.iter().fold(&mut reads[*first], |read, step| match read {
        Read::Mapping(of) | Read::Sequence(of) => &mut of[*step],
        _ => panic!("the readers disagree about {way:?}"),
    })
}
