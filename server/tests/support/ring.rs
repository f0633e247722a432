//! A ring in a ledger that is only rows: what plans and acts are judged on.

use envelope::{
    Bundle, Context, KeyId, KeyMaterial, LedgerKey, LocalRoot, Purpose, RingName, SystemRandom,
    bundle::{State as VersionState, Version, WrappedLedgerKey},
};
use strongroomd::{
    ledger::{
        Change, ClusterId, Draft, Dump, Entry, ReplicaRow, ReportRow, Rows, RunRow, RunState,
        State, VersionRow,
    },
    rotation::{Act, Refused},
};

/// Sunday, 2026-11-01T03:00:00Z.
pub(crate) const NOW: u64 = 1_793_502_000;
pub(crate) const DAY: u64 = 86_400;

pub(crate) struct Ring {
    pub(crate) key: LedgerKey,
    pub(crate) root: LocalRoot,
    pub(crate) rows: Rows,
}

impl Ring {
    /// Versions 1, 2, … in these states. The last that may be active became so at [`NOW`] − 10 days.
    pub(crate) fn of(states: &[VersionState]) -> Self {
        let root = LocalRoot::new(&KeyMaterial::make(&SystemRandom).unwrap());
        let material = KeyMaterial::make(&SystemRandom).unwrap();
        let id = KeyId::derive(RingName::parse(LedgerKey::RING).unwrap(), 1, &material).unwrap();
        let context = Context { purpose: Purpose::Key, key_id: &id };
        let wraps = vec![root.wrap(&material, &context, &SystemRandom).unwrap()];
        let ledger = WrappedLedgerKey { id: id.clone(), wraps };
        let key = LedgerKey::new(id, material).unwrap();
        let versions = states.iter().zip(1..).map(|(state, number)| {
            let row = version(&root, number);
            Version {
                id: row.id,
                state: *state,
                created: NOW - 11 * DAY,
                activated: (*state != VersionState::PreActive).then_some(NOW - 10 * DAY),
                wraps: if *state == VersionState::Destroyed { Vec::new() } else { row.wraps },
            }
        });
        let ring = RingName::parse("etcd").unwrap();
        let bundle = Bundle::new(ring, 5, ledger, versions.collect()).unwrap();
        let bytes = bundle.encode(&key).unwrap();
        let dump =
            Dump::genesis(ClusterId([1; 16]), (&bundle, bytes), &key, NOW, entry("ring.imported"));
        Self { key, root, rows: dump.rows }
    }

    pub(crate) fn state(&self) -> State {
        State::verify(self.rows.clone(), &self.key).unwrap()
    }

    pub(crate) fn draft(&self) -> Draft {
        Draft::new(&self.state(), None)
    }

    /// Writes a draft, as a ledger would.
    pub(crate) fn write(&mut self, draft: Draft) -> Change {
        let change = draft.seal(&self.key).unwrap();
        self.rows.apply(&change);
        change
    }

    pub(crate) fn act(&mut self, actor: &str, act: &Act) -> Result<Change, Refused> {
        let mut draft = self.draft();
        act.apply(&mut draft, actor)?;
        Ok(self.write(draft))
    }

    /// Whatever an act would not do.
    pub(crate) fn edit(&mut self, edit: impl FnOnce(&mut Draft)) {
        let mut draft = self.draft();
        edit(&mut draft);
        self.write(draft);
    }

    pub(crate) fn member(&mut self, name: &str) {
        let row = ReplicaRow {
            id: self.rows.replicas.len() as u64 + 1,
            name: name.into(),
            joined: NOW - DAY,
            removed: None,
            mac: [0; 32],
        };
        self.edit(|draft| draft.put_replica(row, entry("replica.joined")));
    }

    /// A member that serves what the ledger has now, seen half a minute ago; `edit` makes it say something else.
    pub(crate) fn report(&mut self, name: &str, edit: impl FnOnce(&mut ReportRow)) {
        let state = self.state();
        let open = state.versions.iter().filter(|row| row.state.opens());
        let mut row = ReportRow {
            replica: name.into(),
            at: self.rows.now - 30,
            generation: state.head.generation,
            bundle: *state.newest_digest(),
            serving: state.active().unwrap().id.version(),
            tested: open.map(|row| row.id.version()).max().unwrap(),
            mac: [0; 32],
        };
        edit(&mut row);
        let row = row.sealed(&self.key, &self.rows.cluster.id, &self.rows.ring);
        self.rows.reports.retain(|row| row.replica != name);
        self.rows.reports.push(row);
    }

    /// Run 1 from the active version; `edit` takes it further.
    pub(crate) fn run(&mut self, edit: impl FnOnce(&mut RunRow)) {
        let mut row = RunRow {
            id: self.rows.runs.len() as u64 + 1,
            trigger: "manual".into(),
            reason: String::new(),
            requested_by: "ann".into(),
            begun: NOW - 3600,
            from: self.state().active().unwrap().id.version(),
            to: None,
            activated: None,
            converged: None,
            state: RunState::Open,
            ended: None,
            outcome: String::new(),
            mac: [0; 32],
        };
        edit(&mut row);
        self.edit(|draft| draft.put_run(row, entry("rotation.begun")));
    }

    /// Changes one version.
    pub(crate) fn version(&mut self, number: u32, edit: impl FnOnce(&mut VersionRow)) {
        let mut row = self.state().version(number).unwrap().clone();
        edit(&mut row);
        self.edit(|draft| draft.put_version(row, entry("key.edited")));
    }
}

pub(crate) fn version(root: &LocalRoot, number: u32) -> VersionRow {
    let material = KeyMaterial::make(&SystemRandom).unwrap();
    let id = KeyId::derive(RingName::parse("etcd").unwrap(), number, &material).unwrap();
    let context = Context { purpose: Purpose::Key, key_id: &id };
    VersionRow {
        wraps: vec![root.wrap(&material, &context, &SystemRandom).unwrap()],
        id,
        state: VersionState::PreActive,
        created: NOW,
        activated: None,
        changed: NOW,
        destruction: None,
        mac: [0; 32],
    }
}

pub(crate) fn entry(action: &'static str) -> Entry {
    Entry { actor: "setup".into(), action, subject: String::new(), detail: String::new() }
}
