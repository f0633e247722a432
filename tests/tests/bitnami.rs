//! Bitnami's format against a second implementation of it, on OpenSSL's RSA and AES: each opens what the other sealed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use bitnami::{OpenError, PrivateKey, PublicKey, Scope, open, seal};
use envelope::SystemRandom;
use serde_json::{Value, json};
use testbed::{folder::Folder, process::complete, python};

const STRICT: Scope<'_> = Scope::Strict { namespace: "prod", name: "db" };
const SCOPES: [(&str, Scope<'_>); 3] = [
    ("strict", STRICT),
    ("namespace", Scope::Namespace { namespace: "prod" }),
    ("cluster", Scope::Cluster),
];
/// `brought` is PKCS #8, the others are PKCS #1.
const KEYS: [&str; 3] = ["small", "usual", "brought"];
/// 2026-01-02 and 2036-01-02, both at 03:04:05 in UTC.
const DATES: (u64, u64) = (1_767_323_045, 2_082_855_845);

fn implementation(command: &str, place: &Path) -> Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("independent");
    let mut python = Command::new(python::with_packages(&folder.join("requirements.txt"))?);
    complete(python.arg("-B").arg(folder.join("bitnami_format.py")).arg(command).arg(place))
}

/// What the second implementation made: its keys, and a folder with the rest.
struct Made {
    place: Folder,
    keys: Vec<PrivateKey>,
    certificates: BTreeMap<&'static str, PublicKey>,
}

impl Made {
    fn make() -> Result<Self> {
        let place = Folder::make()?;
        implementation("make", place.path())?;
        let mut made = Self { place, keys: Vec::new(), certificates: BTreeMap::new() };
        for name in KEYS {
            made.keys.push(PrivateKey::parse_pem(&made.read(&format!("{name}.key"))?)?);
            let certificate = PublicKey::from_certificate_pem(&made.read(&format!("{name}.crt"))?)?;
            made.certificates.insert(name, certificate);
        }
        Ok(made)
    }

    fn read(&self, file: &str) -> Result<String> {
        fs::read_to_string(self.place.path().join(file)).with_context(|| format!("no {file}"))
    }

    fn values(&self, list: &str) -> Result<Vec<Value>> {
        let all: Value = serde_json::from_str(&self.read("values.json")?)?;
        let list = all.get(list).and_then(Value::as_array);
        Ok(list.context("no such list")?.clone())
    }
}

fn text<'a>(item: &'a Value, field: &str) -> Result<&'a str> {
    item.get(field).and_then(Value::as_str).with_context(|| format!("no field {field}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_it_seals_opens_in_its_scope_only() -> Result<()> {
    let made = Made::make()?;
    let values = made.values("opens")?;
    assert_eq!(values.len(), 27, "three keys, three scopes, three plaintexts");
    for item in &values {
        for (name, scope) in SCOPES {
            let opened = open(&made.keys, &scope, text(item, "value")?).map(|bytes| hex(&bytes));
            let fits = name == text(item, "scope")?;
            let expected =
                if fits { Ok(text(item, "plaintext")?.to_owned()) } else { Err(OpenError) };
            assert_eq!(opened, expected, "{item} in {name}");
        }
    }
    Ok(())
}

#[test]
fn what_it_seals_in_another_way_does_not_open() -> Result<()> {
    let made = Made::make()?;
    let values = made.values("refused")?;
    assert_eq!(values.len(), 21, "three keys, seven ways");
    for item in &values {
        let opened = open(&made.keys, &STRICT, text(item, "value")?);
        assert_eq!(opened.err(), Some(OpenError), "{item}");
    }
    Ok(())
}

#[test]
fn it_opens_what_is_sealed_in_every_scope() -> Result<()> {
    let made = Made::make()?;
    let (mut items, mut expected) = (Vec::new(), Vec::new());
    for (key, certificate) in &made.certificates {
        for (name, scope) in SCOPES {
            for plaintext in [b"".as_slice(), b"hunter2", &[0xa5; 70_000]] {
                let value = seal(certificate, &scope, plaintext, &SystemRandom)?;
                items.push(json!({ "key": key, "scope": name, "value": value }));
                expected.push(hex(plaintext));
            }
        }
    }
    fs::write(made.place.path().join("ours.json"), serde_json::to_vec(&items)?)?;
    let opened = implementation("open", made.place.path())?;
    assert!(opened.lines().eq(&expected), "it opened something else");
    Ok(())
}

#[test]
fn certificate_and_key_have_the_fingerprint_that_it_computes() -> Result<()> {
    let made = Made::make()?;
    for (name, key) in KEYS.iter().zip(&made.keys) {
        let certificate = made.certificates.get(name).context("no certificate")?;
        let expected = made.read(&format!("{name}.fingerprint"))?;
        assert_eq!(key.fingerprint().to_string(), expected);
        assert_eq!(certificate.fingerprint().to_string(), expected);
        assert_eq!((certificate.not_before(), certificate.not_after()), DATES);
    }
    Ok(())
}
