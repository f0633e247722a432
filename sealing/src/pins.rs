use std::fmt;

use envelope::KeyMaterial;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde_json::Value as Json;

use crate::{
    API_VERSION, At, Kid, ParseError, Recipient, RecipientError, Refused,
    context::prefixed,
    parse::{Fields, Node},
};

/// How far a sealing key is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyState {
    /// Published, and not yet backed up for certain: nothing is sealed for it.
    Pending,
    /// What is sealed is sealed for it.
    Active,
    /// A newer one is active; it still opens, and what is sealed for it is to be wrapped anew.
    Retiring,
    /// It opens nothing any more.
    Retired,
}

impl KeyState {
    const ALL: [Self; 4] = [Self::Pending, Self::Active, Self::Retiring, Self::Retired];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The identity of a cluster: an Ed25519 key (RFC 8032) that signs which sealing keys are the cluster's. Long-lived, and pinned by
/// whoever sees it first.
pub struct ClusterIdentity(KeyMaterial);

impl ClusterIdentity {
    /// Length of the public key in bytes.
    pub const LEN: usize = 32;

    /// The identity of a seed (32 bytes).
    #[must_use]
    pub fn from_seed(seed: KeyMaterial) -> Self {
        Self(seed)
    }

    /// The seed, to be written where it is kept.
    #[must_use]
    pub fn seed(&self) -> &KeyMaterial {
        &self.0
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        for (to, from) in out.iter_mut().zip(self.pair().public_key().as_ref()) {
            *to = *from;
        }
        out
    }

    fn pair(&self) -> Ed25519KeyPair {
        #[expect(clippy::expect_used, reason = "Ed25519 refuses only seeds that are not 32 bytes")]
        Ed25519KeyPair::from_seed_unchecked(self.0.expose_secret()).expect("32 bytes")
    }
}

impl fmt::Debug for ClusterIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterIdentity(…)")
    }
}

/// A public key of a cluster.
#[derive(Debug, Clone)]
pub struct PinnedKey {
    /// The key.
    pub recipient: Recipient,
    /// How far it is in its life.
    pub state: KeyState,
    /// Since when, in seconds, UTC: `2026-11-28T10:00:00Z`.
    pub since: String,
}

/// The sealing keys of a cluster, signed by its identity: what a repository pins.
#[derive(Debug, Clone)]
pub struct SealingKeys {
    /// The name of the cluster: 1 to 63 of a-z, 0-9 and `-`.
    pub cluster: String,
    /// The public key of its identity.
    pub identity: [u8; ClusterIdentity::LEN],
    /// How often the list changed: a list with a lower number is an older one.
    pub serial: u64,
    /// The keys, each once.
    pub keys: Vec<PinnedKey>,
    /// Ed25519 over everything above.
    signature: [u8; 64],
}

/// The public key of an escrow: its private half lies printed in a safe, and opens everything.
#[derive(Debug, Clone)]
pub struct EscrowKey {
    /// The key.
    pub recipient: Recipient,
    /// Since when, in seconds, UTC.
    pub since: String,
}

impl EscrowKey {
    /// The kind of object that it is written as.
    pub const KIND: &str = "EscrowKey";

    /// Takes one in.
    ///
    /// # Errors
    /// [`PinError`].
    pub fn parse(object: &Json) -> Result<Self, PinError> {
        let fields = Node { at: At::default(), json: object }.mapping()?;
        of_kind(&fields, Self::KIND)?;
        fields.only(&["apiVersion", "kind", "kid", "since", "publicKey"])?;
        let recipient = recipient(&fields)?;
        let since = fields.required("since")?;
        let text = since.text()?.to_owned();
        if is_time(&text) {
            Ok(Self { recipient, since: text })
        } else {
            Err(PinError::Since(since.at))
        }
    }
}

/// Why a list of sealing keys, or an escrow key, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// It is not of this form.
    #[error(transparent)]
    Form(#[from] ParseError),
    /// Another kind of object.
    #[error("not a {0} of strongroom.dev/v1alpha1")]
    Kind(&'static str),
    /// Not a name of a cluster.
    #[error("the name of a cluster is 1 to 63 of a-z, 0-9 and '-'")]
    Cluster,
    /// A number that is none.
    #[error("{0}: must be a whole number from 1")]
    Serial(At),
    /// Not a state.
    #[error("{0}: must be pending, active, retiring or retired")]
    State(At),
    /// Not a time.
    #[error("{0}: must be a time in UTC in seconds, as 2026-11-28T10:00:00Z")]
    Since(At),
    /// A key that nothing may be sealed for.
    #[error("{0}: {1}")]
    Key(At, RecipientError),
    /// The id is not that of the key.
    #[error("{0}: is not the id of the key beside it")]
    Kid(At),
    /// A key twice.
    #[error("key {0} stands twice")]
    Twice(Kid),
    /// Two keys that are active at once.
    #[error("more than one key is active")]
    Active,
    /// It was not signed by the identity that it names.
    #[error(
        "the signature is not that of the identity in it over what it says: it was changed by somebody else than the cluster"
    )]
    Signature,
}

impl SealingKeys {
    /// The kind of object that it is written as.
    pub const KIND: &str = "SealingKeys";

