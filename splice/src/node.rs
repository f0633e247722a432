use std::{borrow::Cow, ops::Range};

use crate::{Place, scalar};

/// A node of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, a number, nothing.
    Scalar,
    /// Keys with values.
    Mapping,
    /// Items.
    Sequence,
    /// A name for a node elsewhere. Never followed.
    Alias,
}

/// How a node is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Single,
    Double,
    /// `|` or `>`.
    Block,
    BlockMapping,
    FlowMapping,
    BlockSequence,
    FlowSequence,
    Alias,
}

/// A node, 24 bytes. Nodes lie in the order of the file, each before its children.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw {
    /// Where it begins, with anchor and tag.
    pub(crate) outer: u32,
    /// Where it begins without them.
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// The node behind its last child.
    pub(crate) next: u32,
    pub(crate) style: Style,
    /// Its text is not what stands between start and end.
    pub(crate) decoded: bool,
    pub(crate) tag: Tag,
}

/// What a tag says of a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    None,
    Text,
    Other,
}

/// A document of a file.
#[derive(Debug, Clone)]
pub struct Document {
    pub(crate) root: Option<NodeId>,
    pub(crate) span: Range<usize>,
}

impl Document {
    /// Its root; `None` where it is empty.
    #[must_use]
    pub fn root(&self) -> Option<NodeId> {
        self.root
    }

    /// Its bytes, without the markers around it.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }
}

/// A file, taken apart.
#[derive(Debug)]
pub struct File<'a> {
    pub(crate) text: &'a str,
    pub(crate) nodes: Vec<Raw>,
    pub(crate) documents: Vec<Document>,
    /// Texts that are written otherwise than they read, by node.
    pub(crate) texts: Vec<(NodeId, Box<str>)>,
    /// Nodes with an anchor that an alias names.
    pub(crate) aliased: Vec<NodeId>,
}

impl<'a> File<'a> {
    /// The whole file.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Its documents.
    #[must_use]
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// A node.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Node<'_> {
        Node { file: self, id, raw: self.raw(id) }
    }

    /// The keys and values of a mapping, in its order; none of anything else.
    pub fn entries(&self, id: NodeId) -> impl Iterator<Item = (NodeId, NodeId)> {
        let is_mapping = self.node(id).kind() == Kind::Mapping;
        let mut children = self.children(id).filter(move |_| is_mapping);
        std::iter::from_fn(move || Some((children.next()?, children.next()?)))
    }

    /// The items of a sequence; none of anything else.
    pub fn items(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let is_sequence = self.node(id).kind() == Kind::Sequence;
        self.children(id).filter(move |_| is_sequence)
    }

    /// The value of a key whose text is `name`: the first, where it stands twice.
    #[must_use]
    pub fn field(&self, id: NodeId, name: &str) -> Option<NodeId> {
        self.entries(id).find(|(key, _)| self.is_named(*key, name)).map(|(_, value)| value)
    }

    /// The text of a field, where it is text.
    #[must_use]
    pub fn field_text(&self, id: NodeId, name: &str) -> Option<Cow<'_, str>> {
        let node = self.node(self.field(id, name)?);
        node.is_text().then(|| node.text())
    }

    /// A key that stands twice in a mapping: the place of the second, and of the first.
    #[must_use]
    pub fn duplicate_key(&self, id: NodeId) -> Option<(Place, Place)> {
        let mut keys: Vec<_> =
            self.entries(id).map(|(key, _)| (self.node(key).text(), key)).collect();
        keys.sort();
        keys.array_windows().find(|[(a, _), (b, _)]| a == b).map(|[(_, first), (_, second)]| {
            (self.node(*second).place(), self.node(*first).place())
        })
    }

    /// Where a byte is.
    #[must_use]
    pub fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset.min(self.text.len())).unwrap_or(self.text);
        let line = before.rsplit_once('\n').map_or(before, |(_, line)| line);
        Place {
            line: before.matches('\n').count() + 1,
            column: line.trim_start_matches('\u{feff}').chars().count() + 1,
        }
    }

    pub(crate) fn is_named(&self, key: NodeId, name: &str) -> bool {
        let node = self.node(key);
        node.kind() == Kind::Scalar && node.text() == name
    }

    pub(crate) fn raw(&self, id: NodeId) -> Raw {
        self.nodes.get(id.0 as usize).copied().unwrap_or(NOTHING)
    }

    pub(crate) fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let raw = self.raw(id);
        let mut next = id.0 + 1;
        std::iter::from_fn(move || {
            let child = NodeId(next);
            (next < raw.next).then(|| {
                next = self.raw(child).next.max(next + 1);
                child
            })
        })
    }

    /// The dash that an item of a block sequence stands behind.
    pub(crate) fn dash_before(&self, item: usize) -> Option<usize> {
        let mut at = item;
        while at > 0 {
            match self.text.as_bytes().get(at - 1)? {
                b'-' => return Some(at - 1),
                byte if byte.is_ascii_whitespace() => at -= 1,
                // A line of comment between the dash and its item.
                _ => {
                    let line = self.line_start(at);
                    let comment = self.text.get(line..at).and_then(|line| line.find('#'))?;
                    at = line + comment;
                }
            }
        }
        None
    }

    /// Where the line of a byte begins.
    pub(crate) fn line_start(&self, at: usize) -> usize {
        self.text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
    }

    /// Where the next line begins, or the end of the file.
    pub(crate) fn next_line(&self, at: usize) -> usize {
        self.text
            .get(at..)
            .and_then(|rest| rest.find('\n'))
            .map_or(self.text.len(), |len| at + len + 1)
    }

    /// The nodes from the root of a document down to `id`, with it.
    pub(crate) fn path(&self, id: NodeId) -> Vec<NodeId> {
        let root = self
            .documents
            .iter()
            .filter_map(|document| document.root)
            .find(|root| self.holds(*root, id));
        let mut out: Vec<_> = root.into_iter().collect();
        while let Some(at) = out.last().copied().filter(|at| *at != id) {
            match self.children(at).find(|child| self.holds(*child, id)) {
                Some(child) => out.push(child),
                None => break,
            }
        }
        out
    }

    pub(crate) fn holds(&self, outer: NodeId, id: NodeId) -> bool {
        outer <= id && id.0 < self.raw(outer).next
    }
}

