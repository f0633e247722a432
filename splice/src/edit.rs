//! Recording edits: what is asked for is checked at once against what may be in its way; text is made in `finish`.

mod block;
mod checks;
mod flow;
mod layout;
mod patch;
mod scalar;
mod vanishing;

pub(crate) use layout::{find_past_gap, line_end};

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    File, Kind, NodeId, Refusal, SpliceError, Value, edit::patch::Patches,
    edit::vanishing::Vanishing, proof::Proof, properties::TagKind, tree::Shape, value::key_fits,
};

/// Levels of a value to write. Reading stops at twice as many, and the place of the value may be deep itself.
const MAX_VALUE_DEPTH: usize = 64;

/// Edits to one file, made all at once by [`finish`](Self::finish).
///
/// Each method refuses at once what cannot be done safely, and then records nothing. Nodes are those of the file as it was
/// parsed; an edit does not change them.
#[derive(Debug)]
pub struct Splice<'f> {
    file: &'f File<'f>,
    changes: BTreeMap<NodeId, Change>,
    documents: BTreeMap<usize, Whole>,
    /// Mappings that were searched for keys that stand twice.
    searched: BTreeSet<NodeId>,
    vanishing: Vanishing,
}

/// Where a new entry goes in its mapping. Those that go to one place stand in the order in which they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum At<'k> {
    /// Before the first of those that were there.
    Start,
    /// After the last, also one that this splice removes.
    End,
    /// After the entry with this key, as it is called by the edits so far. If this splice inserts that entry, the new one comes
    /// right behind it; if this splice removes it later, the new one is where it was.
    After(&'k str),
}

#[derive(Debug)]
pub(crate) enum Change {
    /// A scalar gets another text and keeps its style where that permits.
    Text(String),
    /// Anything becomes another value.
    Value(Value),
    /// Entries of a mapping or items of a sequence change.
    Entries(Entries),
}

/// Entries are counted as in the file as parsed.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    pub(crate) removed: BTreeSet<usize>,
    pub(crate) renamed: BTreeMap<usize, String>,
    /// By their places; those of one place as they will stand.
    pub(crate) inserted: Vec<Inserted>,
}

#[derive(Debug)]
pub(crate) struct Inserted {
    /// After this entry; `None` for before the first.
    pub(crate) after: Option<usize>,
    /// `None` in a sequence.
    pub(crate) key: Option<String>,
    pub(crate) value: Value,
}

/// What a document becomes.
#[derive(Debug)]
pub(crate) enum Whole {
    Text(String),
    Value(Value),
}

impl Entries {
    /// New entries that come in the place of one that is removed.
    fn in_place_of(&self, index: usize) -> impl Iterator<Item = &Inserted> {
        self.inserted.iter().filter(move |new| new.after.unwrap_or(0) == index)
    }
}

impl<'f> Splice<'f> {
    /// No edits yet.
    #[must_use]
    pub fn new(file: &'f File<'f>) -> Self {
        Self {
            file,
            changes: BTreeMap::new(),
            documents: BTreeMap::new(),
            searched: BTreeSet::new(),
            vanishing: Vanishing { entries: Vec::new(), blank: Vec::new(), end: file.text().len() },
        }
    }

    /// Gives a scalar another text. Its style of quoting stays where the text permits. A scalar that is this text already is
    /// not touched, so that the same edit twice gives the same bytes.
    ///
    /// # Errors
    /// [`Refusal`] tells what is in the way.
    pub fn set(&mut self, node: NodeId, text: &str) -> Result<(), SpliceError> {
        self.check_value(node)?;
        let view = self.file.node(node);
        if view.kind() != Kind::Scalar {
            return self.refuse(node, Refusal::WrongKind);
        }
        if !matches!(view.tag_kind(), TagKind::None | TagKind::Text) {
            return self.refuse(node, Refusal::Tag);
        }
        self.check_untouched(node)?;
        if view.is_text() && view.text() == text {
            return Ok(());
        }
        self.changes.insert(node, Change::Text(text.to_owned()));
        Ok(())
    }

    /// Puts another value in the place of one, with all that it holds and the comments in it. An anchor that nothing uses stays.
    ///
    /// # Errors
    /// [`Refusal`] tells what is in the way.
    pub fn replace(&mut self, node: NodeId, value: Value) -> Result<(), SpliceError> {
        self.check_value(node)?;
        self.check_sound(node, None, &value)?;
        if self.file.node(node).tag().is_some() {
            return self.refuse(node, Refusal::Tag);
        }
        self.check_no_shared(node)?;
        self.check_untouched(node)?;
        self.changes.insert(node, Change::Value(value));
        Ok(())
    }

