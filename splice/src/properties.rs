use crate::tree::{NodeId, Tree};

/// The anchor and the tag before a node, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Properties<'a> {
    /// Name of the anchor.
    pub(crate) anchor: Option<&'a str>,
    /// The tag with its `!`.
    pub(crate) tag: Option<&'a str>,
}

impl<'a> Properties<'a> {
    /// Finds them in the text between their start and the node.
    pub(crate) fn of(text: &'a str, tree: &Tree, id: NodeId) -> Self {
        let mut found = Self::default();
        let Some(raw) = tree.get(id).filter(|raw| raw.has_properties) else { return found };
        let between = text.get(tree.outer_start(id)..raw.start as usize).unwrap_or_default();
        let mut rest = between;
        loop {
            rest = rest.trim_start_matches([' ', '\t', '\n', '\r']);
            let end = match rest.strip_prefix("!<").and_then(|tail| tail.find('>')) {
                Some(at) => at + 3,
                None if rest.starts_with('#') => rest.find(['\n', '\r']).unwrap_or(rest.len()),
                None => rest.find([' ', '\t', '\n', '\r']).unwrap_or(rest.len()),
            };
            let (word, tail) = rest.split_at(end);
            if word.is_empty() {
                return found;
            } else if let Some(name) = word.strip_prefix('&') {
                found.anchor = Some(name);
            } else if word.starts_with('!') {
                found.tag = Some(word);
            }
            rest = tail;
        }
    }
}

/// What a tag says of a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TagKind {
    None,
    /// `!!str`, and `!`, which means the plain kind of the node: text for a scalar.
    Text,
    Bool,
    Integer,
    /// `!!binary`, a tag of an application or one that we do not know.
    Other,
}

const CORE: &str = "tag:yaml.org,2002:";

impl TagKind {
    pub(crate) fn of(tag: Option<&str>) -> Self {
        let Some(tag) = tag else { return Self::None };
        if tag == "!" {
            return Self::Text;
        }
        let verbatim = tag.strip_prefix("!<").and_then(|tag| tag.strip_suffix('>'));
        match tag.strip_prefix("!!").or_else(|| verbatim?.strip_prefix(CORE)) {
            Some(name) => Self::core(name),
            None => Self::Other,
        }
    }

    /// From what the YAML library makes of a tag.
    pub(crate) fn of_resolved(handle: &str, suffix: &str) -> Self {
        match handle {
            CORE => Self::core(suffix),
            "" if suffix == "!" => Self::Text,
            "" => suffix.strip_prefix(CORE).map_or(Self::Other, Self::core),
            _ => Self::Other,
        }
    }

    fn core(name: &str) -> Self {
        match name {
            "str" => Self::Text,
            "bool" => Self::Bool,
            "int" => Self::Integer,
            _ => Self::Other,
        }
    }
}
