//! Rules for what stands in clear text.

use splice::{File, Kind, NodeId, Place};

use super::{
    credential::{is_credential_name, is_literal, is_reference, known},
    finding::{Finding, place},
    rule,
};
use crate::manifest;

/// Words without which none of the rules here finds anything: a file that has none of them is not taken apart.
pub(crate) const WORDS: [&str; 4] = ["Secret", "secretGenerator", "ConfigMap", "env"];

/// Credentials of known forms, anywhere in a text, also in comments.
pub(crate) fn tokens(text: &str) -> Vec<Finding> {
    known(text)
        .into_iter()
        .map(|(at, what)| Finding::new(&rule::CREDENTIAL, place(text, at), what))
        .collect()
}

/// What a file that can be taken apart has in clear text.
pub(crate) fn structured(path: &str, file: &File<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    let name = path.rsplit('/').next().unwrap_or(path);
    for found in manifest::objects(file) {
        let root = found.node;
        match file.field_text(root, "kind").as_deref() {
            Some("Secret") => secret(file, root, &mut out),
            Some("ConfigMap") => {
                for (key, value) in file
                    .field(root, "data")
                    .into_iter()
                    .flat_map(|data| file.entries(data).collect::<Vec<_>>())
                {
                    named(file, key, value, &rule::CREDENTIAL, &mut out);
                }
            }
            Some("Kustomization") => kustomization(file, root, &mut out),
            None if name.starts_with("kustomization.") => kustomization(file, root, &mut out),
            None if is_values(path) => values(file, root, &mut out),
            _ => {}
        }
        environment(file, root, &mut out);
    }
    out
}

/// Whether a file has the values of a Helm chart, by its name.
pub(crate) fn is_values(path: &str) -> bool {
    path.rsplit('/').next().unwrap_or(path).starts_with("values") || path.contains("/values/")
}

/// Secrets in a file that is a template and cannot be taken apart: by lines.
pub(crate) fn template(text: &str) -> Vec<Finding> {
    let mut out = Vec::new();
    let (mut is_secret, mut in_data, mut offset) = (false, false, 0);
    for line in text.split_inclusive('\n') {
        let (here, content) = (offset, line.trim_end());
        offset += line.len();
        if content.starts_with("---") {
            (is_secret, in_data) = (false, false);
        } else if content == "kind: Secret" {
            is_secret = true;
        } else if content == "data:" || content == "stringData:" {
            in_data = true;
        } else if !content.starts_with([' ', '#', '{', '-']) && !content.is_empty() {
            in_data = false;
        } else if let Some((key, value)) = content.split_once(": ").filter(|_| is_secret && in_data)
        {
            let value = value.trim().trim_matches(['"', '\'']);
            if !key.contains("{{")
                && !key.trim_start().starts_with('#')
                && !is_reference(value)
                && !value.starts_with(['|', '>'])
            {
                let column = here + content.len() - content.trim_start().len();
                out.push(Finding::new(
                    &rule::TEMPLATE,
                    place(text, column),
                    format!("{} is a literal in the template of a Secret", key.trim()),
                ));
            }
        }
    }
    out
}

fn secret(file: &File<'_>, root: NodeId, out: &mut Vec<Finding>) {
    // sops keeps the object and encrypts its values, each of which says so.
    let mut plain = Vec::new();
    for field in ["data", "stringData"] {
        for (key, value) in file
            .field(root, field)
            .into_iter()
            .flat_map(|data| file.entries(data).collect::<Vec<_>>())
        {
            let text = file.node(value).text();
            if file.node(value).kind() != Kind::Scalar || !is_reference(&text) {
                plain.push(key);
            }
        }
    }
    if let Some(first) = plain.first() {
        let name = file
            .field(root, "metadata")
            .and_then(|metadata| file.field_text(metadata, "name"))
            .unwrap_or_default();
        let detail =
            format!("Secret {} has {} in clear text", name.escape_debug(), counted(plain.len()));
        out.push(Finding::new(&rule::SECRET, file.node(*first).place(), detail));
    }
}

fn counted(values: usize) -> String {
    if values == 1 { "a value".to_owned() } else { format!("{values} values") }
}

fn kustomization(file: &File<'_>, root: NodeId, out: &mut Vec<Finding>) {
    for generator in file
        .field(root, "secretGenerator")
        .into_iter()
        .flat_map(|all| file.items(all).collect::<Vec<_>>())
    {
        for literal in file
            .field(generator, "literals")
            .into_iter()
            .flat_map(|all| file.items(all).collect::<Vec<_>>())
        {
            let node = file.node(literal);
            let text = node.text();
            let (key, value) = text.split_once('=').unwrap_or((&text, ""));
            if !is_reference(value.trim_matches(['"', '\''])) {
                out.push(Finding::new(
                    &rule::KUSTOMIZE,
                    node.place(),
                    format!("{} is a literal of a secretGenerator", key.escape_debug()),
                ));
            }
        }
    }
}

/// Names and values of a chart, however deep.
fn values(file: &File<'_>, node: NodeId, out: &mut Vec<Finding>) {
    for (key, value) in file.entries(node) {
        named(file, key, value, &rule::HELM, out);
        values(file, value, out);
    }
    for item in file.items(node) {
        values(file, item, out);
    }
}

/// Lists of variables, wherever they are: `env` of a container, in whatever kind of object it is.
fn environment(file: &File<'_>, node: NodeId, out: &mut Vec<Finding>) {
    for (key, value) in file.entries(node) {
        if file.node(key).text() == "env" {
            for item in file.items(value) {
                if let (Some(name), Some(value)) =
                    (file.field(item, "name"), file.field(item, "value"))
                {
                    named(file, name, value, &rule::CREDENTIAL, out);
                }
            }
        }
        environment(file, value, out);
    }
    for item in file.items(node) {
        environment(file, item, out);
    }
}

fn named(
    file: &File<'_>,
    name: NodeId,
    value: NodeId,
    rule: &'static rule::Rule,
    out: &mut Vec<Finding>,
) {
    let (name, node) = (file.node(name).text(), file.node(value));
    if node.kind() == Kind::Scalar && is_credential_name(&name) && is_literal(&node.text()) {
        let place: Place = node.place();
        out.push(Finding::new(rule, place, format!("{} has a literal value", name.escape_debug())));
    }
}
