//! Two root keys, either of which an operator brings in and gives up. What lies under them must open, always.

use std::collections::BTreeMap;

use envelope::{Context, KeyId, KeyMaterial, LocalRoot, Purpose, RootId, WrappedKey};
use strongroomd::{
    ledger::State,
    rotation::{Act, wrapped},
};

use super::world::World;

/// The root keys that there are, and which of them new versions come under.
pub(crate) struct House {
    pub(crate) roots: [LocalRoot; 2],
    pub(crate) configured: [bool; 2],
    /// Of the ledger when it was looked at last.
    looked_at: Vec<u8>,
}

impl House {
    pub(crate) fn new(roots: [LocalRoot; 2]) -> Self {
        Self { roots, configured: [true, false], looked_at: Vec::new() }
    }

    /// The roots that are configured.
    pub(crate) fn roots(&self) -> impl Iterator<Item = &LocalRoot> {
        self.roots.iter().zip(self.configured).filter_map(|(root, is)| is.then_some(root))
    }

    fn open(&self, wrap: &WrappedKey, id: &KeyId) -> Result<KeyMaterial, String> {
        let root = self.roots.iter().find(|root| root.id() == wrap.root()).unwrap();
        let context = Context { purpose: Purpose::Key, key_id: id };
        let key = root.unwrap(wrap, &context).map_err(|_| format!("{id} does not open"))?;
        match KeyId::derive(id.ring().clone(), id.version(), &key).unwrap() == *id {
            true => Ok(key),
            false => Err(format!("{id} opens to another key")),
        }
    }
}

impl World {
    /// Brings in the root that is missing, or gives up one of two.
    pub(crate) fn move_house(&mut self) {
        let Ok(state) = self.state() else { return };
        if self.house.configured == [true, true] && self.dice.one_in(2) {
            let gone = self.dice.below(2);
            self.house.configured[gone] = false;
            let (root, proven) = (self.house.roots[gone].id(), self.opened_by_others(&state));
            let act = Act::RemoveRoot { root, reason: "drawn".into(), proven };
            if self.operate("ann", &act).is_ok() {
                self.tally.roots_removed += 1;
            } else {
                self.house.configured[gone] = true;
            }
            return;
        }
        self.house.configured = [true, true];
        let made = self.lacking(&state);
        if made.is_empty() || self.operate("ann", &Act::Rewrap { made }).is_err() {
            return;
        }
        self.tally.rewrapped += 1;
        let rows = self.ledger.inner().database.rows.clone();
        let state = State::verify(rows, &self.key).unwrap();
        for root in &self.house.roots {
            assert!(wrapped(&state).all(|key| key.is_under(root.id())), "rewrap left one out");
        }
    }

    fn opened_by_others(&self, state: &State) -> BTreeMap<KeyId, RootId> {
        let opens = |id: &KeyId, wraps: &[WrappedKey]| {
            let mut roots = self.house.roots().map(LocalRoot::id);
            let by = roots.find(|root| wraps.iter().any(|wrap| wrap.root() == *root))?;
            Some((id.clone(), by))
        };
        wrapped(state).filter_map(|key| opens(key.id, key.wraps)).collect()
    }

    fn lacking(&self, state: &State) -> BTreeMap<KeyId, Vec<WrappedKey>> {
        let mut made = BTreeMap::new();
        for key in wrapped(state) {
            let material = self.house.open(&key.wraps[0], key.id).unwrap();
            let lacking = self.house.roots().filter(|root| !key.is_under(root.id()));
            let wraps: Vec<_> = lacking.map(|root| self.wrap(root, key.id, &material)).collect();
            if !wraps.is_empty() {
                made.insert(key.id.clone(), wraps);
            }
        }
        made
    }

    /// Every wrap of every key that is not destroyed opens to the key that it names, and there is one.
    pub(crate) fn every_wrap_opens(&mut self) -> Result<(), String> {
        let rows = self.ledger.inner().database.rows.clone();
        if rows.bundle.bytes == self.house.looked_at {
            return Ok(());
        }
        let state = State::verify(rows, &self.key).map_err(|error| error.to_string())?;
        for key in wrapped(&state) {
            if key.wraps.is_empty() {
                return Err(format!("{} lies under no root", key.id));
            }
            for wrap in key.wraps {
                self.house.open(wrap, key.id)?;
            }
        }
        self.house.looked_at.clone_from(&state.bundle.bytes);
        Ok(())
    }
}
