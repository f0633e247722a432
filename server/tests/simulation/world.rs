//! The whole control plane in one thread: a ledger, nodes, etcd, an operator, and a clock that only moves between turns.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::Mutex,
    task::{Context as Cx, Poll, Waker},
};

use envelope::{
    Bundle, Context, KeyId, KeyMaterial, LedgerKey, LocalRoot, Purpose, RingName, WrappedKey,
    audit::sha256,
    bundle::{State as VersionState, Version, WrappedLedgerKey},
};
use strongroomd::{
    ledger::{Change, ClusterId, Draft, Dump, Entry, Ledger, LedgerError, State, VersionRow},
    root::Roots,
    rotation::{
        Act, Apiserver, Observed, Phase, Plan, Policy, Schedule, Step, plan, succeeds, take,
    },
};

use super::{
    custody::House,
    drawn::{Dice, Drawn},
    fake_root::FakeRoot,
    model::{Database, Model},
    node::{Node, Stored},
    turns::own_row,
};

/// What happened, for whoever wants to know whether the faults did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) rounds: u64,
    pub(crate) commits: u64,
    pub(crate) fenced: u64,
    pub(crate) moved: u64,
    pub(crate) kills: u64,
    pub(crate) pauses: u64,
    pub(crate) restores: u64,
    pub(crate) adopted: u64,
    pub(crate) rebuilt: u64,
    pub(crate) lost_answers: u64,
    pub(crate) clock_steps: u64,
    pub(crate) activations: u64,
    pub(crate) finished: u64,
    pub(crate) archived: u64,
    pub(crate) destroyed: u64,
    pub(crate) rewrapped: u64,
    pub(crate) roots_removed: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, count) in self.all().into_iter().zip(other.clone().all()) {
            *sum += *count;
        }
    }

    fn all(&mut self) -> [&mut u64; 17] {
        [
            &mut self.rounds,
            &mut self.commits,
            &mut self.fenced,
            &mut self.moved,
            &mut self.kills,
            &mut self.pauses,
            &mut self.restores,
            &mut self.adopted,
            &mut self.rebuilt,
            &mut self.lost_answers,
            &mut self.clock_steps,
            &mut self.activations,
            &mut self.finished,
            &mut self.archived,
            &mut self.destroyed,
            &mut self.rewrapped,
            &mut self.roots_removed,
        ]
    }
}

pub(crate) struct World {
    pub(crate) dice: Dice,
    /// Real time; the ledger's clock is beside it by `offset`.
    pub(crate) now: u64,
    pub(crate) offset: i64,
    pub(crate) ledger: Model,
    pub(crate) key: LedgerKey,
    pub(crate) ring: RingName,
    pub(crate) roots: Roots,
    pub(crate) house: House,
    random: Drawn,
    pub(crate) nodes: Vec<Node>,
    pub(crate) policy: Policy,
    metrics: bool,
    /// One fault in so many rounds.
    pub(crate) every: usize,
    /// Whether most of them are about backups of the ledger.
    pub(crate) restores: bool,
    /// What lies in etcd, and the seeds in the clear.
    pub(crate) objects: BTreeMap<u32, Stored>,
    pub(crate) seeds: BTreeMap<u64, [u8; 32]>,
    /// Backups of etcd, each with the hold that keeps what it needs.
    pub(crate) backups: Vec<(String, Vec<Stored>)>,
    pub(crate) dumps: Vec<Database>,
    pub(crate) away_until: u64,
    /// Whether some node still knows better than the ledger.
    pub(crate) restored: bool,
    pub(crate) audited: usize,
    pub(crate) clusters: u8,
    pub(crate) tally: Tally,
    pub(crate) trace: Vec<String>,
    /// Whether it is printed as it happens: what panics returns nothing.
    pub(crate) aloud: bool,
}

/// The value of a future that waits for nothing.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Cx::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing waits in a simulation"),
    }
}

