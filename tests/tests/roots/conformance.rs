//! What every root key promises (`root::RootKey`).

use std::fs;

use anyhow::Result;
use aws_sdk_kms::{
    Config,
    config::{BehaviorVersion, Credentials, Region},
};
use envelope::{
    AwsKeyArn, Context, KeyId, KeyMaterial, Purpose, RingName, RootId, SystemRandom, WrappedKey,
};
use futures::future::join_all;
use strongroomd::root::{AwsKms, LocalFile, RootErrorKind, RootKey};
use testbed::{Moto, folder::Folder};

#[test]
fn local_root_keeps_what_every_root_promises() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let (file, other) = (folder.path().join("root.key"), folder.path().join("other.key"));
        LocalFile::create(&file, &SystemRandom)?;
        LocalFile::create(&other, &SystemRandom)?;
        conforms(&LocalFile::open(&file).await?, &LocalFile::open(&other).await?).await;
        // It is the bytes of the file that make it what it is.
        fs::copy(&file, &other)?;
        assert_eq!(LocalFile::open(&other).await?.id(), LocalFile::open(&file).await?.id());
        Ok(())
    })
}

#[test]
fn aws_root_keeps_what_every_root_promises() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let moto = Moto::start(folder.path()).await?;
        let (root, other) = (aws_root(&moto).await?, aws_root(&moto).await?);
        conforms(&root, &other).await;
        Ok(())
    })
}

async fn aws_root(moto: &Moto) -> Result<AwsKms> {
    let arn = AwsKeyArn::parse(&moto.make_key("eu-central-1").await?)?;
    let builder = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::for_tests())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(format!("http://127.0.0.1:{}", moto.port()));
    Ok(AwsKms::with(arn, builder))
}

fn key() -> KeyMaterial {
    KeyMaterial::make(&SystemRandom).unwrap()
}

fn id(ring: &str, version: u32, key: &KeyMaterial) -> KeyId {
    KeyId::derive(RingName::parse(ring).unwrap(), version, key).unwrap()
}

/// `other` is another root of the same kind.
async fn conforms(root: &dyn RootKey, other: &dyn RootKey) {
    assert_ne!(root.id(), other.id());
    let checked = root.check().await.unwrap();
    assert_eq!(checked.warning, None);
    opens_what_it_wrapped(root).await;
    opens_it_at_its_place_alone(root).await;
    opens_nothing_that_was_changed(root, other).await;
    does_many_at_once(root).await;
}

async fn opens_what_it_wrapped(root: &dyn RootKey) {
    let key = key();
    for (purpose, ring) in
        [(Purpose::Key, "etcd"), (Purpose::Key, "state"), (Purpose::Probe, "probe")]
    {
        let id = id(ring, 7, &key);
        let context = Context { purpose, key_id: &id };
        let (one, two) =
            (root.wrap(&key, context).await.unwrap(), root.wrap(&key, context).await.unwrap());
        assert_ne!(one, two, "no two wraps of a key are alike");
        for wrapped in [one, two] {
            assert_eq!(wrapped.root(), root.id());
            let stored = WrappedKey::parse(&wrapped.encode()).unwrap();
            assert!(root.unwrap(&stored, context).await.unwrap().ct_eq(&key));
            let shown = wrapped.encode();
            assert!(!shown.windows(32).any(|bytes| bytes == key.expose_secret()));
        }
    }
}

async fn opens_it_at_its_place_alone(root: &dyn RootKey) {
    let key = key();
    let home = id("etcd", 7, &key);
    let place = Context { purpose: Purpose::Key, key_id: &home };
    let wrapped = root.wrap(&key, place).await.unwrap();
    let elsewhere = [
        ("another purpose", Purpose::Probe, home.clone()),
        ("another ring", Purpose::Key, id("seal", 7, &key)),
        ("another version", Purpose::Key, id("etcd", 8, &key)),
        ("another cluster's version of the same number", Purpose::Key, id("etcd", 7, &self::key())),
    ];
    for (what, purpose, key_id) in elsewhere {
        let refused =
            root.unwrap(&wrapped, Context { purpose, key_id: &key_id }).await.unwrap_err();
        assert_eq!(refused.kind, RootErrorKind::Corrupt, "{what}: {refused}");
    }
    let renamed = WrappedKey::new(RootId([7; 6]), wrapped.blob().to_vec()).unwrap();
    let refused = root.unwrap(&renamed, place).await.unwrap_err();
    assert_eq!(refused.kind, RootErrorKind::Corrupt, "another root's id: {refused}");
    assert!(root.unwrap(&wrapped, place).await.unwrap().ct_eq(&key), "at its own place it opens");
}

async fn opens_nothing_that_was_changed(root: &dyn RootKey, other: &dyn RootKey) {
    let key = key();
    let id = id("etcd", 7, &key);
    let place = Context { purpose: Purpose::Key, key_id: &id };
    let blob = root.wrap(&key, place).await.unwrap().blob().to_vec();
    let mut changed: Vec<(String, Vec<u8>)> = vec![
        ("cut at the end".into(), blob[..blob.len() - 1].to_vec()),
        ("cut at the start".into(), blob[1..].to_vec()),
        ("one byte".into(), vec![1]),
        ("longer".into(), [&blob[..], &[0]].concat()),
        ("of another root".into(), other.wrap(&key, place).await.unwrap().blob().to_vec()),
    ];
    for at in (0..blob.len()).step_by(7).chain([blob.len() - 1]) {
        let mut flipped = blob.clone();
        flipped[at] ^= 0x40;
        changed.push((format!("byte {at}"), flipped));
    }
    for (what, blob) in changed {
        let wrapped = WrappedKey::new(root.id(), blob).unwrap();
        let refused = root.unwrap(&wrapped, place).await.map(drop);
        let kind = refused.as_ref().map_err(|error| error.kind);
        // Where the blob names another key, moto says AccessDenied, and AWS IncorrectKey (server/tests/aws.rs).
        let refusals = [Err(RootErrorKind::Corrupt), Err(RootErrorKind::Denied)];
        assert!(refusals.contains(&kind.copied()), "{what}: {refused:?}");
    }
}

async fn does_many_at_once(root: &dyn RootKey) {
    let calls = (1..=50).map(|version| async move {
        let key = key();
        let id = id("etcd", version, &key);
        let place = Context { purpose: Purpose::Key, key_id: &id };
        let wrapped = root.wrap(&key, place).await.unwrap();
        assert!(root.unwrap(&wrapped, place).await.unwrap().ct_eq(&key), "version {version}");
    });
    join_all(calls).await;
}
