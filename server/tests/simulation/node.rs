//! A node: its disk, the daemon on it, and the kube-apiserver beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use envelope::{
    Bundle, Frame, KeyId, KeyMaterial, LedgerKey, audit::sha256, bundle::UnverifiedBundle,
};
use strongroomd::{
    keyring::{Keyring, Snapshot},
    ledger::{Change, Lease, ReportRow, State},
    root::Roots,
    rotation::{NoSuccessor, Step, succeeds},
};

use super::world::ready;

/// What survives `kill -9`.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) bundle: Option<Vec<u8>>,
    pub(crate) accepted: u64,
}

/// What does not.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) keyring: Keyring,
    /// The bytes of the bundle that the keyring serves.
    pub(crate) served: Option<Vec<u8>>,
    pub(crate) wants_to_join: bool,
    /// The ledger as it was read, until what was read is done with.
    pub(crate) read: Option<Box<State>>,
    /// Why the ledger's bundle was not taken.
    pub(crate) refused: Option<NoSuccessor>,
    pub(crate) lead: Lead,
}

/// How far a leader is with its turn; it can be stopped between any two.
#[derive(Debug, Default)]
pub(crate) struct Lead {
    pub(crate) lease: Option<Lease>,
    /// Since when it watches, in real time.
    pub(crate) watches_since: u64,
    /// Since when it has seen the version of which run active.
    pub(crate) active_since: Option<((u64, u32), u64)>,
    /// What it is about to commit.
    pub(crate) pending: Option<(Box<Change>, Vec<Step>)>,
}

/// kube-apiserver, as far as KMS v2 goes (KMS-V2.md).
#[derive(Debug, Default)]
pub(crate) struct Apiserver {
    /// What it writes under: the seed, as its plugin encrypted it.
    pub(crate) writes_under: Option<Stored>,
    pub(crate) asked: u64,
    pub(crate) answered: u64,
    /// Every key id that Status named, in order.
    pub(crate) named: Vec<KeyId>,
}

/// A ciphertext in etcd.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Tells seeds apart.
    pub(crate) seed: u64,
    pub(crate) key_id: KeyId,
    pub(crate) frame: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) boots: u32,
    pub(crate) disk: Disk,
    /// Absent while it is down.
    pub(crate) daemon: Option<Daemon>,
    /// In real time.
    pub(crate) paused_until: u64,
    pub(crate) down_until: u64,
    pub(crate) apiserver: Apiserver,
    /// Whether everything that is stored must open here: it is a member, and has synchronised since it became one.
    pub(crate) trusted: bool,
    /// Seeds that opened under the bundle that is served.
    pub(crate) opened: BTreeSet<u64>,
}

impl Node {
    pub(crate) fn new(name: String, bundle: Vec<u8>, generation: u64) -> Self {
        Self {
            name,
            boots: 0,
            disk: Disk { bundle: Some(bundle), accepted: generation },
            daemon: None,
            paused_until: 0,
            down_until: 0,
            apiserver: Apiserver::default(),
            trusted: true,
            opened: BTreeSet::new(),
        }
    }

    pub(crate) fn boot(&mut self, key: &LedgerKey, roots: &Roots) {
        self.boots += 1;
        let mut daemon = Daemon {
            keyring: Keyring::default(),
            served: None,
            wants_to_join: true,
            read: None,
            refused: None,
            lead: Lead::default(),
        };
        if let Some(bytes) = &self.disk.bundle {
            let bundle = verify(bytes, key);
            assert!(bundle.generation() >= self.disk.accepted, "{} has an old bundle", self.name);
            daemon.serve(bundle, bytes.clone(), roots);
            self.disk.accepted = daemon.generation();
        }
        self.daemon = Some(daemon);
        self.opened.clear();
    }

    pub(crate) fn kill(&mut self) {
        self.daemon = None;
        // Both are static pods of one machine, and go down together.
        self.apiserver.writes_under = None;
    }

    /// It starts anew with what the ledger has.
    pub(crate) fn move_bundle_away(&mut self) {
        self.kill();
        self.disk = Disk::default();
        self.trusted = false;
    }

    /// Which process holds a lease.
    pub(crate) fn holder(&self) -> String {
        format!("{}/{}", self.name, self.boots)
    }

    pub(crate) fn known(&self, key: &LedgerKey) -> Option<Bundle> {
        self.disk.bundle.as_ref().map(|bytes| verify(bytes, key))
    }

