//! Several roots, when some are slow, away, or come back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use envelope::{
    Bundle, Context, KeyId, KeyMaterial, LedgerKey, Purpose, RingName, SystemRandom, WrappedKey,
    audit::sha256,
    bundle::{State, Version, WrappedLedgerKey},
};
use strongroomd::{
    config::Config,
    health::Health,
    keyring::{Entry, Keyring, Snapshot, Store},
    metrics::Metrics,
    probe::Prober,
    root::{
        Checked, LocalFile, OpenRootError, RootErrorKind, RootKey, Roots, UnwrapError, Warning,
    },
};
use tokio::time::{Instant, sleep, timeout};

use fake_root::FakeRoot;

#[path = "support/fake_root.rs"]
#[expect(dead_code, reason = "the tests of a provider that rotates use the rest")]
mod fake_root;

/// A key under each of these roots.
struct Wrapped {
    key: KeyMaterial,
    id: KeyId,
    wraps: Vec<WrappedKey>,
}

impl Wrapped {
    fn under(roots: &[&Arc<FakeRoot>], number: u32) -> Self {
        let key = KeyMaterial::make(&SystemRandom).unwrap();
        let id = KeyId::derive(RingName::parse("etcd").unwrap(), number, &key).unwrap();
        let context = Context { purpose: Purpose::Key, key_id: &id };
        let wrap = |root: &&Arc<FakeRoot>| root.key.wrap(&key, &context, &SystemRandom).unwrap();
        let mut wraps: Vec<_> = roots.iter().map(wrap).collect();
        wraps.sort_by_key(WrappedKey::root);
        Self { key, id, wraps }
    }

    fn context(&self) -> Context<'_> {
        Context { purpose: Purpose::Key, key_id: &self.id }
    }

    /// Who opened it, and after how long.
    async fn opened_by(&self, roots: &Roots) -> (envelope::RootId, Duration) {
        let began = Instant::now();
        let (key, wrapped) = roots.unwrap(&self.wraps, self.context()).await.unwrap();
        assert!(key.ct_eq(&self.key));
        (wrapped.root(), began.elapsed())
    }
}

fn two() -> (Arc<FakeRoot>, Arc<FakeRoot>, Roots) {
    let (a, b) = (FakeRoot::make(), FakeRoot::make());
    let roots = Roots::of(vec![Arc::clone(&a) as _, Arc::clone(&b) as _]);
    (a, b, roots)
}

fn prober(roots: &Roots) -> (Prober, Arc<Health>, Arc<Metrics>) {
    let (health, metrics) = (Arc::new(Health::default()), Arc::new(Metrics::new()));
    let prober = Prober {
        roots: roots.clone(),
        keyring: Arc::new(Keyring::default()),
        health: Arc::clone(&health),
        metrics: Arc::clone(&metrics),
        now: Arc::default(),
    };
    (prober, health, metrics)
}

