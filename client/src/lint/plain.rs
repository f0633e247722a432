//! Rules for what stands in clear text in a file that can be taken apart.

use std::{borrow::Cow, ops::RangeInclusive};

use splice::{File, Kind, NodeId, Place};

use super::{
    finding::Finding,
    lines,
    literal::{is_credential, is_reference, named},
    rule::{self, Rule},
    settings,
    subject::Subject,
};

/// What was found, and on which lines whole Secrets stand: a credential in one of these is found with its Secret.
#[derive(Default)]
pub(crate) struct Plain {
    pub(crate) findings: Vec<Finding>,
    pub(crate) secrets: Vec<RangeInclusive<usize>>,
}

/// What a file has in clear text.
pub(crate) fn check(subject: &Subject<'_>, file: &File<'_>) -> Plain {
    let mut look = Look { subject, file, out: Plain::default() };
    for root in file.documents().iter().filter_map(splice::Document::root) {
        let kind = file.field_text(root, "kind");
        if kind.is_none() && subject.is_values() {
            look.values(root);
        } else if kind.is_none() && subject.is_kustomization() {
            look.kustomization(root);
        } else {
            look.node(root);
        }
    }
    look.out
}

struct Look<'a, 'f> {
    subject: &'a Subject<'a>,
    file: &'f File<'f>,
    out: Plain,
}

impl Look<'_, '_> {
    /// Objects, wherever they are: in Lists, in templates of other objects, in patches.
    fn node(&mut self, node: NodeId) {
        let file = self.file;
        match file.field_text(node, "kind").as_deref() {
            Some("Secret") if self.is_of_kubernetes(node) => return self.secret(node),
            Some("ConfigMap") => self.config_map(node),
            // Its items need not say again what they are.
            Some("SecretList") => {
                let items =
                    file.field(node, "items").into_iter().flat_map(|items| file.items(items));
                items
                    .filter(|item| file.field(*item, "kind").is_none())
                    .for_each(|item| self.secret(item));
            }
            Some("Kustomization") => self.kustomization(node),
            // Values of a chart, as Flux and Argo CD take them.
            Some("HelmRelease") => self.values_at(node, &["spec", "values"]),
            Some("Application") => {
                self.values_at(node, &["spec", "source", "helm", "valuesObject"])
            }
            // An alias may say that this is a Secret, and is not followed.
            None if self.is_alias(node, "kind") && self.has_data(node) => return self.secret(node),
            _ => {}
        }
        self.variable(node);
        for (_, value) in file.entries(node) {
            self.node(value);
        }
        for item in file.items(node) {
            self.node(item);
        }
        self.manifest_in_text(node);
    }

    /// A Secret of the core group; others have kinds of this name too.
    fn is_of_kubernetes(&self, node: NodeId) -> bool {
        self.file.field_text(node, "apiVersion").is_none_or(|version| version == "v1")
    }

    fn is_alias(&self, node: NodeId, field: &str) -> bool {
        self.file
            .field(node, field)
            .is_some_and(|value| self.file.node(value).kind() == Kind::Alias)
    }

    fn has_data(&self, node: NodeId) -> bool {
        ["data", "stringData"].iter().any(|field| self.file.field(node, field).is_some())
    }

    fn secret(&mut self, root: NodeId) {
        let file = self.file;
        let mut plain = Vec::new();
        for field in ["data", "stringData"] {
            let Some(data) = file.field(root, field) else { continue };
            if file.node(data).kind() == Kind::Alias {
                plain.push(data);
            }
            for (key, value) in file.entries(data) {
                let node = file.node(value);
                // sops keeps the object and encrypts its values, each of which says so.
                if node.kind() != Kind::Scalar || !node.is_null() && !is_reference(&node.text()) {
                    plain.push(key);
                }
            }
        }
        let Some(first) = plain.first() else { return };
        let name = file
            .field(root, "metadata")
            .and_then(|metadata| file.field_text(metadata, "name"))
            .unwrap_or_default();
        let values =
            if plain.len() == 1 { "a value".to_owned() } else { format!("{} values", plain.len()) };
        let detail = format!("Secret {} has {values} in clear text", name.escape_debug());
        self.found(&rule::SECRET, *first, detail);
        let span = file.node(root).span();
        self.out.secrets.push(file.place(span.start).line..=file.place(span.end).line);
    }

    fn config_map(&mut self, root: NodeId) {
        let file = self.file;
        let Some(data) = file.field(root, "data") else { return };
        for (key, value) in file.entries(data) {
            if !self.named(key, value, &rule::CREDENTIAL) {
                self.settings_in_text(value);
            }
        }
    }

    /// Names and values of a chart, however deep.
    fn values(&mut self, node: NodeId) {
        let file = self.file;
        for (key, value) in file.entries(node) {
            self.named(key, value, &rule::HELM);
            self.values(value);
        }
        for item in file.items(node) {
            self.variable(item);
            self.values(item);
        }
        self.manifest_in_text(node);
    }

    fn values_at(&mut self, node: NodeId, path: &[&str]) {
        let found = path.iter().try_fold(node, |node, field| self.file.field(node, field));
        if let Some(values) = found {
            self.values(values);
        }
    }

