//! The second implementation of sealed Secrets, in another language and written from docs/format.md alone, opens what ours seals, and
//! seals what ours opens.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use data_encoding::{BASE64, HEXLOWER};
use envelope::{KeyMaterial, SystemRandom};
use sealing::{
    ClusterIdentity, DataKey, KeyRing, KeyState, PinError, PinnedKey, Plaintext, Recipient, Scope,
    SealedSecret, SealingKey, SealingKeys, escrow_text, parse_escrow_text,
};
use serde_json::{Value, json};
use testbed::{folder::Folder, process::complete, python};

#[path = "../../sealing/tests/written.rs"]
mod written;

use self::written::written;

/// Asks the second implementation.
fn ask(command: &str, question: &Value) -> Result<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("independent");
    let mut child = Command::new(python::with_packages(&folder.join("requirements.txt"))?)
        .arg("-B")
        .arg(folder.join("strongroom_sealing.py"))
        .arg(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("the second implementation does not start")?;
    child.stdin.take().context("no stdin")?.write_all(question.to_string().as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{command} ended with {}", output.status);
    serde_json::from_slice(&output.stdout).context("no JSON came back")
}

fn keys(n: usize) -> Result<Vec<SealingKey>> {
    (0..n).map(|_| SealingKey::make(&SystemRandom).context("no randomness")).collect()
}

fn recipients(keys: &[SealingKey]) -> Vec<Recipient> {
    keys.iter().map(|key| key.recipient().clone()).collect()
}

/// Values that try the padding: around its blocks, empty, binary, and long.
fn values() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("empty", Vec::new()),
        ("one-block", vec![b'a'; 28]),
        ("one-more", vec![b'a'; 29]),
        ("binary", (0..=255).collect()),
        ("A.long_one", vec![0x5a; 100_000]),
    ]
}

#[test]
fn committed_vectors_are_what_it_writes() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("independent");
    let out = Folder::make()?;
    let mut write = Command::new(python::with_packages(&folder.join("requirements.txt"))?);
    write.arg("-B").arg(folder.join("strongroom_sealing.py"));
    complete(write.arg("vectors").arg(out.path()))?;
    // These come from outside.
    let mut diff = Command::new("diff");
    diff.args(["-r", "--exclude=hpke", "--exclude=x-wing"]);
    complete(diff.arg(folder.join("../../sealing/vectors")).arg(out.path()))
        .context("sealing/vectors differs from what the second implementation writes")?;
    Ok(())
}

#[test]
fn it_opens_what_ours_seals() -> Result<()> {
    let all = keys(3)?;
    for scope in [Scope::Strict, Scope::Namespace, Scope::Cluster] {
        let template = sealing::Template {
            secret_type: Some("kubernetes.io/tls".into()),
            ..Default::default()
        };
        let mut object = SealedSecret::new(scope, Some("prod"), "db", template);
        let plaintexts: Vec<_> =
            values().into_iter().map(|(key, value)| (key, Plaintext::new(value))).collect();
        // Two slots: a value that was changed has one of its own.
        for part in [&plaintexts[..], &plaintexts[..1]] {
            let part: Option<Vec<_>> =
                part.iter().map(|(key, value)| Some((DataKey::parse(key)?, value))).collect();
            object.set(&part.context("data keys")?, &recipients(&all), &SystemRandom)?;
        }
        let object = written(&object);
        for key in &all {
            let seed = HEXLOWER.encode(key.seed().expose_secret());
            let opened = ask("open", &json!({"object": object, "seeds": [seed]}))?;
            for (name, value) in values() {
                assert_eq!(opened[name], BASE64.encode(&value), "{name} in scope {scope}");
            }
        }
        let stranger = HEXLOWER.encode(keys(1)?.first().context("a key")?.seed().expose_secret());
        assert_eq!(
            ask("open", &json!({"object": object, "seeds": [stranger]}))?,
            json!({"refused": "no-key"})
        );
    }
    Ok(())
}

