//! The comments of a Secret, in the sealed Secret that takes its place.

use std::collections::BTreeMap;

use splice::{Comment, File, NodeId, Value};

/// A sealed Secret with the comments of the Secret that it was: each above the entry that has what it was about. Its values are in
/// field `values` of its spec.
pub(super) fn kept(file: &File<'_>, secret: NodeId, sealed: Value, values: &str) -> Value {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    for Comment { about, text, .. } in file.comments(secret) {
        let about: Vec<_> = about.iter().map(String::as_str).collect();
        all.entry(there(&sealed, counterpart(&about, values))).or_default().push(text.to_owned());
    }
    commented(sealed, &mut Vec::new(), &mut all)
}

/// Where in a sealed Secret that is which a Secret has here.
fn counterpart<'p>(path: &[&'p str], values: &'p str) -> Vec<&'p str> {
    match path {
        ["metadata", "labels" | "annotations", ..] | ["type" | "immutable"] => {
            [&["spec", "template"], path].concat()
        }
        ["data" | "stringData", key @ ..] => [&["spec", values], key].concat(),
        ["apiVersion" | "kind" | "metadata", ..] => path.to_vec(),
        _ => vec!["spec"],
    }
}

/// As much of a path as there is.
fn there(mut value: &Value, path: Vec<&str>) -> Vec<String> {
    let mut out = Vec::new();
    for key in path {
        let Value::Mapping(entries) = value else { break };
        let Some((_, inner)) = entries.iter().find(|(name, _)| name == key) else { break };
        out.push(key.to_owned());
        value = inner;
    }
    out
}

fn commented(
    value: Value,
    path: &mut Vec<String>,
    all: &mut BTreeMap<Vec<String>, Vec<String>>,
) -> Value {
    let Value::Mapping(entries) = value else { return value };
    let entry = |(key, value): (String, Value)| {
        path.push(key.clone());
        let value = commented(value, path, all);
        let comments = all.remove(path);
        path.pop();
        (key, comments.into_iter().fold(value, Value::commented))
    };
    Value::Mapping(entries.into_iter().map(entry).collect())
}
