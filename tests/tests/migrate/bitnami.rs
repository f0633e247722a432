//! What a cluster with Bitnami's controller has: keys, a backup of them, and SealedSecrets that were sealed by the second
//! implementation of the format.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use testbed::{folder::Folder, process::complete, python};

/// PKCS #1 of 2048 and 4096 bits, PKCS #8 of 3072 bits.
pub(crate) const KEYS: [&str; 3] = ["small", "usual", "brought"];

/// Keys and certificates of three sealing keys, made once.
pub(crate) struct Controller {
    place: Folder,
}

/// An object that is to be sealed.
pub(crate) struct Object<'a> {
    pub(crate) key: &'a str,
    pub(crate) scope: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) values: &'a [(&'a str, &'a str)],
}

impl Controller {
    pub(crate) fn get() -> Result<&'static Self> {
        static MADE: OnceLock<Result<Controller, String>> = OnceLock::new();
        let made = MADE.get_or_init(|| Self::make().map_err(|error| format!("{error:#}")));
        made.as_ref().map_err(|error| anyhow!("{error}"))
    }

    fn make() -> Result<Self> {
        let made = Self { place: Folder::make()? };
        made.implementation("make", made.place.path())?;
        Ok(made)
    }

    fn implementation(&self, command: &str, place: &Path) -> Result<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("independent");
        let mut python = Command::new(python::with_packages(&folder.join("requirements.txt"))?);
        complete(python.arg("-B").arg(folder.join("bitnami_format.py")).arg(command).arg(place))
    }

    pub(crate) fn read(&self, file: &str) -> Result<String> {
        fs::read_to_string(self.place.path().join(file)).with_context(|| format!("no {file}"))
    }

    /// Where a certificate lies.
    pub(crate) fn certificate(&self, key: &str) -> String {
        self.place.path().join(format!("{key}.crt")).display().to_string()
    }

    /// A folder with the keys, in which one call of the second implementation works.
    fn desk(&self) -> Result<Folder> {
        let desk = Folder::make()?;
        for key in KEYS {
            let file = format!("{key}.key");
            fs::copy(self.place.path().join(&file), desk.path().join(&file))?;
        }
        Ok(desk)
    }

    /// As `kubeseal` writes it, a document for each.
    pub(crate) fn sealed(&self, objects: &[Object<'_>]) -> Result<Vec<String>> {
        let desk = self.desk()?;
        let plain = objects.iter().flat_map(|object| {
            object.values.iter().map(|(_, value)| {
                let plaintext: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
                json!({ "key": object.key, "label": label(object.scope, object.namespace, object.name), "plaintext": plaintext })
            })
        });
        fs::write(desk.path().join("plain.json"), serde_json::to_vec(&plain.collect::<Vec<_>>())?)?;
        let sealed = self.implementation("seal", desk.path())?;
        let mut sealed = sealed.lines();
        Ok(objects.iter().map(|object| document(object, &mut sealed)).collect())
    }

    /// What values open to, each with its key and label.
    pub(crate) fn opened(&self, items: &[(&str, String, String)]) -> Result<Vec<String>> {
        let desk = self.desk()?;
        let items: Vec<_> = items
            .iter()
            .map(|(key, label, value)| json!({ "key": key, "label": label, "value": value }))
            .collect();
        fs::write(desk.path().join("ours.json"), serde_json::to_vec(&items)?)?;
        Ok(self.implementation("open", desk.path())?.lines().map(str::to_owned).collect())
    }

    /// What `kubectl get secret -l … -o yaml` prints.
    pub(crate) fn backup(&self, keys: &[&str]) -> Result<String> {
        let items: String = keys.iter().map(|key| self.item(key)).collect::<Result<_>>()?;
        Ok(format!(
            "apiVersion: v1\nitems:\n{items}kind: List\nmetadata:\n  resourceVersion: \"\"\n"
        ))
    }

    /// The same with `-o json`.
    pub(crate) fn backup_json(&self, keys: &[&str]) -> Result<String> {
        let items = keys.iter().map(|key| {
            let data = |end: &str| Ok::<_, anyhow::Error>(STANDARD.encode(self.read(&format!("{key}.{end}"))?));
            let data = json!({ "tls.crt": data("crt")?, "tls.key": data("key")? });
            Ok(json!({ "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": { "name": key }, "data": data }))
        });
        let items: Vec<_> = items.collect::<Result<_>>()?;
        Ok(serde_json::to_string(&json!({ "apiVersion": "v1", "kind": "List", "items": items }))?)
    }

    fn item(&self, key: &str) -> Result<String> {
        let data = |end: &str| {
            Ok::<_, anyhow::Error>(STANDARD.encode(self.read(&format!("{key}.{end}"))?))
        };
        let (crt, secret) = (data("crt")?, data("key")?);
        Ok(format!(
            "- apiVersion: v1\n  data:\n    tls.crt: {crt}\n    tls.key: {secret}\n  kind: Secret\n  metadata:\n    creationTimestamp: \"2026-01-02T03:04:05Z\"\n    generateName: sealed-secrets-key\n    labels:\n      sealedsecrets.bitnami.com/sealed-secrets-key: active\n    name: sealed-secrets-key{key}\n    namespace: kube-system\n  type: kubernetes.io/tls\n"
        ))
    }
}

pub(crate) fn label(scope: &str, namespace: &str, name: &str) -> String {
    match scope {
        "strict" => format!("{namespace}/{name}"),
        "namespace" => namespace.to_owned(),
        _ => String::new(),
    }
}

fn document<'s>(object: &Object<'_>, sealed: &mut impl Iterator<Item = &'s str>) -> String {
    let Object { namespace, name, scope, values, .. } = object;
    let annotations = |indent: &str| match *scope {
        "strict" => String::new(),
        scope => format!(
            "{indent}annotations:\n{indent}  sealedsecrets.bitnami.com/{scope}-wide: \"true\"\n"
        ),
    };
    let values: String = values
        .iter()
        .map(|(key, _)| format!("    {key}: {}\n", sealed.next().unwrap_or_default()))
        .collect();
    format!(
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n{}  creationTimestamp: null\n  name: {name}\n  namespace: {namespace}\nspec:\n  encryptedData:\n{values}  template:\n    metadata:\n{}      creationTimestamp: null\n      name: {name}\n      namespace: {namespace}\n    type: Opaque\n",
        annotations("  "),
        annotations("      "),
    )
}
