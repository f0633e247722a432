//! Attacks on the recovery of versions from annotations.

use std::{fs, future::Future, path::PathBuf, pin::pin, task::{Context as Cx, Poll, Waker}, time::Duration};

use envelope::{
    Context, KeyId, KeyMaterial, LocalRoot, Purpose, RingName, RootId, SystemRandom, WrappedKey,
};
use rustix::fs::{FileType, Mode, mknodat, CWD};
use strongroomd::{
    config::Config,
    keyring::{Recovered, RecoveryError},
    root::{LocalFile, Roots},
};
use tempfile::TempDir;
use tokio::time::advance;

struct Root {
    _folder: TempDir,
    path: PathBuf,
    key: LocalRoot,
    recovered: Recovered,
}

async fn root() -> Root {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.key");
    LocalFile::create(&path, &SystemRandom).unwrap();
    let text = format!(
        "[kms]\nsocket = \"/x/kms.sock\"\n[bundle]\ndir = \"/x\"\n[[roots]]\nkind = \"local\"\nfile = {path:?}\n"
    );
    let roots = Roots::open(&Config::parse(&text).unwrap().roots).await.unwrap();
    let key = LocalRoot::new(&KeyMaterial::copy_from(&fs::read(&path).unwrap()).unwrap());
    Root { _folder: folder, path, key, recovered: Recovered::new(roots) }
}

impl Root {
    /// A version with its right annotation.
    fn version(&self, ring: &str, number: u32) -> (KeyId, Vec<u8>) {
        let key = KeyMaterial::make(&SystemRandom).unwrap();
        let id = KeyId::derive(RingName::parse(ring).unwrap(), number, &key).unwrap();
        let context = Context { purpose: Purpose::Key, key_id: &id };
        let wrapped = self.key.wrap(&key, &context, &SystemRandom).unwrap().encode();
        (id, wrapped)
    }
}

/// Calls that the peer gave up while the root was asked. Each leaves an attempt that never ends and is never forgotten.
#[tokio::test(start_paused = true)]
async fn cancelled_recoveries_do_not_use_up_the_slots_for_ever() {
    let root = root().await;
    for number in 1..=256 {
        let (id, wrapped) = root.version("etcd", number);
        let mut call = pin!(root.recovered.version(&id, &wrapped));
        let polled = call.as_mut().poll(&mut Cx::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending), "{polled:?}");
        // Dropped here: RST_STREAM.
        if number % 32 == 0 {
            advance(Duration::from_secs(11)).await;
        }
    }
    advance(Duration::from_secs(3600)).await;
    let (id, wrapped) = root.version("etcd", 1000);
    let outcome = root.recovered.version(&id, &wrapped).await.map(drop);
    assert_eq!(outcome, Ok(()), "an hour later");
}

/// "the root is asked at most once for each one and a bounded number of times in all" (recovered.rs): not when the caller
/// gives up and calls again.
#[tokio::test]
async fn cancelled_and_repeated_recovery_asks_a_slow_root_once() {
    let root = root().await;
    let (id, wrapped) = root.version("etcd", 7);
    // A root that does not answer: the file system hangs.
    fs::remove_file(&root.path).unwrap();
    mknodat(CWD, &root.path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let threads = || fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    for _ in 0..100 {
        let call = root.recovered.version(&id, &wrapped);
        let _ = tokio::time::timeout(Duration::from_millis(2), call).await;
    }
    let asked = threads() - before;
    // Let the stuck readers go, or the runtime waits for them.
    let _writer = fs::OpenOptions::new().read(true).write(true).open(&root.path).unwrap();
    assert!(asked <= 33, "{asked} threads wait for the root, for one annotation");
}

/// A bundle may have 4,096 versions, and "everything in etcd still opens, by the annotation".
#[tokio::test(start_paused = true)]
async fn every_version_that_a_bundle_may_have_is_recovered() {
    let root = root().await;
    for number in 1..=300 {
        let (id, wrapped) = root.version("etcd", number);
        // As kube-apiserver: tries again, a minute long.
        let mut outcome = Err(RecoveryError::TooMany);
        for _ in 0..60 {
            outcome = root.recovered.version(&id, &wrapped).await.map(drop);
            if outcome.is_ok() {
                break;
            }
            advance(Duration::from_secs(1)).await;
        }
        assert_eq!(outcome, Ok(()), "version {number}");
    }
}

/// Annotations that no root would ever be asked about use up the questions that the root may be asked.
#[tokio::test(start_paused = true)]
async fn annotations_that_ask_no_root_do_not_starve_those_that_do() {
    let root = root().await;
    let (good, annotation) = root.version("etcd", 1);
    for number in 0..32_u8 {
        let (id, _) = root.version("etcd", 2 + u32::from(number));
        let outcome = match number % 2 {
            0 => root.recovered.version(&id, &[9, number]).await,
            _ => {
                let other = WrappedKey::new(RootId([number; 6]), vec![1]).unwrap();
                root.recovered.version(&id, &other.encode()).await
            }
        };
        assert!(matches!(outcome, Err(RecoveryError::Malformed | RecoveryError::OtherRoot)));
    }
    let outcome = root.recovered.version(&good, &annotation).await.map(drop);
    assert_eq!(outcome, Ok(()), "one honest version, in the same 10 seconds");
}

/// Keys of other rings are no business of kube-apiserver: the ledger key, whose wrap lies in every bundle in the clear, must
/// not be unwrapped and kept because a peer asks for `state/v1/…`.
#[tokio::test]
async fn ledger_key_is_not_recovered_as_a_version() {
    let root = root().await;
    let (id, wrapped) = root.version("state", 1);
    let outcome = root.recovered.version(&id, &wrapped).await;
    assert!(outcome.is_err(), "the ledger key lies in memory now: {outcome:?}");
    let (id, wrapped) = root.version("seal", 1);
    let outcome = root.recovered.version(&id, &wrapped).await;
    assert!(outcome.is_err(), "a key of the ring seal lies in memory now: {outcome:?}");
}

/// A version that is recovered already is known by its id; another annotation beside that id (of a node with another
/// preferred root, of a re-wrap, or damaged) needs no root, no slot, and no second copy of the key.
#[tokio::test(start_paused = true)]
async fn recovered_version_serves_whatever_annotation_comes_next() {
    let root = root().await;
    let (id, wrapped) = root.version("etcd", 1);
    let first = root.recovered.version(&id, &wrapped).await.unwrap();
    fs::remove_file(&root.path).unwrap();
    let mut other = wrapped.clone();
    *other.last_mut().unwrap() ^= 1;
    let again = root.recovered.version(&id, &other).await.map(|key| std::sync::Arc::ptr_eq(&key, &first));
    assert_eq!(again, Ok(true));
}

/// The root was away for a moment. Unlike an annotation that does not open, that is over when it is back.
#[tokio::test(start_paused = true)]
async fn root_that_is_back_is_asked_again_soon() {
    let root = root().await;
    let (id, wrapped) = root.version("etcd", 1);
    let away = root.path.with_extension("away");
    fs::rename(&root.path, &away).unwrap();
    let outcome = root.recovered.version(&id, &wrapped).await.map(drop);
    assert_eq!(outcome, Err(RecoveryError::Unavailable));
    fs::rename(&away, &root.path).unwrap();
    advance(Duration::from_secs(5)).await;
    let outcome = root.recovered.version(&id, &wrapped).await.map(drop);
    assert_eq!(outcome, Ok(()), "5 seconds after the root is back");
}
