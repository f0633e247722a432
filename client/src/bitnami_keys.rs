//! The private keys of Bitnami's controller, from a backup of them.
//!
//! ```text
//! kubectl get secret -n kube-system -l sealedsecrets.bitnami.com/sealed-secrets-key -o yaml
//! ```
//!
//! gives a List of Secrets of type kubernetes.io/tls; JSON, several documents and bare PEM are taken too.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use bitnami::{PrivateKey, Scope};
use sealing::Plaintext;
use serde_json::Value as Json;
use splice::{File, NodeId};
use zeroize::Zeroizing;

use crate::{
    failure::Failure,
    keyfile,
    manifest::{self, Manifest},
};

const TYPE: &str = "kubernetes.io/tls";
/// Each key of 8192 bits with its certificate, as YAML: room for some thousand.
const MOST: u64 = 16 << 20;

/// All keys that a backup has.
pub(crate) struct BitnamiKeys {
    keys: Vec<PrivateKey>,
    /// The one that opened last. An object is sealed for one key, and its neighbours mostly for the same: without this, thirty keys
    /// cost thirty times as much.
    last: AtomicUsize,
}

impl BitnamiKeys {
    /// Reads all files; at least one key.
    pub(crate) fn read(files: &[PathBuf]) -> Result<Self, Failure> {
        let mut keys = Vec::new();
        for path in files {
            let before = keys.len();
            read_file(path, &mut keys)?;
            if keys.len() == before {
                return Err(Failure::new(
                    format!("{} has no sealing key in it", path.display()),
                    "there is neither a Secret of type kubernetes.io/tls with tls.key, nor a PEM section of a private key",
                    "give what this prints: kubectl get secret -n kube-system -l sealedsecrets.bitnami.com/sealed-secrets-key -o yaml",
                ));
            }
        }
        keys.sort_by_key(PrivateKey::fingerprint);
        keys.dedup_by_key(|key| key.fingerprint());
        Ok(Self { keys, last: AtomicUsize::new(0) })
    }

    /// How many different ones there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Opens one value with whichever key it was sealed for; `None` where none of them opens it in this place.
    pub(crate) fn open(&self, place: &Scope<'_>, value: &str) -> Option<Plaintext> {
        let count = self.keys.len();
        let last = self.last.load(Ordering::Relaxed);
        (0..count).map(|step| (last + step) % count).find_map(|at| {
            let key = std::slice::from_ref(self.keys.get(at)?);
            let opened = bitnami::open(key, place, value).ok()?;
            self.last.store(at, Ordering::Relaxed);
            Some(opened.into())
        })
    }
}

fn read_file(path: &Path, keys: &mut Vec<PrivateKey>) -> Result<(), Failure> {
    let shown = path.display().to_string();
    let text = keyfile::read(path, MOST, "name the file of the backup, or - for stdin")?;
    let sections = sections(&text);
    if text.trim_start().starts_with("-----BEGIN ") {
        for (line, section) in sections {
            keys.push(PrivateKey::parse_pem(section).map_err(|error| {
                Failure::new(
                    format!("{shown}:{line}: no usable private key"),
                    error.to_string(),
                    "take the key from the cluster again",
                )
            })?);
        }
        return Ok(());
    }
    let manifest = Manifest::of(shown.clone(), text.as_bytes().to_vec())?;
    let file = manifest.parse()?;
    for found in manifest::objects(&file) {
        if is_key(&file, found.node) {
            keys.push(key(&manifest, &file, found.node)?);
        }
    }
    Ok(())
}

fn is_key(file: &File<'_>, node: NodeId) -> bool {
    file.field_text(node, "kind").as_deref() == Some("Secret")
        && file.field_text(node, "type").as_deref() == Some(TYPE)
}

fn key(manifest: &Manifest, file: &File<'_>, node: NodeId) -> Result<PrivateKey, Failure> {
    let json = manifest.json(file, node)?;
    let at = sealing::At::default().field("data").field("tls.key");
    let wrong =
        |why: String| manifest.at(file, node, &at, why, "take the Secret from the cluster again");
    let text = match json.pointer("/data/tls.key") {
        Some(Json::String(text)) => text,
        _ => return Err(wrong("is missing, or no text".to_owned())),
    };
    let joined: Zeroizing<Vec<u8>> =
        Zeroizing::new(text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect());
    let pem = data_encoding::BASE64
        .decode(&joined)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .map(Zeroizing::new)
        .ok_or_else(|| wrong("is not base64 of a text".to_owned()))?;
    PrivateKey::parse_pem(&pem).map_err(|error| wrong(error.to_string()))
}

/// The PEM sections of private keys, each with its line.
fn sections(text: &str) -> Vec<(usize, &str)> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(begin) =
        text.get(at..).and_then(|rest| rest.find("-----BEGIN ")).map(|len| at + len)
    {
        let rest = text.get(begin..).unwrap_or_default();
        let len = rest.find("-----END ").and_then(|end| {
            let behind = end + "-----END ".len();
            Some(behind + rest.get(behind..)?.find("-----")? + "-----".len())
        });
        let Some(section) = len.and_then(|len| rest.get(..len)) else { break };
        if section.lines().next().is_some_and(|line| line.trim_end().ends_with("PRIVATE KEY-----"))
        {
            let line = text.get(..begin).unwrap_or_default().matches('\n').count() + 1;
            out.push((line, section));
        }
        at = begin + section.len();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_of_private_keys_are_found_among_others() {
        let text = "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n-----BEGIN RSA PRIVATE KEY-----\nBB\n-----END RSA PRIVATE KEY-----\n-----BEGIN PRIVATE KEY-----\r\nCC\r\n-----END PRIVATE KEY-----";
        let lines: Vec<_> = sections(text).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [4, 7]);
        for cut in 0..text.len() {
            sections(&text[..cut]);
        }
    }
}
