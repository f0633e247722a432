//! A provider that rotates a root key by itself: who is asked about it, and how often.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{sync::Arc, time::Duration};

use envelope::{RingName, WrappedKey, bundle::State as VersionState};
use strongroomd::{
    ledger::State,
    root::{Checked, RootKey, Roots},
    rotation::{Controller, Policy, Scraper},
};

use self::{fake_root::FakeRoot, ring::Ring};

#[path = "support/fake_root.rs"]
#[expect(dead_code, reason = "shared with the tests of roots")]
mod fake_root;
#[path = "support/ring.rs"]
#[expect(dead_code, reason = "shared with the tests of plans")]
mod ring;

fn controller(roots: &Roots, follow_provider: bool) -> Controller {
    let policy = Policy { follow_provider, ..Policy::by_hand() };
    Controller::new(RingName::parse("etcd").unwrap(), roots.clone(), Arc::default())
        .planning(policy, Scraper::default())
}

/// A ring whose active version lies under this root, as a ledger has it.
fn under(root: &FakeRoot) -> State {
    let mut ring = Ring::of(&[VersionState::Active]);
    ring.version(1, |row| row.wraps = vec![WrappedKey::new(root.id(), vec![7; 80]).unwrap()]);
    ring.state()
}

/// What a probe of the root found.
fn probed(roots: &Roots, root: &FakeRoot, material: &str) {
    let checked = Checked { material: Some(material.into()), warning: None };
    roots.probed(root.id(), &Ok(checked), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn root_is_asked_once_for_each_version_and_each_material() {
    let root = FakeRoot::make();
    let roots = Roots::of(vec![Arc::clone(&root) as Arc<dyn RootKey>]);
    let (following, state) = (controller(&roots, true), under(&root));

    root.made_with(Some("aa"));
    assert_eq!(following.provider_rotated(&state).await, None);
    assert_eq!(root.asked(), 0, "no probe has seen a material yet");
    for (material, expected, asked) in
        [("aa", None, 1), ("aa", None, 1), ("bb", Some(root.id()), 2), ("bb", Some(root.id()), 2)]
    {
        probed(&roots, &root, material);
        assert_eq!(following.provider_rotated(&state).await, expected, "{material}");
        assert_eq!(root.asked(), asked, "{material}");
    }
    // A version that was wrapped since.
    root.made_with(Some("bb"));
    assert_eq!(following.provider_rotated(&under(&root)).await, None);
    assert_eq!(root.asked(), 3);

    let others = controller(&roots, false);
    probed(&roots, &root, "cc");
    assert_eq!(others.provider_rotated(&state).await, None);
    assert_eq!(root.asked(), 3, "nobody asks where the policy does not follow");
}

#[tokio::test(start_paused = true)]
async fn root_that_does_not_say_is_asked_again_after_a_while() {
    let root = FakeRoot::make();
    let roots = Roots::of(vec![Arc::clone(&root) as Arc<dyn RootKey>]);
    let (following, state) = (controller(&roots, true), under(&root));
    root.made_with(Some("aa"));
    probed(&roots, &root, "bb");
    root.away(true);
    for _ in 0..3 {
        assert_eq!(following.provider_rotated(&state).await, None);
    }
    assert_eq!(root.asked(), 1);
    root.away(false);
    tokio::time::advance(Duration::from_secs(301)).await;
    assert_eq!(following.provider_rotated(&state).await, Some(root.id()));
}
