//! The admin API over its socket and over TLS, in front of a ring that remembers what it was asked.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod fake;
#[path = "../support/dumped.rs"]
mod ring;
mod tls;
mod wire;

use std::os::unix::fs::PermissionsExt as _;

use proto::admin;
use rustix::process::geteuid;
use strongroomd::{
    api::{Action, Allowed, Gate},
    authority::{Allow, Identity, Permission},
    rotation::Act,
};
use tonic::Code;
use wire::{ask, serve};

fn may(permissions: &[&str]) -> String {
    format!("[[api.allow]]\nidentity = \"uid:{}\"\nmay = {permissions:?}\n", geteuid().as_raw())
}

/// Every method, for somebody with each permission alone: what it takes and nothing else lets it through.
#[tokio::test]
async fn each_method_takes_its_permission_and_no_other() {
    for permission in Permission::ALL {
        let served = serve(&may(&[permission.as_str()])).await;
        let mut client = served.client();
        for action in Action::ALL.iter().copied() {
            served.fake.asked.lock().unwrap().clear();
            let outcome = ask(&mut client, action).await;
            let code = outcome.as_ref().map_or_else(tonic::Status::code, |_| Code::Ok);
            let expected =
                if action.permission() == permission { Code::Ok } else { Code::PermissionDenied };
            assert_eq!(code, expected, "{action:?} with {permission:?}: {outcome:?}");
            if expected == Code::PermissionDenied {
                let asked = served.fake.asked.lock().unwrap();
                assert!(asked.is_empty(), "{action:?}: the ring was asked {asked:?}");
            }
        }
    }
}

#[tokio::test]
async fn who_is_on_no_list_may_nothing_and_every_refusal_is_recorded() {
    let us = format!("uid:{}", geteuid().as_raw());
    // So many are recorded one by one.
    for actions in Action::ALL.chunks(10) {
        let served = serve("[[api.allow]]\nidentity = \"cert:alice\"\nmay = [\"read\"]\n").await;
        let mut client = served.client();
        for action in actions {
            let status = ask(&mut client, *action).await.unwrap_err();
            assert_eq!(status.code(), Code::PermissionDenied);
            let words = [us.as_str(), action.as_str(), action.permission().as_str()];
            assert!(
                words.iter().all(|word| status.message().contains(word)),
                "{}",
                status.message()
            );
        }
        let denied = served.fake.denied.lock().unwrap().clone();
        let expected: Vec<_> =
            actions.iter().map(|action| (us.clone(), action.as_str(), 0)).collect();
        assert_eq!(denied, expected);
        let page = served.metrics.render().unwrap();
        for action in actions {
            let method = action.as_str();
            let line =
                format!("api_calls_total{{method=\"{method}\",code=\"PermissionDenied\"}} 1");
            assert!(page.contains(&line), "{page}");
        }
    }
}

/// A ledger that is away must not turn a no into a yes.
#[tokio::test]
async fn a_refusal_that_cannot_be_recorded_is_still_one() {
    for (trouble, _) in fake::TROUBLES {
        let served = serve(&may(&["read"])).await;
        *served.fake.trouble.lock().unwrap() = Some(*trouble);
        let status = ask(&mut served.client(), Action::Adopt).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
    }
}

/// A peer that may nothing must not be able to fill the audit chain, nor to hide what another one tried.
#[tokio::test(start_paused = true)]
async fn a_flood_of_refusals_is_counted_and_hides_nobody() {
    let fake = std::sync::Arc::new(fake::Fake::new());
    let gate = Gate::new(Allowed::new(Some(&[])), fake.clone());
    let [flood, quiet] = [Identity::Uid(1), Identity::Uid(2)];
    for _ in 0..1000 {
        let _denied = gate.authorize(&flood, Action::ListKeys).await.unwrap_err();
    }
    let _denied = gate.authorize(&quiet, Action::DestroyKey).await.unwrap_err();
    let denied = std::mem::take(&mut *fake.denied.lock().unwrap());
    assert_eq!(denied.len(), 11);
    assert_eq!(denied[10], ("uid:2".into(), "DestroyKey", 0));

    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    let _denied = gate.authorize(&flood, Action::ListKeys).await.unwrap_err();
    assert_eq!(*fake.denied.lock().unwrap(), [("uid:1".into(), "ListKeys", 990)]);
}

