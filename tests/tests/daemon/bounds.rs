use std::{collections::HashMap, time::Duration};

use anyhow::Result;
use envelope::{Context, KeyMaterial, LocalRoot, Purpose, SystemRandom};
use futures::future::join_all;
use prost::Message;
use proto::kms::DecryptRequest;
use testbed::{
    Daemon,
    folder::Folder,
    random,
    wait::{Look, until},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};
use tonic::Code;

use crate::{
    holder::{Holder, make_foreign_key},
    raw::{self, framed},
    steps::{SEED, memory_returns, request, serving},
};

const ANNOTATION: &str = "kek.strongroom.dev";

/// Still in service, and says so everywhere.
async fn serves_on(daemon: &Daemon) -> Result<()> {
    let plugin = daemon.plugin()?;
    let stored = plugin.encrypt(&SEED).await?;
    assert_eq!(plugin.decrypt(request(&stored)).await?.plaintext, SEED);
    assert_eq!(plugin.status().await?.healthz, "ok");
    let (status, text) = daemon.admin("/readyz").await?;
    assert!(status.is_success());
    assert_eq!(text, "ok\n");
    let metrics = daemon.metrics().await?;
    for code in ["Unknown", "Internal"] {
        assert_eq!(metrics.sum("strongroom_kms_calls_total", &[("code", code)]), None);
    }
    Ok(())
}

#[test]
fn wrong_requests_are_told_whose_fault_it_is() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        let plugin = daemon.plugin()?;
        let stored = plugin.encrypt(&SEED).await?;

        for len in [0, 1, 31, 33, 1024, 30 << 10] {
            let refused = plugin.encrypt(&vec![0; len]).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{len} bytes");
        }
        let refused = plugin.encrypt(&vec![0; 1 << 20]).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);

        let right = request(&stored);
        let with = |change: &dyn Fn(&mut DecryptRequest)| {
            let mut wrong = right.clone();
            change(&mut wrong);
            wrong
        };
        let (_, foreign) = make_foreign_key()?;
        let cases: Vec<(&str, DecryptRequest, Code)> = vec![
            ("nothing", DecryptRequest::default(), Code::InvalidArgument),
            ("no ciphertext", with(&|r| r.ciphertext.clear()), Code::InvalidArgument),
            ("cut ciphertext", with(&|r| r.ciphertext.truncate(72)), Code::InvalidArgument),
            ("longer ciphertext", with(&|r| r.ciphertext.push(0)), Code::InvalidArgument),
            ("another version", with(&|r| r.ciphertext[0] = 2), Code::InvalidArgument),
            (
                "changed tag",
                with(&|r| *r.ciphertext.last_mut().unwrap() ^= 1),
                Code::InvalidArgument,
            ),
            ("no annotation", with(&|r| r.annotations.clear()), Code::InvalidArgument),
            (
                "changed annotation",
                with(&|r| r.annotations.get_mut(ANNOTATION).unwrap()[40] ^= 1),
                Code::InvalidArgument,
            ),
            ("no key_id", with(&|r| r.key_id.clear()), Code::InvalidArgument),
            (
                "malformed key_id",
                with(&|r| r.key_id = "etcd/v01/000000000000".into()),
                Code::InvalidArgument,
            ),
            ("long key_id", with(&|r| r.key_id = "x".repeat(1024)), Code::InvalidArgument),
            (
                "unknown key_id",
                with(&|r| {
                    r.key_id = foreign.as_str().into();
                    r.annotations.clear();
                }),
                Code::NotFound,
            ),
            (
                "unknown key_id, annotation of another",
                with(&|r| r.key_id = foreign.as_str().into()),
                Code::InvalidArgument,
            ),
            (
                "unknown key_id, annotation of nonsense",
                with(&|r| {
                    r.key_id = foreign.as_str().into();
                    r.annotations = HashMap::from([(ANNOTATION.into(), vec![9; 80])]);
                }),
                Code::InvalidArgument,
            ),
            (
                "too large",
                with(&|r| r.annotations = HashMap::from([("a.b".into(), vec![0; 64 << 10])])),
                Code::ResourceExhausted,
            ),
        ];
        for (what, request, code) in cases {
            let refused = plugin.decrypt(request).await.unwrap_err();
            assert_eq!(refused.code(), code, "{what}: {}", refused.message());
        }
        // As much as kube-apiserver may send.
        let full = with(&|r| drop(r.annotations.insert("a.b".into(), vec![0; 31 << 10])));
        assert_eq!(plugin.decrypt(full).await?.plaintext, SEED);
        serves_on(&daemon).await
    })
}