    /// Adds an entry to a mapping, laid out as its neighbours are. An empty value, `~`, `null` and `{}` become a mapping.
    ///
    /// # Errors
    /// [`Refusal`] tells what is in the way.
    pub fn insert(
        &mut self,
        mapping: NodeId,
        key: &str,
        value: Value,
        at: At<'_>,
    ) -> Result<(), SpliceError> {
        self.check_collection(mapping, Kind::Mapping)?;
        self.check_sound(mapping, Some(key), &value)?;
        if let Some(index) = self.key_index(mapping, key) {
            let key = self.file.node(mapping).entries().nth(index).map_or(mapping, |(key, _)| key);
            return self.refuse(key, Refusal::KeyExists);
        }
        let count = self.file.node(mapping).entries().count();
        let (after, position) = match at {
            At::Start => (None, None),
            At::End => (count.checked_sub(1), None),
            At::After(near) => {
                let new = self.entries(mapping).and_then(|entries| {
                    let is_near = |new: &&Inserted| new.key.as_deref() == Some(near);
                    let at = entries.inserted.iter().position(|new| is_near(&new))?;
                    Some((entries.inserted.get(at)?.after, at + 1))
                });
                match (new, self.key_index(mapping, near)) {
                    (Some((after, position)), _) => (after, Some(position)),
                    (None, Some(index)) => (Some(index), None),
                    (None, None) => return self.refuse(mapping, Refusal::NoSuchEntry),
                }
            }
        };
        let inserted = Inserted { after, key: Some(key.to_owned()), value };
        let entries = self.entries_mut(mapping)?;
        let last = entries.inserted.partition_point(|new| new.after <= after);
        entries.inserted.insert(position.unwrap_or(last), inserted);
        Ok(())
    }

    /// Removes an entry of a mapping: its lines, and a comment at the end of them. Comments above it stay. A mapping that loses
    /// its last entry becomes `{}`.
    ///
    /// # Errors
    /// [`Refusal`] tells what is in the way.
    pub fn remove(&mut self, mapping: NodeId, key: &str) -> Result<(), SpliceError> {
        self.check_collection(mapping, Kind::Mapping)?;
        let Some(index) = self.key_index(mapping, key) else {
            return self.refuse(mapping, Refusal::NoSuchEntry);
        };
        if let Some((key, value)) = self.file.node(mapping).entries().nth(index) {
            self.check_free(key)?;
            self.check_free(value)?;
        }
        self.remove_index(mapping, index)
    }

    /// Gives an entry of a mapping another key, in its place.
    ///
    /// # Errors
    /// [`Refusal`] tells what is in the way.
    pub fn rename(&mut self, mapping: NodeId, key: &str, new: &str) -> Result<(), SpliceError> {
        self.check_collection(mapping, Kind::Mapping)?;
        let Some(index) = self.key_index(mapping, key) else {
            return self.refuse(mapping, Refusal::NoSuchEntry);
        };
        let Some((old, _)) = self.file.node(mapping).entries().nth(index) else {
            return self.refuse(mapping, Refusal::NoSuchEntry);
        };
        self.check_no_shared(old)?;
        if !matches!(self.file.node(old).tag_kind(), TagKind::None | TagKind::Text) {
            return self.refuse(old, Refusal::Tag);
        }
        if !key_fits(new) {
            return self.refuse(old, Refusal::LongKey);
        }
        if key == new {
            return Ok(());
        }
        if self.key_index(mapping, new).is_some() || self.is_inserted(mapping, new) {
            return self.refuse(old, Refusal::KeyExists);
        }
        self.entries_mut(mapping)?.renamed.insert(index, new.to_owned());
        Ok(())
    }

    /// Adds an item at the end of a sequence, behind those added before. An empty value, `~`, `null` and `[]` become a sequence.
    ///
    /// # Errors
    /// [`Refusal`] tells what is in the way.
    pub fn push(&mut self, sequence: NodeId, value: Value) -> Result<(), SpliceError> {
        self.check_collection(sequence, Kind::Sequence)?;
        self.check_sound(sequence, None, &value)?;
        let after = self.file.node(sequence).items().count().checked_sub(1);
        self.entries_mut(sequence)?.inserted.push(Inserted { after, key: None, value });
        Ok(())
    }

    /// Removes an item of a sequence, as [`remove`](Self::remove) does an entry; the last leaves `[]`.
    ///
    /// # Errors
    /// [`Refusal`] tells what is in the way.
    pub fn remove_item(&mut self, sequence: NodeId, index: usize) -> Result<(), SpliceError> {
        self.check_collection(sequence, Kind::Sequence)?;
        let Some(item) = self.file.node(sequence).items().nth(index) else {
            return self.refuse(sequence, Refusal::NoSuchEntry);
        };
        self.check_free(item)?;
        self.remove_index(sequence, index)
    }

