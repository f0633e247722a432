//! A Secret in clear text, as it stands in a manifest: what `seal` takes, and `unseal` gives.

use std::collections::BTreeMap;

use sealing::{At, DataKey, MAX_VALUE, Opened, Plaintext, SealedSecret, Template};
use serde_json::{Map, Value as Json};
use zeroize::Zeroizing;

/// What `kubectl apply` leaves behind: the whole Secret, in clear text.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A Secret that may be sealed.
#[derive(Debug)]
pub(crate) struct Secret {
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) template: Template,
    pub(crate) values: BTreeMap<DataKey, Plaintext>,
}

/// Why a Secret cannot be sealed as it stands, and where. Nothing of a value is repeated.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unfit {
    pub(crate) at: At,
    pub(crate) why: &'static str,
    pub(crate) next: &'static str,
}

/// Whether an object is a Secret of Kubernetes.
pub(crate) fn is_secret(json: &Json) -> bool {
    json["kind"] == "Secret" && json["apiVersion"] == "v1"
}

impl Secret {
    /// Takes an object apart that [`is_secret`]. `stringData` wins over `data`, as in Kubernetes.
    pub(crate) fn parse(json: &Json) -> Result<Self, Unfit> {
        let root = At::default();
        let object = mapping(json, &root)?;
        for field in object.keys() {
            if !["apiVersion", "kind", "metadata", "type", "immutable", "data", "stringData"]
                .contains(&field.as_str())
            {
                let (why, next) = match field.as_str() {
                    "sops" => (
                        "says that sops encrypted the values",
                        "decrypt it first: sops decrypt FILE | strongroom seal - -o FILE",
                    ),
                    _ => {
                        ("is no field of a Secret", "correct it, or take it out: it would be lost")
                    }
                };
                return Err(unfit(root.field(field), why, next));
            }
        }
        let at = root.field("metadata");
        let metadata = mapping(json.get("metadata").unwrap_or(&Json::Null), &at)?;
        let name = name(metadata, &at)?;
        let namespace = namespace(metadata, &at)?;
        let mut template = Template {
            secret_type: secret_type(object, &root)?,
            immutable: immutable(object, &root)?,
            labels: texts(metadata.get("labels"), &at.field("labels"))?,
            annotations: texts(metadata.get("annotations"), &at.field("annotations"))?,
            data: BTreeMap::new(),
        };
        if template.annotations.contains_key(LAST_APPLIED) {
            return Err(unfit(
                at.field("annotations").field(LAST_APPLIED),
                "has the whole Secret in clear text",
                "take the annotation out",
            ));
        }
        // Tokens that kubectl printed along; a Secret that is made anew has its own.
        template.annotations.retain(|key, _| key != "kubernetes.io/service-account.uid");
        let mut values = BTreeMap::new();
        for field in ["data", "stringData"] {
            let at = root.field(field);
            for (key, value) in object
                .get(field)
                .filter(|data| !data.is_null())
                .map(|data| mapping(data, &at))
                .transpose()?
                .into_iter()
                .flatten()
            {
                let at = at.field(key);
                let key = DataKey::parse(key).ok_or_else(|| {
                    unfit(
                        at.clone(),
                        "is no data key: 1 to 253 letters, digits, '-', '_' or '.'",
                        "rename it: Kubernetes would refuse it",
                    )
                })?;
                values.insert(key, plaintext(field, value, at)?);
            }
        }
        Ok(Self { namespace, name, template, values })
    }

    /// The Secret of an opened object, in the form that Kubernetes stores.
    pub(crate) fn opened(object: &SealedSecret, values: &Opened) -> Json {
        let mut metadata = Map::new();
        metadata.insert("name".into(), object.name().into());
        if let Some(namespace) = object.namespace() {
            metadata.insert("namespace".into(), namespace.into());
        }
        let template = object.template();
        for (field, texts) in [("labels", &template.labels), ("annotations", &template.annotations)]
        {
            if !texts.is_empty() {
                let texts =
                    texts.iter().map(|(key, text)| (key.clone(), text.clone().into())).collect();
                metadata.insert(field.into(), Json::Object(texts));
            }
        }
        let data = values.iter().map(|(key, value)| {
            (key.to_string(), data_encoding::BASE64.encode(value.expose_secret()).into())
        });
        let mut out = Map::new();
        out.insert("apiVersion".into(), "v1".into());
        out.insert("kind".into(), "Secret".into());
        out.insert("metadata".into(), metadata.into());
        out.insert("type".into(), template.secret_type().into());
        if let Some(immutable) = template.immutable {
            out.insert("immutable".into(), immutable.into());
        }
        out.insert("data".into(), Json::Object(data.collect()));
        out.into()
    }
}

