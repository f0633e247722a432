//! Every key under every root of a node, over a real ledger: a root comes, a root goes, and nothing becomes unopenable.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{sync::Arc, time::Duration};

use envelope::{
    Bundle, Context, KeyId, KeyMaterial, LedgerKey, LocalRoot, Purpose, RingName, SystemRandom,
    WrappedKey,
    audit::sha256,
    bundle::{State as VersionState, Version, WrappedLedgerKey},
};
use fake_root::FakeRoot;
use strongroomd::{
    clock::SystemClock,
    health::Health,
    keyring::{Keyring, Snapshot, Store},
    ledger::{ClusterId, Dump, Entry, Ledger, SqliteLedger, State},
    metrics::Metrics,
    root::{RootKey, Roots},
    rotation::{Act, Control, ControlError, Controller, adopt, wrapped},
    sync::Syncer,
};
use tempfile::TempDir;
use tokio::{task::yield_now, time::timeout};

#[path = "support/fake_root.rs"]
#[expect(dead_code, reason = "these roots neither hang nor count")]
mod fake_root;

const CLUSTER: ClusterId = ClusterId([5; 16]);

/// A ledger with a ring of these versions under `root`, and whoever wants to reach it with roots of their own.
struct Place {
    _folder: TempDir,
    ledger: Arc<dyn Ledger>,
}

impl Place {
    async fn new(root: &FakeRoot, versions: &[VersionState]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ledger.db");
        let ledger = SqliteLedger::open(&file, CLUSTER, Arc::new(SystemClock)).await.unwrap();
        let state_ring = RingName::parse(LedgerKey::RING).unwrap();
        let (id, material, wraps) = key(&root.key, &state_ring, 1);
        let wrapped_key = WrappedLedgerKey { id: id.clone(), wraps };
        let key_of_ledger = LedgerKey::new(id, material).unwrap();
        let ring = RingName::parse("etcd").unwrap();
        let versions = versions.iter().zip(1..).map(|(state, number)| {
            let (id, _, wraps) = key(&root.key, &ring, number);
            let activated = (*state != VersionState::PreActive).then_some(1);
            Version { id, state: *state, created: 1, activated, wraps }
        });
        let bundle = Bundle::new(ring.clone(), 1, wrapped_key, versions.collect()).unwrap();
        let bytes = bundle.encode(&key_of_ledger).unwrap();
        let entry = Entry {
            actor: "setup".into(),
            action: "ring.entered",
            subject: String::new(),
            detail: String::new(),
        };
        let dump = Dump::genesis(CLUSTER, (&bundle, bytes), &key_of_ledger, 1, entry);
        ledger.create(&dump).await.unwrap();
        Self { _folder: folder, ledger: Arc::new(ledger) }
    }

    /// A daemon that was just started with `roots`, and has served nothing yet.
    fn with(&self, roots: &[&Arc<FakeRoot>]) -> Controller {
        let roots = roots.iter().map(|root| Arc::clone(*root) as Arc<dyn RootKey>).collect();
        self.with_roots(Roots::of(roots))
    }

    fn with_roots(&self, roots: Roots) -> Controller {
        let ring = RingName::parse("etcd").unwrap();
        let controller = Controller::new(ring, roots, Arc::new(Keyring::default()));
        controller.connect(Arc::clone(&self.ledger));
        controller
    }
}

fn key(root: &LocalRoot, ring: &RingName, number: u32) -> (KeyId, KeyMaterial, Vec<WrappedKey>) {
    let key = KeyMaterial::make(&SystemRandom).unwrap();
    let id = KeyId::derive(ring.clone(), number, &key).unwrap();
    let context = Context { purpose: Purpose::Key, key_id: &id };
    let wraps = vec![root.wrap(&key, &context, &SystemRandom).unwrap()];
    (id, key, wraps)
}

const ALL: [VersionState; 3] =
    [VersionState::Archived, VersionState::Deactivated, VersionState::Active];