    /// Signs a list.
    ///
    /// # Errors
    /// [`PinError`], where a list like this would be refused when it is read.
    pub fn sign(
        identity: &ClusterIdentity,
        cluster: &str,
        serial: u64,
        keys: Vec<PinnedKey>,
    ) -> Result<Self, PinError> {
        let mut out = Self {
            cluster: cluster.to_owned(),
            identity: identity.public(),
            serial,
            keys,
            signature: [0; 64],
        };
        out.check()?;
        let signature = identity.pair().sign(&out.signed());
        for (to, from) in out.signature.iter_mut().zip(signature.as_ref()) {
            *to = *from;
        }
        Ok(out)
    }

    /// Takes a list in, if its signature is that of the identity that it names. Whether that is the cluster's is for whoever pinned it.
    ///
    /// # Errors
    /// [`PinError`].
    pub fn parse(object: &Json) -> Result<Self, PinError> {
        let fields = Node { at: At::default(), json: object }.mapping()?;
        of_kind(&fields, Self::KIND)?;
        fields.only(&[
            "apiVersion",
            "kind",
            "cluster",
            "identity",
            "serial",
            "keys",
            "signature",
        ])?;
        let serial = fields.required("serial")?;
        let out = Self {
            cluster: fields.required("cluster")?.text()?.to_owned(),
            identity: *fields.required("identity")?.bytes()?,
            serial: serial.json.as_u64().ok_or(PinError::Serial(serial.at))?,
            keys: fields
                .required("keys")?
                .items()?
                .map(|node| key(&node.mapping()?))
                .collect::<Result<_, _>>()?,
            signature: *fields.required("signature")?.bytes()?,
        };
        out.check()?;
        UnparsedPublicKey::new(&ED25519, &out.identity)
            .verify(&out.signed(), &out.signature)
            .map_err(|_| PinError::Signature)?;
        Ok(out)
    }

    /// The signature, 64 bytes.
    #[must_use]
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    /// The key that is sealed for.
    #[must_use]
    pub fn active(&self) -> Option<&PinnedKey> {
        self.keys.iter().find(|key| key.state == KeyState::Active)
    }

    fn check(&self) -> Result<(), PinError> {
        let name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=63).contains(&self.cluster.len()) || !self.cluster.bytes().all(name) {
            return Err(PinError::Cluster);
        }
        if self.serial == 0 {
            return Err(PinError::Serial(At::default().field("serial")));
        }
        for (i, key) in self.keys.iter().enumerate() {
            let at = At::default().field("keys").item(i);
            if !is_time(&key.since) {
                return Err(PinError::Since(at.field("since")));
            }
            if self.keys.iter().take(i).any(|other| other.recipient.kid() == key.recipient.kid()) {
                return Err(PinError::Twice(key.recipient.kid()));
            }
        }
        let active = self.keys.iter().filter(|key| key.state == KeyState::Active).count();
        if active > 1 { Err(PinError::Active) } else { Ok(()) }
    }

    /// What is signed.
    ///
    /// ```text
    /// "strongroom/sealing-keys/v1" ‖ enc(cluster) ‖ identity[32] ‖ u64be(serial) ‖ u32be(keys) ‖ each: public key[1216] ‖ enc(state) ‖ enc(since)
    /// ```
    fn signed(&self) -> Vec<u8> {
        let mut out = b"strongroom/sealing-keys/v1".to_vec();
        prefixed(&mut out, self.cluster.as_bytes());
        out.extend_from_slice(&self.identity);
        out.extend_from_slice(&self.serial.to_be_bytes());
        out.extend_from_slice(&(self.keys.len() as u32).to_be_bytes());
        for key in &self.keys {
            out.extend_from_slice(key.recipient.bytes());
            prefixed(&mut out, key.state.as_str().as_bytes());
            prefixed(&mut out, key.since.as_bytes());
        }
        out
    }
}

fn of_kind(fields: &Fields<'_>, kind: &'static str) -> Result<(), PinError> {
    let is = |field: &str, text: &str| {
        fields.optional(field).and_then(|node| node.json.as_str()) == Some(text)
    };
    if is("apiVersion", API_VERSION) && is("kind", kind) {
        Ok(())
    } else {
        Err(PinError::Kind(kind))
    }
}

/// A public key that an object names together with its id.
fn recipient(fields: &Fields<'_>) -> Result<Recipient, PinError> {
    let public = fields.required("publicKey")?;
    let recipient = Recipient::parse(public.bytes::<{ Recipient::LEN }>()?.as_slice())
        .map_err(|error| PinError::Key(public.at, error))?;
    let kid = fields.required("kid")?;
    if Kid::parse(kid.text()?).ok_or_else(|| kid.refused(Refused::Kid))? != recipient.kid() {
        return Err(PinError::Kid(kid.at));
    }
    Ok(recipient)
}

fn key(fields: &Fields<'_>) -> Result<PinnedKey, PinError> {
    fields.only(&["kid", "state", "since", "publicKey"])?;
    let recipient = recipient(fields)?;
    let state_node = fields.required("state")?;
    let written = state_node.text()?;
    let state = KeyState::ALL.into_iter().find(|state| state.as_str() == written);
    Ok(PinnedKey {
        recipient,
        state: state.ok_or(PinError::State(state_node.at))?,
        since: fields.required("since")?.text()?.to_owned(),
    })
}

/// Whether `text` has the form of an RFC 3339 time in UTC in seconds. Which days a month has is for whoever reckons with it.
fn is_time(text: &str) -> bool {
    let form = b"0000-00-00T00:00:00Z";
    text.len() == form.len()
        && text
            .bytes()
            .zip(form)
            .all(|(byte, form)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form })
}