#[test]
fn annotation_opens_only_the_version_that_it_is() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        let plugin = daemon.plugin()?;
        let holder = Holder::of(&daemon)?;
        let stored = plugin.encrypt(&SEED).await?;

        // A version that no bundle has, wrapped by our root for the id of another.
        let (key, id) = make_foreign_key()?;
        let (_, other) = make_foreign_key()?;
        let mut moved = request(&stored);
        moved.key_id = id.as_str().into();
        moved.annotations =
            HashMap::from([(ANNOTATION.into(), holder.wrap(&key, &other)?.encode())]);
        assert_eq!(plugin.decrypt(moved.clone()).await.unwrap_err().code(), Code::InvalidArgument);

        // A root that is not configured here.
        let foreign_root = LocalRoot::new(&KeyMaterial::make(&SystemRandom)?);
        let context = Context { purpose: Purpose::Key, key_id: &id };
        let wrapped = foreign_root.wrap(&key, &context, &SystemRandom)?;
        moved.annotations = HashMap::from([(ANNOTATION.into(), wrapped.encode())]);
        assert_eq!(plugin.decrypt(moved.clone()).await.unwrap_err().code(), Code::NotFound);

        // The right one: opened by the root, and then it is the frame that does not open.
        moved.annotations = HashMap::from([(ANNOTATION.into(), holder.wrap(&key, &id)?.encode())]);
        let refused = plugin.decrypt(moved).await.unwrap_err();
        assert_eq!(refused.message(), "the ciphertext does not open under this key_id");
        serves_on(&daemon).await
    })
}

#[test]
fn flood_of_unknown_versions_asks_the_root_a_bounded_number_of_times() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        let plugin = daemon.plugin()?;
        let stored = plugin.encrypt(&SEED).await?;
        let mut refused = HashMap::new();
        for _ in 0..200 {
            let (_, id) = make_foreign_key()?;
            let mut wrong = request(&stored);
            wrong.key_id = id.as_str().into();
            let code = plugin.decrypt(wrong).await.unwrap_err().code();
            *refused.entry(code).or_insert(0) += 1;
        }
        assert!(refused[&Code::ResourceExhausted] >= 200 - 64, "{refused:?}");
        assert_eq!(refused.len(), 2, "{refused:?}");
        serves_on(&daemon).await
    })
}

#[test]
fn random_frames_are_refused_as_invalid() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        let plugin = daemon.plugin()?;
        let stored = plugin.encrypt(&SEED).await?;
        let send = async |_| -> Result<()> {
            let mut wrong = request(&stored);
            let bytes: [u8; 72] = random::bytes()?;
            wrong.ciphertext = [&[1], bytes.as_slice()].concat();
            let code = plugin.decrypt(wrong).await.unwrap_err().code();
            assert_eq!(code, Code::InvalidArgument);
            Ok(())
        };
        for round in 0..100 {
            join_all((0..100).map(|i| send(round * 100 + i)))
                .await
                .into_iter()
                .collect::<Result<Vec<_>>>()?;
        }
        let count = daemon.metrics().await?.sum(
            "strongroom_kms_calls_total",
            &[("method", "Decrypt"), ("code", "InvalidArgument")],
        );
        assert_eq!(count, Some(10_000.0));
        serves_on(&daemon).await
    })
}

#[test]
fn bytes_that_are_no_message_are_refused_as_invalid() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        let mut connection = raw::Connection::open(&daemon.socket()).await?;
        let cases: &[(&str, Vec<u8>, Code)] = &[
            ("Encrypt", framed(&[0xff; 40]), Code::InvalidArgument),
            ("Decrypt", framed(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f]), Code::InvalidArgument),
            ("Status", framed(&[0x80; 12]), Code::InvalidArgument),
            // Longer than what follows; shorter than a header; nothing at all.
            ("Encrypt", [&[0, 0, 0, 1, 0], [0; 16].as_slice()].concat(), Code::InvalidArgument),
            ("Encrypt", vec![0, 0], Code::InvalidArgument),
            ("Encrypt", vec![], Code::InvalidArgument),
            // Says that it is compressed; says that it is 4 GiB long.
            ("Encrypt", vec![1, 0, 0, 0, 1, 0], Code::InvalidArgument),
            ("Encrypt", vec![0, 0xff, 0xff, 0xff, 0xff, 0], Code::ResourceExhausted),
            ("Forget", framed(&[]), Code::Unimplemented),
        ];
        for (method, body, code) in cases {
            assert_eq!(connection.call(method, body).await?, *code, "{method} {body:02x?}");
        }
        assert_eq!(connection.call("Encrypt", &raw::encrypt_request(&SEED)).await?, Code::Ok);
        serves_on(&daemon).await
    })
}

