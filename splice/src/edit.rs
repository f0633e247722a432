//! Edits of a file: collected, then made all at once, then proved.

mod layout;

use std::{collections::BTreeMap, ops::Range};

use self::layout::{Layout, Patch};
use crate::{
    File, Kind, NodeId, SpliceError, Trouble, Value,
    node::{Style, Tag},
    parse,
    plain::{Plain, Said},
};

/// Edits of one file. Each is checked when it is asked for; nothing is made before [`Self::finish`].
#[derive(Debug)]
pub struct Splice<'f, 'a> {
    file: &'f File<'a>,
    sets: Vec<(NodeId, String)>,
    replaced: Vec<(NodeId, Value)>,
    renamed: Vec<(NodeId, NodeId, String)>,
    documents: Vec<(usize, String)>,
    members: BTreeMap<NodeId, Members>,
}

/// What comes into a mapping or sequence, and goes.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// Values, or items, that go.
    pub(crate) removed: Vec<NodeId>,
    /// What comes: behind this value or item, or at the end; a key, in a mapping.
    pub(crate) added: Vec<(Option<NodeId>, Option<String>, Value)>,
}

impl<'f, 'a> Splice<'f, 'a> {
    /// No edits yet.
    #[must_use]
    pub fn new(file: &'f File<'a>) -> Self {
        Self {
            file,
            sets: Vec::new(),
            replaced: Vec::new(),
            renamed: Vec::new(),
            documents: Vec::new(),
            members: BTreeMap::new(),
        }
    }

    /// Gives a scalar another text. It stays quoted as it is, where the text permits.
    ///
    /// # Errors
    /// [`Trouble::Kind`] where it is no scalar or has a tag that says that it is no text; [`Trouble::Alias`].
    pub fn set(&mut self, node: NodeId, text: &str) -> Result<(), SpliceError> {
        self.reachable(node)?;
        if self.file.node(node).kind() != Kind::Scalar || self.file.raw(node).tag == Tag::Other {
            return Err(self.at(node, Trouble::Kind));
        }
        self.sets.push((node, text.to_owned()));
        Ok(())
    }

    /// Puts a value in the place of a node, whatever it was.
    ///
    /// # Errors
    /// [`Trouble::Alias`], [`Trouble::DuplicateKey`] where the value has a key twice.
    pub fn replace(&mut self, node: NodeId, value: Value) -> Result<(), SpliceError> {
        self.reachable(node)?;
        self.removable(node)?;
        value.check().map_err(|trouble| self.at(node, trouble))?;
        self.replaced.push((node, value));
        Ok(())
    }

    /// Puts another text in the place of a whole document, without the markers around it.
    ///
    /// # Errors
    /// [`Trouble::NoEntry`] where there is no such document.
    pub fn replace_document(&mut self, document: usize, text: &str) -> Result<(), SpliceError> {
        if self.file.documents.get(document).is_none() {
            return Err(SpliceError { place: self.file.place(0), trouble: Trouble::NoEntry });
        }
        self.documents.push((document, text.to_owned()));
        Ok(())
    }

    /// Adds an entry at the end of a mapping, which may be empty, or nothing at all.
    ///
    /// # Errors
    /// [`Trouble::KeyExists`], and what keeps a mapping from being changed.
    pub fn insert(&mut self, mapping: NodeId, key: &str, value: Value) -> Result<(), SpliceError> {
        self.add(mapping, None, key, value)
    }

    /// Adds an entry behind another one.
    ///
    /// # Errors
    /// As [`Self::insert`]; [`Trouble::NoEntry`] where there is no such other one.
    pub fn insert_after(
        &mut self,
        mapping: NodeId,
        after: &str,
        key: &str,
        value: Value,
    ) -> Result<(), SpliceError> {
        let after =
            self.file.field(mapping, after).ok_or_else(|| self.at(mapping, Trouble::NoEntry))?;
        self.add(mapping, Some(after), key, value)
    }

    fn add(
        &mut self,
        mapping: NodeId,
        after: Option<NodeId>,
        key: &str,
        value: Value,
    ) -> Result<(), SpliceError> {
        self.changeable(mapping, Kind::Mapping)?;
        value.check().map_err(|trouble| self.at(mapping, trouble))?;
        let members = self.members.entry(mapping).or_default();
        let there =
            self.file.field(mapping, key).is_some_and(|value| !members.removed.contains(&value));
        if there || members.added.iter().any(|(_, name, _)| name.as_deref() == Some(key)) {
            return Err(self.at(mapping, Trouble::KeyExists));
        }
        members.added.push((after, Some(key.to_owned()), value));
        Ok(())
    }

    /// Takes an entry out of a mapping: its lines, with the comment behind it on its last line. Comments above it stay.
    ///
    /// # Errors
    /// [`Trouble::NoEntry`], and what keeps a mapping from being changed.
    pub fn remove(&mut self, mapping: NodeId, key: &str) -> Result<(), SpliceError> {
        self.changeable(mapping, Kind::Mapping)?;
        let value =
            self.file.field(mapping, key).ok_or_else(|| self.at(mapping, Trouble::NoEntry))?;
        self.removable(value)?;
        self.members.entry(mapping).or_default().removed.push(value);
        Ok(())
    }

