//! What people do, knowing what they can see.

use envelope::{
    Bundle,
    bundle::{State as VersionState, Version},
};
use strongroomd::{
    ledger::{ClusterId, Draft, Dump, Ledger, RunState, State},
    rotation::{Act, adopt, succeeds},
};

use super::{
    node::Disk,
    world::{World, entry, ready},
};

impl World {
    /// One act, drawn. Most are refused, which is right.
    pub(crate) fn operator(&mut self) {
        let why = || "drawn".to_owned();
        match self.dice.below(16) {
            0..=2 => {
                let trigger = if self.dice.one_in(4) { "compromise" } else { "manual" };
                let _ = self.operate("ann", &Act::Begin { trigger, reason: why() });
            }
            3 => {
                let _ = self.operate("ann", &Act::Pause { reason: why() });
            }
            4 | 5 => {
                let _ = self.operate("ann", &Act::Resume);
            }
            6 => {
                let _ = self.operate("ann", &Act::Cancel { reason: why() });
            }
            7 | 8 => self.rewrite(),
            9 | 10 => self.tidy(),
            11 => self.back_up(),
            12 => self.replace_a_node(),
            13 => self.move_house(),
            _ => self.mend(),
        }
    }

    /// `kubectl get … | kubectl replace -f -`
    pub(crate) fn rewrite(&mut self) {
        let at = self.dice.below(self.nodes.len());
        if let Some(stored) = self.nodes[at].writes(self.now).cloned() {
            for object in self.objects.values_mut() {
                *object = stored.clone();
            }
            self.note("every object is rewritten");
        }
    }

    /// Archive, schedule, destroy: what the inventory shows that nothing needs.
    pub(crate) fn tidy(&mut self) {
        let Ok(state) = self.state() else { return };
        let Some(active) = state.active() else { return };
        // A control plane of which one node is missing from `replicas list` is no time to archive: nothing waits for it.
        if !self.nodes.iter().all(|node| node.trusted) {
            return;
        }
        // A run that has ended vouches for every apiserver; without one they are looked at.
        let vouched = state
            .runs
            .last()
            .is_some_and(|run| run.state == RunState::Done && run.to == Some(active.id.version()));
        let moved_on = self.nodes.iter().all(|node| {
            node.apiserver.writes_under.as_ref().is_none_or(|under| under.key_id == active.id)
        });
        let unused = |number: u32| {
            (vouched || moved_on)
                && self.objects.values().all(|stored| stored.key_id.version() != number)
        };
        let candidates: Vec<(u32, VersionState)> = state
            .versions
            .iter()
            .map(|row| (row.id.version(), row.state))
            .filter(|(number, state)| *state != VersionState::Active && unused(*number))
            .collect();
        if candidates.is_empty() {
            return;
        }
        let (version, state) = candidates[self.dice.below(candidates.len())];
        let reason = "the inventory shows none".to_owned();
        let act = match state {
            VersionState::Deactivated if self.dice.one_in(4) => Act::Compromise { version, reason },
            VersionState::Compromised if self.dice.one_in(2) => Act::Restore { version, reason },
            VersionState::Deactivated | VersionState::Compromised => {
                Act::Archive { version, reason }
            }
            VersionState::Archived if self.dice.one_in(3) => Act::Restore { version, reason },
            VersionState::Archived => Act::ScheduleDestroy { version, wait: 7 * 86_400 },
            VersionState::DestroyScheduled if self.dice.one_in(8) => Act::CancelDestroy { version },
            _ => Act::Destroy { version },
        };
        let actor = if self.dice.one_in(2) { "ann" } else { "bob" };
        if self.operate(actor, &act).is_ok() {
            match act {
                Act::Archive { .. } => self.tally.archived += 1,
                Act::Destroy { .. } => self.tally.destroyed += 1,
                _ => {}
            }
        }
    }

    /// A snapshot of etcd, and a hold over what it needs.
    fn back_up(&mut self) {
        let reason = format!("etcd backup {}", self.backups.len() + 1);
        let until = self.clock() + 600 + self.dice.next() % 7200;
        let hold = Act::AddHold { first: None, last: None, until, reason: reason.clone() };
        if self.operate("ann", &hold).is_ok() {
            self.backups.push((reason, self.objects.values().cloned().collect()));
        }
    }

    /// A machine is gone for good, and another comes in its place. Nobody does that while a restored ledger is being mended:
    /// the only copy of a key may lie on that disk.
    fn replace_a_node(&mut self) {
        let at = self.dice.below(self.nodes.len());
        let gone = self.nodes[at].daemon.is_none();
        if !gone || self.restored || self.dice.one_in(2) {
            return;
        }
        let replica = self.nodes[at].name.clone();
        let act = Act::RemoveReplica { replica, reason: "the machine burned".into() };
        let _ = self.operate("ann", &act);
        // Also where the answer was lost: whoever asked for it looks again.
        if self.is_removed(at) {
            let node = &mut self.nodes[at];
            node.disk = Disk::default();
            node.apiserver = Default::default();
            node.trusted = false;
        }
    }

    fn is_removed(&self, at: usize) -> bool {
        let inner = self.ledger.inner();
        let mut rows = inner.database.rows.replicas.iter();
        rows.any(|row| row.name == self.nodes[at].name && row.removed.is_some())
    }

