//! The bundle: every version of one ring with its state, wrapped under every root, authenticated by the ledger key.
//!
//! ```text
//! bundle  = 0x01 ‖ u32be(length of the whole) ‖ enc(ring) ‖ u64be(generation)
//!           ‖ ledger ‖ u16be(count) ‖ count × version ‖ mac[32]
//! ledger  = u32be(version) ‖ fingerprint[6] ‖ wraps                                  ring "state"
//! version = u32be(version) ‖ fingerprint[6] ‖ u8(state) ‖ u64be(created) ‖ u64be(activated) ‖ wraps
//! wraps   = u8(count) ‖ count × enc(wrapped key)                                     ascending by root id
//! mac     = HMAC-SHA256(ledger key, enc("strongroom/bundle/v1") ‖ everything before it)
//! ```
//!
//! Times are seconds since 1970-01-01T00:00:00Z; `activated` is 0 where the version never was.
//!
//! Invariant: one encoding a value. The ring is neither `state` nor `probe`, which name other keys. Versions ascend, wraps ascend by root, exactly one version is active, no fingerprint
//! stands twice, only a destroyed version has no wraps; anything else is neither written nor read.

use std::collections::BTreeSet;

use crate::{
    Fingerprint, FormatError, KeyId, LedgerKey, OpenError, RingName, RootId, WrappedKey,
    wire::{Reader, Writer},
};

const FORMAT: u8 = 1;
const MAC_LABEL: &[u8] = b"strongroom/bundle/v1";
const MAC_LEN: usize = 32;

/// State of a key version (NIST SP 800-57 part 1, section 7), with its code in the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// Published to every replica; only a self-test uses it.
    PreActive = 1,
    /// Wraps and unwraps. Exactly one version of a ring.
    Active = 2,
    /// Unwraps.
    Deactivated = 3,
    /// Refused, until one audited call re-opens it.
    Archived = 4,
    /// Refused; destruction can still be cancelled.
    DestroyScheduled = 5,
    /// Refused for ever: the material is gone.
    Destroyed = 6,
    /// Known to somebody else. Refused but by explicit override.
    Compromised = 7,
}

impl State {
    const ALL: [Self; 7] = [
        Self::PreActive,
        Self::Active,
        Self::Deactivated,
        Self::Archived,
        Self::DestroyScheduled,
        Self::Destroyed,
        Self::Compromised,
    ];

    fn parse(code: u8) -> Result<Self, FormatError> {
        Self::ALL.into_iter().find(|state| *state as u8 == code).ok_or(FormatError::Field("state"))
    }

    /// The state that [`State::as_str`] writes as `word`.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// The word that people and machines read.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreActive => "pre_active",
            Self::Active => "active",
            Self::Deactivated => "deactivated",
            Self::Archived => "archived",
            Self::DestroyScheduled => "destroy_scheduled",
            Self::Destroyed => "destroyed",
            Self::Compromised => "compromised",
        }
    }

    /// Whether a version in this state may open what was wrapped under it.
    #[must_use]
    pub fn opens(self) -> bool {
        matches!(self, Self::PreActive | Self::Active | Self::Deactivated)
    }
}

/// One version of the ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its id; the ring is the bundle's.
    pub id: KeyId,
    /// Its state.
    pub state: State,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// When it became active, in seconds since 1970, if ever.
    pub activated: Option<u64>,
    /// The key under each root, ascending by root id; empty when destroyed.
    pub wraps: Vec<WrappedKey>,
}

/// The ledger key under each root, ascending by root id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedLedgerKey {
    /// Its id, of ring `state`.
    pub id: KeyId,
    /// The key under each root.
    pub wraps: Vec<WrappedKey>,
}

/// A bundle whose every rule holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    ring: RingName,
    generation: u64,
    ledger: WrappedLedgerKey,
    versions: Vec<Version>,
}

impl Bundle {
    /// Longest encoding in bytes.
    pub const MAX_LEN: usize = 4 << 20;
    /// Most versions.
    pub const MAX_VERSIONS: usize = 4096;
    /// Most roots.
    pub const MAX_ROOTS: usize = 16;

