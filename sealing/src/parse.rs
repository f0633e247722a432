//! From JSON data to a [`SealedSecret`]: strict and total. Whoever reads YAML or JSON text sees to what gets lost on the way here: a
//! mapping key that stands twice, and scalars that two YAML versions read differently.

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value as Json};

use crate::{
    API_VERSION, Binding, Commit, DataKey, KIND, Kid, MAX_NAME, MAX_SLOTS, MAX_WRAPS, SUITE, Scope,
    SealedSecret, Slot, SlotId, Template, Value, Wrap,
};

/// A place in an object: from its root, a field's name or an item's number at each step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct At(Vec<Step>);

/// One step of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    Item(usize),
}

impl At {
    /// The field `name` of what is here.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        self.then(Step::Field(name.to_owned()))
    }

    /// The item `index` of what is here, counted from 0.
    #[must_use]
    pub fn item(&self, index: usize) -> Self {
        self.then(Step::Item(index))
    }

    fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The steps: a field's name, or an item's number.
    pub fn steps(&self) -> impl Iterator<Item = Result<&str, usize>> {
        self.0.iter().map(|step| match step {
            Step::Field(name) => Ok(name.as_str()),
            Step::Item(index) => Err(*index),
        })
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the object");
        }
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Item(index) => write!(f, "[{index}]")?,
                Step::Field(name) => {
                    let dot = if i == 0 { "" } else { "." };
                    // The longest data key whole; of what is no name at all, enough to find it.
                    let shown = name
                        .char_indices()
                        .nth(DataKey::MAX)
                        .map_or(&**name, |(at, _)| name.split_at(at).0);
                    let cut = if shown.len() < name.len() { "…" } else { "" };
                    write!(f, "{dot}{}{cut}", shown.escape_debug())?;
                }
            }
        }
        Ok(())
    }
}

/// What is refused, and where. Nothing of a value is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {refused}")]
pub struct ParseError {
    /// Where.
    pub at: At,
    /// What.
    pub refused: Refused,
}

/// Why an object is not a sealed Secret that anybody may open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Another kind of object, or another version of its API.
    #[error("not a SealedSecret of strongroom.dev/v1alpha1")]
    Kind,
    /// A field that must be there is not.
    #[error("is missing")]
    Missing,
    /// A field that this version does not know. Whoever wrote it meant something that would not be done.
    #[error("is no field that this version knows; a newer strongroom may have written it")]
    UnknownField,
    /// Text is due.
    #[error("must be text")]
    Text,
    /// A mapping is due.
    #[error("must be a mapping")]
    Mapping,
    /// A sequence is due.
    #[error("must be a sequence")]
    Sequence,
    /// `true` or `false` is due.
    #[error("must be true or false")]
    Bool,
    /// A suite that this version does not know.
    #[error("only suite 1 is known; a newer strongroom may have sealed this")]
    Suite,
    /// Not a scope.
    #[error("must be strict, namespace or cluster")]
    Scope,
    /// Empty where something must be.
    #[error("must not be empty")]
    Empty,
    /// A name, a namespace or a type that is longer than any.
    #[error("must not have more than 253 bytes")]
    TooLong,
    /// A type whose Secrets Kubernetes makes itself.
    #[error(
        "Secrets of type kubernetes.io/service-account-token belong to Kubernetes; use a token of the TokenRequest API"
    )]
    ServiceAccountToken,
    /// More slots than an object may have.
    #[error("has more than 64 slots; `strongroom compact` makes them one")]
    TooManySlots,
    /// A slot for nobody.
    #[error("has no wrap: nobody could open it")]
    NoWraps,
    /// A slot for too many.
    #[error("has more than 32 wraps")]
    TooManyWraps,
    /// Not the id of a slot.
    #[error("must be s and 8 lower-case hexadecimal digits")]
    SlotId,
    /// The id of another slot.
    #[error("is the id of another slot too")]
    SlotTwice,
    /// Not the id of a key.
    #[error("must be k and 16 lower-case hexadecimal digits")]
    Kid,
    /// The key of another wrap of the slot.
    #[error("is the key of another wrap of this slot too")]
    KidTwice,
    /// Not base64 as it must be.
    #[error("must be base64: standard alphabet, padded, canonical")]
    Base64,
    /// Base64 of the wrong number of bytes.
    #[error("must be base64 of {0} bytes")]
    Length(usize),
    /// Not a sealed value.
    #[error(
        "must be the id of a slot, a dot, and base64 of a salt, 32-byte blocks and a tag, for at most 1,048,576 bytes of value"
    )]
    Value,
    /// A value of a slot that is not there.
    #[error("is sealed in a slot that is not there")]
    NoSlot,
    /// A key that Kubernetes would refuse.
    #[error(
        "is no data key: 1 to 253 letters, digits, '-', '_' or '.', not '.' and not beginning with '..'"
    )]
    DataKey,
    /// A key of both `values` and `template.data`.
    #[error("stands in spec.values too; a Secret has each key once")]
    KeyTwice,
}

