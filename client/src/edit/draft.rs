//! A sealed Secret as the editor gets it, and what the editor leaves.
//!
//! Invariant: a value is shown as text only if reading the text gives its bytes again; everything else is base64.

use std::{collections::BTreeMap, fmt};

use sealing::{DataKey, Opened, Plaintext, SealedSecret, Template};
use splice::{Place, Value};
use zeroize::Zeroizing;

use super::change::Change;
use crate::{
    failure::Failure,
    manifest,
    secret::{Secret, Unfit, is_secret},
};

/// Stands for a value that is not open.
pub(super) const PLACEHOLDER: &str = "<sealed: unchanged>";

/// The draft of an object, with the values that are open.
pub(super) fn encode(object: &SealedSecret, opened: &Opened, shown: &str) -> Zeroizing<Vec<u8>> {
    let template = object.template();
    let mut metadata = vec![("name", Value::from(object.name()))];
    metadata.extend(object.namespace().map(|namespace| ("namespace", Value::from(namespace))));
    for (field, texts) in [("labels", &template.labels), ("annotations", &template.annotations)] {
        if !texts.is_empty() {
            let texts =
                texts.iter().map(|(key, value)| (key.as_str(), Value::from(value.as_str())));
            metadata.push((field, Value::mapping(texts)));
        }
    }
    let (mut strings, mut data) = (Vec::new(), Vec::new());
    for key in object.values().keys() {
        match opened.get(key) {
            None => strings.push((key.as_str(), Value::from(PLACEHOLDER))),
            Some(value) => match as_text(value) {
                Some(value) => strings.push((key.as_str(), Value::from(value))),
                None => {
                    let base64 = data_encoding::BASE64.encode(value.expose_secret());
                    data.push((key.as_str(), Value::Text(base64)));
                }
            },
        }
    }
    let mut fields = vec![
        ("apiVersion", Value::from("v1")),
        ("kind", Value::from("Secret")),
        ("metadata", Value::mapping(metadata)),
    ];
    fields.extend(template.secret_type.as_deref().map(|name| ("type", Value::from(name))));
    fields.extend(template.immutable.map(|immutable| ("immutable", Value::Bool(immutable))));
    fields.push(("stringData", Value::mapping(strings)));
    if !data.is_empty() {
        fields.push(("data", Value::mapping(data)));
    }
    let body = Zeroizing::new(splice::render(&Value::mapping(fields)));
    let head = head(object, opened, shown);
    let mut out = Zeroizing::new(Vec::with_capacity(head.len() + body.len()));
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body.as_bytes());
    out
}

fn head(object: &SealedSecret, opened: &Opened, shown: &str) -> String {
    let mut out = format!(
        "# {} of {}. What you change is sealed when you save and close; the rest keeps its bytes.\n\
         # Text stands in stringData, everything else in data, as base64.\n",
        object.full_name(),
        shown.escape_debug()
    );
    if opened.len() < object.values().len() {
        out.push_str(&format!(
            "# {PLACEHOLDER:?} is a value that your keys do not open: leave it as it is, or write a new value over it.\n"
        ));
    }
    let made: Vec<_> = object.template().data.keys().map(DataKey::as_str).collect();
    if !made.is_empty() {
        out.push_str(&format!("# The template in the file makes {}.\n", made.join(", ")));
    }
    out
}

/// A value that a person can read and change as text.
fn as_text(value: &Plaintext) -> Option<&str> {
    let text = std::str::from_utf8(value.expose_secret()).ok()?;
    let fits = text != PLACEHOLDER
        && text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t')
        // Line ends to some readers of YAML, and invisible to all.
        && !text.contains(['\u{85}', '\u{2028}', '\u{2029}', '\u{feff}']);
    fits.then_some(text)
}

