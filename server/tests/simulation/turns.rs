//! What a daemon does in one turn: at most one thing that another could see, so that anything can come in between.

use envelope::audit::sha256;
use strongroomd::{
    ledger::{Change, Draft, Ledger, LedgerError, ReplicaRow, State},
    rotation::{Act, Step, take},
};

use super::world::{World, ready};

impl World {
    /// One micro-step of one node; `false` where it is down or stopped.
    pub(crate) fn turn(&mut self, at: usize) -> bool {
        let now = self.now;
        let node = &mut self.nodes[at];
        if node.daemon.is_none() {
            if node.down_until <= now {
                node.boot(&self.key, &self.roots);
                let told = format!("{} boots", node.name);
                self.note(told);
            }
            return false;
        }
        // Every minute, and every ten seconds while it has no answer.
        let every = if node.apiserver.writes_under.is_none() { 10 } else { 60 };
        if now - node.apiserver.asked >= every {
            let told = node.poll(now, &mut self.seeds);
            self.told(at, told);
            return true;
        }
        if node.paused_until > now {
            return false;
        }
        let clock = self.clock();
        let ends = |until: u64| until.saturating_sub(clock) < 10;
        let lease = self.nodes[at].daemon.as_ref().and_then(|daemon| daemon.lead.lease.as_ref());
        let renew = lease.is_some_and(|lease| ends(lease.until));
        match self.dice.below(8) {
            0 => self.write(at),
            _ if renew => self.lead(at),
            1..=3 => self.lead(at),
            _ => self.sync(at),
        }
        true
    }

    fn told(&mut self, at: usize, told: Option<String>) {
        if let Some(told) = told {
            let told = format!("{} {told}", self.nodes[at].name);
            self.note(told);
        }
    }

    /// Somebody writes a Secret through this apiserver.
    pub(crate) fn write(&mut self, at: usize) {
        let slot = self.dice.below(12) as u32;
        if let Some(stored) = self.nodes[at].writes(self.now) {
            self.objects.insert(slot, stored.clone());
        }
    }

    /// Ledger → disk → snapshot → report, one step at a time.
    fn sync(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let Some(daemon) = &mut node.daemon else { return };
        let Some(state) = &daemon.read else {
            let read = ready(self.ledger.read(&self.ring));
            if let Ok(Some(rows)) = read {
                daemon.read = Some(Box::new(State::verify(rows, &self.key).unwrap()));
            }
            return;
        };
        let own = state.replicas.iter().find(|row| row.name == node.name);
        let is_member = own.is_some_and(|row| row.removed.is_none());
        if daemon.wants_to_join && !is_member {
            let mut draft = Draft::new(state, None);
            let replica = node.name.clone();
            Act::Join { replica }.apply(&mut draft, &node.name).unwrap();
            daemon.read = None;
            let joined = self.commit(draft).is_ok();
            self.told(at, Some(format!("joins: {joined}")));
            return;
        }
        daemon.wants_to_join = false;
        let took = node.take_bundle(&self.key, &self.roots);
        if took.is_some() {
            self.told(at, took);
            return;
        }
        let report = node.report(&self.key);
        let Some(daemon) = &mut node.daemon else { return };
        let state = daemon.read.take().unwrap();
        let Some(report) = report else { return };
        match ready(self.ledger.report(&self.ring, &report)) {
            Ok(()) => {
                // What the ledger has now, not what it had when this node looked.
                let newest = sha256(&self.ledger.inner().database.rows.bundle.bytes);
                let serves_it = report.bundle == newest;
                if serves_it && !self.restored && !self.nodes[at].trusted {
                    self.nodes[at].trusted = true;
                    self.told(at, Some("is trusted".into()));
                }
            }
            Err(LedgerError::NotMember(_)) => {
                // Removed is removed; but one that the ledger never heard of was lost with it.
                daemon.wants_to_join = own_row(&state, &report.replica).is_none();
                self.told(at, Some("is no member".into()));
            }
            Err(_) => {}
        }
    }

    /// Lease, plan, commit: each in a turn of its own.
    fn lead(&mut self, at: usize) {
        let now = self.now;
        let holder = self.nodes[at].holder();
        let Some(daemon) = &mut self.nodes[at].daemon else { return };
        if let Some((change, steps)) = daemon.lead.pending.take() {
            self.lead_commit(at, &change, &steps);
            return;
        }
        let lead = &mut daemon.lead;
        let renewed = lead.lease.as_ref().map_or(0, |lease| lease.until);
        let clock = now.saturating_add_signed(self.offset);
        if renewed.saturating_sub(clock) < 10 || self.dice.one_in(3) {
            match ready(self.ledger.lease(&holder)) {
                Ok(lease) if lease.holder == holder => {
                    if lead.lease.as_ref().is_none_or(|before| before.epoch != lease.epoch) {
                        lead.watches_since = now;
                        lead.active_since = None;
                        let told = format!("leads with epoch {}", lease.epoch);
                        lead.lease = Some(lease);
                        self.told(at, Some(told));
                    } else {
                        lead.lease = Some(lease);
                    }
                }
                Ok(_) => lead.lease = None,
                Err(_) => {}
            }
            return;
        }
        let Ok(state) = self.state() else { return };
        let planned = self.plan(&state, Some(at));
        let Some(daemon) = &mut self.nodes[at].daemon else { return };
        let target = state.open_run().and_then(|run| Some((run.id, run.activated.and(run.to)?)));
        if daemon.lead.active_since.map(|(target, _)| target) != target {
            daemon.lead.active_since = target.map(|target| (target, now));
        }
        let lease = daemon.lead.lease.clone();
        let mut steps = planned.steps.into_iter().map(|(step, _)| step).peekable();
        let Some(first) = steps.next() else { return };
        let mut taken = vec![first];
        while let Some(next) = steps.next_if(|next| {
            matches!((&taken[0], next), (Step::Observe { .. }, Step::Observe { .. }))
        }) {
            taken.push(next);
        }
        let mut draft = Draft::new(&state, lease.as_ref());
        for step in &taken {
            let staged = match step {
                Step::Stage { version } => Some(self.make(*version)),
                _ => None,
            };
            take(step, &mut draft, &holder, staged).unwrap();
        }
        let change = Box::new(draft.seal(&self.key).unwrap());
        if let Some(daemon) = &mut self.nodes[at].daemon {
            daemon.lead.pending = Some((change, taken));
        }
    }

    fn lead_commit(&mut self, at: usize, change: &Change, steps: &[Step]) {
        let done = self.ledger_commit(change);
        self.told(at, Some(format!("{steps:?}: {}", done.is_ok())));
        let now = self.now;
        let Some(daemon) = &mut self.nodes[at].daemon else { return };
        match done {
            Ok(()) => {
                for step in steps {
                    match step {
                        Step::Observe { .. } => daemon.lead.watches_since = now,
                        Step::Activate { .. } => self.tally.activations += 1,
                        Step::Finish { .. } => self.tally.finished += 1,
                        _ => {}
                    }
                }
            }
            Err(LedgerError::Fenced { .. }) => daemon.lead.lease = None,
            Err(_) => {}
        }
    }
}

pub(crate) fn own_row<'a>(state: &'a State, name: &str) -> Option<&'a ReplicaRow> {
    state.replicas.iter().find(|row| row.name == name)
}
