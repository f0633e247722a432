//! Every file in `envelope/vectors` has the outcome that it says, through what the crate offers to others.
//!
//! The vectors come from a second implementation, `tests/independent`, that was written from `docs/format.md` alone.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use envelope::{
    Accepted, AwsKeyArn, Context, Fingerprint, FormatError, Frame, KeyId, KeyMaterial, LedgerKey,
    LocalRoot, OpenError, Purpose, RingName, Row, VersionKey, WrappedKey,
    audit::{Checkpoint, Hash, Record, START, sha256},
    bundle::{Bundle, UnverifiedBundle, Version},
};

use vector_file::{VectorFile, hex, unhex};

#[path = "support/vector_file.rs"]
mod vector_file;

/// What a vector expects: the fields that come out, or the word for the refusal.
type Outcome = Result<Vec<(&'static str, String)>, Refusal>;

type Judge = fn(&mut VectorFile) -> Outcome;

#[derive(Debug, PartialEq, Eq)]
struct Refusal(&'static str);

const FOLDERS: [(&str, Judge); 17] = [
    ("accepted", accepted),
    ("audit", audit),
    ("aws-context", aws_context),
    ("aws-root", aws_root),
    ("bundle", bundle),
    ("checkpoint", checkpoint),
    ("contents", contents),
    ("context", context),
    ("fingerprint", fingerprint),
    ("frame", frame),
    ("key-id", key_id),
    ("recover", recover),
    ("ring", ring),
    ("root", root),
    ("row", row),
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

fn aws_root(vector: &mut VectorFile) -> Outcome {
    let bytes = vector.bytes("bytes");
    let arn = AwsKeyArn::parse(ascii(&bytes)?)?;
    assert_eq!(arn.as_str().as_bytes(), bytes, "{}: written back", vector.name);
    Ok(vec![("region", arn.region().to_owned()), ("root-id", arn.root_id().to_string())])
}

fn aws_context(vector: &mut VectorFile) -> Outcome {
    let (purpose, key_id) = (purpose(vector), named_key(vector));
    let context = Context { purpose, key_id: &key_id };
    Ok(context.pairs().map(|(name, value)| ("pair", format!("{name}={value}"))).into())
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

// --- Ledger --------------------------------------------------------------------------------------------------------------------

/// A ledger key, under whatever number: its id is in nothing that it makes.
fn ledger_key(secret: &[u8]) -> LedgerKey {
    let secret = KeyMaterial::copy_from(secret).expect("32 bytes");
    let ring = RingName::parse(LedgerKey::RING).unwrap();
    LedgerKey::new(KeyId::derive(ring, 1, &secret).unwrap(), secret).unwrap()
}

fn cluster(vector: &mut VectorFile) -> [u8; 16] {
    vector.bytes("cluster").try_into().expect("16 bytes")
}

fn length<const N: usize>(bytes: Vec<u8>) -> Result<[u8; N], Refusal> {
    bytes.try_into().map_err(|_| Refusal("length"))
}

fn text_of(digits: &str) -> String {
    String::from_utf8(unhex(digits).expect("hexadecimal digits")).expect("UTF-8")
}

fn hash_of(digits: &str) -> Hash {
    unhex(digits).expect("hexadecimal digits").try_into().expect("32 bytes")
}

/// Its columns, `<kind> <name> <value>`, where the value `-` is NULL.
fn row(vector: &mut VectorFile) -> Outcome {
    let key = ledger_key(&vector.bytes("ledger-key"));
    let (table, cluster, ring) = (vector.text("table"), cluster(vector), vector.text("ring"));
    let (fields, mac) = (vector.all("field"), vector.bytes("mac"));
    let row = || {
        fields.iter().fold(Row::new(&table, &cluster, &ring), |row, field| {
            let parts: Vec<_> = field.splitn(3, ' ').collect();
            match parts[..] {
                ["num", _, value] => row.number(value.parse().unwrap()),
                ["opt", _, "-"] => row.maybe(None),
                ["opt", _, value] => row.maybe(Some(value.parse().unwrap())),
                ["txt", _, "-"] | ["txt", _] => row.text(""),
                ["txt", _, value] => row.text(&text_of(value)),
                ["raw", _, value] => row.bytes(&unhex(value).unwrap()),
                _ => panic!("{}: {field} is no field", vector.name),
            }
        })
    };
    let mac = length(mac)?;
    assert_eq!(row().mac(&key) == mac, row().verify(&key, &mac), "{}: made again", vector.name);
    if row().verify(&key, &mac) { Ok(vec![]) } else { Err(Refusal("open")) }
}

/// By number or id, `<number> <MAC>`, in any order.
fn contents(vector: &mut VectorFile) -> Outcome {
    let hashes = ["versions-mac", "holds-mac", "runs-mac", "replicas-mac"].map(|rows| {
        let rows = vector.all(rows);
        let rows: BTreeMap<u64, Hash> = rows
            .iter()
            .map(|row| row.split_once(' ').unwrap())
            .map(|(number, mac)| (number.parse().unwrap(), hash_of(mac)))
            .collect();
        sha256(&rows.into_values().collect::<Vec<_>>().concat())
    });
    Ok(vec![("contents", hex(hashes.as_flattened()))])
}

/// From its first record on.
fn audit(vector: &mut VectorFile) -> Outcome {
    let (cluster, ring) = (cluster(vector), vector.text("ring"));
    let (mut last, mut hashes) = (START, vec![]);
    for (record, seq) in vector.all("record").iter().map(|line| record(line)).zip(1..) {
        if (record.seq, record.previous) != (seq, last) {
            return Err(Refusal("chain"));
        }
        last = record.hash(&cluster, &ring);
        hashes.push(("hash", hex(&last)));
    }
    Ok(hashes)
}

/// `<seq>,<at>,<actor>,<action>,<subject>,<detail>,<previous>`
fn record(line: &str) -> Record {
    let parts: Vec<_> = line.split(',').collect();
    let [seq, at, texts @ .., previous] = &parts[..] else { panic!("{line} is no record") };
    let [actor, action, subject, detail] = texts else { panic!("{line} is no record") };
    Record {
        seq: seq.parse().unwrap(),
        at: at.parse().unwrap(),
        actor: text_of(actor),
        action: text_of(action),
        subject: text_of(subject),
        detail: text_of(detail),
        previous: hash_of(previous),
    }
}

/// By the ledger key, whose public key comes out, or by a public key.
fn checkpoint(vector: &mut VectorFile) -> Outcome {
    let (cluster, ring) = (cluster(vector), vector.text("ring"));
    let key = vector.all("ledger-key").pop().map(|digits| ledger_key(&unhex(&digits).unwrap()));
    let public_key = key.as_ref().map_or_else(
        || vector.bytes("public-key"),
        |key| Checkpoint::public_key(key, &cluster).unwrap().to_vec(),
    );
    let [seq, at] = ["seq", "at"].map(|number| vector.text(number).parse().unwrap());
    let (hash, signature) = (hash_of(&vector.text("hash")), vector.bytes("signature"));
    let (public_key, signature) = (length(public_key)?, length(signature)?);
    let checkpoint = Checkpoint { seq, hash, at, public_key, signature };
    let verified = checkpoint.verify(&cluster, &ring);
    let Some(key) = key else {
        return if verified { Ok(vec![]) } else { Err(Refusal("open")) };
    };
    let signed = Checkpoint::sign(&key, &cluster, &ring, (seq, hash), at).unwrap();
    assert_eq!(signed == checkpoint, verified, "{}: signed again", vector.name);
    if verified { Ok(vec![("signed-by", hex(&public_key))]) } else { Err(Refusal("open")) }
}
