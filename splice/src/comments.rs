//! The comments of a collection, for whoever writes another one in its place.

use crate::{File, NodeId, Place, edit::line_end, tree::Shape};

/// A comment of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment<'a> {
    /// The keys that lead to the entry on whose line it stands, else to the one that it stands above. An item of a sequence has none.
    pub about: Vec<String>,
    /// From its `#` to the end of its line.
    pub text: &'a str,
    /// Where it begins.
    pub place: Place,
}

impl<'a> File<'a> {
    /// The comments in a collection and behind the last value in it, in their order.
    #[must_use]
    pub fn comments(&self, collection: NodeId) -> Vec<Comment<'a>> {
        let start = self.node(collection).span().start;
        let mut walk =
            Walk { file: self, at: start, path: Vec::new(), last: Vec::new(), found: Vec::new() };
        walk.value(collection);
        let end = line_end(self, walk.at);
        if self.slice(walk.at..end).trim_start().starts_with('#') {
            walk.gap(end);
        }
        walk.found
    }
}

/// Goes through a collection in the order of its text.
struct Walk<'f, 'a> {
    file: &'f File<'a>,
    /// What stands before was seen.
    at: usize,
    /// The keys that lead here.
    path: Vec<String>,
    /// The keys that lead to what was seen last.
    last: Vec<String>,
    found: Vec<Comment<'a>>,
}

impl Walk<'_, '_> {
    fn value(&mut self, node: NodeId) {
        let span = self.file.node(node).span();
        match self.file.node(node).shape() {
            shape if shape.is_mapping() => {
                for (key, value) in self.file.node(node).entries() {
                    self.path.push(self.file.node(key).text().into_owned());
                    self.gap(self.file.node(key).span().start);
                    self.seen(self.file.node(key).span().end);
                    self.value(value);
                    self.path.pop();
                }
            }
            shape if shape.is_sequence() => {
                self.file.node(node).items().for_each(|item| self.value(item));
            }
            shape => {
                self.gap(span.start);
                if matches!(shape, Shape::Literal | Shape::Folded) {
                    // Behind the header, before the first line of the text.
                    self.at = span.start;
                    self.gap(line_end(self.file, span.start).min(span.end));
                }
                self.seen(span.end);
            }
        }
        // A collection between brackets ends behind the last thing in it.
        self.gap(span.end);
    }

    fn seen(&mut self, end: usize) {
        self.at = self.at.max(end);
        self.last.clone_from(&self.path);
    }

    /// Takes the comments between two parts: nothing else stands there but blanks, signs, anchors and tags.
    fn gap(&mut self, end: usize) {
        if end <= self.at {
            return;
        }
        let before = self.file.slice(0..self.at);
        let mut is_beside = !before.ends_with(['\n', '\r']) && !before.is_empty();
        let mut start = self.at;
        for line in self.file.slice(self.at..end).split(['\n', '\r']) {
            let is_first = |at: &usize| {
                line.get(..*at).is_some_and(|head| {
                    head.ends_with([' ', '\t']) || (head.is_empty() && !is_beside)
                })
            };
            if let Some(at) = line.match_indices('#').map(|(at, _)| at).find(is_first) {
                let about = if is_beside { &self.last } else { &self.path };
                let text = line.get(at..).unwrap_or_default().trim_end_matches([' ', '\t']);
                let place = self.file.place(start + at);
                self.found.push(Comment { about: about.clone(), text, place });
            }
            start += line.len() + 1;
            is_beside = false;
        }
        self.at = end;
    }
}
