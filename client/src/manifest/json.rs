//! From nodes of a file to data, without a guess.

use sealing::At;
use serde_json::{Map, Value as Json};
use splice::{File, Kind, NodeId, Place};

/// An object as data. A scalar that is not text in every version of YAML never becomes text.
pub(crate) fn json(file: &File<'_>, node: NodeId) -> Result<Json, (Place, &'static str)> {
    let here = |why| (file.node(node).place(), why);
    match file.node(node).kind() {
        Kind::Alias => Err(here(
            "this is an alias: what it stands for is kept elsewhere in the file; write it out here",
        )),
        Kind::Scalar => {
            let node = file.node(node);
            if node.is_text() {
                return Ok(Json::String(node.text().into_owned()));
            }
            if let Some(truth) = node.as_bool() {
                return Ok(truth.into());
            }
            if let Some(number) = node.as_integer() {
                return Ok(number.into());
            }
            // Null, a fraction, a time, or what YAML 1.1 and 1.2 read differently: no field of ours takes one.
            Ok(if node.is_null() { Json::Null } else { Json::Bool(false) })
        }
        Kind::Sequence => {
            file.items(node).map(|item| json(file, item)).collect::<Result<_, _>>().map(Json::Array)
        }
        Kind::Mapping => {
            if let Some((second, first)) = file.node(node).duplicate_key() {
                let _ = first;
                return Err((
                    second,
                    "this key stands twice, and readers differ in which one counts; take one out",
                ));
            }
            let mut out = Map::new();
            for (key, value) in file.entries(node) {
                let key_node = file.node(key);
                if key_node.kind() != Kind::Scalar || !key_node.is_text() {
                    return Err((
                        key_node.place(),
                        "this key is not text to every reader of YAML; put it in quotes",
                    ));
                }
                out.insert(key_node.text().into_owned(), json(file, value)?);
            }
            Ok(Json::Object(out))
        }
    }
}

/// Where `at` is in an object, or what is nearest to it.
pub(crate) fn find(file: &File<'_>, root: NodeId, at: &At) -> Place {
    let mut node = root;
    let mut place = file.node(root).place();
    for step in at.steps() {
        let next = match step {
            Ok(field) => file.field(node, field),
            Err(index) => file.items(node).nth(index),
        };
        let Some(next) = next else { break };
        // The name of a field, where its value begins further down.
        let key = file.entries(node).find(|(_, value)| *value == next).map(|(key, _)| key);
        (node, place) = (next, file.node(next).place());
        if let Some(key) = key.map(|key| file.node(key).place()).filter(|key| key.line < place.line)
        {
            place = key;
        }
    }
    place
}