/// `metadata.name`.
pub(crate) fn name(metadata: &Map<String, Json>, at: &At) -> Result<String, Unfit> {
    let named = metadata.get("name").and_then(Json::as_str).filter(|name| !name.is_empty());
    named.map(str::to_owned).ok_or_else(|| {
        unfit(
            at.field("name"),
            "is missing, or no text",
            "name the Secret: its values are bound to its name",
        )
    })
}

/// `metadata.namespace`, where it is there.
pub(crate) fn namespace(metadata: &Map<String, Json>, at: &At) -> Result<Option<String>, Unfit> {
    match metadata.get("namespace") {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(namespace)) if !namespace.is_empty() => Ok(Some(namespace.clone())),
        Some(_) => Err(unfit(
            at.field("namespace"),
            "is empty, or no text",
            "write it in quotes, or take it out",
        )),
    }
}

/// `type`, of an object or of a template.
pub(crate) fn secret_type(object: &Map<String, Json>, root: &At) -> Result<Option<String>, Unfit> {
    match object.get("type") {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) if text == "kubernetes.io/service-account-token" => Err(unfit(
            root.field("type"),
            "belongs to Kubernetes, which makes such Secrets itself",
            "use a token of the TokenRequest API",
        )),
        Some(Json::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(unfit(
            root.field("type"),
            "is empty, or no text",
            "write it in quotes, or take it out",
        )),
    }
}

/// `immutable`, of an object or of a template.
pub(crate) fn immutable(object: &Map<String, Json>, root: &At) -> Result<Option<bool>, Unfit> {
    match object.get("immutable") {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Bool(immutable)) => Ok(Some(*immutable)),
        Some(_) => Err(unfit(
            root.field("immutable"),
            "is neither true nor false",
            "write one of them, without quotes",
        )),
    }
}

fn plaintext(field: &str, value: &Json, at: At) -> Result<Plaintext, Unfit> {
    let text = match value {
        Json::Null => "",
        Json::String(text) => text,
        _ => {
            return Err(unfit(
                at,
                "is read as a number or a boolean by some YAML readers, and as text by others",
                "put it in quotes",
            ));
        }
    };
    let bytes = if field == "stringData" {
        text.as_bytes().to_vec()
    } else {
        // Kubernetes reads it as Go does, which passes over line ends: a folded block of base64 is common.
        let joined: Zeroizing<Vec<u8>> =
            Zeroizing::new(text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect());
        match data_encoding::BASE64.decode(&joined) {
            Ok(bytes) => bytes,
            Err(_) => {
                return Err(unfit(
                    at,
                    "is not base64",
                    "encode it, or move it to stringData as it is",
                ));
            }
        }
    };
    let value = Plaintext::new(bytes);
    if value.expose_secret().len() > MAX_VALUE {
        return Err(unfit(
            at,
            "has over 1,048,576 bytes, more than a Secret holds",
            "keep it elsewhere, and a key to it in the Secret",
        ));
    }
    Ok(value)
}

/// Labels or annotations.
pub(crate) fn texts(json: Option<&Json>, at: &At) -> Result<BTreeMap<String, String>, Unfit> {
    let Some(json) = json.filter(|json| !json.is_null()) else { return Ok(BTreeMap::new()) };
    let entries = mapping(json, at)?.iter().map(|(key, value)| match value {
        Json::String(text) => Ok((key.clone(), text.clone())),
        _ => Err(unfit(
            at.field(key),
            "is read as a number or a boolean by some YAML readers",
            "put it in quotes",
        )),
    });
    entries.collect()
}

/// What must be a mapping.
pub(crate) fn mapping<'a>(json: &'a Json, at: &At) -> Result<&'a Map<String, Json>, Unfit> {
    json.as_object()
        .ok_or_else(|| unfit(at.clone(), "is missing, or no mapping", "write it as a mapping"))
}

pub(crate) fn unfit(at: At, why: &'static str, next: &'static str) -> Unfit {
    Unfit { at, why, next }
}