#[test]
fn ours_opens_what_it_seals() -> Result<()> {
    let all = keys(3)?;
    let publics: Vec<_> = all.iter().map(|key| BASE64.encode(key.recipient().bytes())).collect();
    let encoded: serde_json::Map<_, _> = values()
        .into_iter()
        .map(|(key, value)| (key.to_owned(), BASE64.encode(&value).into()))
        .collect();
    for scope in ["strict", "namespace", "cluster"] {
        let question = json!({
            "scope": scope, "namespace": "prod", "name": "db", "type": "Opaque", "values": encoded, "recipients": publics,
        });
        let object = SealedSecret::parse(&ask("seal", &question)?)?;
        for key in &all {
            let seed = KeyMaterial::copy_from(key.seed().expose_secret()).context("32 bytes")?;
            let ring: KeyRing = [SealingKey::from_seed(seed)].into_iter().collect();
            let opened = object.open(&ring)?;
            for (name, value) in values() {
                assert_eq!(
                    opened.get(name).map(Plaintext::expose_secret),
                    Some(&value[..]),
                    "{name} in scope {scope}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn both_agree_on_signed_lists() -> Result<()> {
    let identity = ClusterIdentity::from_seed(KeyMaterial::make(&SystemRandom)?);
    let pinned = |key: &SealingKey, state| PinnedKey {
        recipient: key.recipient().clone(),
        state,
        since: "2026-11-28T10:00:00Z".into(),
    };
    let all = keys(2)?;
    let list = SealingKeys::sign(
        &identity,
        "prod",
        7,
        vec![pinned(&all[0], KeyState::Retiring), pinned(&all[1], KeyState::Active)],
    )?;
    let keys: Vec<_> = list
        .keys
        .iter()
        .map(|key| {
            json!({
                "kid": key.recipient.kid().to_string(), "state": key.state.as_str(), "since": key.since,
                "publicKey": BASE64.encode(key.recipient.bytes()),
            })
        })
        .collect();
    let mut object = json!({
        "apiVersion": "strongroom.dev/v1alpha1", "kind": "SealingKeys", "cluster": "prod", "identity": BASE64.encode(&list.identity),
        "serial": 7, "keys": keys, "signature": BASE64.encode(list.signature()),
    });
    let verified = ask("keys", &object)?;
    assert_eq!(verified["kids"], json!([all[0].kid().to_string(), all[1].kid().to_string()]));
    SealingKeys::parse(&object)?;
    object["serial"] = json!(8);
    assert_eq!(ask("keys", &object)?, json!({"refused": "signature"}));
    Ok(())
}

#[test]
fn ours_takes_the_list_that_it_signs() -> Result<()> {
    let seed = KeyMaterial::make(&SystemRandom)?;
    let all = keys(2)?;
    let pinned = |key: &SealingKey, state: &str| json!({"publicKey": BASE64.encode(key.recipient().bytes()), "state": state, "since": "2026-11-28T10:00:00Z"});
    let question = json!({
        "seed": HEXLOWER.encode(seed.expose_secret()), "cluster": "prod", "serial": 7,
        "keys": [pinned(&all[0], "retired"), pinned(&all[1], "active")],
    });
    let mut object = ask("sign", &question)?;
    let list = SealingKeys::parse(&object)?;
    assert_eq!(list.identity, ClusterIdentity::from_seed(seed).public());
    assert_eq!(list.active().context("an active key")?.recipient.kid(), all[1].kid());
    object["keys"][0]["state"] = json!("retiring");
    assert_eq!(SealingKeys::parse(&object).err(), Some(PinError::Signature));
    Ok(())
}

#[test]
fn both_print_and_read_the_same_escrow_text() -> Result<()> {
    let key = keys(1)?.pop().context("a key")?;
    let seed = HEXLOWER.encode(key.seed().expose_secret());
    let theirs = ask("escrow", &json!({"seed": seed}))?;
    assert_eq!(theirs["text"], *escrow_text(key.seed()));
    assert_eq!(theirs["kid"], key.kid().to_string());
    assert_eq!(theirs["publicKey"], BASE64.encode(key.recipient().bytes()));
    let typed = escrow_text(key.seed()).to_lowercase().replace('-', " ");
    assert_eq!(ask("escrow", &json!({"text": typed}))?["seed"], seed);
    let text = theirs["text"].as_str().context("a text")?;
    assert_eq!(parse_escrow_text(text)?.expose_secret(), key.seed().expose_secret());
    Ok(())
}