    /// A name with its value: an item of `env` in whatever kind of object, a parameter of a chart or a workflow.
    fn variable(&mut self, node: NodeId) {
        let (name, value) = (self.file.field(node, "name"), self.file.field(node, "value"));
        let (Some(name), Some(value)) = (name, value) else { return };
        let text = self.file.node(name).text();
        self.judge(&text, value, value, &rule::CREDENTIAL);
    }

    /// A name and a value; whether that was found.
    fn named(&mut self, name: NodeId, value: NodeId, rule: &'static Rule) -> bool {
        let text = self.file.node(name).text();
        self.judge(&text, value, name, rule)
    }

    fn judge(&mut self, name: &str, value: NodeId, at: NodeId, rule: &'static Rule) -> bool {
        let node = self.file.node(value);
        let is_found = node.kind() == Kind::Scalar
            && !node.is_null()
            && named(name).is_some_and(|named| is_credential(named, &node.text()));
        if is_found {
            self.found(rule, at, format!("{} has a literal value", name.escape_debug()));
        }
        is_found
    }

    /// `secretGenerator`: literals, and files that are in the repository in clear text.
    fn kustomization(&mut self, root: NodeId) {
        let file = self.file;
        let generators = file.field(root, "secretGenerator");
        for generator in generators.into_iter().flat_map(|all| file.items(all)) {
            for literal in
                file.field(generator, "literals").into_iter().flat_map(|all| file.items(all))
            {
                let text = file.node(literal).text();
                let (key, value) = text.split_once('=').unwrap_or((&text, ""));
                if !is_reference(value.trim_matches(['"', '\''])) {
                    let detail =
                        format!("{} is a literal of a secretGenerator", key.escape_debug());
                    self.found(&rule::KUSTOMIZE, literal, detail);
                }
            }
            let env = file.field(generator, "env").into_iter();
            let envs = file.field(generator, "envs").into_iter().flat_map(|all| file.items(all));
            for named in env.chain(envs) {
                self.file_of(named, settings::has_values);
            }
            for named in file.field(generator, "files").into_iter().flat_map(|all| file.items(all))
            {
                self.file_of(named, |text| !text.trim().is_empty());
            }
        }
    }

    /// A file that a generator makes a Secret of, where it is there and has something in clear text.
    fn file_of(&mut self, node: NodeId, has_any: impl Fn(&str) -> bool) {
        let text = self.file.node(node).text();
        let name = text.split_once('=').map_or(&*text, |(_, path)| path);
        let Some(bytes) = self.subject.beside(name) else { return };
        let content = String::from_utf8_lossy(&bytes);
        let is_encrypted =
            ["ENC[AES256_GCM", "-----BEGIN AGE ENCRYPTED FILE-----", "-----BEGIN PGP MESSAGE-----"]
                .iter()
                .any(|mark| content.contains(mark));
        if !is_encrypted && has_any(&content) {
            let detail = format!("a secretGenerator takes {} in clear text", name.escape_debug());
            self.found(&rule::KUSTOMIZE, node, detail);
        }
    }

    /// A configuration file inside of a ConfigMap.
    fn settings_in_text(&mut self, node: NodeId) {
        let Some(inner) = Inner::of(self.file, node) else { return };
        for (line, name) in settings::credentials(inner.text()) {
            let detail = format!("{} has a literal value", name.escape_debug());
            let place = inner.place(line, 0);
            self.out.findings.push(Finding::new(&rule::CREDENTIAL, place, detail));
        }
    }

    /// A manifest inside of a text: of a workflow, of a set of resources for other clusters.
    fn manifest_in_text(&mut self, node: NodeId) {
        let Some(inner) = Inner::of(self.file, node) else { return };
        if !inner.text().contains("kind") || !inner.text().contains("Secret") {
            return;
        }
        for plain in lines::secrets(inner.text()) {
            let place = inner.place(plain.line, plain.indent);
            let detail = "a Secret with values in clear text, inside of a text";
            self.out.findings.push(Finding::new(&rule::SECRET, place, detail));
        }
    }

    fn found(&mut self, rule: &'static Rule, at: NodeId, detail: String) {
        self.out.findings.push(Finding::new(rule, self.file.node(at).place(), detail));
    }
}

/// A text that has lines of its own: as it is written where it has lines there, so that each is found again; else as it reads.
struct Inner<'f> {
    at: Place,
    written: Option<&'f str>,
    read: Cow<'f, str>,
}

impl<'f> Inner<'f> {
    fn of(file: &'f File<'_>, node: NodeId) -> Option<Self> {
        let node = file.node(node);
        let read = node.text();
        if node.kind() != Kind::Scalar || read.len() < SHORTEST {
            return None;
        }
        let written = file.text().get(node.span()).filter(|written| written.contains('\n'));
        Some(Self { at: node.place(), written, read })
    }

    fn text(&self) -> &str {
        self.written.unwrap_or(&self.read)
    }

    fn place(&self, line: usize, indent: usize) -> Place {
        match self.written {
            Some(_) => Place { line: self.at.line + line, column: indent + 1 },
            None => self.at,
        }
    }
}

/// No shorter text has a setting or a manifest in it that these rules find.
const SHORTEST: usize = 8;
