use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use envelope::{
    Context, LedgerKey, Purpose, RingName, RootId,
    audit::{Checkpoint, Hash, Record, START},
};
use tokio::{
    sync::{self, OnceCell},
    time::Instant,
};

use super::{
    Act, Control, ControlError, Custody, NoSuccessor, Observed, Planned, Policy, Rewrapped,
    Scraper, Tried, adopt, notes::Notes, plan, provider::Provider, succeeds,
};
use crate::{
    keyring::Keyring,
    ledger::{
        Change, ClusterId, ClusterRow, Draft, Dump, Entry, Ledger, LedgerError, State, Tampered,
        export,
    },
    root::Roots,
};

/// How often a change is planned anew because somebody else was faster.
const ATTEMPTS: u32 = 8;
/// Records of the audit chain that are read at once.
const PAGE: u32 = 1000;

/// The one way to the ledger of this node's ring: what is read is verified before anybody sees it, what is written was planned
/// on what was read.
#[derive(Debug)]
pub struct Controller {
    ring: RingName,
    roots: Roots,
    keyring: Arc<Keyring>,
    /// Empty until the ledger answered for the first time.
    ledger: OnceCell<Arc<dyn Ledger>>,
    /// Why it is still empty.
    away: RwLock<String>,
    key: OnceCell<Arc<LedgerKey>>,
    /// What signs checkpoints of this cluster.
    public_key: [u8; 32],
    /// What our last change left, and when: a record that changes no row is planned on it without reading the ring again.
    left: Mutex<Option<(State, Instant)>>,
    notes: Notes<ControlError>,
    policy: Policy,
    scraper: Scraper,
    provider: sync::Mutex<Provider>,
}

impl Controller {
    /// Not connected yet: everything answers [`LedgerError::Away`].
    #[must_use]
    pub fn new(ring: RingName, roots: Roots, keyring: Arc<Keyring>) -> Self {
        Self {
            ring,
            roots,
            keyring,
            ledger: OnceCell::new(),
            away: RwLock::new("it was not asked yet".into()),
            key: OnceCell::new(),
            public_key: [0; 32],
            left: Mutex::default(),
            notes: Notes::default(),
            policy: Policy::by_hand(),
            scraper: Scraper::default(),
            provider: sync::Mutex::default(),
        }
    }

    /// Plans as `policy` has it, on what `scraper` sees.
    #[must_use]
    pub fn planning(self, policy: Policy, scraper: Scraper) -> Self {
        Self { policy, scraper, ..self }
    }

    /// Unwraps the ledger key that authenticates the bundle of this node, for a cluster with this identity.
    ///
    /// # Errors
    /// [`ControlError::Unwrap`].
    pub async fn ready(mut self, cluster: ClusterId) -> Result<Self, ControlError> {
        if let Some(served) = self.keyring.snapshot() {
            let ledger_key = served.bundle().ledger().clone();
            let key = self.key(&ClusterRow { id: cluster, created: 0, ledger_key }).await?;
            self.public_key = Checkpoint::public_key(&key, &cluster.0).unwrap_or_default();
        }
        Ok(self)
    }

    /// When a rotation begins by itself.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// A root key that its provider rotated since the active version was wrapped, where the policy wants to know.
    pub async fn provider_rotated(&self, state: &State) -> Option<RootId> {
        let active = state.active().filter(|_| self.policy.follow_provider)?;
        self.provider.lock().await.rotated(&self.roots, active).await
    }

    /// What looks at the apiservers.
    #[must_use]
    pub fn scraper(&self) -> &Scraper {
        &self.scraper
    }

    /// Uses `ledger` from now on. Only the first one counts.
    pub fn connect(&self, ledger: Arc<dyn Ledger>) {
        let _ = self.ledger.set(ledger);
    }