    /// What `rotate status` and the logs ask for: a ledger that was restored takes up what a node knows better.
    pub(crate) fn mend(&mut self) {
        let Ok(state) = self.state() else { return };
        self.restored &= !self.follows_all();
        let disputed = self.plan(&state, None).waits.iter().any(|wait| wait.on == "ledger");
        let refusing = |node: &super::node::Node| {
            node.daemon.as_ref().is_some_and(|daemon| daemon.refused.is_some())
        };
        if !disputed && !self.nodes.iter().any(refusing) {
            return;
        }
        // Whoever will not follow knows something; of these, who is furthest.
        let best = self.nodes.iter().filter_map(|node| {
            let bundle = node.known(&self.key)?;
            if succeeds(state.newest_bundle(), &bundle).is_ok() {
                return None;
            }
            let active = bundle.versions().iter().find(|v| v.state == VersionState::Active)?;
            Some((active.id.version(), bundle.generation(), node.name.clone(), bundle))
        });
        let Some((active, _, name, bundle)) =
            best.max_by_key(|(active, generation, name, _)| (*active, *generation, name.clone()))
        else {
            return;
        };
        if state.active().is_some_and(|row| active < row.id.version()) {
            // It followed a ledger that went its own way, and knows of nothing that is written under.
            self.note(format!("the bundle of {name} is moved away"));
            self.forget_bundle(&name);
            return;
        }
        for _ in 0..6 {
            let Ok(state) = self.state() else { return };
            let mut draft = Draft::new(&state, None);
            match adopt(&mut draft, &bundle, "ann") {
                Ok(complete) => {
                    let done = draft.is_empty() && complete;
                    if self.commit(draft).is_err() {
                        return;
                    }
                    self.tally.adopted += u64::from(!done);
                    self.note(format!("the ledger adopts from {name}"));
                    if done || complete {
                        break;
                    }
                }
                Err(refused) => {
                    self.note(format!("adopting from {name}: {refused}"));
                    if let Some((_, id)) = refused.0.split_once("strongroom hold release ") {
                        let id = id.split(',').next().unwrap().parse().unwrap();
                        let reason = "as the message says".to_owned();
                        let _ = self.operate("ann", &Act::ReleaseHold { id, reason });
                        continue;
                    }
                    self.rebuild(&name, &bundle, &state);
                    break;
                }
            }
        }
        self.restored = !self.follows_all();
    }

    fn forget_bundle(&mut self, name: &str) {
        for node in self.nodes.iter_mut().filter(|node| node.name == name) {
            node.move_bundle_away();
        }
        self.restored = !self.follows_all();
    }

    /// `strongroomd init --from-bundle`: a new ledger from the node under which Secrets are written.
    fn rebuild(&mut self, name: &str, bundle: &Bundle, old: &State) {
        let accepted = self.nodes.iter().filter_map(|node| node.known(&self.key));
        let highest = accepted.map(|bundle| bundle.generation()).max().unwrap_or(0);
        let generation = highest.max(old.head.generation) + 1;
        let versions = bundle.versions().iter().map(|version| {
            let state = match version.state {
                // Nothing knows of a run or of a wait any more.
                VersionState::PreActive => VersionState::Deactivated,
                VersionState::DestroyScheduled => VersionState::Archived,
                state => state,
            };
            Version { state, ..version.clone() }
        });
        let bundle =
            Bundle::new(self.ring.clone(), generation, bundle.ledger().clone(), versions.collect())
                .unwrap();
        let bytes = bundle.encode(&self.key).unwrap();
        self.clusters += 1;
        let cluster = ClusterId([self.clusters; 16]);
        let now = old.now;
        let dump = Dump::genesis(cluster, (&bundle, bytes), &self.key, now, entry("rebuilt"));
        if ready(self.ledger.create(&dump)).is_err() {
            return;
        }
        self.tally.rebuilt += 1;
        self.note(format!("the ledger is rebuilt from {name}"));
        self.dumps.clear();
        self.audited = 0;
        self.forget_members();
        for node in &mut self.nodes {
            if node.known(&self.key).is_some_and(|known| succeeds(&bundle, &known).is_err()) {
                // It followed the ledger on its own way, where nothing was ever written.
                node.move_bundle_away();
            } else if let Some(daemon) = &mut node.daemon {
                daemon.wants_to_join = true;
                daemon.read = None;
                daemon.lead = Default::default();
            }
        }
    }

    /// What is left to do when nothing goes wrong any more.
    pub(crate) fn calm(&mut self) {
        self.mend();
        let Ok(state) = self.state() else { return };
        // Removed in the ledger as it was restored, and there all the same: restarted, it joins again.
        for node in &mut self.nodes {
            let mut rows = state.replicas.iter();
            let is_removed = rows.any(|row| row.name == node.name && row.removed.is_some());
            if let Some(daemon) = node.daemon.as_mut().filter(|_| is_removed) {
                daemon.wants_to_join = true;
            }
        }
        if state.open_run().is_some_and(|run| run.state == RunState::Paused) {
            let _ = self.operate("ann", &Act::Resume);
        }
    }
}