    /// Gives an entry of a mapping another key.
    ///
    /// # Errors
    /// [`Trouble::NoEntry`], [`Trouble::KeyExists`], and what keeps a mapping from being changed.
    pub fn rename(&mut self, mapping: NodeId, key: &str, new: &str) -> Result<(), SpliceError> {
        self.changeable(mapping, Kind::Mapping)?;
        let entry = self.file.entries(mapping).find(|(node, _)| self.file.is_named(*node, key));
        let (node, value) = entry.ok_or_else(|| self.at(mapping, Trouble::NoEntry))?;
        if self.file.field(mapping, new).is_some() {
            return Err(self.at(node, Trouble::KeyExists));
        }
        self.renamed.push((node, value, new.to_owned()));
        Ok(())
    }

    /// Adds an item at the end of a sequence, which may be empty, or nothing at all.
    ///
    /// # Errors
    /// What keeps a sequence from being changed.
    pub fn push(&mut self, sequence: NodeId, value: Value) -> Result<(), SpliceError> {
        self.changeable(sequence, Kind::Sequence)?;
        value.check().map_err(|trouble| self.at(sequence, trouble))?;
        self.members.entry(sequence).or_default().added.push((None, None, value));
        Ok(())
    }

    /// Takes an item out of a sequence, by its number in the file, counted from 0.
    ///
    /// # Errors
    /// [`Trouble::NoEntry`], and what keeps a sequence from being changed.
    pub fn remove_item(&mut self, sequence: NodeId, index: usize) -> Result<(), SpliceError> {
        self.changeable(sequence, Kind::Sequence)?;
        let item = self
            .file
            .items(sequence)
            .nth(index)
            .ok_or_else(|| self.at(sequence, Trouble::NoEntry))?;
        self.removable(item)?;
        self.members.entry(sequence).or_default().removed.push(item);
        Ok(())
    }

    /// Makes all edits, and proves that nothing else changed.
    ///
    /// # Errors
    /// [`Trouble::Layout`], [`Trouble::Overlap`], [`Trouble::Unproven`]; the file is then as it was.
    pub fn finish(self) -> Result<Vec<u8>, SpliceError> {
        let mut patches = Vec::new();
        let layout = Layout::new(self.file);
        for (node, text) in &self.sets {
            patches.push(layout.set(*node, text));
        }
        for (key, _, new) in &self.renamed {
            patches.push(layout.set(*key, new));
        }
        for (node, value) in &self.replaced {
            patches
                .extend(layout.replace(*node, value).map_err(|trouble| self.at(*node, trouble))?);
        }
        for (document, text) in &self.documents {
            let span =
                self.file.documents.get(*document).map(crate::Document::span).unwrap_or_default();
            patches.push(Patch { range: span, text: text.clone() });
        }
        // The innermost first: where both end at one place, what is added to it stands before what is added outside.
        for (node, members) in self.members.iter().rev() {
            patches
                .extend(layout.members(*node, members).map_err(|trouble| self.at(*node, trouble))?);
        }
        let out = self.apply(patches)?;
        self.prove(&out)?;
        Ok(out.into_bytes())
    }

    fn apply(&self, mut patches: Vec<Patch>) -> Result<String, SpliceError> {
        patches.sort_by_key(|patch| (patch.range.start, patch.range.end));
        let text = self.file.text;
        let added: usize = patches.iter().map(|patch| patch.text.len()).sum();
        let mut out = String::with_capacity(text.len() + added);
        let mut done = 0;
        for Patch { range: Range { start, end }, text: new } in &patches {
            let kept = text.get(done..*start).filter(|_| *start >= done);
            out.push_str(kept.ok_or_else(|| SpliceError {
                place: self.file.place(*start),
                trouble: Trouble::Overlap,
            })?);
            out.push_str(new);
            done = *end;
        }
        out.push_str(text.get(done..).unwrap_or_default());
        Ok(out)
    }

    /// Reads what was made, and compares it with what the file said, edited without any layout.
    fn prove(&self, out: &str) -> Result<(), SpliceError> {
        let unproven = |place| SpliceError { place, trouble: Trouble::Unproven };
        let new = parse(out.as_bytes()).map_err(|error| unproven(error.place))?;
        if new.documents.len() != self.file.documents.len() {
            return Err(unproven(self.file.place(0)));
        }
        for (i, (before, after)) in self.file.documents.iter().zip(&new.documents).enumerate() {
            let text = |file: &File<'_>, span: Range<usize>| file.text.get(span).map(str::to_owned);
            if text(self.file, before.span()) == text(&new, after.span()) {
                continue;
            }
            let wanted = self
                .wanted(i, before.root)
                .map_err(|()| unproven(self.file.place(before.span.start)))?;
            if wanted != after.root.map(|root| Said::of(&new, root)) {
                return Err(unproven(self.file.place(before.span.start)));
            }
        }
        Ok(())
    }

