//! Reloading: files that change at the wrong moment, roots that are away at the wrong moment, old bundles in a daemon that runs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use envelope::{
    Bundle, Context, KeyId, KeyMaterial, LedgerKey, LocalRoot, Purpose, RingName, SystemRandom,
    bundle::{State, UnverifiedBundle, Version},
};
use strongroomd::{
    clock::SystemClock,
    config::Config,
    health::Health,
    init,
    keyring::Keyring,
    metrics::Metrics,
    reload::{Last, Reloader},
    root::Roots,
};
use tempfile::TempDir;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use fake_root::FakeRoot;

#[expect(dead_code, reason = "the tests of recovery use all of it")]
#[path = "support/fake_root.rs"]
mod fake_root;

struct Node {
    folder: TempDir,
    config: Config,
    reloader: Option<Reloader>,
    keyring: Arc<Keyring>,
    health: Arc<Health>,
}

impl Node {
    async fn make() -> Self {
        Self::with_roots(&["root.key"]).await
    }

    async fn with_roots(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let mut text = format!(
            "[kms]\nsocket = {:?}\n[bundle]\ndir = {:?}\n",
            dir.join("kms.sock"),
            dir.join("bundle")
        );
        for name in names {
            text += &format!("[[roots]]\nkind = \"local\"\nfile = {:?}\n", dir.join(name));
        }
        let config = Config::parse(&text).unwrap();
        init::init(&config, None, &SystemClock).await.unwrap();
        let (keyring, health) = (Arc::new(Keyring::default()), Arc::new(Health::default()));
        let reloader = Reloader {
            store: init::store(&config).unwrap(),
            roots: Roots::open(&config.roots).await.unwrap(),
            keyring: Arc::clone(&keyring),
            health: Arc::clone(&health),
            metrics: Arc::new(Metrics::new()),
            now: Arc::default(),
            last: Last::default(),
        };
        Self { folder, config, reloader: Some(reloader), keyring, health }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn bundle(&self) -> PathBuf {
        self.path("bundle/etcd.bundle")
    }

    async fn load(&mut self) -> Result<(), strongroomd::keyring::LoadError> {
        self.reloader.as_mut().unwrap().load().await
    }

    /// Starts the background work.
    fn run(&mut self) {
        let reloader = self.reloader.take().unwrap();
        tokio::spawn(reloader.run(signal(SignalKind::hangup()).unwrap()));
    }

    fn generation(&self) -> u64 {
        self.keyring.snapshot().unwrap().generation()
    }
}

/// Who holds the first root and the ledger key.
struct Holder {
    root: LocalRoot,
    ledger: LedgerKey,
    bundle: Bundle,
}

impl Holder {
    fn of(node: &Node) -> Self {
        let root = KeyMaterial::copy_from(&fs::read(&*root_path(&node.config)).unwrap()).unwrap();
        let root = LocalRoot::new(&root);
        let bytes = fs::read(node.bundle()).unwrap();
        let unverified = UnverifiedBundle::parse(&bytes).unwrap();
        let ledger = unverified.ledger().clone();
        let wrap = ledger.wraps.iter().find(|wrap| wrap.root() == root.id()).unwrap();
        let context = Context { purpose: Purpose::Key, key_id: &ledger.id };
        let key = root.unwrap(wrap, &context).unwrap();
        let ledger = LedgerKey::new(ledger.id.clone(), key).unwrap();
        let bundle = unverified.verify(&ledger).unwrap();
        Self { root, ledger, bundle }
    }

    fn version(&self, number: u32, state: State) -> Version {
        let key = KeyMaterial::make(&SystemRandom).unwrap();
        let id = KeyId::derive(RingName::parse("etcd").unwrap(), number, &key).unwrap();
        let context = Context { purpose: Purpose::Key, key_id: &id };
        let wraps = vec![self.root.wrap(&key, &context, &SystemRandom).unwrap()];
        Version { id, state, created: 1, activated: Some(1), wraps }
    }

    fn first(&self, state: State) -> Version {
        Version { state, ..self.bundle.versions()[0].clone() }
    }

    fn encode(&self, generation: u64, versions: Vec<Version>) -> Vec<u8> {
        let ring = self.bundle.ring().clone();
        let bundle = Bundle::new(ring, generation, self.bundle.ledger().clone(), versions).unwrap();
        bundle.encode(&self.ledger).unwrap()
    }