impl SealedSecret {
    /// Takes an object apart.
    ///
    /// # Errors
    /// The first thing in it that is refused, and where it stands.
    pub fn parse(object: &Json) -> Result<Self, ParseError> {
        let root = Node { at: At::default(), json: object };
        let object = root.mapping()?;
        if object.optional("apiVersion").and_then(|node| node.json.as_str()) != Some(API_VERSION)
            || object.optional("kind").and_then(|node| node.json.as_str()) != Some(KIND)
        {
            return Err(root.refused(Refused::Kind));
        }
        let metadata = object.required("metadata")?.mapping()?;
        let name = metadata.required("name")?.name()?.to_owned();
        let namespace = match metadata.optional("namespace") {
            None => None,
            Some(node) => Some(node.name()?.to_owned()),
        };

        let spec = object.required("spec")?.mapping()?;
        spec.only(&["suite", "binding", "template", "slots", "values"])?;
        let suite = spec.required("suite")?;
        if suite.json.as_u64() != Some(SUITE.into()) || suite.json.is_f64() {
            return Err(suite.refused(Refused::Suite));
        }
        let binding = binding(&spec.required("binding")?)?;
        let template = match spec.optional("template") {
            None => Template::default(),
            Some(node) => template(&node)?,
        };
        let slots = slots(&spec.required("slots")?)?;
        let values_node = spec.required("values")?;
        let values = values(&values_node, &slots)?;
        if let Some(key) = template.data.keys().find(|key| values.contains_key(*key)) {
            let at =
                At::default().field("spec").field("template").field("data").field(key.as_str());
            return Err(ParseError { at, refused: Refused::KeyTwice });
        }
        Ok(Self { name, namespace, binding, template, slots, values })
    }
}

fn binding(node: &Node<'_>) -> Result<Binding, ParseError> {
    let fields = node.mapping()?;
    fields.only(&["scope", "namespace", "name", "type"])?;
    let scope_node = fields.required("scope")?;
    let scope =
        Scope::parse(scope_node.text()?).ok_or_else(|| scope_node.refused(Refused::Scope))?;
    let text =
        |field| fields.optional(field).map(|node| node.short().map(str::to_owned)).transpose();
    Ok(Binding {
        scope,
        namespace: text("namespace")?,
        name: text("name")?,
        secret_type: text("type")?,
    })
}

fn template(node: &Node<'_>) -> Result<Template, ParseError> {
    let fields = node.mapping()?;
    fields.only(&["type", "immutable", "metadata", "data"])?;
    let mut out = Template::default();
    if let Some(node) = fields.optional("type") {
        let text = node.name()?;
        if text == "kubernetes.io/service-account-token" {
            return Err(node.refused(Refused::ServiceAccountToken));
        }
        out.secret_type = Some(text.to_owned());
    }
    if let Some(node) = fields.optional("immutable") {
        out.immutable = Some(node.json.as_bool().ok_or_else(|| node.refused(Refused::Bool))?);
    }
    if let Some(node) = fields.optional("metadata") {
        let metadata = node.mapping()?;
        metadata.only(&["labels", "annotations"])?;
        for (field, into) in [("labels", &mut out.labels), ("annotations", &mut out.annotations)] {
            for entry in metadata
                .optional(field)
                .map(|node| node.mapping())
                .transpose()?
                .iter()
                .flat_map(Fields::all)
            {
                let (key, node) = entry;
                into.insert(key.to_owned(), node.text()?.to_owned());
            }
        }
    }
    for (key, node) in
        fields.optional("data").map(|node| node.mapping()).transpose()?.iter().flat_map(Fields::all)
    {
        let key = DataKey::parse(key).ok_or_else(|| node.refused(Refused::DataKey))?;
        out.data.insert(key, node.text()?.to_owned());
    }
    Ok(out)
}

fn slots(node: &Node<'_>) -> Result<Vec<Slot>, ParseError> {
    let mut out: Vec<Slot> = Vec::new();
    for (i, node) in node.items()?.enumerate() {
        let fields = node.mapping()?;
        if i >= MAX_SLOTS {
            return Err(At::default().field("spec").field("slots").error(Refused::TooManySlots));
        }
        fields.only(&["id", "commit", "wraps"])?;
        let id_node = fields.required("id")?;
        let id = SlotId::parse(id_node.text()?).ok_or_else(|| id_node.refused(Refused::SlotId))?;
        if out.iter().any(|slot| slot.id == id) {
            return Err(id_node.refused(Refused::SlotTwice));
        }
        let commit = Commit(*fields.required("commit")?.bytes()?);
        let wraps = wraps(&fields.required("wraps")?)?;
        out.push(Slot { id, commit, wraps });
    }
    Ok(out)
}