    /// Takes the bundle of the ledger that was read, first to disk; whether there is more to do.
    pub(crate) fn take_bundle(&mut self, key: &LedgerKey, roots: &Roots) -> Option<String> {
        let daemon = self.daemon.as_mut()?;
        let state = daemon.read.as_ref()?;
        let next = state.newest_bundle().clone();
        let bytes = state.bundle.bytes.clone();
        if self.disk.bundle.as_ref() == Some(&bytes) {
            if daemon.served.as_ref() == Some(&bytes) {
                daemon.refused = None;
                return None;
            }
            daemon.serve(next, bytes, roots);
            self.disk.accepted = daemon.generation();
            self.opened.clear();
            return Some(format!("serves generation {}", self.disk.accepted));
        }
        let known = self.disk.bundle.as_ref().map(|bytes| verify(bytes, key));
        match known.map_or(Ok(()), |known| succeeds(&next, &known)) {
            Ok(()) => {
                daemon.refused = None;
                self.disk.bundle = Some(bytes);
                Some(format!("wrote generation {}", next.generation()))
            }
            Err(error) if daemon.refused.as_ref() == Some(&error) => None,
            Err(error) => {
                let told = format!("refuses: {error}");
                daemon.refused = Some(error);
                Some(told)
            }
        }
    }

    /// What it says of itself: the truth, also where it does not follow the ledger.
    pub(crate) fn report(&self, key: &LedgerKey) -> Option<ReportRow> {
        let daemon = self.daemon.as_ref()?;
        let state = daemon.read.as_ref()?;
        let snapshot = daemon.keyring.snapshot()?;
        let seed = KeyMaterial::copy_from(&[7; 32]).unwrap();
        let tested = snapshot.bundle().versions().iter().rev().find_map(|version| {
            let number = version.id.version();
            let open = snapshot.open_version(number)?;
            let frame = open.wrap_seed(&seed, None, &envelope::SystemRandom).ok()?;
            open.unwrap_seed(&frame, None).ok()?;
            Some(number)
        });
        let report = ReportRow {
            replica: self.name.clone(),
            at: 0,
            generation: snapshot.generation(),
            bundle: sha256(daemon.served.as_ref()?),
            serving: snapshot.active().id().version(),
            tested: tested.unwrap_or(0),
            mac: [0; 32],
        };
        Some(report.sealed(key, &state.cluster.id, &state.ring))
    }

    /// The apiserver asks for Status, and where the key id is another has a new seed encrypted.
    pub(crate) fn poll(&mut self, now: u64, seeds: &mut BTreeMap<u64, [u8; 32]>) -> Option<String> {
        self.apiserver.asked = now;
        let daemon = self.daemon.as_ref().filter(|_| self.paused_until <= now)?;
        let status = daemon.keyring.status().ok()?;
        self.apiserver.answered = now;
        let named = KeyId::parse(&status.key_id).unwrap();
        if self.apiserver.named.last() != Some(&named) {
            // Invariant 3.
            let before = self.apiserver.named.contains(&named);
            assert!(!before, "{} flips back to {named}", self.name);
            self.apiserver.named.push(named.clone());
        }
        if self.apiserver.writes_under.as_ref().is_some_and(|under| under.key_id == named) {
            return None;
        }
        let number = seeds.len() as u64 + 1;
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        let seed = KeyMaterial::copy_from(&bytes).unwrap();
        let encrypted = daemon.keyring.encrypt(&seed, false).unwrap();
        // Invariant 2.
        assert_eq!(encrypted.version.id(), &named, "{}: Encrypt and Status differ", self.name);
        seeds.insert(number, bytes);
        self.apiserver.writes_under =
            Some(Stored { seed: number, key_id: named.clone(), frame: encrypted.frame.encode() });
        Some(format!("apiserver writes under {named}"))
    }

    /// What an apiserver would write under now: it goes on for three minutes when Status fails.
    pub(crate) fn writes(&self, now: u64) -> Option<&Stored> {
        let fresh = now.saturating_sub(self.apiserver.answered) <= 180;
        self.apiserver.writes_under.as_ref().filter(|_| fresh && self.daemon.is_some())
    }

    /// Whether a ciphertext opens here, from memory alone.
    pub(crate) fn opens(&mut self, stored: &Stored, bytes: &[u8; 32]) -> Result<(), String> {
        let Some(daemon) = &self.daemon else { return Ok(()) };
        if !self.opened.contains(&stored.seed) {
            let frame = Frame::parse(&stored.frame).unwrap();
            let seed =
                daemon.keyring.decrypt(stored.key_id.as_str(), &frame, None).map_err(|error| {
                    format!("{} does not open {}: {error}", self.name, stored.key_id)
                })?;
            assert_eq!(seed.expose_secret(), bytes);
            self.opened.insert(stored.seed);
        }
        Ok(())
    }
}

impl Daemon {
    pub(crate) fn generation(&self) -> u64 {
        self.keyring.snapshot().map_or(0, |snapshot| snapshot.generation())
    }

    fn serve(&mut self, bundle: Bundle, bytes: Vec<u8>, roots: &Roots) {
        let digest = sha256(&bytes);
        let snapshot = ready(Snapshot::unwrap(bundle, digest, roots)).unwrap();
        self.keyring.publish(snapshot, PathBuf::new()).unwrap();
        self.served = Some(bytes);
    }
}

fn verify(bytes: &[u8], key: &LedgerKey) -> Bundle {
    UnverifiedBundle::parse(bytes).unwrap().verify(key).unwrap()
}
