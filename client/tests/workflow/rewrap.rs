//! Other recipients for the slots of a file in the layout that `seal` writes: what `reseal` does, by the library alone.

use sealing::{KeyRing, Recipient, SealedSecret};
use serde_json::{Value, json};

pub(crate) fn rewrap(text: &str, ring: &KeyRing, recipients: &[Recipient]) -> String {
    let mut object = SealedSecret::parse(&parse(text)).unwrap();
    object.rewrap(ring, recipients, &envelope::SystemRandom).unwrap();
    let mut slots = object.slots().iter();
    let mut out = String::new();
    for line in text.lines() {
        if line.starts_with("    - {kid: ") {
            continue;
        }
        out += &format!("{line}\n");
        if line == "    wraps:" {
            for wrap in slots.next().unwrap().wraps() {
                let ct = data_encoding::BASE64.encode(wrap.bytes());
                out += &format!("    - {{kid: {}, ct: {ct}}}\n", wrap.kid());
            }
        }
    }
    out
}

fn parse(text: &str) -> Value {
    let (mut slots, mut values) = (Vec::<Value>::new(), json!({}));
    for line in text.lines() {
        let (key, rest) = line.split_once(": ").unwrap_or((line, ""));
        match key {
            "  - id" => slots.push(json!({"id": rest, "wraps": []})),
            "    commit" => slots.last_mut().unwrap()["commit"] = rest.into(),
            "    - {kid" => {
                let (kid, ct) = rest.trim_end_matches('}').split_once(", ct: ").unwrap();
                let wraps = slots.last_mut().unwrap()["wraps"].as_array_mut().unwrap();
                wraps.push(json!({"kid": kid, "ct": ct}));
            }
            _ if rest.starts_with('s') && rest.as_bytes().get(9) == Some(&b'.') => {
                values[key.trim_start().trim_matches('"')] = rest.into();
            }
            _ => {}
        }
    }
    json!({
        "apiVersion": sealing::API_VERSION,
        "kind": sealing::KIND,
        "metadata": {"name": "db", "namespace": "prod"},
        "spec": {"suite": 1, "binding": {"scope": "strict"}, "slots": slots, "values": values},
    })
}