    /// Puts a bundle together.
    ///
    /// # Errors
    /// [`FormatError::Field`] names the rule of the module's documentation that does not hold.
    pub fn new(
        ring: RingName,
        generation: u64,
        ledger: WrappedLedgerKey,
        versions: Vec<Version>,
    ) -> Result<Self, FormatError> {
        let bundle = Self { ring, generation, ledger, versions };
        bundle.check()?;
        Ok(bundle)
    }

    /// The ring.
    #[must_use]
    pub fn ring(&self) -> &RingName {
        &self.ring
    }

    /// Counts from 1 and only grows: a lower one than was accepted before is an old bundle.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The ledger key that authenticates this bundle.
    #[must_use]
    pub fn ledger(&self) -> &WrappedLedgerKey {
        &self.ledger
    }

    /// All versions, ascending.
    #[must_use]
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// The encoding, authenticated with `key`.
    ///
    /// # Errors
    /// [`FormatError::Field`] where `key` is not the one that the bundle carries.
    pub fn encode(&self, key: &LedgerKey) -> Result<Vec<u8>, FormatError> {
        if key.id() != &self.ledger.id {
            return Err(FormatError::Field("ledger key"));
        }
        let mut out = self.encode_body();
        let mac = key.mac(MAC_LABEL, &out);
        out.extend_from_slice(&mac);
        Ok(out)
    }

    fn encode_body(&self) -> Vec<u8> {
        let mut body = Writer::with_capacity(1024);
        body.prefixed(self.ring.as_str().as_bytes());
        body.u64(self.generation);
        write_id(&mut body, &self.ledger.id);
        write_wraps(&mut body, &self.ledger.wraps);
        body.u16(self.versions.len() as u16);
        for version in &self.versions {
            write_id(&mut body, &version.id);
            body.u8(version.state as u8);
            body.u64(version.created);
            body.u64(version.activated.unwrap_or(0));
            write_wraps(&mut body, &version.wraps);
        }
        let body = body.finish();

        let mut out = Writer::with_capacity(5 + body.len() + MAC_LEN);
        out.u8(FORMAT);
        out.u32((5 + body.len() + MAC_LEN) as u32);
        out.bytes(&body);
        out.finish()
    }

    fn check(&self) -> Result<(), FormatError> {
        let field = |name| Err(FormatError::Field(name));
        if self.generation == 0 {
            return field("generation");
        }
        if matches!(self.ring.as_str(), LedgerKey::RING | "probe") {
            return field("ring");
        }
        if self.ledger.id.ring().as_str() != LedgerKey::RING {
            return field("ledger ring");
        }
        check_wraps(&self.ledger.wraps)?;
        if self.ledger.wraps.is_empty() {
            return field("ledger wraps");
        }
        if self.versions.len() > Self::MAX_VERSIONS {
            return field("version count");
        }
        let mut last = 0;
        let mut fingerprints = BTreeSet::new();
        for version in &self.versions {
            if version.id.ring() != &self.ring {
                return field("version ring");
            }
            if version.id.version() <= last {
                return field("version order");
            }
            last = version.id.version();
            if !fingerprints.insert(version.id.fingerprint()) {
                return field("fingerprint");
            }
            let activated_fits = match version.state {
                State::PreActive => version.activated.is_none(),
                State::Active => version.activated.is_some(),
                _ => true,
            };
            if !activated_fits || version.activated == Some(0) {
                return field("activated");
            }
            check_wraps(&version.wraps)?;
            if version.wraps.is_empty() != (version.state == State::Destroyed) {
                return field("version wraps");
            }
        }
        if self.versions.iter().filter(|v| v.state == State::Active).count() != 1 {
            return field("active version");
        }
        if self.encode_body().len() + MAC_LEN > Self::MAX_LEN {
            return Err(FormatError::Length);
        }
        Ok(())
    }
}

/// A bundle that was read but not yet authenticated. It tells which ledger key to unwrap, and nothing else.
#[derive(Debug, Clone)]
pub struct UnverifiedBundle<'a> {
    bundle: Bundle,
    body: &'a [u8],
    mac: [u8; MAC_LEN],
}

