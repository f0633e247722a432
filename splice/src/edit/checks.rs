//! What may be in the way of an edit, found before it is recorded.

use crate::{
    Kind, NodeId, Refusal, SpliceError, Value,
    edit::{Change, Inserted, MAX_VALUE_DEPTH, Splice},
    tree::{Raw, Shape},
    value::key_fits,
};

impl Splice<'_> {
    /// A node that is a value, reached by no alias, in a document that is not replaced.
    pub(super) fn check_path(&self, node: NodeId) -> Result<NodeId, SpliceError> {
        let tree = self.file.tree();
        let Some(index) = self.file.document_of(node) else {
            let place = self.file.place(0);
            return Err(SpliceError { place, refusal: Refusal::NoSuchNode });
        };
        if self.documents.contains_key(&index) {
            return self.refuse(node, Refusal::Overlap);
        }
        let Some(root) = self.file.documents().get(index).and_then(crate::Document::root) else {
            return self.refuse(node, Refusal::NoSuchNode);
        };
        let mut at = node;
        loop {
            if tree.shared.binary_search(&at.0).is_ok() || self.file.node(at).kind() == Kind::Alias
            {
                return self.refuse(at, Refusal::Alias);
            }
            let Some(parent) = tree.parent(root, at) else { return Ok(root) };
            match self.changes.get(&parent) {
                None => {}
                Some(Change::Entries(entries)) => {
                    let width = if tree.get(parent).is_some_and(|raw| raw.shape.is_mapping()) {
                        2
                    } else {
                        1
                    };
                    let position = tree.children(parent).position(|child| child == at).unwrap_or(0);
                    if entries.removed.contains(&(position / width)) {
                        return self.refuse(node, Refusal::Overlap);
                    }
                }
                Some(_) => return self.refuse(node, Refusal::Overlap),
            }
            at = parent;
        }
    }

    /// A value to set or replace: not a key, and in a mapping that says clearly which value it has.
    pub(super) fn check_value(&mut self, node: NodeId) -> Result<(), SpliceError> {
        let root = self.check_path(node)?;
        let tree = self.file.tree();
        let Some(parent) = tree.parent(root, node) else { return Ok(()) };
        if self.file.node(parent).kind() == Kind::Mapping {
            if tree.children(parent).step_by(2).any(|key| key == node) {
                return self.refuse(node, Refusal::WrongKind);
            }
            self.check_duplicates(parent)?;
        }
        Ok(())
    }

    pub(super) fn check_collection(&mut self, node: NodeId, kind: Kind) -> Result<(), SpliceError> {
        self.check_path(node)?;
        let view = self.file.node(node);
        let unborn = view.is_null();
        if view.kind() != kind && !unborn {
            return self.refuse(node, Refusal::WrongKind);
        }
        if let Some(Change::Text(_) | Change::Value(_)) = self.changes.get(&node) {
            return self.refuse(node, Refusal::Overlap);
        }
        if unborn
            && self.entries(node).is_some_and(|entries| {
                entries.inserted.iter().any(|new| new.key.is_some() != (kind == Kind::Mapping))
            })
        {
            return self.refuse(node, Refusal::Overlap);
        }
        if kind == Kind::Mapping && !self.searched.contains(&node) {
            for (key, _) in view.entries() {
                let raw = self.file.tree().get(key);
                let simple = raw.is_some_and(|raw| {
                    !raw.explicit && !raw.shape.is_collection() && raw.shape != Shape::Alias
                });
                if !simple {
                    return self.refuse(key, Refusal::ComplexKey);
                }
                if raw.is_some_and(|raw| raw.shape == Shape::Plain) && self.file.scalar(key) == "<<"
                {
                    return self.refuse(key, Refusal::MergeKey);
                }
            }
            self.check_duplicates(node)?;
        }
        Ok(())
    }

    pub(super) fn check_duplicates(&mut self, mapping: NodeId) -> Result<(), SpliceError> {
        if self.searched.contains(&mapping) {
            return Ok(());
        }
        if let Some((place, first)) = self.file.node(mapping).duplicate_key() {
            return Err(SpliceError { place, refusal: Refusal::DuplicateKey { first } });
        }
        self.searched.insert(mapping);
        Ok(())
    }

    /// Whether this splice inserts an entry with that key.
    pub(super) fn is_inserted(&self, mapping: NodeId, key: &str) -> bool {
        let is = |new: &Inserted| new.key.as_deref() == Some(key);
        self.entries(mapping).is_some_and(|entries| entries.inserted.iter().any(is))
    }

    pub(super) fn check_sound(
        &self,
        node: NodeId,
        key: Option<&str>,
        value: &Value,
    ) -> Result<(), SpliceError> {
        if key.is_some_and(|key| !key_fits(key)) {
            return self.refuse(node, Refusal::LongKey);
        }
        if !value.is_sound(MAX_VALUE_DEPTH) {
            return self.refuse(node, Refusal::TooLarge);
        }
        let twice = key.is_some_and(|key| self.is_inserted(node, key));
        if twice { self.refuse(node, Refusal::KeyExists) } else { Ok(()) }
    }

    /// A subtree without anything that an alias repeats.
    pub(super) fn check_no_shared(&self, node: NodeId) -> Result<(), SpliceError> {
        let size = self.file.tree().get(node).map_or(1, Raw::size);
        let shared = &self.file.tree().shared;
        let from = shared.partition_point(|id| (*id as usize) < node.index());
        match shared.get(from) {
            Some(id) if (*id as usize) < node.index() + size => {
                self.refuse(NodeId(*id), Refusal::Alias)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn check_untouched(&self, node: NodeId) -> Result<(), SpliceError> {
        let size = self.file.tree().get(node).map_or(1, Raw::size);
        let end = NodeId(node.0.saturating_add(crate::tree::compact(size)));
        match self.changes.range(node..end).next() {
            Some((id, _)) => self.refuse(*id, Refusal::Overlap),
            None => Ok(()),
        }
    }

    /// A subtree that may go.
    pub(super) fn check_free(&self, node: NodeId) -> Result<(), SpliceError> {
        self.check_no_shared(node)?;
        self.check_untouched(node)
    }

    pub(super) fn check_document(&self, index: usize) -> Result<(), SpliceError> {
        let Some(document) = self.file.documents().get(index) else {
            return Err(SpliceError { place: self.file.place(0), refusal: Refusal::NoSuchNode });
        };
        if self.documents.contains_key(&index) {
            return Err(SpliceError {
                place: self.place_of_document(index),
                refusal: Refusal::Overlap,
            });
        }
        document.root().map_or(Ok(()), |root| self.check_untouched(root))
    }

    pub(super) fn place_of_document(&self, index: usize) -> crate::Place {
        self.file
            .place(self.file.documents().get(index).map_or(0, |document| document.content().start))
    }
}
