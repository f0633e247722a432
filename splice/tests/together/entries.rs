//! What a collection becomes by edits, as their documentation says it: the other opinion beside the crate's.

use splice::{File, Kind, NodeId};

use crate::{
    read::{Read, at},
    step::{Place, Step, Verb, Wish, value},
    texts::text,
};

/// The entries of a mapping or the items of a sequence, with what is asked for so far.
pub(crate) struct Entries {
    pub(crate) id: NodeId,
    /// The way to it, before the edits.
    pub(crate) way: Vec<usize>,
    /// Nothing yet (`~`) is what the first new entry makes of it.
    kind: Option<Kind>,
    entries: Vec<Entry>,
}

struct Entry {
    /// Key and text of it, of a mapping.
    name: String,
    /// Which one it was before; `None` of a new one.
    old: Option<(usize, NodeId)>,
    /// Its value was a mapping or a sequence.
    collection: bool,
    renamed: bool,
    /// What its value becomes.
    value: Option<Read>,
    /// It is removed, and still marks its place.
    gone: bool,
    /// Something else is edited in it, so that it must stay.
    held: bool,
}

impl Entries {
    pub(crate) fn new(file: &File<'_>, id: NodeId, way: &[usize]) -> Self {
        let node = file.node(id);
        let named = node.entries().map(|(key, value)| (file.node(key).text().into_owned(), value));
        let items = node.items().map(|item| (String::new(), item));
        let old = named.chain(items).enumerate().map(|(index, (name, value))| Entry {
            name,
            old: Some((index, value)),
            collection: matches!(file.node(value).kind(), Kind::Mapping | Kind::Sequence),
            renamed: false,
            value: None,
            gone: false,
            held: false,
        });
        let entries = old.collect();
        let kind = Some(node.kind()).filter(|kind| *kind != Kind::Scalar);
        Self { id, way: way.to_vec(), kind, entries }
    }

    /// Lets the entry stay in which the node at the end of this way is.
    pub(crate) fn hold(&mut self, way: &[usize]) {
        let Some([step, ..]) = way.strip_prefix(&self.way[..]) else { return };
        let index = self.index(*step);
        let is = |entry: &&mut Entry| entry.old.is_some_and(|(old, _)| old == index);
        self.entries.iter_mut().filter(is).for_each(|entry| entry.held = true);
    }

    /// Whether the node at the end of this way is another one, and not in what is removed or replaced.
    pub(crate) fn leaves(&self, way: &[usize]) -> bool {
        match way.strip_prefix(&self.way[..]) {
            None => true,
            Some([]) => false,
            Some([step, ..]) => self.entries.iter().any(|entry| {
                entry.old.is_some_and(|(old, _)| old == self.index(*step))
                    && !entry.gone
                    && entry.value.is_none()
            }),
        }
    }

    /// Which entry a child is in.
    fn index(&self, child: usize) -> usize {
        if self.kind == Some(Kind::Mapping) { child / 2 } else { child }
    }

    /// What a wish means here, if anything.
    pub(crate) fn step(&self, wish: &Wish) -> Option<Step> {
        let mapping = self.kind.map_or(wish.near.is_multiple_of(2), |kind| kind == Kind::Mapping);
        let pick = |fit: fn(&Entry) -> bool| {
            let fit: Vec<_> = self.entries.iter().filter(|entry| fit(entry)).collect();
            fit.get(wish.near % fit.len().max(1)).copied()
        };
        Some(match wish.verb {
            Verb::Set | Verb::Replace => {
                let entry = pick(Entry::is_untouched)?;
                let (_, id) = entry.old?;
                match wish.verb {
                    Verb::Set if !entry.collection => Step::Set(id, text(wish.text)),
                    _ => Step::Replace(id, wish.text, wish.shape),
                }
            }
            Verb::Remove if mapping => {
                let entry = pick(|entry| entry.is_untouched() && !entry.renamed)?;
                Step::Remove(self.id, entry.name.clone())
            }
            Verb::Remove => Step::RemoveItem(self.id, pick(Entry::is_untouched)?.old?.0),
            Verb::Rename if mapping => {
                let entry = pick(Entry::is_there)?;
                Step::Rename(self.id, entry.name.clone(), self.free_key(wish)?)
            }
            Verb::Rename => return None,
            Verb::Add | Verb::AddFirst | Verb::AddAfter if !mapping => {
                Step::Push(self.id, wish.text, wish.shape)
            }
            verb => {
                let place = match verb {
                    Verb::AddFirst => Place::Start,
                    Verb::AddAfter => Place::After(pick(|entry| !entry.gone)?.name.clone()),
                    _ => Place::End,
                };
                Step::Insert(self.id, self.free_key(wish)?, wish.text, wish.shape, place)
            }
        })
    }

