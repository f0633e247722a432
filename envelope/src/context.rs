use crate::{KeyId, wire::Writer};

/// What a ciphertext is for. A ciphertext made for one purpose never opens for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// A DEK seed of kube-apiserver under a key version.
    Seed = 1,
    /// A key version, or the ledger key, under a root.
    Key = 2,
    /// 32 throw-away bytes under a root, to see that it works.
    Probe = 3,
}

/// The place of a ciphertext: additional data of every AEAD call, encryption context of every remote root.
///
/// ```text
/// "strongroom/context/v1" ‖ u8(purpose) ‖ enc(ring) ‖ enc(key_id)        enc(x) = u32be(len(x)) ‖ x
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// What it is for.
    pub purpose: Purpose,
    /// Under [`Purpose::Seed`] the key that wraps, else the key that is wrapped.
    pub key_id: &'a KeyId,
}

impl Context<'_> {
    /// The same place as pairs of text, which a remote root binds as its encryption context. Public: it stands in the
    /// service's own logs and in the conditions of its policies.
    ///
    /// ```text
    /// strongroom:purpose = "seed" | "key" | "probe"      strongroom:ring = ring      strongroom:key-id = key_id
    /// ```
    #[must_use]
    pub fn pairs(&self) -> [(&'static str, &str); 3] {
        let purpose = match self.purpose {
            Purpose::Seed => "seed",
            Purpose::Key => "key",
            Purpose::Probe => "probe",
        };
        [
            ("strongroom:purpose", purpose),
            ("strongroom:ring", self.key_id.ring().as_str()),
            ("strongroom:key-id", self.key_id.as_str()),
        ]
    }

    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(128);
        out.bytes(b"strongroom/context/v1");
        out.u8(self.purpose as u8);
        out.prefixed(self.key_id.ring().as_str().as_bytes());
        out.prefixed(self.key_id.as_str().as_bytes());
        out.finish()
    }
}
