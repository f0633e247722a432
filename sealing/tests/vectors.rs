//! Every file in `sealing/vectors` has the outcome that it says, through what the crate offers to others.
//!
//! They come from a second implementation, `tests/independent`, that was written from `docs/format.md` alone.

use std::{collections::BTreeSet, fs, path::Path};

use envelope::KeyMaterial;
use sealing::{
    EscrowError, OpenError, ParseError, PinError, Place, Recipient, RecipientError, Refused, Scope,
    SealedSecret, SealingKey, SealingKeys, parse_escrow_text,
};
use serde_json::Value as Json;

use crate::vector_file::{VectorFile, hex, unhex};

/// The fields that come out, or the word for the refusal.
type Outcome = Result<Vec<(&'static str, String)>, &'static str>;

type Judge = fn(&mut VectorFile) -> Outcome;

const FOLDERS: [(&str, Judge); 6] = [
    ("context", context),
    ("escrow", escrow),
    ("keys", keys),
    ("object", object),
    ("public", public),
    ("seed", seed),
];

/// Not of this crate's public face: tested where they stand (`src/known_answers.rs`, `src/hazmat/kem.rs`).
const ELSEWHERE: [&str; 5] = ["commit", "hpke", "value", "wrap", "x-wing"];

#[test]
fn every_vector_has_the_outcome_that_it_says() {
    let mut folders = BTreeSet::from(ELSEWHERE.map(str::to_owned));
    for (folder, judge) in FOLDERS {
        folders.insert(folder.to_owned());
        for mut vector in VectorFile::read_folder(folder) {
            let (name, expect) = (vector.name.clone(), vector.text("expect"));
            assert_ne!(vector.text("comment"), "", "{folder}/{name}");
            match judge(&mut vector) {
                Ok(fields) => {
                    assert_eq!(expect, "ok", "{folder}/{name}");
                    let said = vector.into_rest();
                    let given: Vec<_> =
                        fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
                    assert_eq!(given, said, "{folder}/{name}");
                }
                Err(refusal) => {
                    assert_eq!(refusal, expect, "{folder}/{name}");
                    assert_eq!(vector.into_rest(), [], "{folder}/{name}");
                }
            }
        }
    }
    let there = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(folders, there, "folders of vectors that nothing reads, or that are not there");
}

fn key(hexadecimal: &str) -> SealingKey {
    SealingKey::from_seed(KeyMaterial::copy_from(&unhex(hexadecimal).unwrap()).unwrap())
}

fn seed(vector: &mut VectorFile) -> Outcome {
    let key = key(&vector.text("seed"));
    Ok(vec![("public", hex(key.recipient().bytes())), ("kid", key.kid().to_string())])
}

fn public(vector: &mut VectorFile) -> Outcome {
    match Recipient::parse(&vector.bytes("public")) {
        Ok(recipient) => Ok(vec![("kid", recipient.kid().to_string())]),
        Err(error) => Err(recipient_word(error)),
    }
}

/// The whole context is not public; it ends in the slot.
fn context(vector: &mut VectorFile) -> Outcome {
    let scope = Scope::parse(&vector.text("scope")).unwrap();
    let [namespace, name, secret_type, slot] =
        ["namespace", "name", "type", "slot"].map(|field| vector.text(field));
    let place = Place::new(scope, &namespace, &name, &secret_type).ok_or("no-namespace")?;
    let whole = hex(&place.without_slot()) + &hex(&[0, 0, 0, 9]) + &hex(slot.as_bytes());
    Ok(vec![("context", whole)])
}

fn escrow(vector: &mut VectorFile) -> Outcome {
    match parse_escrow_text(&vector.text("text")) {
        Ok(seed) => Ok(vec![("seed", hex(seed.expose_secret()))]),
        Err(EscrowError::Character(_)) => Err("character"),
        Err(EscrowError::Length(_)) => Err("length"),
        Err(EscrowError::Checksum) => Err("checksum"),
        Err(other) => panic!("{other}"),
    }
}

fn json(vector: &mut VectorFile) -> Json {
    serde_json::from_str(&vector.text("object")).unwrap()
}

fn object(vector: &mut VectorFile) -> Outcome {
    let ring = vector.all("seed").iter().map(|seed| key(seed)).collect();
    let object = SealedSecret::parse(&json(vector)).map_err(|error| parse_word(&error))?;
    match object.open(&ring) {
        Ok(values) => Ok(values
            .iter()
            .map(|(key, value)| ("value", format!("{key}={}", hex(value.expose_secret()))))
            .collect()),
        Err(OpenError::Closed) => Err("closed"),
        Err(OpenError::NoKey { .. }) => Err("no-key"),
        Err(OpenError::NoNamespace) => Err("no-namespace"),
        Err(other) => panic!("{other}"),
    }
}

fn keys(vector: &mut VectorFile) -> Outcome {
    match SealingKeys::parse(&json(vector)) {
        Ok(list) => Ok([("identity", hex(&list.identity))]
            .into_iter()
            .chain(list.keys.iter().map(|key| ("kid", key.recipient.kid().to_string())))
            .collect()),
        Err(error) => Err(match error {
            PinError::Form(error) => parse_word(&error),
            PinError::Key(_, error) => recipient_word(error),
            PinError::Kind(_) => "kind",
            PinError::Cluster => "cluster",
            PinError::Serial(_) => "serial",
            PinError::State(_) => "state",
            PinError::Since(_) => "since",
            PinError::Kid(_) => "other-kid",
            PinError::Twice(_) => "twice",
            PinError::Active => "active",
            PinError::Signature => "signature",
            other => panic!("{other}"),
        }),
    }
}

fn recipient_word(error: RecipientError) -> &'static str {
    match error {
        RecipientError::Length => "length",
        RecipientError::LowOrder => "low-order",
        RecipientError::NotCanonical => "not-canonical",
        other => panic!("{other}"),
    }
}

fn parse_word(error: &ParseError) -> &'static str {
    match error.refused {
        Refused::Kind => "kind",
        Refused::Missing => "missing",
        Refused::UnknownField => "unknown-field",
        Refused::Text => "text",
        Refused::Mapping => "mapping",
        Refused::Sequence => "sequence",
        Refused::Bool => "bool",
        Refused::Suite => "suite",
        Refused::Scope => "scope",
        Refused::Empty => "empty",
        Refused::TooLong => "too-long",
        Refused::ServiceAccountToken => "service-account-token",
        Refused::NoWraps => "no-wraps",
        Refused::SlotId => "slot-id",
        Refused::SlotTwice => "slot-twice",
        Refused::Kid => "kid",
        Refused::KidTwice => "kid-twice",
        Refused::Base64 => "base64",
        Refused::Length(_) => "length",
        Refused::Value => "value",
        Refused::NoSlot => "no-slot",
        Refused::DataKey => "data-key",
        Refused::KeyTwice => "key-twice",
        ref other => panic!("{other}"),
    }
}