impl World {
    pub(crate) fn new(seed: u64, aloud: bool) -> Self {
        let mut dice = Dice::new(seed);
        let random = Drawn(Mutex::new(Dice::new(seed ^ 0xabcd)));
        let root_key = KeyMaterial::make(&random).unwrap();
        let root = LocalRoot::new(&root_key);
        let second_key = KeyMaterial::make(&random).unwrap();
        let ring = RingName::parse("etcd").unwrap();
        let state_ring = RingName::parse(LedgerKey::RING).unwrap();

        let material = KeyMaterial::make(&random).unwrap();
        let id = KeyId::derive(state_ring, 1, &material).unwrap();
        let wraps = vec![wrap(&root, &id, &material, &random)];
        let ledger_key = WrappedLedgerKey { id: id.clone(), wraps };
        let key = LedgerKey::new(id, material).unwrap();

        let now = 1_790_000_000 + dice.below(1_000_000) as u64;
        let versions = [VersionState::Deactivated, VersionState::Active];
        let versions = versions.into_iter().zip(1..).map(|(state, number)| {
            let material = KeyMaterial::make(&random).unwrap();
            let id = KeyId::derive(ring.clone(), number, &material).unwrap();
            let wraps = vec![wrap(&root, &id, &material, &random)];
            let activated = Some(now - 1000 + u64::from(number));
            Version { id, state, created: now - 2000, activated, wraps }
        });
        let bundle = Bundle::new(ring.clone(), 1, ledger_key, versions.collect()).unwrap();
        let bytes = bundle.encode(&key).unwrap();
        let dump =
            Dump::genesis(ClusterId([1; 16]), (&bundle, bytes.clone()), &key, now, entry("init"));

        let count = 2 + dice.below(3);
        // Three minutes, one Status, and a little more.
        let mut policy = Policy { converge_after: 300, ..Policy::by_hand() };
        if dice.one_in(2) {
            policy.schedule = Some(Schedule::parse("90m", None, Some("10m")).unwrap());
        }
        let metrics = dice.one_in(2);
        let every = [14, 40, 100][dice.below(3)];
        let restores = dice.one_in(3);
        let mut world = Self {
            dice,
            now,
            offset: 0,
            ledger: Model::new(dump),
            key,
            ring,
            roots: Roots::of(vec![FakeRoot::of(&root_key), FakeRoot::of(&second_key)]),
            house: House::new([root, LocalRoot::new(&second_key)]),
            random,
            nodes: (1..=count).map(|at| Node::new(format!("cp-{at}"), bytes.clone(), 1)).collect(),
            policy,
            metrics,
            every,
            restores,
            objects: BTreeMap::new(),
            seeds: BTreeMap::new(),
            backups: Vec::new(),
            dumps: Vec::new(),
            away_until: 0,
            restored: false,
            audited: 0,
            clusters: 1,
            tally: Tally::default(),
            trace: Vec::new(),
            aloud,
        };
        world.begin(count);
        world
    }

    /// Every node is a member; in a third of the worlds version 1 is about to be destroyed.
    fn begin(&mut self, count: usize) {
        if self.dice.one_in(3) {
            let reason = "nothing needs it".to_owned();
            self.operate("ann", &Act::Archive { version: 1, reason }).unwrap();
            let wait = 7 * 86_400;
            self.operate("ann", &Act::ScheduleDestroy { version: 1, wait }).unwrap();
            let state = self.state().unwrap();
            let mut draft = Draft::new(&state, None);
            take(&Step::Observe { version: 1, observed: wait - 100 }, &mut draft, "setup", None)
                .unwrap();
            self.commit(draft).unwrap();
        }
        for at in 0..count {
            self.nodes[at].boot(&self.key, &self.roots);
            let replica = self.nodes[at].name.clone();
            self.operate("setup", &Act::Join { replica }).unwrap();
        }
        for node in &mut self.nodes {
            node.trusted = true;
        }
    }

    pub(crate) fn note(&mut self, what: impl Into<String>) {
        let line = format!("{} {}", self.now, what.into());
        if self.aloud {
            println!("{line}");
        }
        self.trace.push(line);
    }

    pub(crate) fn state(&self) -> Result<State, LedgerError> {
        let rows = ready(self.ledger.read(&self.ring))?.unwrap();
        // Nobody tampers here, so that this fails is a violation.
        Ok(State::verify(rows, &self.key).unwrap())
    }

    pub(crate) fn commit(&mut self, draft: Draft) -> Result<(), LedgerError> {
        if draft.is_empty() {
            return Ok(());
        }
        let change = draft.seal(&self.key).unwrap();
        self.ledger_commit(&change)
    }

    pub(crate) fn ledger_commit(&mut self, change: &Change) -> Result<(), LedgerError> {
        let done = ready(self.ledger.commit(change));
        match &done {
            Err(LedgerError::Refused(why)) => panic!("the schema refused a change of ours: {why}"),
            Err(error) => self.note(format!("not committed: {error}")),
            Ok(()) => {}
        }
        done
    }