    /// Version 1 retired, version 2 active.
    fn rotated(&self, generation: u64) -> Vec<u8> {
        let versions = vec![self.first(State::Deactivated), self.version(2, State::Active)];
        self.encode(generation, versions)
    }
}

fn root_path(config: &Config) -> Box<Path> {
    let strongroomd::config::Root::Local { file } = &config.roots[0] else {
        unreachable!("every root here is a file")
    };
    Box::from(&**file)
}

fn publish(path: &Path, bytes: &[u8]) {
    let tmp = path.with_extension("tmp");
    fs::write(&tmp, bytes).unwrap();
    fs::rename(tmp, path).unwrap();
}

#[tokio::test(start_paused = true)]
async fn bundle_that_is_replaced_between_the_first_load_and_the_watch_is_loaded() {
    let mut node = Node::make().await;
    node.load().await.unwrap();
    publish(&node.bundle(), &Holder::of(&node).rotated(2));
    node.run();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(node.generation(), 2, "a minute later");
}

/// The file does not change again.
#[tokio::test(start_paused = true)]
async fn bundle_that_a_root_did_not_open_is_tried_again_when_the_root_is_back() {
    let mut node = Node::make().await;
    node.load().await.unwrap();
    let next = Holder::of(&node).rotated(2);
    node.run();
    sleep(Duration::from_secs(5)).await;

    fs::rename(node.path("root.key"), node.path("away")).unwrap();
    publish(&node.bundle(), &next);
    sleep(Duration::from_secs(5)).await;
    assert!(node.health.troubles().iter().any(|trouble| trouble.starts_with("bundle")));
    fs::rename(node.path("away"), node.path("root.key")).unwrap();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(
        node.generation(),
        2,
        "ten minutes after the root is back: {:?}",
        node.health.troubles()
    );
}

/// "Any one opens it" (DESIGN section 1, deploy/strongroomd.toml): the preferred root is gone, the other works.
#[tokio::test(start_paused = true)]
async fn second_root_opens_what_the_first_cannot() {
    let mut node = Node::with_roots(&["a.key", "b.key"]).await;
    node.load().await.unwrap();
    let holder = Holder::of(&node);
    fs::remove_file(node.path("a.key")).unwrap();
    publish(&node.bundle(), &holder.encode(2, holder.bundle.versions().to_vec()));
    node.run();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(node.generation(), 2, "{:?}", node.health.troubles());
}

/// The same at start: losing a region, or an account, loses nothing.
#[tokio::test]
async fn roots_open_although_one_of_them_is_away() {
    let node = Node::with_roots(&["a.key", "b.key"]).await;
    fs::remove_file(node.path("b.key")).unwrap();
    let roots = Roots::open(&node.config.roots).await;
    assert!(roots.is_ok(), "{:?}", roots.map(drop));
}

/// The accepted generation could not be written (disk full), which is only a warning. From then on any older bundle is
/// taken, by a daemon that knows better: key ids go A, B, A.
#[tokio::test]
async fn running_daemon_refuses_an_older_bundle_also_where_it_could_not_write_down_the_newer_one() {
    let mut node = Node::make().await;
    node.load().await.unwrap();
    let old = fs::read(node.bundle()).unwrap();
    let first = node.keyring.status().unwrap().key_id;
    let next = Holder::of(&node).rotated(2);
    // What a full disk does: nothing new can be made there.
    fs::create_dir(node.path("bundle/.etcd.accepted.tmp")).unwrap();
    publish(&node.bundle(), &next);
    node.load().await.unwrap();
    let second = node.keyring.status().unwrap().key_id;
    assert_ne!(first, second);

    publish(&node.bundle(), &old);
    let loaded = node.load().await;
    assert_eq!(node.keyring.status().unwrap().key_id, second, "A, B, A");
    assert!(loaded.is_err(), "generation 1 after 2");
}

/// Who writes the folder removes `etcd.accepted` too. The daemon that runs has not forgotten.
#[tokio::test]
async fn running_daemon_refuses_an_older_bundle_also_where_the_accepted_generation_was_removed() {
    let mut node = Node::make().await;
    node.load().await.unwrap();
    let old = fs::read(node.bundle()).unwrap();
    publish(&node.bundle(), &Holder::of(&node).rotated(2));
    node.load().await.unwrap();
    let second = node.keyring.status().unwrap().key_id;

    fs::remove_file(node.path("bundle/etcd.accepted")).unwrap();
    publish(&node.bundle(), &old);
    let loaded = node.load().await;
    assert_eq!(node.keyring.status().unwrap().key_id, second, "A, B, A");
    assert!(loaded.is_err(), "generation 1 after 2");
}

#[tokio::test(start_paused = true)]
async fn accepted_generation_is_written_once_the_disk_takes_it() {
    let mut node = Node::make().await;
    fs::create_dir(node.path("bundle/.etcd.accepted.tmp")).unwrap();
    node.load().await.unwrap();
    node.run();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(node.health.troubles().len(), 1, "{:?}", node.health.troubles());
    fs::remove_dir(node.path("bundle/.etcd.accepted.tmp")).unwrap();
    sleep(Duration::from_secs(600)).await;
    assert!(node.path("bundle/etcd.accepted").exists(), "{:?}", node.health.troubles());
}

/// Two bundles of one generation are two histories (two people ran `init --first-version`): who takes both, in turn, lets
/// key ids go A, B, A.
#[tokio::test]
async fn bundle_of_the_generation_that_is_served_and_with_other_content_is_refused() {
    let mut node = Node::make().await;
    node.load().await.unwrap();
    let old = fs::read(node.bundle()).unwrap();
    let mut named = vec![node.keyring.status().unwrap().key_id];
    let other = Holder::of(&node).rotated(1);
    for bytes in [other, old] {
        publish(&node.bundle(), &bytes);
        let _ = node.load().await;
        named.push(node.keyring.status().unwrap().key_id);
    }
    named.dedup();
    assert_eq!(named.len(), 1, "{named:?}");
}

/// "Encrypt … never for an older one afterwards" (keyring.rs): a later generation makes an older version active again and
/// closes the newer one.
#[tokio::test]
async fn active_version_never_goes_back() {
    let mut node = Node::make().await;
    node.load().await.unwrap();
    let holder = Holder::of(&node);
    let mut named = vec![node.keyring.status().unwrap().key_id];
    let second = holder.version(2, State::Active);
    publish(
        &node.bundle(),
        &holder.encode(2, vec![holder.first(State::Deactivated), second.clone()]),
    );
    node.load().await.unwrap();
    named.push(node.keyring.status().unwrap().key_id);
    let second = Version { state: State::Compromised, ..second };
    publish(&node.bundle(), &holder.encode(3, vec![holder.first(State::Active), second]));
    let _ = node.load().await;
    assert!(!named[..1].contains(&node.keyring.status().unwrap().key_id), "A, B, A: {named:?}");
}

/// A bundle that was damaged in place, and put back in place with its own time (`cp -p`, `rsync --inplace -t`): inode,
/// length and time of modification are those of the damaged one, and nobody looks again.
#[tokio::test(start_paused = true)]
async fn bundle_that_is_mended_in_place_is_loaded() {
    let mut node = Node::make().await;
    node.load().await.unwrap();
    let next = Holder::of(&node).rotated(2);
    node.run();
    sleep(Duration::from_secs(5)).await;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let write = |bytes: &[u8]| {
        let mut file = fs::OpenOptions::new().write(true).open(node.bundle()).unwrap();
        file.write_all(bytes).unwrap();
        file.set_modified(time).unwrap();
    };
    let mut torn = next.clone();
    *torn.last_mut().unwrap() ^= 1;
    write(&torn);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(node.health.troubles().len(), 1, "{:?}", node.health.troubles());
    write(&next);
    sleep(Duration::from_secs(600)).await;
    assert_eq!(node.generation(), 2, "{:?}", node.health.troubles());
}

#[tokio::test(start_paused = true)]
async fn reload_that_met_a_hanging_root_is_tried_again() {
    let mut node = Node::make().await;
    node.load().await.unwrap();
    let key = KeyMaterial::copy_from(&fs::read(node.path("root.key")).unwrap()).unwrap();
    let root = FakeRoot::of(&key);
    node.reloader.as_mut().unwrap().roots = Roots::of(vec![Arc::clone(&root) as _]);
    root.hangs(true);
    publish(&node.bundle(), &Holder::of(&node).rotated(2));
    node.run();
    sleep(Duration::from_secs(30)).await;
    assert!(node.health.troubles()[0].contains("did not answer"), "{:?}", node.health.troubles());
    root.hangs(false);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(node.generation(), 2, "{:?}", node.health.troubles());
    assert!(node.health.troubles().is_empty());
}