/// What a number that is no node of this file stands for.
const NOTHING: Raw = Raw {
    outer: 0,
    start: 0,
    end: 0,
    next: 0,
    style: Style::Plain,
    decoded: false,
    tag: Tag::None,
};

/// A node, looked at.
#[derive(Debug, Clone, Copy)]
pub struct Node<'f> {
    file: &'f File<'f>,
    id: NodeId,
    raw: Raw,
}

impl<'f> Node<'f> {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.raw.style {
            Style::Plain | Style::Single | Style::Double | Style::Block => Kind::Scalar,
            Style::BlockMapping | Style::FlowMapping => Kind::Mapping,
            Style::BlockSequence | Style::FlowSequence => Kind::Sequence,
            Style::Alias => Kind::Alias,
        }
    }

    /// Its bytes, without anchor and tag.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.raw.start as usize..self.raw.end as usize
    }

    /// Where it begins.
    #[must_use]
    pub fn place(&self) -> Place {
        self.file.place(self.raw.start as usize)
    }

    /// The text of a scalar, as it reads; empty for anything else.
    #[must_use]
    pub fn text(&self) -> Cow<'f, str> {
        if self.kind() != Kind::Scalar {
            return Cow::Borrowed("");
        }
        if self.raw.decoded {
            let at = self.file.texts.binary_search_by_key(&self.id, |(id, _)| *id);
            return Cow::Borrowed(
                at.ok().and_then(|at| self.file.texts.get(at)).map_or("", |(_, text)| text),
            );
        }
        let text = self.file.text.get(self.span()).unwrap_or_default();
        let quoted = matches!(self.raw.style, Style::Single | Style::Double);
        Cow::Borrowed(if quoted {
            text.get(1..text.len().saturating_sub(1)).unwrap_or_default()
        } else {
            text
        })
    }

    /// Whether every reader takes it for text: quoted, a block, tagged so, or plain and neither a number, a boolean nor nothing in
    /// YAML 1.1 and in the core schema of 1.2.
    #[must_use]
    pub fn is_text(&self) -> bool {
        match (self.kind(), self.raw.tag) {
            (Kind::Scalar, Tag::Text) => true,
            (Kind::Scalar, Tag::None) => {
                self.raw.style != Style::Plain || scalar::is_text(&self.text())
            }
            _ => false,
        }
    }

    /// Nothing at all: empty, `~` or `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.is_plain() && matches!(&*self.text(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// `true` or `false`, where both versions of YAML agree.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match &*self.text() {
            "true" | "True" | "TRUE" if self.is_plain() => Some(true),
            "false" | "False" | "FALSE" if self.is_plain() => Some(false),
            _ => None,
        }
    }

    /// A whole number, where both versions of YAML agree: digits without a leading zero.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        let text = self.text();
        let digits = text.strip_prefix('-').unwrap_or(&text);
        let canonical = digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'));
        (self.is_plain() && canonical).then(|| text.parse().ok()).flatten()
    }

    fn is_plain(&self) -> bool {
        self.raw.style == Style::Plain && self.raw.tag == Tag::None
    }
}
