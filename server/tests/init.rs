//! The first keys: what `init` refuses, and what it leaves room for.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fs, os::unix::fs::symlink, path::Path, sync::Arc};

use envelope::{
    Accepted, Context, KeyId, Purpose, RingName, SystemRandom, bundle::WrappedLedgerKey,
};
use strongroomd::{
    clock::SystemClock,
    config::Config,
    init::{self, NodeOutcome, Outcome},
    ledger,
    root::{LocalFile, Roots},
    rotation::{Act, Control as _, Controller},
};

fn config(dir: &Path, roots: &[&str]) -> Config {
    Config::parse(&text(dir, roots)).unwrap()
}

fn text(dir: &Path, roots: &[&str]) -> String {
    let mut text = format!(
        "[kms]\nsocket = {:?}\n[bundle]\ndir = {:?}\n",
        dir.join("kms.sock"),
        dir.join("bundle")
    );
    for name in roots {
        text += &format!("[[roots]]\nkind = \"local\"\nfile = {:?}\n", dir.join(name));
    }
    text
}

/// It would find the same bundle at every later start, whatever the ledger has by then.
#[tokio::test]
async fn node_joins_with_no_bundle_that_it_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let with = |roots: &[&str]| {
        let ledger = format!("[ledger]\nfile = {:?}\n", folder.path().join("ledger.db"));
        Config::parse(&(text(folder.path(), roots) + &ledger)).unwrap()
    };
    let (first, second) = (with(&["a.key"]), with(&["b.key"]));
    init::init(&first, None, &SystemClock).await.unwrap();
    LocalFile::create(&folder.path().join("b.key"), &SystemRandom).unwrap();
    fs::remove_file(folder.path().join("bundle/etcd.bundle")).unwrap();

    // The ledger key is under its root key already, and the version is not.
    let both = Roots::open(&with(&["a.key", "b.key"]).roots).await.unwrap();
    let own = Roots::open(&second.roots).await.unwrap();
    let controller =
        Controller::new(RingName::parse("etcd").unwrap(), both.clone(), Arc::default());
    let cluster = ledger::cluster(&first).unwrap().unwrap();
    let database = first.ledger.unwrap().database;
    controller.connect(ledger::connect(&database, cluster).await.unwrap());
    let WrappedLedgerKey { id, wraps } =
        controller.state().await.unwrap().cluster.ledger_key.clone();
    let context = Context { purpose: Purpose::Key, key_id: &id };
    let (key, _) = both.unwrap(&wraps, context).await.unwrap();
    let made = own.wrap(&key, context).await.unwrap();
    let rewrap = Act::Rewrap { made: [(id.clone(), made)].into() };
    controller.act("ann", rewrap).await.unwrap();

    let refused = init::join(&second, &own).await.unwrap_err().to_string();
    assert!(refused.contains("etcd/v1/") && refused.contains("wrong root key"), "{refused}");
    assert!(!folder.path().join("bundle/etcd.bundle").exists());
    controller.rewrap("ann", false).await.unwrap();
    assert!(init::join(&second, &own).await.unwrap());
}

/// docs/operations.md, "the bundle, everywhere": init --first-version N, and what is stored opens. `etcd.accepted` is not
/// the bundle, and nobody said to remove it.
#[tokio::test]
async fn ring_that_is_begun_again_is_accepted_where_a_higher_generation_was() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), &["root.key"]);
    init::init(&config, None, &SystemClock).await.unwrap();
    let bundle = folder.path().join("bundle");
    // What 6 rotations leave behind.
    fs::write(bundle.join("etcd.accepted"), Accepted(7).encode()).unwrap();
    fs::remove_file(bundle.join("etcd.bundle")).unwrap();

    init::init(&config, Some(8), &SystemClock).await.unwrap();
    let roots = Roots::open(&config.roots).await.unwrap();
    let loaded = init::store(&config).unwrap().load(&roots).await.map(drop);
    assert!(loaded.is_ok(), "{}", loaded.unwrap_err());
}

/// The same key under two paths: refused, by words that say so, and before anything is made.
#[tokio::test]
async fn two_paths_to_one_root_key_are_refused_with_words() {
    let folder = tempfile::tempdir().unwrap();
    init::init(&config(folder.path(), &["a.key"]), None, &SystemClock).await.unwrap();
    fs::remove_dir_all(folder.path().join("bundle")).unwrap();
    fs::copy(folder.path().join("a.key"), folder.path().join("b.key")).unwrap();
    let twice = config(folder.path(), &["a.key", "b.key"]);
    let error = init::init(&twice, Some(2), &SystemClock).await.unwrap_err().to_string();
    assert!(error.contains("b.key"), "what is wrong, and where? {error}");
}

/// A dangling link: serve says "nothing is initialised, run init", and init says "already initialised".
#[tokio::test]
async fn init_does_not_call_a_dangling_link_initialised() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), &["root.key"]);
    init::init(&config, None, &SystemClock).await.unwrap();
    let bundle = folder.path().join("bundle/etcd.bundle");
    fs::remove_file(&bundle).unwrap();
    symlink(folder.path().join("not-mounted"), &bundle).unwrap();
    let outcome = init::init(&config, None, &SystemClock).await;
    assert!(
        !matches!(outcome, Ok(Outcome { node: NodeOutcome::Existing { .. }, .. })),
        "{outcome:?}"
    );
}

/// Version numbers only grow: a ring whose first version is the last number can never rotate.
#[tokio::test]
async fn first_version_leaves_room_for_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), &["root.key"]);
    let outcome = init::init(&config, Some(u32::MAX), &SystemClock).await;
    assert!(outcome.is_err(), "{outcome:?}");
}

/// What init says it made is what lies there, also where two ran at once.
#[test]
fn two_at_once_do_not_both_claim_a_key() {
    for _ in 0..200 {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), &["root.key"]);
        let run = || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(init::init(&config, None, &SystemClock))
        };
        let outcomes = std::thread::scope(|scope| {
            [(); 2].map(|()| scope.spawn(run)).map(|thread| thread.join().unwrap())
        });
        let claimed: Vec<&KeyId> = outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                Ok(Outcome { node: NodeOutcome::Made { key_id, .. }, .. }) => Some(key_id),
                _ => None,
            })
            .collect();
        assert!(claimed.len() <= 1, "two keys were made for one ring: {claimed:?}");
        let Some(claimed) = claimed.first() else { continue };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let served = runtime.block_on(async {
            let roots = Roots::open(&config.roots).await.unwrap();
            let snapshot = init::store(&config).unwrap().load(&roots).await.unwrap();
            snapshot.active().id().clone()
        });
        assert_eq!(**claimed, served, "{outcomes:?}");
    }
}
