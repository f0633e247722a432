//! The check that is always on: what was written must read as what was meant.

use std::{collections::BTreeMap, ops::Range};

use crate::{
    File, Kind, NodeId, Refusal, SpliceError, Value,
    edit::{Change, Entries, Whole},
    neighbourhood::Neighbourhood,
    tree::{Shape, compact},
};

/// The old file with what was to change in it.
pub(crate) struct Proof<'p> {
    pub(crate) file: &'p File<'p>,
    pub(crate) changes: &'p BTreeMap<NodeId, Change>,
    pub(crate) documents: &'p BTreeMap<usize, Whole>,
}

/// A child of a collection as it must be now.
enum Expected<'p> {
    Old(NodeId),
    Key(&'p str, Option<NodeId>),
    New(&'p Value),
}

impl Proof<'_> {
    /// Reads the new text of a document, or of the entry in it that holds all changes, and compares it. What did not change needs
    /// no reading: its bytes are the old ones. Documents are separated by marker lines alone; for entries see [`Neighbourhood`].
    pub(crate) fn check(
        &self,
        index: usize,
        touched: &Range<usize>,
        text: &str,
    ) -> Result<(), SpliceError> {
        if self.near(index, touched, text).is_some() {
            return Ok(());
        }
        let Some(old) = self.file.documents().get(index) else { return Err(self.unproven(0)) };
        let start =
            old.root().map_or(old.content().start, |root| self.file.node(root).span().start);
        let new = crate::parse(text.as_bytes()).map_err(|_| self.unproven(start))?;
        let [document] = new.documents() else { return Err(self.unproven(start)) };
        if document.is_explicit() != old.is_explicit() {
            return Err(self.unproven(start));
        }
        let same = match self.documents.get(&index) {
            Some(Whole::Value(value)) => {
                document.root().is_some_and(|root| equals(&new, root, value))
            }
            Some(Whole::Text(text)) => {
                let Ok(meant) = crate::parse(text.as_bytes()) else {
                    return Err(self.unproven(start));
                };
                let root = meant.documents().first().and_then(crate::Document::root);
                let unchanged = BTreeMap::new();
                let proof = Proof { file: &meant, changes: &unchanged, documents: self.documents };
                match (root, document.root()) {
                    (Some(old), Some(root)) => proof.agrees(old, &new, root).is_ok(),
                    (old, root) => old.is_none() && root.is_none(),
                }
            }
            None => match (old.root(), document.root()) {
                (Some(old), Some(root)) => self.agrees(old, &new, root).is_ok(),
                (old, root) => old.is_none() && root.is_none(),
            },
        };
        if same { Ok(()) } else { Err(self.blame(old.root(), &new, document.root(), start)) }
    }

    /// Proves it by reading one entry only. `None` says nothing: then the whole document decides.
    fn near(&self, index: usize, touched: &Range<usize>, text: &str) -> Option<()> {
        let document = self.file.documents().get(index)?;
        let span = document.span();
        let before = self.file.slice(span.start..document.content().start);
        if self.documents.contains_key(&index)
            || before.contains('%')
            || before.contains('\u{feff}')
        {
            return None;
        }
        let root = document.root()?;
        let size = self.file.tree().get(root)?.size();
        let end = NodeId(root.0.saturating_add(compact(size)));
        let mut changed = self.changes.range(root..end).map(|(id, _)| *id);
        let first = changed.next()?;
        let last = changed.next_back().unwrap_or(first);
        let near = Neighbourhood::find(self.file, root, (first, last), touched)?;
        let lines =
            near.lines.start - span.start..text.len().checked_sub(span.end - near.lines.end)?;
        let lines = text.get(lines)?;
        let to_the_end = near.lines.end == self.file.text().len();
        if lines.starts_with('\u{feff}') || !(to_the_end || lines.ends_with(['\n', '\r'])) {
            return None;
        }

        let new = crate::parse(lines.as_bytes()).ok()?;
        let [document] = new.documents() else { return None };
        let is = document.root().filter(|_| !document.is_explicit())?;
        let (was, is_raw) = (self.file.tree().get(near.collection)?, new.tree().get(is)?);
        let key_start = near.key.map(|key| self.file.tree().outer_start(key));
        let column = key_start.map_or_else(
            || self.file.slice(near.lines.clone()).bytes().take_while(|byte| *byte == b' ').count(),
            |start| start - near.lines.start,
        );
        if is_raw.shape != was.shape || is_raw.start as usize != column || is_raw.has_properties {
            return None;
        }
        let mut children = new.tree().children(is);
        if let Some(key) = near.key {
            self.agrees(key, &new, children.next()?).ok()?;
        }
        self.agrees(near.value, &new, children.next()?).ok()?;
        children.next().is_none().then_some(())
    }

    pub(crate) fn unproven(&self, at: usize) -> SpliceError {
        SpliceError { place: self.file.place(at), refusal: Refusal::Unproven }
    }

    fn blame(
        &self,
        old: Option<NodeId>,
        new: &File<'_>,
        root: Option<NodeId>,
        start: usize,
    ) -> SpliceError {
        let at = match (old, root) {
            (Some(old), Some(root)) if self.documents.is_empty() => {
                self.agrees(old, new, root).err()
            }
            _ => None,
        };
        self.unproven(at.map_or(start, |id| self.file.node(id).span().start))
    }

    /// Whether a node is what an old one became; the error is where it is not.
    fn agrees(&self, old: NodeId, new: &File<'_>, id: NodeId) -> Result<(), NodeId> {
        let (was, is) = (self.file.node(old), new.node(id));
        let ensure = |good: bool| if good { Ok(()) } else { Err(old) };
        ensure(was.anchor() == is.anchor() && was.tag() == is.tag())?;
        match self.changes.get(&old) {
            Some(Change::Text(text)) => ensure(is.is_text() && is.text() == *text),
            Some(Change::Value(value)) => ensure(equals(new, id, value)),
            Some(Change::Entries(entries)) => {
                let expected = self.expected(old, entries);
                let mapping = was.kind() == Kind::Mapping
                    || entries.inserted.iter().any(|new| new.key.is_some());
                ensure(is.kind() == if mapping { Kind::Mapping } else { Kind::Sequence })?;
                ensure(is.duplicate_key().is_none())?;
                let mut children = new.tree().children(id);
                for child in expected {
                    let Some(id) = children.next() else { return Err(old) };
                    match child {
                        Expected::Old(child) => self.agrees(child, new, id)?,
                        Expected::New(value) => ensure(equals(new, id, value))?,
                        Expected::Key(key, was) => {
                            let is = new.node(id);
                            let was = was.map(|was| self.file.node(was));
                            let marks =
                                (was.and_then(|was| was.anchor()), was.and_then(|was| was.tag()));
                            ensure(
                                is.is_text()
                                    && is.text() == key
                                    && marks == (is.anchor(), is.tag()),
                            )?;
                        }
                    }
                }
                ensure(children.next().is_none())
            }
            None => {
                ensure(was.shape() == is.shape())?;
                match was.shape() {
                    shape if shape.is_collection() => {
                        let mut children = new.tree().children(id);
                        for child in self.file.tree().children(old) {
                            let Some(id) = children.next() else { return Err(old) };
                            self.agrees(child, new, id)?;
                        }
                        ensure(children.next().is_none())
                    }
                    Shape::Alias => ensure(was.alias() == is.alias()),
                    _ => ensure(was.text() == is.text()),
                }
            }
        }
    }

    fn expected<'e>(&self, old: NodeId, entries: &'e Entries) -> Vec<Expected<'e>> {
        let mut out = Vec::new();
        let insert = |out: &mut Vec<Expected<'e>>, after: Option<usize>| {
            for new in entries.inserted.iter().filter(|new| new.after == after) {
                if let Some(key) = &new.key {
                    out.push(Expected::Key(key, None));
                }
                out.push(Expected::New(&new.value));
            }
        };
        insert(&mut out, None);
        let mapping = self.file.node(old).kind() == Kind::Mapping;
        let mut children = self.file.tree().children(old);
        let mut index = 0;
        while let Some(child) = children.next() {
            let value = if mapping { children.next() } else { None };
            if !entries.removed.contains(&index) {
                match entries.renamed.get(&index) {
                    Some(new) => out.push(Expected::Key(new, Some(child))),
                    None => out.push(Expected::Old(child)),
                }
                out.extend(value.map(Expected::Old));
            }
            insert(&mut out, Some(index));
            index += 1;
        }
        out
    }
}

/// Whether a node is exactly this value.
fn equals(file: &File<'_>, id: NodeId, value: &Value) -> bool {
    let node = file.node(id);
    match value {
        Value::Text(text) => node.is_text() && node.text() == *text,
        Value::Null => node.is_null(),
        Value::Bool(bool) => node.as_bool() == Some(*bool),
        Value::Integer(integer) => node.as_integer() == Some(*integer),
        Value::Flow(inner) | Value::Commented(_, inner) => equals(file, id, inner),
        Value::Sequence(items) => {
            node.kind() == Kind::Sequence
                && node.items().count() == items.len()
                && node.items().zip(items).all(|(item, value)| equals(file, item, value))
        }
        Value::Mapping(entries) => {
            node.kind() == Kind::Mapping
                && node.entries().count() == entries.len()
                && node.entries().zip(entries).all(|((key, node), (name, value))| {
                    let key = file.node(key);
                    key.is_text() && key.text() == *name && equals(file, node, value)
                })
        }
    }
}