/// Whether `root` alone opens the whole: the ledger key, every version whatever its state, and the bundle as a node loads it.
async fn opens_all(place: &Place, root: &Arc<FakeRoot>) -> bool {
    let alone = place.with(&[root]);
    let Ok((custody, tried)) = alone.check_roots().await else { return false };
    let bundle = custody.state.newest_bundle().clone();
    let roots = Roots::of(vec![Arc::clone(root) as Arc<dyn RootKey>]);
    let digest = sha256(&custody.state.bundle.bytes);
    tried.len() == wrapped(&custody.state).count()
        && tried.iter().all(|tried| tried.outcome.is_ok())
        && Snapshot::unwrap(bundle, digest, &roots).await.is_ok()
}

async fn records(place: &Place, action: &str) -> usize {
    let chain = place.ledger.audit(&RingName::parse("etcd").unwrap(), 0, 1000).await.unwrap();
    chain.iter().filter(|(record, _)| record.action == action).count()
}

fn message<T: std::fmt::Debug>(outcome: Result<T, ControlError>) -> String {
    outcome.unwrap_err().to_string()
}

#[tokio::test]
async fn every_key_comes_under_the_new_root_which_then_opens_all_of_it_alone() {
    let (old, new) = (FakeRoot::make(), FakeRoot::make());
    let place = Place::new(&old, &ALL).await;
    let both = place.with(&[&old, &new]);
    let planned = both.rewrap("ann", true).await.unwrap();
    assert_eq!(planned.made.len(), 4, "the ledger key and three versions");
    assert!(!opens_all(&place, &new).await, "a dry run writes nothing");

    let done = both.rewrap("ann", false).await.unwrap();
    assert_eq!(done.made, planned.made);
    assert!(done.failed.is_empty());
    for root in [&old, &new] {
        assert!(opens_all(&place, root).await);
    }
    let state = both.state().await.unwrap();
    assert_eq!(state.head.generation, 2, "replicas must take it");
    assert_eq!(records(&place, "key.rewrapped").await, 3);
    assert_eq!(records(&place, "ledger_key.rewrapped").await, 1);

    let again = both.rewrap("ann", false).await.unwrap();
    assert!(again.made.is_empty());
    assert_eq!(both.state().await.unwrap().head.revision, state.head.revision);
}

#[tokio::test]
async fn many_keys_are_wrapped_in_parts_and_what_was_broken_off_goes_on() {
    let (old, new) = (FakeRoot::make(), FakeRoot::make());
    let mut versions = vec![VersionState::Deactivated; 69];
    versions.push(VersionState::Active);
    let place = Place::new(&old, &versions).await;
    let both = place.with(&[&old, &new]);
    {
        // Given up where it stands after the first part was committed, as a caller that goes away does.
        let mut work = std::pin::pin!(both.rewrap("ann", false));
        let mut parts = 0;
        while parts == 0 {
            tokio::select! {
                biased;
                done = &mut work => panic!("it was not broken off: {done:?}"),
                () = yield_now() => parts = records(&place, "key.rewrapped").await,
            }
        }
        assert!(parts < 70, "it was not broken off");
    }
    assert!(opens_all(&place, &old).await, "nothing is lost on the way");
    both.rewrap("ann", false).await.unwrap();
    assert!(opens_all(&place, &new).await);
    assert_eq!(records(&place, "key.rewrapped").await, 70, "none was wrapped twice");
}

#[tokio::test]
async fn root_is_removed_once_another_opens_all_and_older_bundles_go_with_it() {
    let (old, new) = (FakeRoot::make(), FakeRoot::make());
    let place = Place::new(&old, &ALL).await;
    let remove = async |controller: &Controller| {
        controller.remove_root("ann", old.id(), "moved".into()).await
    };
    place.with(&[&old, &new]).rewrap("ann", false).await.unwrap();
    let said = message(remove(&place.with(&[&old, &new])).await);
    assert!(said.contains("take it out of [[roots]] on every node"), "{said}");

    let only_new = place.with(&[&new]);
    let custody = remove(&only_new).await.unwrap();
    assert!(wrapped(&custody.state).all(|key| !key.is_under(old.id())));
    assert!(opens_all(&place, &new).await);
    assert_eq!(records(&place, "root.removed").await, 1);
    let history = place.ledger.history(&RingName::parse("etcd").unwrap()).await.unwrap();
    assert_eq!(history.bundles.len(), 1, "an older bundle has the wraps that were given up");
    assert!(
        place
            .with(&[&old])
            .state()
            .await
            .is_err_and(|error| error.to_string().contains(&new.id().to_string()))
    );
    let said = message(remove(&only_new).await);
    assert!(said.contains("no key is wrapped under root key"), "{said}");
}

