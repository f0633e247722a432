//! Whoever holds the root key and may write bundles: what a rotation will do, done by hand.

use std::fs;

use anyhow::{Context as _, Result};
use envelope::{
    Bundle, Context, KeyId, KeyMaterial, LedgerKey, LocalRoot, Purpose, RingName, SystemRandom,
    WrappedKey,
    bundle::{State, UnverifiedBundle, Version},
};
use testbed::Daemon;

/// Root and bundle of a daemon.
pub(crate) struct Holder {
    pub(crate) root: LocalRoot,
    pub(crate) bundle: Bundle,
    ledger: LedgerKey,
}

impl Holder {
    pub(crate) fn of(daemon: &Daemon) -> Result<Self> {
        let root = KeyMaterial::copy_from(&fs::read(daemon.root())?).context("32 bytes")?;
        let root = LocalRoot::new(&root);
        let bytes = fs::read(daemon.bundle_file())?;
        let bundle = UnverifiedBundle::parse(&bytes)?;
        let ledger = bundle.ledger().clone();
        let key = root.unwrap(of_root(&ledger.wraps, &root)?, &key_context(&ledger.id))?;
        let ledger = LedgerKey::new(ledger.id, key)?;
        Ok(Self { bundle: bundle.verify(&ledger)?, root, ledger })
    }

    /// The bytes of another bundle of the same ring.
    pub(crate) fn encode(&self, generation: u64, versions: Vec<Version>) -> Result<Vec<u8>> {
        let ring = self.bundle.ring().clone();
        let bundle = Bundle::new(ring, generation, self.bundle.ledger().clone(), versions)?;
        Ok(bundle.encode(&self.ledger)?)
    }

    /// The versions of the bundle with `state` for the old ones, and a new active one.
    pub(crate) fn rotated(&self, state: State) -> Result<Vec<Version>> {
        let mut versions = self.bundle.versions().to_vec();
        for version in &mut versions {
            version.state = state;
            if state == State::Destroyed {
                version.wraps.clear();
            }
        }
        versions.push(self.make_version(versions.len() as u32 + 1)?);
        Ok(versions)
    }

    fn make_version(&self, number: u32) -> Result<Version> {
        let key = KeyMaterial::make(&SystemRandom)?;
        let id = KeyId::derive(self.bundle.ring().clone(), number, &key)?;
        let wraps = vec![self.wrap(&key, &id)?];
        Ok(Version { id, state: State::Active, created: 1, activated: Some(1), wraps })
    }

    pub(crate) fn wrap(&self, key: &KeyMaterial, id: &KeyId) -> Result<WrappedKey> {
        Ok(self.root.wrap(key, &key_context(id), &SystemRandom)?)
    }

    /// The keys of all versions, as they are in no file.
    pub(crate) fn unwrapped(&self) -> Result<Vec<KeyMaterial>> {
        let versions = self.bundle.versions().iter();
        versions
            .map(|version| {
                let wrap = of_root(&version.wraps, &self.root)?;
                Ok(self.root.unwrap(wrap, &key_context(&version.id))?)
            })
            .collect()
    }

    /// The ledger key, as it is in no file.
    pub(crate) fn ledger_key(&self) -> Result<KeyMaterial> {
        let ledger = self.bundle.ledger();
        Ok(self.root.unwrap(of_root(&ledger.wraps, &self.root)?, &key_context(&ledger.id))?)
    }
}

/// A key that this daemon never had, with its id.
pub(crate) fn make_foreign_key() -> Result<(KeyMaterial, KeyId)> {
    let key = KeyMaterial::make(&SystemRandom)?;
    let id = KeyId::derive(RingName::parse("etcd")?, 7, &key)?;
    Ok((key, id))
}

/// There may be other roots.
fn of_root<'a>(wraps: &'a [WrappedKey], root: &LocalRoot) -> Result<&'a WrappedKey> {
    wraps.iter().find(|wrap| wrap.root() == root.id()).context("no wrap of this root")
}

fn key_context(id: &KeyId) -> Context<'_> {
    Context { purpose: Purpose::Key, key_id: id }
}