    /// One act of somebody with the admin API; the error is the message they see.
    pub(crate) fn operate(&mut self, actor: &str, act: &Act) -> Result<(), String> {
        let state = self.state().map_err(|error| error.to_string())?;
        let mut draft = Draft::new(&state, None);
        let applied = act.apply(&mut draft, actor);
        self.note(format!("{actor}: {act:?}: {applied:?}"));
        applied.map_err(|error| error.to_string())?;
        self.commit(draft).map_err(|error| error.to_string())
    }

    /// What node `at` would do as the leader, or somebody with the admin API sees.
    pub(crate) fn plan(&self, state: &State, at: Option<usize>) -> Plan {
        let now = self.now;
        let leader = at.and_then(|at| self.nodes[at].daemon.as_ref()).map(|daemon| &daemon.lead);
        let apiservers: Vec<Apiserver> = if self.metrics {
            self.nodes.iter().map(|node| self.asked(node)).collect()
        } else {
            Vec::new()
        };
        let observed = Observed {
            state,
            apiservers: &apiservers,
            watched: leader.map_or(0, |lead| now - lead.watches_since),
            active_for: leader.map(|lead| lead.active_since.map_or(0, |(_, since)| now - since)),
            provider_rotated: None,
        };
        plan(&observed, &self.policy)
    }

    fn asked(&self, node: &Node) -> Apiserver {
        let name = node.name.clone();
        let key_id_hash = match (&node.daemon, &node.apiserver.writes_under) {
            (Some(_), Some(under)) => {
                let hash = sha256(under.key_id.as_str().as_bytes());
                Ok(hash
                    .iter()
                    .fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}")))
            }
            _ => Err("connection refused".into()),
        };
        Apiserver { name, key_id_hash, objects: Some(self.objects.len() as u64) }
    }

    pub(crate) fn make(&self, number: u32) -> VersionRow {
        let material = KeyMaterial::make(&self.random).unwrap();
        let id = KeyId::derive(self.ring.clone(), number, &material).unwrap();
        let mut wraps: Vec<_> =
            self.house.roots().map(|root| self.wrap(root, &id, &material)).collect();
        wraps.sort_by_key(WrappedKey::root);
        VersionRow {
            wraps,
            id,
            state: VersionState::PreActive,
            created: self.clock(),
            activated: None,
            changed: self.clock(),
            destruction: None,
            mac: [0; 32],
        }
    }

    pub(crate) fn wrap(&self, root: &LocalRoot, id: &KeyId, key: &KeyMaterial) -> WrappedKey {
        wrap(root, id, key, &self.random)
    }

    /// By the ledger's clock.
    pub(crate) fn clock(&self) -> u64 {
        self.now.saturating_add_signed(self.offset)
    }

    pub(crate) fn tick(&mut self, seconds: u64) {
        self.now += seconds;
        let clock = self.clock();
        let mut inner = self.ledger.inner();
        inner.now = clock;
        inner.away = self.away_until > self.now;
    }

    /// Whether every node serves what the ledger has, and no run is open.
    pub(crate) fn rests(&self) -> bool {
        let Ok(state) = self.state() else { return false };
        let newest = &state.bundle.bytes;
        self.plan(&state, None).phase == Phase::Idle
            && self.nodes.iter().all(|node| {
                let served = node.daemon.as_ref().and_then(|daemon| daemon.served.as_ref());
                let member = own_row(&state, &node.name).is_some_and(|row| row.removed.is_none());
                served == Some(newest) && member && node.trusted
            })
    }

    /// The ledger as the world knows it, whether it answers or not.
    pub(crate) fn follows_all(&self) -> bool {
        let inner = self.ledger.inner();
        let rows = inner.database.rows.clone();
        drop(inner);
        let state = State::verify(rows, &self.key).unwrap();
        self.nodes.iter().all(|node| {
            node.known(&self.key)
                .is_none_or(|known| succeeds(state.newest_bundle(), &known).is_ok())
        })
    }
}

fn wrap(root: &LocalRoot, id: &KeyId, material: &KeyMaterial, random: &Drawn) -> WrappedKey {
    root.wrap(material, &Context { purpose: Purpose::Key, key_id: id }, random).unwrap()
}

pub(crate) fn entry(action: &'static str) -> Entry {
    Entry { actor: "setup".into(), action, subject: String::new(), detail: String::new() }
}