#[tokio::test]
async fn root_that_alone_opens_a_key_stays_and_the_hold_on_it_is_named() {
    let (old, new) = (FakeRoot::make(), FakeRoot::make());
    let place = Place::new(&old, &ALL).await;
    place.with(&[&old, &new]).rewrap("ann", false).await.unwrap();
    // A version that the next leader made where only the old root was configured.
    let controller = place.with(&[&old, &new]);
    let state = controller.state().await.unwrap();
    let (id, _, wraps) = key(&old.key, &state.ring, 4);
    let mut draft = strongroomd::ledger::Draft::new(&state, None);
    let row = state.version(2).unwrap().clone();
    let entry = Entry {
        actor: "leader".into(),
        action: "key.staged",
        subject: id.to_string(),
        detail: String::new(),
    };
    draft.put_version(
        strongroomd::ledger::VersionRow { id: id.clone(), wraps, created: 3, ..row },
        entry,
    );
    controller.commit(draft).await.unwrap();
    let reason = "etcd backup".to_owned();
    let until = state.now + 86_400;
    let hold = Act::AddHold { first: None, last: None, until, reason };
    controller.act("ann", hold).await.unwrap();

    let said = message(place.with(&[&new]).remove_root("ann", old.id(), "moved".into()).await);
    for words in [id.as_str(), "the only one", "hold 1 of ann", "strongroom roots rewrap"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(opens_all(&place, &old).await, "nothing was changed");
}

#[tokio::test]
async fn wrap_that_nobody_saw_open_does_not_count_as_another() {
    let (old, new) = (FakeRoot::make(), FakeRoot::make());
    let place = Place::new(&old, &ALL).await;
    place.with(&[&old, &new]).rewrap("ann", false).await.unwrap();
    let controller = place.with(&[&new]);
    controller.state().await.unwrap();
    new.away(true);
    let said = message(controller.remove_root("ann", old.id(), "moved".into()).await);
    assert!(said.contains("none of these was seen to open it"), "{said}");
    new.away(false);
    controller.remove_root("ann", old.id(), "moved".into()).await.unwrap();
}

#[tokio::test]
async fn root_is_not_removed_before_every_member_serves_what_the_ledger_has() {
    let (old, new) = (FakeRoot::make(), FakeRoot::make());
    let place = Place::new(&old, &ALL).await;
    let both = place.with(&[&old, &new]);
    both.act("replica cp-2", Act::Join { replica: "cp-2".into() }).await.unwrap();
    both.rewrap("ann", false).await.unwrap();
    let said = message(place.with(&[&new]).remove_root("ann", old.id(), "moved".into()).await);
    for words in ["replica cp-2", "strongroom replicas remove cp-2"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(opens_all(&place, &old).await);
}

/// A node that serves the newest bundle with `roots`, and follows the ledger.
struct Node {
    _folder: TempDir,
    keyring: Arc<Keyring>,
    health: Arc<Health>,
    syncer: Syncer,
}

impl Node {
    async fn serving(place: &Place, roots: &Roots) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ring = RingName::parse("etcd").unwrap();
        let state = place.with_roots(roots.clone()).state().await.unwrap();
        let store = Store::new(folder.path(), ring.clone());
        store.create(&state.bundle.bytes).unwrap();
        let (keyring, health) = (Arc::new(Keyring::default()), Arc::new(Health::default()));
        let snapshot = store.load(roots).await.unwrap();
        keyring.publish(snapshot, store.bundle_path()).unwrap();
        let controller = Controller::new(ring, roots.clone(), Arc::clone(&keyring));
        let controller = controller.ready(CLUSTER).await.unwrap();
        controller.connect(Arc::clone(&place.ledger));
        let syncer = Syncer {
            controller: Arc::new(controller),
            store,
            replica: "cp-1".into(),
            reload: Arc::default(),
            health: Arc::clone(&health),
            metrics: Arc::new(Metrics::new()),
            joined: true,
            trouble: None,
        };
        Self { _folder: folder, keyring, health, syncer }
    }
}

/// The other root is configured on the node, and refuses it there: that it is named by a wrap opens nothing.
#[tokio::test]
async fn node_keeps_the_bundle_that_it_opens_until_its_other_root_opens_the_next() {
    let material = KeyMaterial::make(&SystemRandom).unwrap();
    let (old, new, new_here) = (FakeRoot::make(), FakeRoot::of(&material), FakeRoot::of(&material));
    let place = Place::new(&old, &ALL).await;
    place.with(&[&old, &new]).rewrap("ann", false).await.unwrap();
    new_here.away(true);
    let roots = Roots::of(vec![Arc::clone(&old) as _, Arc::clone(&new_here) as _]);
    let node = Node::serving(&place, &roots).await;
    place.with(&[&new]).remove_root("ann", old.id(), "moved".into()).await.unwrap();

    let Node { _folder, keyring, health, syncer } = node;
    let store = syncer.store.clone();
    let looks = async {
        while health.troubles().is_empty() {
            yield_now().await;
        }
        let trouble = health.troubles().swap_remove(0);
        // As after a restart.
        let kept = store.load(&roots).await;
        assert!(kept.is_ok(), "what it had is lost: {trouble}");
        assert!(trouble.contains("keeps the keys that it has"), "{trouble}");
        new_here.away(false);
        // Which makes it look at once.
        keyring.publish(kept.unwrap(), store.bundle_path()).unwrap();
        while store.load(&roots).await.unwrap().generation() < 3 {
            yield_now().await;
        }
    };
    tokio::select! {
        never = syncer.run() => match never {},
        looked = timeout(Duration::from_secs(30), looks) => {
            assert!(looked.is_ok(), "{:?}", health.troubles());
        }
    }
}

/// A third root that hangs: every key would wait for it.
#[tokio::test]
async fn root_that_hangs_does_not_hold_up_the_removal_of_another() {
    let (old, hangs, new) = (FakeRoot::make(), FakeRoot::make(), FakeRoot::make());
    let mut versions = vec![VersionState::Deactivated; 69];
    versions.push(VersionState::Active);
    let place = Place::new(&old, &versions).await;
    place.with(&[&old, &hangs, &new]).rewrap("ann", false).await.unwrap();
    let controller = place.with(&[&hangs, &new]);
    controller.state().await.unwrap();
    hangs.hangs(true);
    let removed = controller.remove_root("ann", old.id(), "moved".into());
    timeout(Duration::from_secs(10), removed).await.unwrap().unwrap();
}

/// Longer than an admin call may take, the same keys would be tried first every time, and the last ones never.
#[tokio::test]
async fn root_that_hangs_does_not_keep_keys_from_coming_under_another() {
    let (old, hangs, new) = (FakeRoot::make(), FakeRoot::make(), FakeRoot::make());
    let mut versions = vec![VersionState::Deactivated; 99];
    versions.push(VersionState::Active);
    let place = Place::new(&old, &versions).await;
    hangs.hangs(true);
    let all = place.with(&[&old, &hangs, &new]);
    let done = timeout(Duration::from_secs(20), all.rewrap("ann", false)).await.unwrap().unwrap();
    assert_eq!((done.made.len(), done.failed.len()), (101, 101));
    assert!(opens_all(&place, &new).await);
}

/// As a corrupted proxy before it would make it.
#[tokio::test]
async fn root_that_opens_to_another_key_is_found_out_and_is_wrapped_under_by_nothing() {
    let (old, new) = (FakeRoot::make(), FakeRoot::make());
    let place = Place::new(&old, &ALL).await;
    let both = place.with(&[&old, &new]);
    new.lies(true);
    let done = both.rewrap("ann", false).await.unwrap();
    assert!(done.made.is_empty(), "{:?}", done.made);
    assert_eq!(done.failed.len(), 4);
    assert!(done.failed.iter().all(|(_, why)| why.contains("another key")), "{:?}", done.failed);

    new.lies(false);
    both.rewrap("ann", false).await.unwrap();
    new.lies(true);
    let (_, tried) = both.check_roots().await.unwrap();
    for tried in tried {
        assert_eq!(tried.outcome.is_ok(), tried.root == old.id(), "{tried:?}");
    }
}

#[tokio::test]
async fn root_lost_for_good_costs_nothing_and_a_third_restores_redundancy() {
    let (lost, kept, third) = (FakeRoot::make(), FakeRoot::make(), FakeRoot::make());
    let place = Place::new(&lost, &ALL).await;
    place.with(&[&lost, &kept]).rewrap("ann", false).await.unwrap();
    lost.away(true);
    let (_, tried) = place.with(&[&lost, &kept]).check_roots().await.unwrap();
    assert_eq!(tried.len(), 8);
    for tried in &tried {
        assert_eq!(tried.outcome.is_ok(), tried.root == kept.id(), "{tried:?}");
    }
    let done = place.with(&[&lost, &kept, &third]).rewrap("ann", false).await.unwrap();
    assert!(done.failed.is_empty(), "{:?}", done.failed);
    assert!(opens_all(&place, &third).await);
    place.with(&[&kept, &third]).remove_root("ann", lost.id(), "burned".into()).await.unwrap();
    for root in [&kept, &third] {
        assert!(opens_all(&place, root).await);
    }
}

/// The wraps in `clusters` have no MAC. Those of the newest bundle have one, and only they are used and handed on.
#[tokio::test]
async fn wraps_of_the_ledger_key_that_somebody_put_into_the_database_come_into_no_bundle() {
    let (old, stranger) = (FakeRoot::make(), FakeRoot::make());
    let place = Place::new(&old, &ALL).await;
    let controller = place.with(&[&old]);
    let mut rows = place.ledger.read(controller.ring()).await.unwrap().unwrap();
    let id = rows.cluster.ledger_key.id.clone();
    let context = Context { purpose: Purpose::Key, key_id: &id };
    let garbage = KeyMaterial::make(&SystemRandom).unwrap();
    let wrap = stranger.key.wrap(&garbage, &context, &SystemRandom).unwrap();
    rows.cluster.ledger_key.wraps = vec![wrap];
    assert_eq!(rows.ledger_key().wraps[0].root(), old.id());
    let believed = controller.state().await.unwrap();
    let key = controller.key(&believed.cluster).await.unwrap();
    let state = State::verify(rows, &key).unwrap();
    let mut draft = strongroomd::ledger::Draft::new(&state, None);
    draft.publish_above(state.head.generation);
    let change = draft.seal(&key).unwrap();
    let bundle = envelope::bundle::UnverifiedBundle::parse(&change.bundle.as_ref().unwrap().bytes)
        .unwrap()
        .ledger()
        .clone();
    assert_eq!(bundle.wraps[0].root(), old.id());
}

/// The ledger comes back as it was before the move, under a root that is gone. Only the nodes know the new wraps.
#[tokio::test]
async fn ledger_from_before_the_move_takes_the_new_wraps_from_a_node() {
    let (old, new) = (FakeRoot::make(), FakeRoot::make());
    let place = Place::new(&old, &ALL).await;
    let both = place.with(&[&old, &new]);
    let before = both.state().await.unwrap();
    both.rewrap("ann", false).await.unwrap();
    let moved = place.with(&[&new]).remove_root("ann", old.id(), "moved".into()).await.unwrap();

    let mut draft = strongroomd::ledger::Draft::new(&before, None);
    assert!(adopt(&mut draft, moved.state.newest_bundle(), "ann").unwrap());
    let key = both.key(&before.cluster).await.unwrap();
    let change = draft.seal(&key).unwrap();
    let mut rows = before.clone().into_rows();
    rows.apply(&change);
    let mended = State::verify(rows, &key).unwrap();
    assert!(wrapped(&mended).all(|key| key.is_under(new.id())));

    let mut again = strongroomd::ledger::Draft::new(&mended, None);
    assert!(adopt(&mut again, moved.state.newest_bundle(), "ann").unwrap());
    assert!(again.is_empty());
}