#[tokio::test]
async fn where_no_list_is_given_root_and_our_own_user_may_everything() {
    let allowed = Allowed::new(None);
    let fake = std::sync::Arc::new(fake::Fake::new());
    let gate = Gate::new(allowed, fake);
    for action in Action::ALL.iter().copied() {
        for uid in [0, geteuid().as_raw()] {
            let granted = gate.authorize(&Identity::Uid(uid), action).await.unwrap();
            assert_eq!(granted.actor(), format!("uid:{uid}"));
        }
        for other in ["uid:65534", "cert:root", "cert:uid:0", "uri:uid:0"] {
            let other = Identity::parse(other).unwrap();
            assert!(gate.authorize(&other, action).await.is_err(), "{other}: {action:?}");
        }
    }
}

#[tokio::test]
async fn no_list_admits_a_name_that_only_looks_alike() {
    let list = [Allow { identity: Identity::Uid(0), may: Permission::ALL.to_vec() }];
    let gate = Gate::new(Allowed::new(Some(&list)), std::sync::Arc::new(fake::Fake::new()));
    let root = gate.authorize(&Identity::Uid(0), Action::Adopt).await;
    assert!(root.is_ok());
    for other in [Identity::CommonName("uid:0".into()), Identity::Uri("uid:0".into())] {
        let denied = gate.authorize(&other, Action::Adopt).await.unwrap_err();
        assert_eq!(denied.peer, other);
    }
}

#[tokio::test]
async fn what_is_done_is_done_in_the_name_of_whoever_asked() {
    let served = serve("").await;
    let mut client = served.client();
    for action in [
        Action::StartRotation,
        Action::RemoveReplica,
        Action::DestroyKey,
        Action::AddHold,
        Action::RemoveRoot,
    ] {
        ask(&mut client, action).await.unwrap();
    }
    let us = format!("uid:{}", geteuid().as_raw());
    let reason = "because of a test".to_owned();
    let acted = served.fake.acted.lock().unwrap().clone();
    assert_eq!(
        acted,
        [
            (us.clone(), Act::Begin { trigger: "manual", reason: reason.clone() }),
            (us.clone(), Act::RemoveReplica { replica: "cp-1".into(), reason: reason.clone() }),
            (us.clone(), Act::Destroy { version: 1 }),
            // Sixty seconds from now, by the ledger's clock.
            (
                us.clone(),
                Act::AddHold {
                    first: None,
                    last: None,
                    until: ring::BEGAN + 60,
                    reason: reason.clone()
                }
            ),
            (
                us,
                Act::RemoveRoot {
                    root: envelope::RootId(*b"root-1"),
                    reason,
                    proven: Default::default()
                }
            ),
        ]
    );
}

/// No message has a field for a key; this looks at the bytes all the same.
#[tokio::test]
async fn no_answer_has_key_material_and_only_an_export_has_wrapped_keys() {
    let served = serve("").await;
    let mut client = served.client();
    let has = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for action in Action::ALL.iter().copied() {
        let bytes = ask(&mut client, action).await.unwrap();
        for secret in [&ring::SECRET, &[9; 32], &[3; 32]] {
            assert!(!has(&bytes, secret) && !has(&bytes, hex(secret).as_bytes()), "{action:?}");
        }
        let wrapped = has(&bytes, ring::WRAPPED) || has(&bytes, hex(ring::WRAPPED).as_bytes());
        assert_eq!(wrapped, action == Action::ExportLedger, "{action:?}");
    }
}

#[tokio::test]
async fn each_trouble_has_the_code_of_whoever_must_act() {
    let served = serve("").await;
    let mut client = served.client();
    for (trouble, code) in fake::TROUBLES {
        *served.fake.trouble.lock().unwrap() = Some(*trouble);
        for action in Action::ALL.iter().copied() {
            let status = ask(&mut client, action).await.unwrap_err();
            assert_eq!(status.code(), *code, "{action:?}: {}", status.message());
            assert_eq!(status.message(), trouble().to_string());
        }
    }
}

