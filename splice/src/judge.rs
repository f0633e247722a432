//! The second reader. `saphyr-parser` reads each document too, and every event must be the node that we read, with the same
//! text. What it refuses is refused; where it reads something else, the file is disputed and nobody guesses.
//!
//! Its own faults are fenced: a flow collection in the place of a key makes it keep all tokens, so that a root of JSON is
//! given to it behind `--- `, where no key can begin, and the reader bounds the others (`Problem::LongFlow`).

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

use crate::{
    Document, Problem,
    decode::decode,
    properties::{Properties, TagKind},
    read::Stop,
    tree::{NodeId, Raw, Shape, Tree},
};

/// Compares one document, and notes which of its anchors are used.
pub(crate) fn judge(text: &str, tree: &mut Tree, document: &Document) -> Result<(), Stop> {
    let span = document.span();
    let root = document.root();
    let start = root.map_or(document.content().end, |root| tree.outer_start(root));
    let prefix = text.get(span.start..start).unwrap_or_default();
    let directives = prefix.lines().any(|line| line.starts_with('%'));
    let is_flow = root.and_then(|root| tree.get(root)).is_some_and(|raw| raw.shape.is_flow());

    let mut trial = Trial {
        text,
        tag_directives: directives,
        at: root.map_or(usize::MAX, NodeId::index),
        begin: start,
        ends: Vec::new(),
        names: HashMap::new(),
        shared: Vec::new(),
        most_names: 1024 + text.len() / 128,
    };
    if is_flow && !directives {
        let rest = text.get(start..span.end).unwrap_or_default();
        let fenced = ["--- ", rest].concat();
        trial.run(tree, &fenced, |mark| start + mark.saturating_sub(4))?;
    } else {
        let slice = text.get(span.clone()).unwrap_or_default();
        trial.run(tree, slice, |mark| span.start + mark)?;
    }
    let mut shared = trial.shared;
    shared.sort_unstable();
    shared.dedup();
    tree.shared.extend(shared);
    Ok(())
}

/// A text in which we see no document must be one without documents to the library too.
pub(crate) fn judge_empty(text: &str) -> Result<(), Stop> {
    for event in Parser::new_from_str(text) {
        match event {
            Ok((Event::StreamStart | Event::StreamEnd, _)) => {}
            Ok(_) => return Err(Stop { at: 0, problem: Problem::Disputed }),
            Err(_) => return Err(Stop { at: 0, problem: Problem::Invalid }),
        }
    }
    Ok(())
}

struct Trial<'a> {
    text: &'a str,
    tag_directives: bool,
    /// The next node of ours.
    at: usize,
    begin: usize,
    /// Where open collections end, as node indexes.
    ends: Vec<usize>,
    /// Anchors by name: the library's number, and our node.
    names: HashMap<&'a str, (usize, u32)>,
    shared: Vec<u32>,
    most_names: usize,
}

impl<'a> Trial<'a> {
    fn run(
        &mut self,
        tree: &Tree,
        slice: &str,
        offset: impl Fn(usize) -> usize,
    ) -> Result<(), Stop> {
        let mut documents = 0;
        let mut anchors = 0;
        for event in Parser::new_from_str(slice) {
            let event = event.map_err(|error| self.refused(slice, &error, &offset))?.0;
            let agrees = match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    documents == 1
                }
                Event::SequenceEnd | Event::MappingEnd => self.ends.pop() == Some(self.at),
                Event::Alias(number) => self.alias(tree, number),
                Event::Scalar(text, style, anchor, tag) => {
                    self.scalar(tree, &text, style)
                        && self.properties(tree, &mut anchors, anchor, tag.as_deref())?
                }
                Event::SequenceStart(anchor, tag) => {
                    self.collection(tree, Shape::is_sequence)
                        && self.properties(tree, &mut anchors, anchor, tag.as_deref())?
                }
                Event::MappingStart(anchor, tag) => {
                    self.collection(tree, Shape::is_mapping)
                        && self.properties(tree, &mut anchors, anchor, tag.as_deref())?
                }
                _ => true,
            };
            if !agrees {
                return Err(Stop { at: self.here(tree), problem: Problem::Disputed });
            }
        }
        Ok(())
    }

    fn here(&self, tree: &Tree) -> usize {
        let last = self.at.saturating_sub(1);
        tree.nodes.get(last).map_or(self.begin, |raw| raw.start as usize)
    }

    /// The library's text of an error can quote the file, so only its place is taken. It counts characters.
    fn refused(&self, slice: &str, error: &ScanError, offset: &impl Fn(usize) -> usize) -> Stop {
        let mark = error.marker().index();
        let at = slice.char_indices().nth(mark).map_or(slice.len(), |(at, _)| at);
        Stop { at: offset(at), problem: Problem::Invalid }
    }

    fn next<'t>(&mut self, tree: &'t Tree) -> Option<&'t Raw> {
        let raw = tree.nodes.get(self.at);
        self.at = self.at.saturating_add(1);
        raw
    }

    fn scalar(&mut self, tree: &Tree, text: &str, style: ScalarStyle) -> bool {
        let Some(raw) = self.next(tree) else {
            // A document without a value: the library says an empty one.
            return self.at == usize::MAX && text.is_empty() && style == ScalarStyle::Plain;
        };
        let shape = match style {
            ScalarStyle::Plain => Shape::Plain,
            ScalarStyle::SingleQuoted => Shape::Single,
            ScalarStyle::DoubleQuoted => Shape::Double,
            ScalarStyle::Literal => Shape::Literal,
            ScalarStyle::Folded => Shape::Folded,
        };
        raw.shape == shape && decode(self.text, raw) == text
    }

    fn collection(&mut self, tree: &Tree, is: impl Fn(Shape) -> bool) -> bool {
        let index = self.at;
        let Some(raw) = self.next(tree) else { return false };
        self.ends.push(index + raw.size());
        is(raw.shape)
    }

    fn alias(&mut self, tree: &Tree, number: usize) -> bool {
        let Some(raw) = self.next(tree) else { return false };
        let name = self.text.get(raw.start as usize + 1..raw.end as usize).unwrap_or_default();
        match self.names.get(name) {
            Some((known, node)) => {
                self.shared.push(*node);
                raw.shape == Shape::Alias && *known == number
            }
            None => false,
        }
    }

    /// The anchor and the tag of the node that was just compared.
    fn properties(
        &mut self,
        tree: &Tree,
        anchors: &mut usize,
        anchor: usize,
        tag: Option<&saphyr_parser::Tag>,
    ) -> Result<bool, Stop> {
        let Some(index) = self.at.checked_sub(1) else { return Ok(true) };
        let Some(raw) = tree.nodes.get(index) else { return Ok(anchor == 0 && tag.is_none()) };
        if !raw.has_properties {
            return Ok(anchor == 0 && tag.is_none());
        }
        let id = NodeId(crate::tree::compact(index));
        let ours = Properties::of(self.text, tree, id);
        if let Some(name) = ours.anchor {
            *anchors += 1;
            if *anchors > self.most_names {
                return Err(Stop { at: raw.start as usize, problem: Problem::TooDense });
            }
            self.names.insert(name, (anchor, id.0));
        }
        let kind = TagKind::of(ours.tag);
        let same_tag = match tag {
            None => ours.tag.is_none(),
            // A %TAG directive can give any tag another meaning; such documents have no text with a tag (see `node`).
            Some(_) if self.tag_directives => ours.tag.is_some(),
            Some(tag) => kind == TagKind::of_resolved(&tag.handle, &tag.suffix),
        };
        Ok((anchor != 0) == ours.anchor.is_some() && same_tag)
    }
}
