/// Names a node of the [`File`](crate::File) that it came from; in another file it names another node or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// How a node is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Shape {
    Plain,
    Single,
    Double,
    Literal,
    Folded,
    Alias,
    BlockMapping,
    FlowMapping,
    /// `[key: value]`: a mapping of one entry without braces.
    Pair,
    BlockSequence,
    FlowSequence,
}

impl Shape {
    pub(crate) fn is_mapping(self) -> bool {
        matches!(self, Self::BlockMapping | Self::FlowMapping | Self::Pair)
    }

    pub(crate) fn is_sequence(self) -> bool {
        matches!(self, Self::BlockSequence | Self::FlowSequence)
    }

    pub(crate) fn is_collection(self) -> bool {
        self.is_mapping() || self.is_sequence()
    }

    pub(crate) fn is_flow(self) -> bool {
        matches!(self, Self::FlowMapping | Self::FlowSequence | Self::Pair)
    }

    pub(crate) fn is_block_text(self) -> bool {
        matches!(self, Self::Literal | Self::Folded)
    }
}

/// A node in 16 bytes. Nodes lie in document order, a collection before what it holds (of a mapping: key, value, key, …).
///
/// Millions of them may come from a hostile file, so nothing is kept that the text can tell again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Of a collection: how many nodes it is with all that it holds. Of a block text: the indentation of its lines.
    extent: u32,
    pub(crate) shape: Shape,
    /// An anchor or a tag stands before it; where is in [`Tree::properties`].
    pub(crate) has_properties: bool,
    /// A key after `?`.
    pub(crate) explicit: bool,
    /// An empty value without a colon: `{a}`.
    pub(crate) bare: bool,
}

impl Raw {
    pub(crate) fn leaf(shape: Shape, start: usize, end: usize) -> Self {
        Self {
            start: compact(start),
            end: compact(end),
            extent: 1,
            shape,
            has_properties: false,
            explicit: false,
            bare: false,
        }
    }

    pub(crate) fn span(&self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Nodes of the subtree.
    pub(crate) fn size(&self) -> usize {
        if self.shape.is_collection() { self.extent as usize } else { 1 }
    }

    pub(crate) fn set_size(&mut self, nodes: usize) {
        self.extent = compact(nodes);
    }

    /// Indentation of the lines of a block text.
    pub(crate) fn indent(&self) -> usize {
        self.extent as usize
    }

    pub(crate) fn with_indent(mut self, indent: usize) -> Self {
        self.extent = compact(indent);
        self
    }
}

/// All nodes of a file.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Raw>,
    /// Node and start of its anchor or tag, by node.
    pub(crate) properties: Vec<(u32, u32)>,
    /// Nodes whose anchor an alias uses, by node.
    pub(crate) shared: Vec<u32>,
}

impl Tree {
    pub(crate) fn get(&self, id: NodeId) -> Option<&Raw> {
        self.nodes.get(id.index())
    }

    /// Where the anchor or tag of a node starts, or the node itself.
    pub(crate) fn outer_start(&self, id: NodeId) -> usize {
        let Some(raw) = self.get(id) else { return 0 };
        if !raw.has_properties {
            return raw.start as usize;
        }
        match self.properties.binary_search_by_key(&id.0, |entry| entry.0) {
            Ok(at) => self.properties.get(at).map_or(0, |entry| entry.1 as usize),
            Err(_) => raw.start as usize,
        }
    }

    /// What a collection holds, in order: of a mapping keys and values in turn.
    pub(crate) fn children(&self, id: NodeId) -> Children<'_> {
        let (next, end) = match self.get(id) {
            Some(raw) if raw.shape.is_collection() => (id.index() + 1, id.index() + raw.size()),
            _ => (0, 0),
        };
        Children { tree: self, next, end }
    }

    /// The collection that holds a node of the document whose root is `root`.
    pub(crate) fn parent(&self, root: NodeId, id: NodeId) -> Option<NodeId> {
        let mut at = root;
        if at == id {
            return None;
        }
        loop {
            let child = self.children(at).find(|child| {
                let size = self.get(*child).map_or(1, Raw::size);
                child.index() <= id.index() && id.index() < child.index() + size
            })?;
            if child == id {
                return Some(at);
            }
            at = child;
        }
    }
}

pub(crate) struct Children<'a> {
    tree: &'a Tree,
    next: usize,
    end: usize,
}

impl Iterator for Children<'_> {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        if self.next >= self.end {
            return None;
        }
        let id = NodeId(compact(self.next));
        self.next += self.tree.get(id)?.size();
        Some(id)
    }
}

/// Offsets and counts fit, because [`MAX_BYTES`](crate::MAX_BYTES) bounds both.
pub(crate) fn compact(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}
