//! What kube-apiserver stores under KMS v2, read and written independently of it.
//!
//! ```text
//! k8s:enc:kms:v2:<provider>: ‖ protobuf EncryptedObject
//!   1 encryptedData = info[32] ‖ nonce[12] ‖ ciphertext ‖ tag[16]
//!   2 keyID   3 encryptedDEKSource   4 annotations   5 encryptedDEKSourceType = 1
//! key  = HKDF-Expand-SHA256(seed, info, 32)
//! data = AES-256-GCM(key, nonce, plaintext, AAD = the etcd key)
//! ```

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context as _, Result, anyhow, ensure};
use prost::Message;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, Prk};

use crate::random;

/// Begins every value that a KMS v2 provider encrypted.
pub const PREFIX: &[u8] = b"k8s:enc:kms:v2:";

/// The seed that kube-apiserver derives a data key from, once for each value.
pub type Seed = [u8; 32];

/// One value, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredValue {
    /// The provider's name in the EncryptionConfiguration.
    pub provider: String,
    /// What follows.
    pub object: EncryptedObject,
}

/// The message that kube-apiserver stores.
#[derive(Clone, PartialEq, Message)]
pub struct EncryptedObject {
    /// info ‖ nonce ‖ ciphertext ‖ tag
    #[prost(bytes = "vec", tag = "1")]
    pub encrypted_data: Vec<u8>,
    /// The key that wraps the seed.
    #[prost(string, tag = "2")]
    pub key_id: String,
    /// The wrapped seed: what the plugin's Encrypt returned.
    #[prost(bytes = "vec", tag = "3")]
    pub encrypted_dek_source: Vec<u8>,
    /// What the plugin wants back with it.
    #[prost(btree_map = "string, bytes", tag = "4")]
    pub annotations: BTreeMap<String, Vec<u8>>,
    /// 1: the source is a seed. 0: it is the data key itself.
    #[prost(int32, tag = "5")]
    pub encrypted_dek_source_type: i32,
}

impl StoredValue {
    /// Reads a value. Whatever is not exactly what kube-apiserver writes is an error.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let rest = bytes.strip_prefix(PREFIX).context("the value is not encrypted by KMS v2")?;
        let colon = rest.iter().position(|byte| *byte == b':').context("the prefix has no end")?;
        let (provider, rest) = rest.split_at(colon);
        let this = Self {
            provider: String::from_utf8(provider.to_vec()).context("the provider's name")?,
            object: EncryptedObject::decode(rest.get(1..).unwrap_or_default())
                .context("no EncryptedObject follows the prefix")?,
        };
        ensure!(this.object.encrypted_dek_source_type == 1, "the data key is not made from a seed");
        Ok(this)
    }

    /// The bytes as they lie in etcd.
    pub fn encode(&self) -> Vec<u8> {
        [PREFIX, self.provider.as_bytes(), b":", &self.object.encode_to_vec()].concat()
    }

    /// Where the parts lie in the bytes of a value. What lies in none of these ranges is framing.
    pub fn regions(bytes: &[u8]) -> Result<Vec<(Region, Range<usize>)>> {
        let Self { provider, object } = Self::parse(bytes)?;
        let (info, rest) = object.encrypted_data.split_at_checked(32).context("too short")?;
        let (nonce, rest) = rest.split_at_checked(12).context("too short")?;
        let (ciphertext, tag) = rest.split_last_chunk::<16>().context("too short")?;
        let annotations = EncryptedObject { annotations: object.annotations, ..Default::default() };
        let parts = [
            (Region::Prefix, PREFIX),
            (Region::Provider, provider.as_bytes()),
            (Region::Info, info),
            (Region::Nonce, nonce),
            (Region::Ciphertext, ciphertext),
            (Region::Tag, tag),
            (Region::KeyId, object.key_id.as_bytes()),
            (Region::WrappedSeed, &object.encrypted_dek_source),
            (Region::Annotations, &annotations.encode_to_vec()),
        ];
        let present = parts.into_iter().filter(|(_, part)| !part.is_empty());
        present
            .map(|(region, part)| {
                let start = bytes.windows(part.len()).position(|window| window == part);
                let start = start.with_context(|| format!("{region:?} is nowhere"))?;
                Ok((region, start..start + part.len()))
            })
            .collect()
    }

    /// The plaintext of the value under the etcd key `key`.
    pub fn open(&self, seed: &Seed, key: &str) -> Result<Vec<u8>> {
        let (info, rest) = self.object.encrypted_data.split_at_checked(32).context("too short")?;
        let (nonce, sealed) = rest.split_at_checked(12).context("too short")?;
        let mut buffer = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce.try_into()?);
        let plaintext = data_key(seed, info)?
            .open_in_place(nonce, Aad::from(key.as_bytes()), &mut buffer)
            .map_err(|Unspecified| anyhow!("the value does not open under this seed and key"))?;
        Ok(plaintext.to_vec())
    }

    /// The same plaintext under another seed; `wrapped` names and holds that seed and has no data yet.
    pub fn seal(
        &self,
        wrapped: EncryptedObject,
        seed: &Seed,
        key: &str,
        plaintext: &[u8],
    ) -> Result<Self> {
        let info = random::bytes::<32>()?;
        let nonce = random::bytes::<12>()?;
        let mut sealed = plaintext.to_vec();
        data_key(seed, &info)?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(key.as_bytes()),
                &mut sealed,
            )
            .map_err(|Unspecified| anyhow!("the value is too long to be sealed"))?;
        let encrypted_data = [info.as_slice(), &nonce, &sealed].concat();
        Ok(Self {
            provider: self.provider.clone(),
            object: EncryptedObject { encrypted_data, ..wrapped },
        })
    }
}