#[test]
fn call_that_never_sends_its_body_is_ended() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        let mut connection = raw::Connection::open(&daemon.socket()).await?;
        let call = connection.begin("Encrypt").await?;
        assert_eq!(call.without_body().await?, Code::DeadlineExceeded);
        serves_on(&daemon).await
    })
}

#[test]
fn connections_that_say_nothing_or_nonsense_cost_little_and_go() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        serves_on(&daemon).await?;
        let before = daemon.resident_kib()?;

        let mut idle = Vec::new();
        for _ in 0..500 {
            idle.push(UnixStream::connect(daemon.socket()).await?);
        }
        serves_on(&daemon).await?;
        for _ in 0..100 {
            let mut garbage = UnixStream::connect(daemon.socket()).await?;
            garbage.write_all(&random::bytes::<64>()?).await?;
            let _ = garbage.read(&mut [0; 64]).await;
            // Half of what HTTP/2 begins with.
            let mut half = UnixStream::connect(daemon.socket()).await?;
            half.write_all(b"PRI * HTTP/2.0\r\n").await?;
            idle.push(half);
        }
        // And some that speak HTTP/2, but never call.
        let mut speaking = Vec::new();
        for _ in 0..100 {
            speaking.push(raw::Connection::open(&daemon.socket()).await?);
        }
        serves_on(&daemon).await?;

        // A connection that never says that it speaks HTTP/2 is closed by the daemon.
        let mut first = idle.swap_remove(0);
        // What comes before the end are the daemon's own HTTP/2 settings.
        let mut said = Vec::new();
        let closed = timeout(Duration::from_secs(20), first.read_to_end(&mut said)).await?;
        assert!(closed.is_ok(), "{closed:?}");

        drop(idle);
        drop(speaking);
        memory_returns(&daemon, before).await?;
        serves_on(&daemon).await
    })
}

#[test]
fn large_requests_leave_no_memory_behind() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        serves_on(&daemon).await?;
        let before = daemon.resident_kib()?;
        for _ in 0..4 {
            let plugin = daemon.plugin()?;
            let large = vec![0; 1 << 20];
            let answers = join_all((0..64).map(|_| plugin.encrypt(&large))).await;
            for answer in answers {
                assert_eq!(answer.unwrap_err().code(), Code::ResourceExhausted);
            }
        }
        memory_returns(&daemon, before).await?;
        serves_on(&daemon).await
    })
}

#[test]
fn cancelled_calls_say_nothing_about_health() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        let mut connection = raw::Connection::open(&daemon.socket()).await?;
        let mut calls = Vec::new();
        for _ in 0..50 {
            calls.push(connection.begin("Encrypt").await?);
        }
        // Answered after the headers of the others arrived.
        assert_eq!(connection.call("Status", &framed(&[])).await?, Code::Ok);
        calls.into_iter().for_each(raw::Call::cancel);
        assert_eq!(connection.call("Status", &framed(&[])).await?, Code::Ok);
        until("cancelled calls are counted", Duration::from_secs(5), async || {
            let metrics = daemon.metrics().await?;
            let seen = metrics.sum("strongroom_kms_calls_total", &[("method", "Encrypt")]);
            Ok(if seen == Some(50.0) { Look::Done(()) } else { Look::NotYet(format!("{seen:?}")) })
        })
        .await?;
        serves_on(&daemon).await
    })
}

/// kube-apiserver knows a message by its field tags; an extra field of a later version is not an error.
#[test]
fn unknown_fields_are_ignored_as_protobuf_has_it() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        let stored = daemon.plugin()?.encrypt(&SEED).await?;
        let mut bytes = request(&stored).encode_to_vec();
        bytes.extend([0xfa, 0x01, 0x01, 0x00]);
        let mut connection = raw::Connection::open(&daemon.socket()).await?;
        assert_eq!(connection.call("Decrypt", &framed(&bytes)).await?, Code::Ok);
        Ok(())
    })
}