/// What a draft changes of the object that it was made of.
pub(super) fn parse(
    draft: Zeroizing<Vec<u8>>,
    base: &SealedSecret,
    opened: &Opened,
) -> Result<Change, Failure> {
    let file = splice::parse(&draft).map_err(|error| {
        wrong(error.place, "cannot be read as YAML", error.problem, "correct it there")
    })?;
    let found = manifest::objects(&file);
    let [object] = found.as_slice() else {
        return Err(Failure::new(
            "the draft is no longer one Secret",
            format!("it has {} objects in it", found.len()),
            "leave the one Secret in it",
        ));
    };
    let json = manifest::json(&file, object.node).map_err(|(place, why)| {
        wrong(place, "cannot be read without guessing", why, "correct it there")
    })?;
    if !is_secret(&json) {
        return Err(Failure::new(
            "the draft is no longer a Secret",
            "kind or apiVersion is another one",
            "write apiVersion: v1 and kind: Secret",
        ));
    }
    let secret = Secret::parse(&json).map_err(|Unfit { at, why, next }| {
        wrong(manifest::find(&file, object.node, &at), "cannot be sealed", why, next)
    })?;
    let strings = json.get("stringData");
    let is_placeholder = |key: &DataKey| {
        strings
            .and_then(|strings| strings.get(key.as_str()))
            .is_some_and(|text| text == PLACEHOLDER)
    };
    changes(secret, &is_placeholder, base, opened)
}

/// What is wrong with a draft, and where. The line is not shown, nor what it is called: a slip in it, and a value stands there as a key.
fn wrong(place: Place, what: &str, why: impl fmt::Display, next: &str) -> Failure {
    let what = format!("draft.yaml:{}:{}: {what}", place.line, place.column);
    Failure::new(what, why.to_string(), next)
}

fn changes(
    secret: Secret,
    is_placeholder: &dyn Fn(&DataKey) -> bool,
    base: &SealedSecret,
    opened: &Opened,
) -> Result<Change, Failure> {
    if secret.name != base.name() || secret.namespace.as_deref() != base.namespace() {
        return Err(Failure::new(
            "the draft has another name or namespace",
            format!("it is a draft of {}, and values are bound to their place", base.full_name()),
            "put the name back; to move the Secret, unseal it and seal it there",
        ));
    }
    // `Opaque` is what a type that is not written means.
    let secret_type = match secret.template.secret_type.as_deref().unwrap_or("Opaque") {
        same if same == base.template().secret_type() => base.template().secret_type.clone(),
        _ => secret.template.secret_type.clone(),
    };
    let data = base.template().data.clone();
    let template = Template { secret_type, data, ..secret.template };
    let retyped = template.secret_type() != base.template().secret_type();
    let mut set = BTreeMap::new();
    let kept: Vec<DataKey> = secret.values.keys().cloned().collect();
    for (key, value) in secret.values {
        let old = opened.get(&key);
        if is_placeholder(&key) {
            if !base.values().contains_key(&key) {
                return Err(no_value(&key));
            }
            if retyped {
                return Err(bound(&key));
            }
        } else if retyped || old.is_none_or(|old| old.expose_secret() != value.expose_secret()) {
            if template.data.contains_key(&key) {
                return Err(Failure::new(
                    format!("{key} is made by the template"),
                    "a Secret has each key once",
                    "choose another name, or take it out of spec.template.data in the file first",
                ));
            }
            set.insert(key, value);
        }
    }
    let unset = base.values().keys().filter(|key| !kept.contains(key)).cloned().collect();
    let template = (template != *base.template()).then_some(template);
    Ok(Change { set: set.into_iter().collect(), unset, template, retyped })
}

fn no_value(key: &DataKey) -> Failure {
    Failure::new(
        format!("there is no sealed value {key} that could stay unchanged"),
        "a value is bound to its name, and cannot be renamed while it is sealed",
        "write its value, put the old name back, or edit with a key that opens it",
    )
}

fn bound(key: &DataKey) -> Failure {
    Failure::new(
        format!("the type cannot be changed while {key} is sealed"),
        "values are bound to the type of their Secret",
        "put the type back, write a value for each key, or edit with a key that opens them",
    )
}
