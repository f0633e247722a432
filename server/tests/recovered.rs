//! Versions that only an annotation carries, asked for by whoever can write to etcd.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context as Cx, Poll, Waker},
    time::Duration,
};

use envelope::{Context, KeyId, KeyMaterial, Purpose, RingName, RootId, SystemRandom, WrappedKey};
use strongroomd::{
    keyring::{Recovered, RecoveryError},
    root::Roots,
};
use tokio::time::{advance, sleep, timeout};

use fake_root::FakeRoot;

#[expect(dead_code, reason = "the tests of several roots use all of it")]
#[path = "support/fake_root.rs"]
mod fake_root;

fn recovered() -> (Arc<FakeRoot>, Recovered) {
    let root = FakeRoot::make();
    (Arc::clone(&root), Recovered::new(Roots::of(vec![root])))
}

/// A version with its right annotation.
fn version(root: &FakeRoot, ring: &str, number: u32) -> (KeyId, Vec<u8>) {
    let key = KeyMaterial::make(&SystemRandom).unwrap();
    let id = KeyId::derive(RingName::parse(ring).unwrap(), number, &key).unwrap();
    let context = Context { purpose: Purpose::Key, key_id: &id };
    let wrapped = root.key.wrap(&key, &context, &SystemRandom).unwrap().encode();
    (id, wrapped)
}

#[tokio::test(start_paused = true)]
async fn calls_that_were_given_up_use_up_nothing() {
    let (root, recovered) = recovered();
    root.hangs(true);
    for number in 1..=256 {
        let (id, wrapped) = version(&root, "etcd", number);
        let mut call = pin!(recovered.version(&id, &wrapped));
        let polled = call.as_mut().poll(&mut Cx::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending), "{polled:?}");
        // Dropped here, as RST_STREAM does.
        if number % 32 == 0 {
            advance(Duration::from_secs(11)).await;
        }
    }
    root.hangs(false);
    sleep(Duration::from_secs(3600)).await;
    let (id, wrapped) = version(&root, "etcd", 1000);
    assert_eq!(recovered.version(&id, &wrapped).await.map(drop), Ok(()), "an hour later");
}

#[tokio::test(start_paused = true)]
async fn slow_root_is_asked_once_however_often_the_caller_gives_up() {
    let (root, recovered) = recovered();
    root.hangs(true);
    let (id, wrapped) = version(&root, "etcd", 7);
    for _ in 0..100 {
        let call = recovered.version(&id, &wrapped);
        assert!(timeout(Duration::from_millis(20), call).await.is_err());
    }
    assert_eq!(root.asked(), 1);
}

#[tokio::test]
async fn callers_of_the_same_version_share_one_question() {
    let (root, recovered) = recovered();
    let (id, wrapped) = version(&root, "etcd", 7);
    let calls = [(); 3].map(|()| recovered.version(&id, &wrapped));
    let [a, b, c] = calls;
    let (a, b, c) = tokio::join!(a, b, c);
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(root.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn more_versions_than_may_be_asked_for_at_once_are_recovered_in_time() {
    let (root, recovered) = recovered();
    for number in 1..=300 {
        let (id, wrapped) = version(&root, "etcd", number);
        // As kube-apiserver: tries again, a minute long.
        let mut outcome = Err(RecoveryError::TooMany);
        for _ in 0..60 {
            outcome = recovered.version(&id, &wrapped).await.map(drop);
            if outcome.is_ok() {
                break;
            }
            advance(Duration::from_secs(1)).await;
        }
        assert_eq!(outcome, Ok(()), "version {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn annotation_that_does_not_open_is_asked_about_once_in_half_a_minute() {
    let (root, recovered) = recovered();
    let (id, mut wrapped) = version(&root, "etcd", 1);
    *wrapped.last_mut().unwrap() ^= 1;
    for (seconds, asked) in [(0, 1), (10, 1), (19, 1), (2, 2)] {
        advance(Duration::from_secs(seconds)).await;
        assert_eq!(recovered.version(&id, &wrapped).await.map(drop), Err(RecoveryError::Open));
        assert_eq!(root.asked(), asked);
    }
}

#[tokio::test(start_paused = true)]
async fn annotation_that_no_root_is_asked_about_takes_nothing_from_those_that_are() {
    let (root, recovered) = recovered();
    for number in 0..64_u8 {
        let (id, _) = version(&root, "etcd", 2 + u32::from(number));
        let (annotation, expected) = if number % 2 == 0 {
            (vec![9, number], RecoveryError::Malformed)
        } else {
            let other = RootId([number; 6]);
            let wrapped = WrappedKey::new(other, vec![1]).unwrap();
            (wrapped.encode(), RecoveryError::OtherRoot(other))
        };
        assert_eq!(recovered.version(&id, &annotation).await.map(drop), Err(expected));
    }
    let (id, wrapped) = version(&root, "etcd", 1);
    assert_eq!(recovered.version(&id, &wrapped).await.map(drop), Ok(()));
}

/// Keys of other rings are no business of kube-apiserver: the ledger key, whose wrap lies in every bundle, must not be kept
/// because a peer asks for `state/v1/…`.
#[tokio::test]
async fn keys_of_other_rings_are_not_recovered() {
    let (root, recovered) = recovered();
    for ring in ["state", "seal"] {
        let (id, wrapped) = version(&root, ring, 1);
        let outcome = recovered.version(&id, &wrapped).await.map(drop);
        assert_eq!(outcome, Err(RecoveryError::OtherRing), "{ring}");
    }
    assert_eq!(root.asked(), 0);
}

#[tokio::test]
async fn version_that_was_recovered_needs_no_root_whatever_annotation_comes_next() {
    let (root, recovered) = recovered();
    let (id, wrapped) = version(&root, "etcd", 1);
    let first = recovered.version(&id, &wrapped).await.unwrap();
    root.away(true);
    let mut other = wrapped.clone();
    *other.last_mut().unwrap() ^= 1;
    let again = recovered.version(&id, &other).await.unwrap();
    assert!(Arc::ptr_eq(&again, &first));
    assert_eq!(root.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn root_that_is_back_is_asked_again_soon() {
    let (root, recovered) = recovered();
    let (id, wrapped) = version(&root, "etcd", 1);
    root.away(true);
    let outcome = recovered.version(&id, &wrapped).await.map(drop);
    assert_eq!(outcome, Err(RecoveryError::Unavailable));
    root.away(false);
    advance(Duration::from_secs(5)).await;
    assert_eq!(recovered.version(&id, &wrapped).await.map(drop), Ok(()));
}