/// A part of a stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of the format above")]
pub enum Region {
    Prefix,
    Provider,
    Info,
    Nonce,
    Ciphertext,
    Tag,
    KeyId,
    WrappedSeed,
    /// With their framing: they are the one part that a reader may do without.
    Annotations,
    /// Field numbers and lengths, and the type of the source.
    Framing,
}

fn data_key(seed: &Seed, info: &[u8]) -> Result<LessSafeKey> {
    // Expand alone: the seed is uniform, so kube-apiserver extracts nothing.
    let prk = Prk::new_less_safe(HKDF_SHA256, seed);
    let info = [info];
    let key = prk.expand(&info, &AES_256_GCM).map_err(|Unspecified| anyhow!("info is too long"))?;
    Ok(LessSafeKey::new(UnboundKey::from(key)))
}

#[cfg(test)]
mod tests {
    use super::{EncryptedObject, StoredValue};

    #[test]
    fn a_value_is_what_was_laid_and_opens_only_in_its_place() {
        let wrapped = EncryptedObject {
            key_id: "ring/v1/0".to_owned(),
            encrypted_dek_source: vec![7; 73],
            annotations: [("kek.example.com".to_owned(), vec![9; 73])].into(),
            encrypted_dek_source_type: 1,
            ..Default::default()
        };
        let empty = StoredValue { provider: "p".to_owned(), object: EncryptedObject::default() };
        let laid = empty.seal(wrapped, &[3; 32], "/registry/a", b"text").unwrap();
        let read = StoredValue::parse(&laid.encode()).unwrap();
        assert_eq!(read, laid);
        assert_eq!(read.open(&[3; 32], "/registry/a").unwrap(), b"text");
        for (seed, key) in [([4; 32], "/registry/a"), ([3; 32], "/registry/b")] {
            let error = read.open(&seed, key).unwrap_err().to_string();
            assert_eq!(error, "the value does not open under this seed and key");
        }
    }

    #[test]
    fn plaintext_is_not_taken_for_a_stored_value() {
        let error = StoredValue::parse(b"k8s\0\x0a\x0c").unwrap_err().to_string();
        assert_eq!(error, "the value is not encrypted by KMS v2");
    }
}