    /// Notes why there is no ledger yet.
    pub fn not_connected(&self, why: String) {
        *self.away.write().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// The ledger itself, for what needs no state.
    ///
    /// # Errors
    /// [`LedgerError::Away`] until it was connected.
    pub fn ledger(&self) -> Result<&Arc<dyn Ledger>, LedgerError> {
        self.ledger.get().ok_or_else(|| {
            LedgerError::Away(self.away.read().unwrap_or_else(PoisonError::into_inner).clone())
        })
    }

    /// The ring.
    #[must_use]
    pub fn ring(&self) -> &RingName {
        &self.ring
    }

    /// The roots that new versions are wrapped under.
    #[must_use]
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// What this node serves.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The ring as it is in the ledger, verified, and not older than what this node has served.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn state(&self) -> Result<State, ControlError> {
        let state = self.stored().await?;
        self.follows(&state)?;
        Ok(state)
    }

    fn follows(&self, state: &State) -> Result<(), NoSuccessor> {
        match self.keyring.snapshot() {
            Some(served) => succeeds(state.newest_bundle(), served.bundle()),
            None => Ok(()),
        }
    }

    /// The ring as it is in the ledger, verified, and perhaps from a backup that is older than what this node has served.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn stored(&self) -> Result<State, ControlError> {
        let rows = self.ledger()?.read(&self.ring).await?.ok_or(ControlError::NoRing)?;
        let cluster = ClusterRow { ledger_key: rows.ledger_key(), ..rows.cluster };
        let key = self.key(&cluster).await?;
        Ok(State::verify(rows, &key)?)
    }

    /// Plans a change and commits it, again where somebody else was faster. A draft that changes nothing is not written.
    ///
    /// # Errors
    /// [`ControlError`], or that of `plan`.
    async fn change(
        &self,
        plan: impl Fn(&mut Draft) -> Result<(), ControlError> + Send,
    ) -> Result<(), ControlError> {
        let mut attempt = 1;
        loop {
            let since = Instant::now();
            let state = self.state().await?;
            let mut draft = Draft::new(&state, None);
            plan(&mut draft)?;
            match self.commit_at(draft, Some(since)).await {
                Err(ControlError::Ledger(LedgerError::Moved { .. })) if attempt < ATTEMPTS => {
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Records what changes no row.
    async fn note(&self, entry: Entry) -> Result<(), ControlError> {
        let recorded = self.notes.record(entry, async |entries| self.write_notes(entries).await);
        recorded.await.map_err(ControlError::Shared)
    }

    async fn write_notes(&self, entries: &[Entry]) -> Result<(), ControlError> {
        let record =
            |draft: &mut Draft| entries.iter().cloned().for_each(|entry| draft.record(entry));
        let left = self.left().take();
        if let Some((state, since)) = left.filter(|(state, _)| self.follows(state).is_ok()) {
            let seconds = since.elapsed().as_secs();
            let mut draft = Draft::new(&state.later(seconds), None);
            record(&mut draft);
            match self.commit_at(draft, Some(since + Duration::from_secs(seconds))).await {
                // Somebody else wrote since.
                Err(ControlError::Ledger(LedgerError::Moved { .. })) => {}
                outcome => return outcome,
            }
        }
        self.change(|draft| {
            record(draft);
            Ok(())
        })
        .await
    }

    fn left(&self) -> MutexGuard<'_, Option<(State, Instant)>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every record of the audit chain of `state`.
    async fn whole_chain(&self, state: &State) -> Result<Vec<(Record, Hash)>, ControlError> {
        let mut records = Vec::new();
        while let page = self.ledger()?.audit(&self.ring, records.len() as u64, PAGE).await?
            && !page.is_empty()
        {
            records.extend(page);
        }
        // What was appended meanwhile belongs to a later state.
        records.retain(|(record, _)| record.seq <= state.head.audit_seq);
        Ok(records)
    }

    /// Seals `draft` and writes it, unless it changes nothing.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn commit(&self, draft: Draft) -> Result<(), ControlError> {
        self.commit_at(draft, None).await
    }

    /// The same for a draft whose state has the time of `since`, where that is known.
    async fn commit_at(&self, draft: Draft, since: Option<Instant>) -> Result<(), ControlError> {
        if draft.is_empty() {
            return Ok(());
        }
        let key = self.key(&draft.state().cluster).await?;
        let state = draft.state().clone();
        let change: Change = draft.seal(&key)?;
        self.ledger()?.commit(&change).await?;
        *self.left() = state.after(&change, &key).ok().zip(since);
        Ok(())
    }

    /// Looks at the whole audit chain of `state`, which by itself only vouches for its end.
    ///
    /// # Errors
    /// [`ControlError::Tampered`] names the first record that is not as it was written.
    pub async fn verify_chain(&self, state: &State) -> Result<(), ControlError> {
        let ledger = self.ledger()?;
        let (mut seq, mut previous) = (0, START);
        while seq < state.head.audit_seq {
            let page = ledger.audit(&self.ring, seq, PAGE).await?;
            let tampered = |row: u64, what| {
                ControlError::Tampered(Tampered { table: "audit", row: row.to_string(), what })
            };
            if page.is_empty() {
                return Err(tampered(seq + 1, "is missing"));
            }
            for (record, hash) in page {
                if record.seq != seq + 1 {
                    return Err(tampered(seq + 1, "is missing"));
                }
                let computed = record.hash(&state.cluster.id.0, self.ring.as_str());
                if record.previous != previous || computed != hash {
                    return Err(tampered(record.seq, "was changed by hand"));
                }
                (seq, previous) = (record.seq, hash);
                if seq == state.head.audit_seq && hash != state.head.audit_hash {
                    return Err(tampered(seq, "is another one than the head names"));
                }
            }
        }
        Ok(())
    }

    /// The key that MACs are made with. It must be the one of the bundle that this node serves: a database in which somebody put
    /// another cluster in the place of ours is not believed.
    ///
    /// # Errors
    /// [`ControlError::OtherCluster`], [`ControlError::Root`].
    pub async fn key(&self, cluster: &ClusterRow) -> Result<Arc<LedgerKey>, ControlError> {
        let wrapped = &cluster.ledger_key;
        if let Some(served) = self.keyring.snapshot()
            && served.bundle().ledger().id != wrapped.id
        {
            return Err(ControlError::OtherCluster {
                found: wrapped.id.clone(),
                served: served.bundle().ledger().id.clone(),
            });
        }
        let unwrap = async {
            let context = Context { purpose: Purpose::Key, key_id: &wrapped.id };
            let (key, _) = self.roots.unwrap(&wrapped.wraps, context).await?;
            LedgerKey::new(wrapped.id.clone(), key).map(Arc::new).map_err(|_| {
                ControlError::Tampered(Tampered {
                    table: "clusters",
                    row: cluster.id.to_string(),
                    what: "has a ledger key that is not the one it names",
                })
            })
        };
        let key = self.key.get_or_try_init(|| unwrap).await?;
        if key.id() != &wrapped.id {
            return Err(ControlError::OtherCluster {
                found: wrapped.id.clone(),
                served: key.id().clone(),
            });
        }
        Ok(Arc::clone(key))
    }
}

#[async_trait]
impl Control for Controller {
    async fn state(&self) -> Result<State, ControlError> {
        Self::state(self).await
    }

    async fn plan(&self) -> Result<Planned, ControlError> {
        let state = Self::state(self).await?;
        let apiservers = self.scraper.look().await;
        let observed = Observed {
            state: &state,
            apiservers: &apiservers,
            watched: 0,
            active_for: None,
            provider_rotated: self.provider_rotated(&state).await,
        };
        let plan = plan(&observed, &self.policy);
        Ok(Planned { plan, apiservers, state })
    }

    async fn act(&self, actor: &str, act: Act) -> Result<State, ControlError> {
        self.change(|draft| Ok(act.apply(draft, actor)?)).await?;
        Self::state(self).await
    }

    async fn deny(&self, actor: &str, action: &'static str, more: u64) -> Result<(), ControlError> {
        let detail = match more {
            0 => String::new(),
            more => format!("and {more} more that were not recorded by themselves"),
        };
        let entry =
            Entry { actor: actor.into(), action: "api.denied", subject: action.into(), detail };
        self.note(entry).await
    }

    async fn audit(&self, after: u64, limit: u32) -> Result<Vec<(Record, Hash)>, ControlError> {
        Ok(self.ledger()?.audit(&self.ring, after, limit).await?)
    }

    async fn checkpoints(&self) -> Result<Vec<Checkpoint>, ControlError> {
        Ok(self.ledger()?.history(&self.ring).await?.checkpoints)
    }

    fn public_key(&self) -> [u8; 32] {
        self.public_key
    }

    async fn dump(&self, actor: &str) -> Result<Dump, ControlError> {
        let entry = Entry {
            actor: actor.into(),
            action: "ledger.exported",
            subject: self.ring.to_string(),
            detail: "keys as the roots wrapped them".into(),
        };
        self.note(entry).await?;
        let state = Self::state(self).await?;
        let mut history = self.ledger()?.history(&self.ring).await?;
        history.bundles.retain(|bundle| bundle.generation <= state.head.generation);
        history.checkpoints.retain(|checkpoint| checkpoint.seq <= state.head.audit_seq);
        let audit = self.whole_chain(&state).await?;
        Ok(Dump { rows: state.into_rows(), history, audit })
    }

    async fn import(&self, actor: &str, dump: Dump) -> Result<State, ControlError> {
        let cluster =
            ClusterRow { ledger_key: dump.rows.ledger_key(), ..dump.rows.cluster.clone() };
        let key = self.key(&cluster).await?;
        let state = export::verify(&dump, &key)?;
        if let Some(served) = self.keyring.snapshot() {
            succeeds(state.newest_bundle(), served.bundle())?;
        }
        self.ledger()?.create(&dump).await?;
        let entry = Entry {
            actor: actor.into(),
            action: "ledger.imported",
            subject: self.ring.to_string(),
            detail: format!("bundle generation {}", state.head.generation),
        };
        self.note(entry).await?;
        Self::state(self).await
    }

    async fn adopt(&self, actor: &str) -> Result<State, ControlError> {
        let served = self.keyring.snapshot();
        let served = served.ok_or_else(|| ControlError::Starting("no key is loaded yet".into()))?;
        // Each version makes one legal transition at a time.
        for _ in 0..ATTEMPTS {
            let mut draft = Draft::new(&self.stored().await?, None);
            let complete = adopt(&mut draft, served.bundle(), actor)?;
            match self.commit(draft).await {
                Ok(()) if complete => return Self::state(self).await,
                Ok(()) | Err(ControlError::Ledger(LedgerError::Moved { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Err(ControlError::Unfit("the ledger changes faster than it takes up: try again".into()))
    }

    async fn roots(&self) -> Result<Custody, ControlError> {
        self.look_at_roots().await
    }

    async fn check_roots(&self) -> Result<(Custody, Vec<Tried>), ControlError> {
        self.try_roots().await
    }

    async fn rewrap(&self, actor: &str, dry_run: bool) -> Result<Rewrapped, ControlError> {
        self.rewrap_all(actor, dry_run).await
    }

    async fn remove_root(
        &self,
        actor: &str,
        root: RootId,
        reason: String,
    ) -> Result<Custody, ControlError> {
        self.give_up(actor, root, reason).await
    }

    async fn changed(&self) {
        match self.ledger() {
            Ok(ledger) => ledger.changed().await,
            Err(_) => std::future::pending().await,
        }
    }
}