impl<'a> UnverifiedBundle<'a> {
    /// Takes an encoded bundle apart.
    ///
    /// # Errors
    /// [`FormatError::Length`] where it is shorter or longer than it says of itself; [`FormatError`] for any broken rule.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut header = Reader(bytes);
        header.version(FORMAT)?;
        if bytes.len() > Bundle::MAX_LEN || header.u32()? as usize != bytes.len() {
            return Err(FormatError::Length);
        }
        let (body, mac) = bytes.split_last_chunk().ok_or(FormatError::Length)?;

        let mut reader = Reader(body);
        reader.take(5)?;
        let ring = std::str::from_utf8(reader.prefixed(RingName::MAX_LEN)?)
            .map_err(|_| FormatError::RingName)
            .and_then(RingName::parse)?;
        let generation = reader.u64()?;
        let state_ring = RingName::parse(LedgerKey::RING)?;
        let ledger = WrappedLedgerKey {
            id: read_id(&mut reader, &state_ring)?,
            wraps: read_wraps(&mut reader)?,
        };
        let count = reader.u16()?;
        let versions =
            (0..count).map(|_| read_version(&mut reader, &ring)).collect::<Result<_, _>>()?;
        reader.end()?;
        let bundle = Bundle::new(ring, generation, ledger, versions)?;
        Ok(Self { bundle, body, mac: *mac })
    }

    /// The ledger key to unwrap.
    #[must_use]
    pub fn ledger(&self) -> &WrappedLedgerKey {
        &self.bundle.ledger
    }

    /// The bundle, now that it is known to be ours.
    ///
    /// # Errors
    /// [`OpenError`] where the MAC is not what `key` gives.
    pub fn verify(self, key: &LedgerKey) -> Result<Bundle, OpenError> {
        if key.id() == &self.bundle.ledger.id && key.verify(MAC_LABEL, self.body, &self.mac) {
            Ok(self.bundle)
        } else {
            Err(OpenError)
        }
    }
}

fn write_id(out: &mut Writer, id: &KeyId) {
    out.u32(id.version());
    out.bytes(&id.fingerprint().0);
}

fn read_id(reader: &mut Reader<'_>, ring: &RingName) -> Result<KeyId, FormatError> {
    let version = reader.u32()?;
    KeyId::new(ring.clone(), version, Fingerprint(reader.array()?))
}

fn read_version(reader: &mut Reader<'_>, ring: &RingName) -> Result<Version, FormatError> {
    Ok(Version {
        id: read_id(reader, ring)?,
        state: State::parse(reader.u8()?)?,
        created: reader.u64()?,
        activated: Some(reader.u64()?).filter(|seconds| *seconds != 0),
        wraps: read_wraps(reader)?,
    })
}

/// Wraps by themselves, as a ledger row has them: `u8(count) ‖ count × enc(wrapped key)`.
#[must_use]
pub fn encode_wraps(wraps: &[WrappedKey]) -> Vec<u8> {
    let mut out = Writer::with_capacity(1 + 90 * wraps.len());
    write_wraps(&mut out, wraps);
    out.finish()
}

/// Takes [`encode_wraps`] apart.
///
/// # Errors
/// Anything but wraps that ascend by root id.
pub fn parse_wraps(bytes: &[u8]) -> Result<Vec<WrappedKey>, FormatError> {
    let mut reader = Reader(bytes);
    let wraps = read_wraps(&mut reader)?;
    reader.end()?;
    check_wraps(&wraps)?;
    Ok(wraps)
}

fn write_wraps(out: &mut Writer, wraps: &[WrappedKey]) {
    out.u8(wraps.len() as u8);
    for wrapped in wraps {
        out.prefixed(&wrapped.encode());
    }
}

fn read_wraps(reader: &mut Reader<'_>) -> Result<Vec<WrappedKey>, FormatError> {
    let count = reader.u8()?;
    (0..count).map(|_| WrappedKey::parse(reader.prefixed(WrappedKey::MAX_LEN)?)).collect()
}

fn check_wraps(wraps: &[WrappedKey]) -> Result<(), FormatError> {
    let ascending =
        wraps.iter().map(WrappedKey::root).collect::<Vec<RootId>>().is_sorted_by(|a, b| a < b);
    if ascending && wraps.len() <= Bundle::MAX_ROOTS {
        Ok(())
    } else {
        Err(FormatError::Field("wraps"))
    }
}
