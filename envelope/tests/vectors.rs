//! Every file in `envelope/vectors` has the outcome that it says, through what the crate offers to others.
//!
//! The vectors come from a second implementation, `tests/independent`, that was written from `docs/format.md` alone.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::{collections::BTreeSet, fs, path::Path};

use envelope::{
    Accepted, Context, Fingerprint, FormatError, Frame, KeyId, KeyMaterial, LedgerKey, LocalRoot,
    OpenError, Purpose, RingName, VersionKey, WrappedKey,
    bundle::{Bundle, UnverifiedBundle, Version},
};

use vector_file::{VectorFile, hex};

#[path = "support/vector_file.rs"]
mod vector_file;

/// What a vector expects: the fields that come out, or the word for the refusal.
type Outcome = Result<Vec<(&'static str, String)>, Refusal>;

type Judge = fn(&mut VectorFile) -> Outcome;

#[derive(Debug, PartialEq, Eq)]
struct Refusal(&'static str);

const FOLDERS: [(&str, Judge); 11] = [
    ("accepted", accepted),
    ("bundle", bundle),
    ("context", context),
    ("fingerprint", fingerprint),
    ("frame", frame),
    ("key-id", key_id),
    ("recover", recover),
    ("ring", ring),
    ("root", root),
    ("unwrap", unwrap),
    ("wrapped", wrapped),
];

/// Not of this crate's public face: `xaes` is tested where it stands (`hazmat/xaes.rs`).
const ELSEWHERE: [&str; 1] = ["xaes"];

#[test]
fn vectors_have_the_outcome_that_they_say() {
    let mut wrong = Vec::new();
    for (folder, judge) in FOLDERS {
        for mut vector in VectorFile::read_folder(folder) {
            let name = format!("{folder}/{}", vector.name);
            let (comment, expect) = (vector.text("comment"), vector.text("expect"));
            assert!(!comment.is_empty(), "{name}: says nothing of itself");
            let outcome = judge(&mut vector);
            let fields: Vec<_> = vector.into_rest();
            let fits = match &outcome {
                Ok(results) => {
                    expect == "ok"
                        && fields
                            .iter()
                            .map(|(k, v)| (k.as_str(), v))
                            .eq(results.iter().map(|(k, v)| (*k, v)))
                }
                Err(Refusal(kind)) => expect == *kind && fields.is_empty(),
            };
            if !fits {
                wrong.push(format!(
                    "{name}: {comment}\n  expects {expect} {fields:?}\n  gives {outcome:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} vectors\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_folder_of_vectors_is_forgotten() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let there: BTreeSet<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let read = FOLDERS.iter().map(|(folder, _)| *folder).chain(ELSEWHERE).map(str::to_owned);
    assert_eq!(there, read.collect());
}

impl From<FormatError> for Refusal {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::Length => Self("length"),
            FormatError::Version(_) => Self("version"),
            FormatError::RingName | FormatError::KeyId | FormatError::Field(_) => Self("field"),
            _ => Self("an error that no vector knows"),
        }
    }
}

impl From<OpenError> for Refusal {
    fn from(_: OpenError) -> Self {
        Self("open")
    }
}

fn ascii(bytes: &[u8]) -> Result<&str, Refusal> {
    str::from_utf8(bytes).map_err(|_| Refusal("field"))
}

fn key(vector: &mut VectorFile, name: &str) -> KeyMaterial {
    KeyMaterial::copy_from(&vector.bytes(name)).expect("32 bytes")
}

/// A key id that the vector takes for granted.
fn named_key(vector: &mut VectorFile) -> KeyId {
    KeyId::parse(&vector.text("key-id")).expect("a key id")
}

fn purpose(vector: &mut VectorFile) -> Purpose {
    match vector.text("purpose").as_str() {
        "1" => Purpose::Seed,
        "2" => Purpose::Key,
        "3" => Purpose::Probe,
        other => panic!("{}: purpose {other}", vector.name),
    }
}

fn root(vector: &mut VectorFile) -> Outcome {
    let key = KeyMaterial::copy_from(&vector.bytes("file")).ok_or(Refusal("length"))?;
    Ok(vec![("root-id", LocalRoot::new(&key).id().to_string())])
}

fn fingerprint(vector: &mut VectorFile) -> Outcome {
    let key = key(vector, "key");
    Ok(vec![
        ("fingerprint", Fingerprint::derive(&key).to_string()),
        ("root-id", LocalRoot::new(&key).id().to_string()),
    ])
}

fn accepted(vector: &mut VectorFile) -> Outcome {
    let bytes = vector.bytes("file");
    let accepted = Accepted::parse(&bytes)?;
    assert_eq!(accepted.encode(), bytes, "{}: written back", vector.name);
    Ok(vec![("generation", accepted.0.to_string())])
}

fn ring(vector: &mut VectorFile) -> Outcome {
    let bytes = vector.bytes("bytes");
    Ok(vec![("ring", RingName::parse(ascii(&bytes)?)?.to_string())])
}

fn key_id(vector: &mut VectorFile) -> Outcome {
    let bytes = vector.bytes("bytes");
    let id = KeyId::parse(ascii(&bytes)?)?;
    assert_eq!(id.as_str().as_bytes(), bytes, "{}: written back", vector.name);
    let same = KeyId::new(id.ring().clone(), id.version(), id.fingerprint())?;
    assert_eq!(same, id, "{}: put together", vector.name);
    Ok(vec![
        ("ring", id.ring().to_string()),
        ("version", id.version().to_string()),
        ("fingerprint", id.fingerprint().to_string()),
    ])
}

fn context(vector: &mut VectorFile) -> Outcome {
    let (purpose, key_id) = (purpose(vector), named_key(vector));
    Ok(vec![("context", hex(&Context { purpose, key_id: &key_id }.encode()))])
}

/// Opened as what a root made, which takes any purpose; what a version key made must open, or not, just so.
fn frame(vector: &mut VectorFile) -> Outcome {
    let (key, purpose, key_id) = (key(vector, "key"), purpose(vector), named_key(vector));
    let bytes = vector.bytes("frame");
    let frame = Frame::parse(&bytes)?;
    assert_eq!(frame.encode(), bytes, "{}: written back", vector.name);

    let root = LocalRoot::new(&key);
    let wrapped = WrappedKey::new(root.id(), bytes)?;
    let opened = root.unwrap(&wrapped, &Context { purpose, key_id: &key_id });
    if purpose == Purpose::Seed {
        let seed = VersionKey::new(key_id, &key).and_then(|key| key.unwrap_seed(&frame, None));
        let secrets = [&opened, &seed].map(|it| it.as_ref().map(KeyMaterial::expose_secret));
        assert_eq!(secrets[0], secrets[1], "{}: by a version key", vector.name);
    }
    Ok(vec![("plaintext", hex(opened?.expose_secret()))])
}

fn wrapped(vector: &mut VectorFile) -> Outcome {
    let bytes = vector.bytes("wrapped");
    let wrapped = WrappedKey::parse(&bytes)?;
    assert_eq!(wrapped.encode(), bytes, "{}: written back", vector.name);
    let same = WrappedKey::new(wrapped.root(), wrapped.blob().to_vec())?;
    assert_eq!(same, wrapped, "{}: put together", vector.name);
    Ok(vec![("root-id", wrapped.root().to_string()), ("blob", hex(wrapped.blob()))])
}

/// By the one wrap that names `root`. The fingerprint of what comes out is still to be compared.
fn unwrap_one(wraps: &[WrappedKey], root: &LocalRoot, id: &KeyId) -> Result<KeyMaterial, Refusal> {
    let context = Context { purpose: Purpose::Key, key_id: id };
    let Some(wrapped) = wraps.iter().find(|wrapped| wrapped.root() == root.id()) else {
        // Also where nobody has looked at the name first, nothing opens.
        assert!(wraps.iter().all(|wrapped| root.unwrap(wrapped, &context).is_err()));
        return Err(Refusal("root"));
    };
    Ok(root.unwrap(wrapped, &context)?)
}

/// By the one wrap that names `root`: the key that `id` names, or none.
fn unwrap_version(
    wraps: &[WrappedKey],
    root: &LocalRoot,
    id: &KeyId,
) -> Result<KeyMaterial, Refusal> {
    let key = unwrap_one(wraps, root, id)?;
    VersionKey::new(id.clone(), &key)?;
    Ok(key)
}

fn unwrap(vector: &mut VectorFile) -> Outcome {
    let (root, id) = (LocalRoot::new(&key(vector, "root")), named_key(vector));
    let wrapped = WrappedKey::parse(&vector.bytes("wrapped"))?;
    let key = unwrap_version(&[wrapped], &root, &id)?;
    Ok(vec![("unwrapped", hex(key.expose_secret()))])
}

fn recover(vector: &mut VectorFile) -> Outcome {
    let (root, id) = (LocalRoot::new(&key(vector, "root")), named_key(vector));
    let (annotation, ciphertext) = (vector.bytes("annotation"), vector.bytes("ciphertext"));
    let key = unwrap_one(&[WrappedKey::parse(&annotation)?], &root, &id)?;
    let seed =
        VersionKey::new(id, &key)?.unwrap_seed(&Frame::parse(&ciphertext)?, Some(&annotation))?;
    Ok(vec![("plaintext", hex(seed.expose_secret()))])
}

fn bundle(vector: &mut VectorFile) -> Outcome {
    let (root, bytes) = (LocalRoot::new(&key(vector, "root")), vector.bytes("bundle"));
    let unverified = UnverifiedBundle::parse(&bytes)?;
    let ledger = unverified.ledger().clone();
    let key = LedgerKey::new(ledger.id.clone(), unwrap_one(&ledger.wraps, &root, &ledger.id)?)?;
    let bundle = unverified.verify(&key)?;

    assert_eq!(bundle.encode(&key).unwrap(), bytes, "{}: written back", vector.name);
    let (ring, generation) = (bundle.ring().clone(), bundle.generation());
    let same = Bundle::new(ring, generation, bundle.ledger().clone(), bundle.versions().to_vec());
    assert_eq!(same.as_ref(), Ok(&bundle), "{}: put together", vector.name);

    let mut results = vec![
        ("ring", bundle.ring().to_string()),
        ("generation", bundle.generation().to_string()),
        ("ledger-key", format!("{} {}", ledger.id, ledger.wraps.len())),
    ];
    results.extend(bundle.versions().iter().map(|version| ("version", describe(version, &root))));
    Ok(results)
}

fn describe(version: &Version, root: &LocalRoot) -> String {
    let Version { id, state, created, activated, wraps } = version;
    let opened = match unwrap_version(wraps, root, id) {
        Ok(key) => hex(key.expose_secret()),
        Err(Refusal(kind)) => kind.to_owned(),
    };
    let (state, activated) = (state.as_str(), activated.unwrap_or(0));
    format!("{id} {state} {created} {activated} {} {opened}", wraps.len())
}