    /// What a document is to say.
    fn wanted(&self, document: usize, root: Option<NodeId>) -> Result<Option<Said>, ()> {
        if let Some((_, text)) = self.documents.iter().find(|(number, _)| *number == document) {
            let file = parse(text.as_bytes()).map_err(drop)?;
            let [document] = file.documents.as_slice() else { return Err(()) };
            return Ok(document.root.map(|root| Said::of(&file, root)));
        }
        let Some(root) = root else { return Ok(None) };
        let mut said = Said::of(self.file, root);
        let within = |node: NodeId| self.file.holds(root, node);
        for (node, text) in self.sets.iter().filter(|(node, _)| within(*node)) {
            self.find(&mut said, *node)?.plain = Plain::Scalar(text.clone(), true, false);
        }
        for (key, value, new) in self.renamed.iter().filter(|(key, ..)| within(*key)) {
            let mapping = self.file.path(*key).into_iter().rev().nth(1).ok_or(())?;
            let Plain::Mapping(entries) = &mut self.find(&mut said, mapping)?.plain else {
                return Err(());
            };
            let entry = entries.iter_mut().find(|(_, said)| said.was == Some(*value)).ok_or(())?;
            entry.0 = Plain::key(new);
        }
        // The innermost first, so that what is outside is still found.
        for (node, members) in self.members.iter().rev().filter(|(node, _)| within(**node)) {
            members.apply(self.find(&mut said, *node)?);
        }
        for (node, value) in self.replaced.iter().filter(|(node, _)| within(*node)) {
            self.find(&mut said, *node)?.plain = Said::new(value).plain;
        }
        Ok(Some(said))
    }

    fn find<'s>(&self, said: &'s mut Said, node: NodeId) -> Result<&'s mut Said, ()> {
        let path = self.file.path(node);
        said.find(path.get(1..).unwrap_or_default()).ok_or(())
    }

    fn at(&self, node: NodeId, trouble: Trouble) -> SpliceError {
        SpliceError { place: self.file.node(node).place(), trouble }
    }

    /// A node that means something else elsewhere is not changed.
    fn reachable(&self, node: NodeId) -> Result<(), SpliceError> {
        let alias = self.file.path(node).into_iter().find(|node| self.file.aliased.contains(node));
        if alias.is_some() || self.file.node(node).kind() == Kind::Alias {
            return Err(self.at(alias.unwrap_or(node), Trouble::Alias));
        }
        Ok(())
    }

    /// What is meant elsewhere does not go away.
    fn removable(&self, node: NodeId) -> Result<(), SpliceError> {
        match self.file.aliased.iter().find(|aliased| self.file.holds(node, **aliased)) {
            Some(aliased) => Err(self.at(*aliased, Trouble::Alias)),
            None => Ok(()),
        }
    }

    fn changeable(&self, node: NodeId, kind: Kind) -> Result<(), SpliceError> {
        self.reachable(node)?;
        let is = self.file.node(node);
        if is.is_null() {
            return Ok(());
        }
        if is.kind() != kind {
            return Err(self.at(node, Trouble::Kind));
        }
        if let Some((place, _)) = self.file.duplicate_key(node) {
            return Err(SpliceError { place, trouble: Trouble::DuplicateKey });
        }
        for (key, _) in self.file.entries(node) {
            let is = self.file.node(key);
            if is.kind() != Kind::Scalar {
                return Err(self.at(key, Trouble::ComplexKey));
            }
            if is.text() == "<<" && self.file.raw(key).style == Style::Plain {
                return Err(self.at(key, Trouble::Merge));
            }
        }
        Ok(())
    }
}

impl Members {
    /// The same without layout.
    fn apply(&self, said: &mut Said) {
        let nothing = matches!(said.plain, Plain::Scalar(..));
        let is_mapping = self.added.iter().any(|(_, key, _)| key.is_some())
            || matches!(said.plain, Plain::Mapping(_));
        if nothing {
            said.plain =
                if is_mapping { Plain::Mapping(Vec::new()) } else { Plain::Sequence(Vec::new()) };
        }
        let gone = |said: &Said| said.was.is_some_and(|was| self.removed.contains(&was));
        match &mut said.plain {
            Plain::Mapping(entries) => {
                for (after, key, value) in &self.added {
                    let entry = (Plain::key(key.as_deref().unwrap_or_default()), Said::new(value));
                    let behind = |at: &Option<NodeId>| {
                        entries.iter().position(|(_, said)| at.is_some() && said.was == *at)
                    };
                    // Behind what was put there before.
                    let at = behind(after).map_or(entries.len(), |at| {
                        at + 1
                            + entries
                                .iter()
                                .skip(at + 1)
                                .take_while(|(_, said)| said.was.is_none())
                                .count()
                    });
                    entries.insert(at, entry);
                }
                entries.retain(|(_, said)| !gone(said));
            }
            Plain::Sequence(items) => {
                items.retain(|said| !gone(said));
                items.extend(self.added.iter().map(|(_, _, value)| Said::new(value)));
            }
            _ => {}
        }
    }
}