fn wraps(node: &Node<'_>) -> Result<Vec<Wrap>, ParseError> {
    let mut out: Vec<Wrap> = Vec::new();
    for (i, item) in node.items()?.enumerate() {
        let fields = item.mapping()?;
        if i >= MAX_WRAPS {
            return Err(node.refused(Refused::TooManyWraps));
        }
        fields.only(&["kid", "ct"])?;
        let kid_node = fields.required("kid")?;
        let kid = Kid::parse(kid_node.text()?).ok_or_else(|| kid_node.refused(Refused::Kid))?;
        if out.iter().any(|wrap| wrap.kid == kid) {
            return Err(kid_node.refused(Refused::KidTwice));
        }
        out.push(Wrap { kid, bytes: fields.required("ct")?.bytes()? });
    }
    if out.is_empty() { Err(node.refused(Refused::NoWraps)) } else { Ok(out) }
}

fn values(node: &Node<'_>, slots: &[Slot]) -> Result<BTreeMap<DataKey, Value>, ParseError> {
    let mut out = BTreeMap::new();
    for (key, node) in node.mapping()?.all() {
        let key = DataKey::parse(key).ok_or_else(|| node.refused(Refused::DataKey))?;
        let (slot, bytes) =
            node.text()?.split_once('.').ok_or_else(|| node.refused(Refused::Value))?;
        let slot = SlotId::parse(slot).ok_or_else(|| node.refused(Refused::Value))?;
        // Judged before it is decoded, so that a text of any length costs nothing.
        if bytes.len() > data_encoding::BASE64.encode_len(Value::MAX) {
            return Err(node.refused(Refused::Value));
        }
        let bytes = node.base64(bytes)?;
        if !Value::has_length(bytes.len()) {
            return Err(node.refused(Refused::Value));
        }
        if slots.iter().all(|there| there.id != slot) {
            return Err(node.refused(Refused::NoSlot));
        }
        out.insert(key, Value { slot, bytes });
    }
    Ok(out)
}

impl At {
    fn error(self, refused: Refused) -> ParseError {
        ParseError { at: self, refused }
    }
}

/// Data, and where it stands.
pub(crate) struct Node<'a> {
    pub(crate) at: At,
    pub(crate) json: &'a Json,
}

impl<'a> Node<'a> {
    pub(crate) fn refused(&self, refused: Refused) -> ParseError {
        self.at.clone().error(refused)
    }

    pub(crate) fn text(&self) -> Result<&'a str, ParseError> {
        self.json.as_str().ok_or_else(|| self.refused(Refused::Text))
    }

    /// Text that is no longer than a part of a place.
    fn short(&self) -> Result<&'a str, ParseError> {
        let text = self.text()?;
        if text.len() > MAX_NAME { Err(self.refused(Refused::TooLong)) } else { Ok(text) }
    }

    /// Text that may be part of a place.
    fn name(&self) -> Result<&'a str, ParseError> {
        let text = self.short()?;
        if text.is_empty() { Err(self.refused(Refused::Empty)) } else { Ok(text) }
    }

    /// Exactly N bytes, written in base64.
    pub(crate) fn bytes<const N: usize>(&self) -> Result<Box<[u8; N]>, ParseError> {
        let text = self.text()?;
        if text.len() != data_encoding::BASE64.encode_len(N) {
            return Err(self.refused(Refused::Length(N)));
        }
        let bytes = self.base64(text)?;
        bytes.into_boxed_slice().try_into().map_err(|_| self.refused(Refused::Length(N)))
    }

    /// The bytes of a text in base64, which stands here, alone or behind something else.
    fn base64(&self, text: &str) -> Result<Vec<u8>, ParseError> {
        // Crate data-encoding takes texts that were joined, each with its own padding (`Encoding::is_canonical`); then other texts would
        // mean the same bytes.
        if text.trim_end_matches('=').contains('=') {
            return Err(self.refused(Refused::Base64));
        }
        data_encoding::BASE64.decode(text.as_bytes()).map_err(|_| self.refused(Refused::Base64))
    }

    pub(crate) fn items(&self) -> Result<impl Iterator<Item = Node<'a>>, ParseError> {
        let items = self.json.as_array().ok_or_else(|| self.refused(Refused::Sequence))?;
        let at = self.at.clone();
        Ok(items.iter().enumerate().map(move |(i, json)| Node { at: at.item(i), json }))
    }

    pub(crate) fn mapping(&self) -> Result<Fields<'a>, ParseError> {
        let map = self.json.as_object().ok_or_else(|| self.refused(Refused::Mapping))?;
        Ok(Fields { at: self.at.clone(), map })
    }
}

/// The fields of a mapping.
pub(crate) struct Fields<'a> {
    at: At,
    map: &'a Map<String, Json>,
}

impl<'a> Fields<'a> {
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> {
        let at = self.at.clone();
        self.map.iter().map(move |(name, json)| (name.as_str(), Node { at: at.field(name), json }))
    }

    pub(crate) fn only(&self, known: &[&str]) -> Result<(), ParseError> {
        match self.map.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(self.at.field(name).error(Refused::UnknownField)),
            None => Ok(()),
        }
    }

    pub(crate) fn optional(&self, name: &str) -> Option<Node<'a>> {
        self.map.get(name).map(|json| Node { at: self.at.field(name), json })
    }

    pub(crate) fn required(&self, name: &str) -> Result<Node<'a>, ParseError> {
        self.optional(name).ok_or_else(|| self.at.field(name).error(Refused::Missing))
    }
}