#[tokio::test]
async fn what_a_peer_sends_is_refused_as_its_own_fault() {
    let served = serve("").await;
    let mut client = served.client();
    let start =
        |reason: &str| admin::StartRotationRequest { reason: reason.into(), compromised: false };
    for reason in ["", " ", "a\nb", "\x1b[2J", &"x".repeat(1025)] {
        let status = client.start_rotation(start(reason)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{reason:?}");
    }
    let status = client.start_rotation(start(&"x".repeat(400 << 10))).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let request = admin::ArchiveKeyRequest { version: 0, reason: "x".into() };
    assert_eq!(client.archive_key(request).await.unwrap_err().code(), Code::InvalidArgument);
    let request = admin::AddHoldRequest { reason: "x".into(), ..Default::default() };
    assert_eq!(client.add_hold(request).await.unwrap_err().code(), Code::InvalidArgument);
    let request = admin::DestroyKeyRequest { version: 1, id: "etcd/v2/000000000000".into() };
    assert_eq!(client.destroy_key(request).await.unwrap_err().code(), Code::FailedPrecondition);
    let garbage = admin::ImportLedgerRequest { chunk: b"{}\n".to_vec() };
    let status = client.import_ledger(tokio_stream::iter([garbage])).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("line 1"), "{}", status.message());
    assert!(served.fake.acted.lock().unwrap().is_empty());
    assert!(served.fake.imported.lock().unwrap().is_none());
}

#[tokio::test]
async fn an_export_is_imported_as_it_was() {
    let served = serve("").await;
    let mut client = served.client();
    ask(&mut client, Action::ImportLedger).await.unwrap();
    assert_eq!(*served.fake.imported.lock().unwrap(), Some(ring::lived()));
}

#[tokio::test]
async fn a_watch_tells_changes_and_ends_with_the_daemon() {
    let served = serve("").await;
    let mut client = served.client();
    let mut changes =
        client.watch_rotation(admin::WatchRotationRequest {}).await.unwrap().into_inner();
    let first = changes.message().await.unwrap().unwrap().rotation.unwrap();
    assert_eq!(first.phase(), admin::Phase::Propagate);
    let replicas: Vec<_> =
        first.replicas.iter().map(|one| (one.name.as_str(), one.lacks.as_str())).collect();
    assert_eq!(replicas, [("cp-1", "")]);
    assert!(first.waits[0].unblock.starts_with("strongroom replicas remove cp-2"));

    // Time alone is no change; a replica that joins is.
    served.fake.dump.lock().unwrap().rows.now += 1;
    served.fake.woken.notify_one();
    ring::change(&mut served.fake.dump.lock().unwrap(), |draft| {
        draft.put_replica(ring::replica(3, "cp-3"), ring::entry("join", "cp-3"));
    });
    served.fake.woken.notify_one();
    let second = changes.message().await.unwrap().unwrap().rotation.unwrap();
    assert_eq!(second.replicas.len(), 2);
    assert_eq!(second.replicas[1].lacks, "has never reported");

    served.stop.cancel();
    let ended = changes.message().await.unwrap_err();
    assert_eq!(ended.code(), Code::Unavailable);
    drop((changes, client));
    served.ended.await.unwrap().unwrap();
    assert!(!served.socket.exists(), "the socket was left behind");
}

#[tokio::test]
async fn streams_are_bounded() {
    let served = serve("").await;
    let mut client = served.client();
    let mut open = Vec::new();
    for _ in 0..16 {
        let watch = client.watch_rotation(admin::WatchRotationRequest {}).await.unwrap();
        open.push(watch.into_inner());
    }
    let status = client.watch_rotation(admin::WatchRotationRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    ask(&mut client, Action::ListKeys).await.unwrap();
}

#[tokio::test]
async fn the_socket_is_for_owner_and_group_and_is_not_taken_from_another_daemon() {
    let served = serve("").await;
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&served.socket), 0o660);
    assert_eq!(mode(served.socket.parent().unwrap()), 0o750);
    let config = format!(
        "[kms]\nsocket = \"/k\"\n[bundle]\ndir = \"/\"\n[[roots]]\nkind = \"local\"\nfile = \"/r\"\n[api]\nsocket = {:?}\n",
        served.socket
    );
    let config = strongroomd::config::Config::parse(&config).unwrap().api.unwrap();
    let error = strongroomd::api::Doors::open(&config).await.unwrap_err().to_string();
    assert!(error.contains("another daemon serves") && error.contains("api.socket"), "{error}");
}