    /// Puts another text between the marker lines of a document: exactly one document, without markers and directives.
    ///
    /// # Errors
    /// [`Refusal`] tells what is in the way.
    pub fn replace_document(&mut self, index: usize, text: &str) -> Result<(), SpliceError> {
        self.check_document(index)?;
        let place = self.place_of_document(index);
        let parsed = crate::parse(text.as_bytes());
        let one = parsed.is_ok_and(|file| match file.documents() {
            [one] => !one.is_explicit() && one.content() == (0..text.len()),
            _ => false,
        });
        if !one || text.starts_with(['\u{feff}', '%']) {
            return Err(SpliceError { place, refusal: Refusal::NotOneDocument });
        }
        self.documents.insert(index, Whole::Text(text.to_owned()));
        Ok(())
    }

    /// The same with a value, in the house style of [`render`](crate::render), or as JSON where the document is JSON.
    ///
    /// # Errors
    /// [`Refusal`] tells what is in the way.
    pub fn replace_document_value(
        &mut self,
        index: usize,
        value: Value,
    ) -> Result<(), SpliceError> {
        self.check_document(index)?;
        if !value.is_sound(MAX_VALUE_DEPTH) {
            return Err(SpliceError {
                place: self.place_of_document(index),
                refusal: Refusal::TooLarge,
            });
        }
        self.documents.insert(index, Whole::Value(value));
        Ok(())
    }

    /// Makes the edits and proves them: the documents that changed are read again, by both readers, and must be the old ones with
    /// these edits and nothing else. Without edits the text comes back as it was.
    ///
    /// # Errors
    /// [`Refusal`] tells what is in the way; then there is no result at all.
    pub fn finish(mut self) -> Result<String, SpliceError> {
        self.find_vanishing()?;
        let mut patches = Patches::new(self.file);
        // Where two entries go to the same offset, that of the inner collection stands first; it is the later node.
        for (node, change) in self.changes.iter().rev() {
            self.lay_out(&mut patches, *node, change)?;
        }
        for (index, whole) in &self.documents {
            self.lay_out_document(&mut patches, *index, whole)?;
        }
        for lines in &self.vanishing.blank {
            patches.remove_lines(lines.clone());
        }
        let patches = patches.settle()?;
        let proof = Proof { file: self.file, changes: &self.changes, documents: &self.documents };
        patches.apply(self.file, &proof)
    }

    fn lay_out(
        &self,
        patches: &mut Patches<'f>,
        node: NodeId,
        change: &Change,
    ) -> Result<(), SpliceError> {
        match change {
            Change::Text(text) => self.lay_out_text(patches, node, text),
            Change::Value(value) => self.lay_out_value(patches, node, value),
            Change::Entries(entries) => {
                self.lay_out_keys(patches, node, entries)?;
                let shape = self.file.node(node).shape();
                let empty = self.file.tree().children(node).next().is_none();
                match shape {
                    Shape::Pair if !(entries.removed.is_empty() && entries.inserted.is_empty()) => {
                        self.refuse(node, Refusal::Layout)
                    }
                    _ if empty && entries.inserted.is_empty() => Ok(()),
                    _ if empty => self.lay_out_first(patches, node, entries),
                    shape if shape.is_flow() => self.lay_out_flow(patches, node, entries),
                    _ => self.lay_out_block(patches, node, entries),
                }
            }
        }
    }

    fn entries(&self, collection: NodeId) -> Option<&Entries> {
        match self.changes.get(&collection) {
            Some(Change::Entries(entries)) => Some(entries),
            _ => None,
        }
    }

    fn entries_mut(&mut self, collection: NodeId) -> Result<&mut Entries, SpliceError> {
        let place = self.file.place(self.file.node(collection).span().start);
        let change =
            self.changes.entry(collection).or_insert_with(|| Change::Entries(Entries::default()));
        match change {
            Change::Entries(entries) => Ok(entries),
            _ => Err(SpliceError { place, refusal: Refusal::Overlap }),
        }
    }

    fn remove_index(&mut self, collection: NodeId, index: usize) -> Result<(), SpliceError> {
        let entries = self.entries_mut(collection)?;
        if entries.renamed.contains_key(&index) || !entries.removed.insert(index) {
            return self.refuse(collection, Refusal::Overlap);
        }
        Ok(())
    }

    /// The entry that has a key after the edits so far. An entry that this splice inserts counts as none here; see
    /// [`Self::insert`] and [`Self::is_inserted`].
    fn key_index(&self, mapping: NodeId, key: &str) -> Option<usize> {
        let entries = self.entries(mapping);
        self.file.node(mapping).entries().enumerate().position(|(index, (id, _))| {
            let removed = entries.is_some_and(|entries| entries.removed.contains(&index));
            let renamed = entries.and_then(|entries| entries.renamed.get(&index));
            !removed && renamed.map_or_else(|| self.file.scalar(id) == key, |new| new == key)
        })
    }

    fn refuse<T>(&self, node: NodeId, refusal: Refusal) -> Result<T, SpliceError> {
        Err(SpliceError { place: self.file.place(self.file.node(node).span().start), refusal })
    }
}
