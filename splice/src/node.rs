use std::{borrow::Cow, collections::HashMap, ops::Range};

use crate::{
    File, NodeId, Place,
    properties::{Properties, TagKind},
    resolve,
    tree::{Raw, Shape},
};

/// A value in a [`File`]: scalar, mapping, sequence or alias.
#[derive(Debug, Clone, Copy)]
pub struct Node<'f> {
    file: &'f File<'f>,
    id: NodeId,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, number, boolean or null; an empty value too.
    Scalar,
    /// Keys with values.
    Mapping,
    /// Values in order.
    Sequence,
    /// `*name`: what the anchor of that name marks, once more. It is never expanded.
    Alias,
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Style {
    /// Without quotes.
    Plain,
    /// In single quotes.
    Single,
    /// In double quotes.
    Double,
    /// `|` and lines below.
    Literal,
    /// `>` and lines below.
    Folded,
}

impl<'f> Node<'f> {
    pub(crate) fn new(file: &'f File<'f>, id: NodeId) -> Self {
        Self { file, id }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Its own bytes, without an anchor or a tag before it. Of a collection in block style from its first key or `-` (with that
    /// key's anchor or tag) to the end of its last value; of a block text to the end of its last line, without the line break.
    /// An empty value has an empty span: right after its colon or dash, or after its anchor or tag.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.raw().map_or(0..0, Raw::span)
    }

    /// Where it begins.
    #[must_use]
    pub fn place(&self) -> Place {
        self.file.place(self.span().start)
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.shape() {
            Shape::Alias => Kind::Alias,
            shape if shape.is_mapping() => Kind::Mapping,
            shape if shape.is_sequence() => Kind::Sequence,
            _ => Kind::Scalar,
        }
    }

    /// Whether a mapping or sequence is written with brackets.
    #[must_use]
    pub fn is_flow(&self) -> bool {
        self.shape().is_flow()
    }

    /// Name of its anchor.
    #[must_use]
    pub fn anchor(&self) -> Option<&'f str> {
        self.properties().anchor
    }

    /// Its tag as written, with the `!`.
    #[must_use]
    pub fn tag(&self) -> Option<&'f str> {
        self.properties().tag
    }

    /// The name that an alias has.
    #[must_use]
    pub fn alias(&self) -> Option<&'f str> {
        let span = self.span();
        (self.shape() == Shape::Alias).then(|| self.file.slice(span.start + 1..span.end))
    }

    /// The text of a scalar, decoded; of another node its bytes.
    #[must_use]
    pub fn text(&self) -> Cow<'f, str> {
        self.file.scalar(self.id)
    }

    /// How a scalar is written; `None` for another node.
    #[must_use]
    pub fn style(&self) -> Option<Style> {
        match self.shape() {
            Shape::Plain => Some(Style::Plain),
            Shape::Single => Some(Style::Single),
            Shape::Double => Some(Style::Double),
            Shape::Literal => Some(Style::Literal),
            Shape::Folded => Some(Style::Folded),
            _ => None,
        }
    }

    /// Whether every reader takes this scalar for text: it is quoted or a block text, or neither YAML 1.2 core nor 1.1 reads it
    /// as number, boolean or null; a tag decides where there is one, and only `!!str` and `!` say text.
    #[must_use]
    pub fn is_text(&self) -> bool {
        let quoted = match self.style() {
            None => return false,
            Some(style) => style != Style::Plain,
        };
        match self.tag_kind() {
            TagKind::Text => true,
            TagKind::None => quoted || resolve::is_text(&self.text()),
            _ => false,
        }
    }

    /// Whether this is nothing: an empty value, `~` or `null`, without a tag.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.shape() == Shape::Plain
            && self.tag_kind() == TagKind::None
            && matches!(self.text().as_ref(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// A boolean that YAML 1.1 and 1.2 read alike.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        self.is_plain_or(TagKind::Bool).then(|| resolve::as_bool(&self.text())).flatten()
    }

    /// An integer that YAML 1.1 and 1.2 read alike.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        self.is_plain_or(TagKind::Integer).then(|| resolve::as_integer(&self.text())).flatten()
    }

    /// Keys and values of a mapping, in order; nothing for another node.
    pub fn entries(&self) -> impl Iterator<Item = (NodeId, NodeId)> + use<'f> {
        let mut children = self.children(self.kind() == Kind::Mapping);
        std::iter::from_fn(move || Some((children.next()?, children.next()?)))
    }

    /// Values of a sequence, in order; nothing for another node.
    pub fn items(&self) -> impl Iterator<Item = NodeId> + use<'f> {
        self.children(self.kind() == Kind::Sequence)
    }

    /// The value of a key of a mapping: the first, where it stands twice.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<NodeId> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The key and the value of a mapping's entry.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<(NodeId, NodeId)> {
        self.entries().find(|(id, _)| {
            let node = self.file.node(*id);
            node.kind() == Kind::Scalar && node.text() == key
        })
    }

    /// The first key that stands twice in a mapping: the place of the second and that of the first. Keys are compared by their
    /// decoded text; keys that are no scalars are not compared.
    #[must_use]
    pub fn duplicate_key(&self) -> Option<(Place, Place)> {
        let mut seen = HashMap::new();
        for (key, _) in self.entries() {
            let node = self.file.node(key);
            if node.kind() != Kind::Scalar {
                continue;
            }
            if let Some(first) = seen.insert(node.text(), node.span().start) {
                return Some((node.place(), self.file.place(first)));
            }
        }
        None
    }

    fn children(&self, wanted: bool) -> crate::tree::Children<'f> {
        let none = NodeId(u32::MAX);
        self.file.tree().children(if wanted { self.id } else { none })
    }

    fn is_plain_or(&self, tag: TagKind) -> bool {
        let kind = self.tag_kind();
        self.shape() == Shape::Plain && (kind == TagKind::None || kind == tag)
    }

    /// What its tag says. A `%TAG` directive may change that, so that with one no tag is trusted.
    pub(crate) fn tag_kind(&self) -> TagKind {
        let Some(tag) = self.tag() else { return TagKind::None };
        let document = self.file.document_of(self.id).and_then(|at| self.file.documents().get(at));
        let redefined = document.is_some_and(|document| {
            let before = self.file.slice(document.span().start..document.content().start);
            before.lines().any(|line| line.starts_with("%TAG"))
        });
        if redefined { TagKind::Other } else { TagKind::of(Some(tag)) }
    }

    fn properties(&self) -> Properties<'f> {
        Properties::of(self.file.text(), self.file.tree(), self.id)
    }

    pub(crate) fn raw(&self) -> Option<&'f Raw> {
        self.file.tree().get(self.id)
    }

    pub(crate) fn shape(&self) -> Shape {
        self.raw().map_or(Shape::Plain, |raw| raw.shape)
    }
}
