//! Cases of `tests/awkward`: a file each, with what it shows, edits, the text before and the text after.
//!
//! ```text
//! # what the case shows
//! edit: set /data/password "new"
//! read: /data/password = "old"
//! === before
//! …
//! === after                      or   === refused 3:5 Alias   ·   === unread 3:5 TabIndent
//! …
//! ```
//!
//! In the texts `␍` is a carriage return, `␉` a tab, `⌶` a byte order mark, `␠` a blank that an editor would strip, and `∎` at
//! the end says that the last line has no line break. Paths are JSON pointers, with the number of the document before them; `~_` is a blank.

use splice::{At, File, NodeId, Splice, SpliceError, Value};

/// What a case expects.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Text(String),
    /// Place and name of the refusal.
    Refused(String),
    /// The same of what cannot be read.
    Unread(String),
}

pub(crate) struct Case {
    pub(crate) title: String,
    pub(crate) edits: Vec<String>,
    pub(crate) reads: Vec<String>,
    pub(crate) before: String,
    pub(crate) expected: Option<Outcome>,
}

impl Case {
    pub(crate) fn parse(text: &str) -> Self {
        let (head, rest) = text.split_once("=== before\n").expect("a text before");
        let lines = |prefix: &str| -> Vec<String> {
            head.lines().filter_map(|line| line.strip_prefix(prefix)).map(str::to_owned).collect()
        };
        let (before, tail) = match rest.find("=== ") {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (verdict, after) = tail.split_once('\n').unwrap_or((tail, ""));
        let expected = match verdict.strip_prefix("=== ") {
            Some("after") => Some(Outcome::Text(bytes(after))),
            Some(verdict) => match verdict.split_once(' ') {
                Some(("refused", what)) => Some(Outcome::Refused(what.to_owned())),
                Some(("unread", what)) => Some(Outcome::Unread(what.to_owned())),
                _ => panic!("what does {verdict} mean?"),
            },
            None => None,
        };
        let title = lines("# ").join(" ");
        Self {
            title,
            edits: lines("edit: "),
            reads: lines("read: "),
            before: bytes(before),
            expected,
        }
    }

    pub(crate) fn run(&self) -> Outcome {
        let file = match splice::parse(self.before.as_bytes()) {
            Ok(file) => file,
            Err(error) => return Outcome::Unread(verdict(error.place, &error.problem)),
        };
        for read in &self.reads {
            let (path, value) = read.split_once(" = ").expect("read: path = value");
            let node = find(&file, path);
            let node = file.node(node);
            let value: serde_json::Value = serde_json::from_str(value).expect("JSON");
            let is = match &value {
                serde_json::Value::String(text) => node.is_text() && node.text() == *text,
                serde_json::Value::Bool(bool) => node.as_bool() == Some(*bool),
                serde_json::Value::Number(number) => node.as_integer() == number.as_i64(),
                serde_json::Value::Null => !node.is_text(),
                _ => panic!("only scalars are compared"),
            };
            assert!(is, "{}: {read}", self.title);
        }
        let mut splice = Splice::new(&file);
        let done = self.edits.iter().try_for_each(|edit| apply(&file, &mut splice, edit));
        match done.and_then(|()| splice.finish()) {
            Ok(text) => Outcome::Text(text),
            Err(error) => {
                assert!(!error.to_string().contains('\n'));
                Outcome::Refused(verdict(error.place, &error.refusal))
            }
        }
    }
}

fn verdict(place: splice::Place, what: &impl std::fmt::Debug) -> String {
    let name = format!("{what:?}");
    let name = name.split([' ', '{']).next().unwrap_or_default().to_owned();
    format!("{}:{} {name}", place.line, place.column)
}

/// From a readable text to the bytes it stands for.
pub(crate) fn bytes(text: &str) -> String {
    let text =
        text.replace('␍', "\r").replace('␉', "\t").replace('⌶', "\u{feff}").replace('␠', " ");
    text.replace("∎\n", "")
}

/// One edit as a case or a property writes it.
pub(crate) fn apply(
    file: &File<'_>,
    splice: &mut Splice<'_>,
    edit: &str,
) -> Result<(), SpliceError> {
    let (verb, rest) = edit.split_once(' ').expect("a verb");
    let (path, rest) = rest.split_once(' ').expect("a path");
    let mut words = serde_json::Deserializer::from_str(rest).into_iter::<serde_json::Value>();
    let mut next = || words.next().map(|word| word.expect("JSON"));
    let text = |value: Option<serde_json::Value>| match value {
        Some(serde_json::Value::String(text)) => text,
        other => panic!("{edit}: not a text: {other:?}"),
    };
    if verb == "document" {
        let index = path.parse().expect("a number");
        return match next().expect("text or value") {
            serde_json::Value::String(text) => splice.replace_document(index, &text),
            other => splice.replace_document_value(index, value(other)),
        };
    }
    let node = find(file, path);
    match verb {
        "set" => splice.set(node, &text(next())),
        "replace" => splice.replace(node, value(next().expect("a value"))),
        "insert" => {
            let key = text(next());
            let new = value(next().expect("a value"));
            match next() {
                None => splice.insert(node, &key, new, At::End),
                Some(serde_json::Value::Bool(_)) => splice.insert(node, &key, new, At::Start),
                Some(near) => splice.insert(node, &key, new, At::After(&text(Some(near)))),
            }
        }
        "remove" => splice.remove(node, &text(next())),
        "rename" => {
            let key = text(next());
            splice.rename(node, &key, &text(next()))
        }
        "push" => splice.push(node, value(next().expect("a value"))),
        "remove-item" => {
            let index = next().and_then(|index| index.as_u64()).expect("a number");
            splice.remove_item(node, usize::try_from(index).expect("small"))
        }
        _ => panic!("what is {verb}?"),
    }
}

/// `["flow", value]` is a value between brackets.
pub(crate) fn value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Bool(bool) => Value::Bool(bool),
        serde_json::Value::Number(number) => Value::Integer(number.as_i64().expect("an integer")),
        serde_json::Value::Array(mut items) => {
            if items.len() == 2 && items.first().is_some_and(|first| first == "flow") {
                return value(items.remove(1)).flow();
            }
            Value::Sequence(items.into_iter().map(value).collect())
        }
        serde_json::Value::Object(entries) => {
            Value::Mapping(entries.into_iter().map(|(key, inner)| (key, value(inner))).collect())
        }
        serde_json::Value::Null => Value::Null,
    }
}

/// `2:/a/0/b`: in the third document, key a, item 0, key b.
pub(crate) fn find(file: &File<'_>, path: &str) -> NodeId {
    let (document, path) = match path.split_once(":/") {
        Some((document, _)) => (document, &path[document.len() + 1..]),
        None => ("0", path),
    };
    let document = &file.documents()[document.parse::<usize>().expect("a number")];
    let mut node = document.root().expect("a document with a value");
    for step in path.split('/').skip(1).filter(|step| !step.is_empty()) {
        let view = file.node(node);
        let step = step.replace("~_", " ").replace("~1", "/").replace("~0", "~");
        node = match view.kind() {
            splice::Kind::Sequence => view.items().nth(step.parse().expect("an index")),
            _ => view.get(&step),
        }
        .unwrap_or_else(|| panic!("nothing at {path}"));
    }
    node
}