#[tokio::test(start_paused = true)]
async fn preferred_root_is_asked_alone_while_it_is_quick() {
    let (a, b, roots) = two();
    a.takes(Duration::from_millis(250));
    let wrapped = Wrapped::under(&[&a, &b], 1);
    assert_eq!(wrapped.opened_by(&roots).await.0, a.id());
    assert_eq!((a.asked(), b.asked()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn next_root_is_asked_after_300_ms_and_the_first_answer_counts() {
    let (a, b, roots) = two();
    a.hangs(true);
    b.takes(Duration::from_millis(40));
    let (by, took) = Wrapped::under(&[&a, &b], 1).opened_by(&roots).await;
    assert_eq!(by, b.id());
    assert!(took >= Duration::from_millis(340) && took < Duration::from_millis(360), "{took:?}");

    // A preferred one that is only slow may still be the first.
    a.hangs(false);
    a.takes(Duration::from_millis(400));
    b.takes(Duration::from_millis(500));
    let (by, took) = Wrapped::under(&[&a, &b], 2).opened_by(&roots).await;
    assert_eq!(by, a.id());
    assert!(took < Duration::from_millis(420), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn root_that_fails_costs_no_wait_for_the_next() {
    let (a, b, roots) = two();
    a.away(true);
    let (by, took) = Wrapped::under(&[&a, &b], 1).opened_by(&roots).await;
    assert_eq!((by, took), (b.id(), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn every_root_gets_its_turn_and_its_failure_is_told() {
    let (a, b, roots) = two();
    a.hangs(true);
    b.away(true);
    let wrapped = Wrapped::under(&[&a, &b], 1);
    let began = Instant::now();
    let error = roots.unwrap(&wrapped.wraps, wrapped.context()).await.unwrap_err();
    let UnwrapError::Root(error) = error else { panic!("{error}") };
    assert_eq!(error.kind, RootErrorKind::Unavailable);
    assert_eq!(error.message, "no answer within 4 seconds");
    assert_eq!(began.elapsed(), Duration::from_secs(4));
    assert_eq!((a.asked(), b.asked()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn root_that_hangs_costs_one_caller_its_deadline_and_the_others_nothing() {
    let a = FakeRoot::make();
    let roots = Roots::of(vec![Arc::clone(&a) as _]);
    a.hangs(true);
    let wrapped = Wrapped::under(&[&a], 1);
    roots.unwrap(&wrapped.wraps, wrapped.context()).await.unwrap_err();
    let began = Instant::now();
    for number in 2..100 {
        let wrapped = Wrapped::under(&[&a], number);
        let error = roots.unwrap(&wrapped.wraps, wrapped.context()).await.unwrap_err();
        assert!(error.to_string().contains("left alone until a probe"), "{error}");
    }
    assert!(
        roots
            .wrap(&wrapped.key, wrapped.context())
            .await
            .is_err_and(|error| { error.kind == RootErrorKind::Unavailable })
    );
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(a.asked(), 1);
}

/// A caller that has a shorter deadline of its own, as a recovery within a call of kube-apiserver.
#[tokio::test(start_paused = true)]
async fn call_that_its_caller_gave_up_counts_too() {
    let a = FakeRoot::make();
    let roots = Roots::of(vec![Arc::clone(&a) as _]);
    a.hangs(true);
    let wrapped = Wrapped::under(&[&a], 1);
    for (limit, hangs) in [(1900, 0), (2500, 1)] {
        let call = roots.unwrap(&wrapped.wraps, wrapped.context());
        assert!(timeout(Duration::from_millis(limit), call).await.is_err(), "{limit} ms");
        assert_eq!(roots.hanging().len(), hangs, "after {limit} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn root_that_was_slower_than_the_next_is_not_taken_for_hanging() {
    let (a, b, roots) = two();
    a.hangs(true);
    for number in 1..20 {
        assert_eq!(Wrapped::under(&[&a, &b], number).opened_by(&roots).await.0, b.id());
    }
    assert!(roots.hanging().is_empty());
}

#[tokio::test(start_paused = true)]
async fn probe_finds_a_root_that_hung_back_within_seconds() {
    let a = FakeRoot::make();
    let roots = Roots::of(vec![Arc::clone(&a) as _]);
    let (prober, health, _) = prober(&roots);
    tokio::spawn(prober.run());
    a.hangs(true);
    let wrapped = Wrapped::under(&[&a], 1);
    roots.unwrap(&wrapped.wraps, wrapped.context()).await.unwrap_err();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(roots.hanging(), [a.id()]);
    assert!(
        health.troubles()[0].contains("no answer within 10 seconds"),
        "{:?}",
        health.troubles()
    );

    a.hangs(false);
    sleep(Duration::from_secs(16)).await;
    assert!(roots.hanging().is_empty());
    assert_eq!(wrapped.opened_by(&roots).await.0, a.id());
    assert_eq!(health.troubles(), [""; 0]);
}

/// Who may see the key need not be allowed to use it: the shallow probes in between must not call it well.
#[tokio::test(start_paused = true)]
async fn root_that_answers_and_does_nothing_stays_degraded() {
    let a = FakeRoot::make();
    let roots = Roots::of(vec![Arc::clone(&a) as _]);
    let (prober, health, metrics) = prober(&roots);
    tokio::spawn(prober.run());
    a.wraps_nothing(true);
    sleep(Duration::from_secs(301)).await;
    for _ in 0..9 {
        sleep(Duration::from_secs(30)).await;
        assert_eq!(health.troubles().len(), 1);
        assert!(metrics.render().unwrap().contains(&format!("root_up{{root=\"{}\"}} 0", a.id())));
    }
    a.wraps_nothing(false);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(health.troubles(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_a_provider_says_of_its_key_is_told_and_counted() {
    let a = FakeRoot::make();
    let roots = Roots::of(vec![Arc::clone(&a) as _]);
    let (prober, health, metrics) = prober(&roots);
    tokio::spawn(prober.run());
    let warning = |works, ends| Warning { message: "do this".into(), works, ends };
    let cases = [
        (None, "1", None),
        (Some(warning(true, Some(1_800_000_000))), "1", Some("1800000000")),
        (Some(warning(false, Some(1_800_000_001))), "0", Some("1800000001")),
        (None, "1", None),
    ];
    for (number, (warning, up, ends)) in cases.into_iter().enumerate() {
        let material = Some(format!("aa{number}"));
        let said = Checked { material, warning: warning.clone() };
        a.says(said.clone());
        sleep(Duration::from_secs(31)).await;
        assert_eq!(roots.checked(), [(a.id(), said)]);
        assert_eq!(health.troubles().len(), usize::from(warning.is_some()));
        let exported = metrics.render().unwrap();
        assert!(exported.contains(&format!("root_up{{root=\"{}\"}} {up}\n", a.id())), "{exported}");
        let told = exported.lines().find_map(|line| {
            line.strip_prefix("strongroom_root_ends_timestamp_seconds{")?.rsplit(' ').next()
        });
        assert_eq!(told, ends);
    }
}

#[tokio::test(start_paused = true)]
async fn callers_with_the_same_question_share_one_call() {
    let a = FakeRoot::make();
    let roots = Roots::of(vec![Arc::clone(&a) as _]);
    a.takes(Duration::from_millis(100));
    let (one, other) = (Wrapped::under(&[&a], 1), Wrapped::under(&[&a], 2));
    let (x, y, z) = tokio::join!(
        one.opened_by(&roots),
        async {
            sleep(Duration::from_millis(50)).await;
            one.opened_by(&roots).await
        },
        other.opened_by(&roots)
    );
    assert_eq!([x.1, y.1, z.1].map(|it| it.as_millis()), [100, 50, 100]);
    assert_eq!(a.asked(), 2, "one for each key");
    one.opened_by(&roots).await;
    assert_eq!(a.asked(), 3, "nothing is remembered after the answer");
}

#[tokio::test(start_paused = true)]
async fn caller_that_goes_takes_the_answer_from_nobody() {
    let a = FakeRoot::make();
    let roots = Roots::of(vec![Arc::clone(&a) as _]);
    a.takes(Duration::from_millis(100));
    let wrapped = Wrapped::under(&[&a], 1);
    let gone = timeout(Duration::from_millis(10), roots.unwrap(&wrapped.wraps, wrapped.context()));
    let (gone, stays) = tokio::join!(gone, wrapped.opened_by(&roots));
    assert!(gone.is_err());
    assert_eq!(stays.0, a.id());
    assert_eq!(a.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn key_is_wrapped_under_all_roots_at_once_or_not_at_all() {
    let (a, b, roots) = two();
    a.takes(Duration::from_millis(100));
    b.takes(Duration::from_millis(100));
    let wrapped = Wrapped::under(&[], 1);
    let began = Instant::now();
    let wraps = roots.wrap(&wrapped.key, wrapped.context()).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_millis(200), "wrapped, and opened again");
    let mut expected = [a.id(), b.id()];
    expected.sort();
    assert_eq!(wraps.iter().map(WrappedKey::root).collect::<Vec<_>>(), expected);

    b.away(true);
    let error = roots.wrap(&wrapped.key, wrapped.context()).await.unwrap_err();
    assert_eq!(error.kind, RootErrorKind::Unavailable);
}

/// Nobody would ask a root that is not the first before it is the last.
#[tokio::test]
async fn wrap_that_its_root_does_not_open_again_is_not_made() {
    let (_, b, roots) = two();
    b.lies(true);
    let wrapped = Wrapped::under(&[], 1);
    let error = roots.wrap(&wrapped.key, wrapped.context()).await.unwrap_err();
    assert_eq!(error.kind, RootErrorKind::Corrupt);
    assert!(error.message.contains("another key for etcd/v1/"), "{error}");
}

/// A bundle of 50 versions, with the ledger key, under `root`.
fn fifty(root: &Arc<FakeRoot>) -> (Bundle, Vec<u8>) {
    let ring = RingName::parse("etcd").unwrap();
    let versions = (1..=50).map(|number| {
        let wrapped = Wrapped::under(&[root], number);
        Version {
            id: wrapped.id,
            state: if number == 50 { State::Active } else { State::Deactivated },
            created: 1,
            activated: Some(1),
            wraps: wrapped.wraps,
        }
    });
    let key = KeyMaterial::make(&SystemRandom).unwrap();
    let id = KeyId::derive(RingName::parse(LedgerKey::RING).unwrap(), 1, &key).unwrap();
    let context = Context { purpose: Purpose::Key, key_id: &id };
    let wraps = vec![root.key.wrap(&key, &context, &SystemRandom).unwrap()];
    let ledger = WrappedLedgerKey { id: id.clone(), wraps };
    let bundle = Bundle::new(ring, 1, ledger, versions.collect()).unwrap();
    let bytes = bundle.encode(&LedgerKey::new(id, key).unwrap()).unwrap();
    (bundle, bytes)
}

#[tokio::test(start_paused = true)]
async fn fifty_versions_are_opened_in_one_round_of_calls() {
    let root = FakeRoot::make();
    let (bundle, bytes) = fifty(&root);
    root.takes(Duration::from_millis(80));
    let roots = Roots::of(vec![Arc::clone(&root) as _]);
    let began = Instant::now();
    let snapshot = Snapshot::unwrap(bundle, sha256(&bytes), &roots).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_millis(80));
    assert_eq!(root.asked(), 50);
    assert_eq!(snapshot.active().id().version(), 50);
    for version in snapshot.bundle().versions() {
        let entry = snapshot.find(version.id.as_str());
        assert!(matches!(entry, Some(Entry::Open(open)) if *open.id() == version.id));
    }
}

/// First the ledger key, which says whether the rest is to be believed; then everything at once.
#[tokio::test(start_paused = true)]
async fn bundle_of_fifty_versions_is_loaded_in_less_than_three_calls_time() {
    let root = FakeRoot::make();
    let (_, bytes) = fifty(&root);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("etcd.bundle"), bytes).unwrap();
    root.takes(Duration::from_millis(80));
    let roots = Roots::of(vec![Arc::clone(&root) as _]);
    let store = Store::new(folder.path(), RingName::parse("etcd").unwrap());
    let began = Instant::now();
    store.load(&roots).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_millis(160));
    assert_eq!(root.asked(), 51);
}

#[tokio::test(start_paused = true)]
async fn root_that_answers_with_another_key_is_caught_and_the_next_is_asked() {
    let (a, b, roots) = two();
    a.lies(true);
    assert_eq!(Wrapped::under(&[&a, &b], 1).opened_by(&roots).await.0, b.id());

    let alone = Roots::of(vec![Arc::clone(&a) as _]);
    let wrapped = Wrapped::under(&[&a], 1);
    let error = alone.unwrap(&wrapped.wraps, wrapped.context()).await.unwrap_err();
    let UnwrapError::Root(error) = error else { panic!("{error}") };
    assert_eq!(error.kind, RootErrorKind::Corrupt);
    assert!(error.message.contains("another key for etcd/v1/"), "{error}");
    let (bundle, bytes) = fifty(&a);
    let refused = Snapshot::unwrap(bundle, sha256(&bytes), &alone).await.unwrap_err();
    assert!(refused.to_string().contains("another key for etcd/v"), "{refused}");
}

/// `[[roots]]` in this folder; those of `made` exist.
fn configured(folder: &Path, names: &[&str], made: &[&str]) -> Config {
    let mut text = format!("[kms]\nsocket = {:?}\n", folder.join("kms.sock"));
    text += &format!("[bundle]\ndir = {:?}\n", folder.join("bundle"));
    for name in names {
        text += &format!("[[roots]]\nkind = \"local\"\nfile = {:?}\n", folder.join(name));
    }
    for name in made {
        LocalFile::create(&folder.join(name), &SystemRandom).unwrap();
    }
    Config::parse(&text).unwrap()
}

#[tokio::test]
async fn root_that_was_away_at_the_start_comes_back_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path(), &["a.key", "b.key"], &["a.key", "b.key"]);
    let (file, aside) = (folder.path().join("b.key"), folder.path().join("aside"));
    fs::rename(&file, &aside).unwrap();
    let roots = Roots::open(&config.roots).await.unwrap();
    assert_eq!(roots.iter().count(), 1);
    assert!(roots.away()[0].contains("b.key is missing"), "{:?}", roots.away());

    fs::rename(&aside, &file).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    // Whoever else has these roots sees it too: rotation has a clone of them.
    let elsewhere = roots.clone();
    roots.reopen().await;
    assert!(elsewhere.away()[0].contains("run chmod 0600"), "{:?}", roots.away());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    roots.reopen().await;
    assert_eq!((elsewhere.iter().count(), elsewhere.away()), (2, vec![]));
}

#[tokio::test]
async fn prober_opens_a_root_that_was_away_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path(), &["a.key", "b.key"], &["a.key"]);
    let roots = Roots::open(&config.roots).await.unwrap();
    let (prober, health, metrics) = prober(&roots);
    let now = Arc::clone(&prober.now);
    tokio::spawn(prober.run());
    let told = |what: &str| health.troubles().iter().any(|it| it.starts_with(what));
    wait_for(|| told("roots: ")).await;
    assert!(metrics.render().unwrap().contains("strongroom_roots_away 1"));

    LocalFile::create(&folder.path().join("b.key"), &SystemRandom).unwrap();
    now.notify_one();
    wait_for(|| !told("roots: ")).await;
    assert_eq!(roots.iter().count(), 2);
    assert!(metrics.render().unwrap().contains("strongroom_roots_away 0"));
}

#[tokio::test]
async fn key_that_is_configured_twice_is_refused_also_when_it_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path(), &["a.key", "b.key"], &["a.key"]);
    let roots = Roots::open(&config.roots).await.unwrap();
    fs::copy(folder.path().join("a.key"), folder.path().join("b.key")).unwrap();
    roots.reopen().await;
    assert!(roots.away()[0].contains("the same key as another"), "{:?}", roots.away());
    let error = Roots::open(&config.roots).await.unwrap_err();
    assert!(matches!(error, OpenRootError::Twice { .. }), "{error}");
}

#[tokio::test]
async fn wrap_of_a_root_that_is_away_is_not_taken_for_a_wrong_root() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path(), &["a.key", "b.key"], &["a.key"]);
    let roots = Roots::open(&config.roots).await.unwrap();
    let elsewhere = FakeRoot::make();
    let wrapped = Wrapped::under(&[&elsewhere], 1);
    let error = roots.unwrap(&wrapped.wraps, wrapped.context()).await.unwrap_err();
    assert!(matches!(error, UnwrapError::Away { .. }), "{error}");
    assert!(error.to_string().contains("b.key is missing"), "{error}");
}

/// Waits for work that is done on threads, a while at most.
async fn wait_for(what: impl Fn() -> bool) {
    let look = async {
        while !what() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), look).await.unwrap();
}
