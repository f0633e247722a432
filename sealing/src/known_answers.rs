//! What the second implementation says that a DEK commits to, how it is wrapped, and how values open: `sealing/vectors`, judged where
//! nothing of it is public. The rest is in `tests/vectors.rs`.

use envelope::{KeyMaterial, Random, RandomError};

use crate::{
    Commit, DataKey, Place, Scope, SealingKey, Slot, SlotId, Value, Wrap,
    slot::Dek,
    vector_file::{VectorFile, hex},
};

/// Every vector of a folder gives the fields that it says, or nothing where it says `closed`.
fn check(
    folder: &str,
    cases: usize,
    judge: impl Fn(&mut VectorFile) -> Option<(&'static str, String)>,
) {
    let vectors = VectorFile::read_folder(folder);
    assert_eq!(vectors.len(), cases, "{folder}");
    for mut vector in vectors {
        let (_, expect) = (vector.text("comment"), vector.text("expect"));
        match judge(&mut vector) {
            Some((field, value)) => {
                assert_eq!(expect, "ok", "{folder}/{}", vector.name);
                assert_eq!(vector.text(field), value, "{folder}/{}", vector.name);
            }
            None => assert_eq!(expect, "closed", "{folder}/{}", vector.name),
        }
        let name = vector.name.clone();
        assert_eq!(vector.into_rest(), [], "{folder}/{name}");
    }
}

fn place(vector: &mut VectorFile) -> (Place, SlotId) {
    let scope = Scope::parse(&vector.text("scope")).unwrap();
    let [namespace, name, secret_type] =
        ["namespace", "name", "type"].map(|field| vector.text(field));
    let slot = SlotId::parse(&vector.text("slot")).unwrap();
    (Place::new(scope, &namespace, &name, &secret_type).unwrap(), slot)
}

fn dek(vector: &mut VectorFile) -> (Dek, Place, SlotId) {
    let (place, slot) = place(vector);
    let key = KeyMaterial::copy_from(&vector.bytes("dek")).unwrap();
    (Dek { key, context: place.context(slot) }, place, slot)
}

/// Randomness that is known.
struct Known(Vec<u8>);

impl Random for Known {
    fn fill(&self, out: &mut [u8]) -> Result<(), RandomError> {
        out.copy_from_slice(&self.0);
        Ok(())
    }
}

#[test]
fn dek_commits_to_what_the_page_says() {
    check("commit", 3, |vector| {
        let (dek, ..) = dek(vector);
        Some(("commit", hex(Commit::derive(&dek.key, &dek.context).bytes())))
    });
}

#[test]
fn wraps_open_as_the_page_says_and_are_made_so() {
    check("wrap", 25, |vector| {
        let (place, id) = place(vector);
        let seed = KeyMaterial::copy_from(&vector.bytes("seed")).unwrap();
        let key = SealingKey::from_seed(seed);
        let commit = Commit(vector.bytes("commit").try_into().unwrap());
        let bytes = vector.bytes("wrap").into_boxed_slice().try_into().unwrap();
        let wrap = Wrap { kid: key.kid(), bytes };
        let mut slot = Slot { id, commit, wraps: Vec::new() };
        let dek = slot.unwrap(&wrap, &key, &place)?;
        let randomness = Known(vector.bytes("randomness"));
        slot.wrap(&dek, &[key.recipient().clone()], &randomness).unwrap();
        assert_eq!(slot.wraps[0].bytes(), wrap.bytes(), "{}", vector.name);
        Some(("dek", hex(dek.key.expose_secret())))
    });
}

#[test]
fn values_open_as_the_page_says_and_are_made_so() {
    check("value", 21, |vector| {
        let (dek, _, slot) = dek(vector);
        let key = DataKey::parse(&vector.text("key")).unwrap();
        let value = Value { slot, bytes: vector.bytes("value") };
        let plaintext = value.open(&dek, &key)?;
        let salt = Known(value.bytes[..16].to_vec());
        let again = Value::seal(slot, &dek, &key, &plaintext, &salt).unwrap();
        assert_eq!(again, value, "{}", vector.name);
        Some(("plaintext", hex(plaintext.expose_secret())))
    });
}
