//! One edit of a collection: as it is drawn, and as it is asked of the crate.

use std::collections::BTreeSet;

use proptest::prelude::*;
use splice::{At, File, NodeId, Splice, SpliceError, Value};

use crate::texts::text;

/// What is drawn; [`Entries::step`](crate::Entries::step) finds what it means for a collection.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) verb: Verb,
    /// Which entry, or beside which one.
    pub(crate) near: usize,
    /// Which key, of a new entry or a renamed one.
    pub(crate) key: usize,
    pub(crate) text: usize,
    /// What a new value is made of.
    pub(crate) shape: u8,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Verb {
    Set,
    Replace,
    Remove,
    Rename,
    /// At the end; a push in a sequence.
    Add,
    AddFirst,
    AddAfter,
}

/// Any edits, or those that take all entries and bring others.
pub(crate) fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    let any_verb = prop::sample::select(vec![
        Verb::Set,
        Verb::Replace,
        Verb::Remove,
        Verb::Rename,
        Verb::Add,
        Verb::AddFirst,
        Verb::AddAfter,
    ]);
    let turnover =
        prop::sample::select(vec![Verb::Remove, Verb::Remove, Verb::Add, Verb::AddAfter]);
    prop_oneof![
        3 => prop::collection::vec(wish(any_verb), 1..8),
        1 => prop::collection::vec(wish(turnover), 2..12),
    ]
}

fn wish(verb: impl Strategy<Value = Verb>) -> impl Strategy<Value = Wish> {
    (verb, any::<usize>(), any::<usize>(), any::<usize>(), any::<u8>())
        .prop_map(|(verb, near, key, text, shape)| Wish { verb, near, key, text, shape })
}

/// A value of any shape with a text in it, in block style or between brackets.
pub(crate) fn value(number: usize, shape: u8) -> Value {
    let text = || Value::from(text(number));
    let other = || Value::from(crate::texts::text(number / 64));
    let above = vec!["# above: \"it's\" {".to_owned(), "#".to_owned()];
    let value = match shape % 13 {
        0..=1 => text(),
        2 => text().commented(above),
        3 => Value::Null,
        4 => Value::Bool(true),
        5 => Value::Integer(-12),
        6 => Value::mapping([("kid", other()), ("ct", text())]),
        7 => Value::sequence([other(), text()]),
        8 => Value::mapping([
            ("list", Value::sequence([text(), Value::mapping([("b", Value::Null)])])),
            ("map", Value::mapping([("- x", other().flow()), ("empty", Value::sequence([]))])),
            ("text", text()),
        ]),
        9 => Value::sequence([
            Value::sequence([text(), Value::Null]),
            Value::mapping([("yes", Value::sequence([other()])), ("c", text())]),
            Value::mapping([("c", text())]).flow(),
        ]),
        10 => Value::mapping([
            ("a", text().commented(above.clone())),
            ("b", Value::sequence([other(), text().commented(above)])),
        ]),
        11 => Value::mapping([]),
        _ => Value::sequence([]),
    };
    if (shape / 13).is_multiple_of(2) { value } else { value.flow() }
}

/// An edit that the crate is asked for. The value is remembered by its numbers, because it does not print itself.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Set(NodeId, &'static str),
    Replace(NodeId, usize, u8),
    Remove(NodeId, String),
    Rename(NodeId, String, String),
    Insert(NodeId, String, usize, u8, Place),
    RemoveItem(NodeId, usize),
    Push(NodeId, usize, u8),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Start,
    End,
    After(String),
}

impl Step {
    pub(crate) fn record(&self, splice: &mut Splice<'_>) -> Result<(), SpliceError> {
        match self {
            Self::Set(node, text) => splice.set(*node, text),
            Self::Replace(node, text, shape) => splice.replace(*node, value(*text, *shape)),
            Self::Remove(mapping, key) => splice.remove(*mapping, key),
            Self::Rename(mapping, key, new) => splice.rename(*mapping, key, new),
            Self::Insert(mapping, key, text, shape, place) => {
                let at = match place {
                    Place::Start => At::Start,
                    Place::End => At::End,
                    Place::After(near) => At::After(near),
                };
                splice.insert(*mapping, key, value(*text, *shape), at)
            }
            Self::RemoveItem(sequence, index) => splice.remove_item(*sequence, *index),
            Self::Push(sequence, text, shape) => splice.push(*sequence, value(*text, *shape)),
        }
    }
}

/// Whether no step names what another makes, takes or is put beside, so that their order is without meaning.
pub(crate) fn are_apart(file: &File<'_>, steps: &[Step]) -> bool {
    let (mut names, mut places) = (BTreeSet::new(), BTreeSet::new());
    steps.iter().all(|step| match step {
        Step::Set(..) | Step::Replace(..) | Step::RemoveItem(..) => true,
        Step::Push(node, ..) => places.insert((*node, Place::End)),
        Step::Remove(node, key) => names.insert((*node, key.clone())),
        Step::Rename(node, key, new) => {
            names.insert((*node, key.clone())) && names.insert((*node, new.clone()))
        }
        Step::Insert(node, key, _, _, place) => {
            let last = file.node(*node).entries().last();
            let last = last.map(|(key, _)| file.node(key).text().into_owned());
            let place = match (place, last) {
                (Place::End, Some(last)) => Place::After(last),
                (Place::End, None) => Place::Start,
                (place, _) => place.clone(),
            };
            let beside = match &place {
                Place::After(near) => names.insert((*node, near.clone())),
                _ => true,
            };
            beside && names.insert((*node, key.clone())) && places.insert((*node, place))
        }
    })
}