    /// A key that no entry has; now and then one that an entry had.
    fn free_key(&self, wish: &Wish) -> Option<String> {
        let mut had = self.entries.iter().filter(|entry| entry.gone).map(|entry| &entry.name);
        let key = had.next().filter(|_| wish.key.is_multiple_of(4));
        let key = key.map_or_else(|| text(wish.key / 4).to_owned(), String::clone);
        let taken = self.entries.iter().any(|entry| !entry.gone && entry.name == key);
        (!taken).then_some(key)
    }

    /// Does what a step does.
    pub(crate) fn make(&mut self, step: &Step) {
        match step {
            Step::Set(id, text) => self.by_value(*id).value = Some(Read::text(text)),
            Step::Replace(id, text, shape) => {
                self.by_value(*id).value = Some(Read::of(&value(*text, *shape)));
            }
            Step::Remove(_, key) => self.by_name(key).gone = true,
            Step::RemoveItem(_, index) => {
                let is = |entry: &&mut Entry| entry.old.is_some_and(|(old, _)| old == *index);
                self.entries.iter_mut().find(is).expect("the item").gone = true;
            }
            Step::Rename(_, key, new) => {
                let entry = self.by_name(key);
                (entry.name, entry.renamed) = (new.clone(), true);
            }
            Step::Insert(_, key, text, shape, place) => {
                self.kind = Some(Kind::Mapping);
                let old = |from: usize| {
                    let later = &self.entries[from..];
                    later.iter().position(|entry| entry.old.is_some()).map(|at| from + at)
                };
                // Behind those that went to the same place before.
                let at = match place {
                    Place::Start => old(0),
                    Place::End => None,
                    Place::After(near) => {
                        let is = |entry: &Entry| !entry.gone && entry.name == *near;
                        let near = self.entries.iter().position(is).expect("the key");
                        match self.entries[near].old {
                            Some(_) => old(near + 1),
                            None => Some(near + 1),
                        }
                    }
                };
                let at = at.unwrap_or(self.entries.len());
                self.entries.insert(at, Entry::new(key, *text, *shape));
            }
            Step::Push(_, text, shape) => {
                self.kind = Some(Kind::Sequence);
                self.entries.push(Entry::new("", *text, *shape));
            }
        }
    }

    fn by_value(&mut self, id: NodeId) -> &mut Entry {
        let is = |entry: &&mut Entry| entry.old.is_some_and(|(_, value)| value == id);
        self.entries.iter_mut().find(is).expect("the value")
    }

    fn by_name(&mut self, name: &str) -> &mut Entry {
        let is = |entry: &&mut Entry| !entry.gone && entry.name == name;
        self.entries.iter_mut().find(is).expect("the key")
    }

    /// Does all of it to what was read before.
    pub(crate) fn put_into(self, reads: &mut [Read]) {
        let read = at(reads, &self.way);
        let old = match std::mem::replace(read, Read::Sequence(Vec::new())) {
            Read::Mapping(of) | Read::Sequence(of) => of,
            nothing if self.entries.is_empty() => {
                *read = nothing;
                return;
            }
            _ => Vec::new(),
        };
        let mapping = self.kind == Some(Kind::Mapping);
        let mut of = Vec::new();
        for entry in self.entries.into_iter().filter(|entry| !entry.gone) {
            let index = entry.old.map(|(index, _)| if mapping { 2 * index } else { index });
            let key = index.filter(|_| !entry.renamed).map(|index| old[index].clone());
            if mapping {
                of.push(key.unwrap_or_else(|| Read::text(&entry.name)));
            }
            let value = index.map(|index| old[index + usize::from(mapping)].clone());
            of.extend(entry.value.or(value));
        }
        *read = if mapping { Read::Mapping(of) } else { Read::Sequence(of) };
    }
}

impl Entry {
    fn new(name: &str, text: usize, shape: u8) -> Self {
        let value = Some(Read::of(&value(text, shape)));
        Self {
            name: name.to_owned(),
            old: None,
            collection: false,
            renamed: false,
            value,
            gone: false,
            held: false,
        }
    }

    /// It was there before, and is.
    fn is_there(&self) -> bool {
        self.old.is_some() && !self.gone
    }

    fn is_untouched(&self) -> bool {
        self.is_there() && !self.held && self.value.is_none()
    }
}
