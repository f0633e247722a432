use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use anyhow::Result;
use envelope::bundle::State;
use testbed::{Daemon, folder::Folder};
use tonic::Code;

use crate::{
    holder::Holder,
    steps::{SEED, loads, refuses_to_serve, request, serving, serving_with},
};

#[test]
fn nothing_initialised_is_said_with_the_command_to_run() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let mut daemon = Daemon::make(folder.path())?;
        refuses_to_serve(&mut daemon, 20, "strongroomd init --config FILE").await?;
        assert!(daemon.root().symlink_metadata().is_err(), "serve makes no key");

        daemon.init()?;
        fs::remove_file(daemon.bundle_file())?;
        refuses_to_serve(&mut daemon, 11, "strongroomd init --config FILE").await
    })
}

#[test]
fn init_changes_nothing_that_exists() -> Result<()> {
    let folder = Folder::make()?;
    let daemon = Daemon::make(folder.path())?;
    daemon.init()?;
    let before = (fs::read(daemon.root())?, fs::read(daemon.bundle_file())?);
    let config = daemon.config().display().to_string();
    let again = daemon.run(&["init", "--config", &config])?;
    assert!(again.status.success());
    assert!(String::from_utf8(again.stdout)?.contains("already initialised, nothing was changed"));
    assert_eq!((fs::read(daemon.root())?, fs::read(daemon.bundle_file())?), before);

    // A bundle whose root is gone: a new root would open nothing.
    fs::remove_file(daemon.root())?;
    let without_root = daemon.run(&["init", "--config", &config])?;
    assert_eq!(without_root.status.code(), Some(20));
    assert!(String::from_utf8(without_root.stderr)?.contains("A new one would open nothing"));
    assert!(daemon.root().symlink_metadata().is_err());
    Ok(())
}

#[test]
fn root_key_file_that_others_could_read_is_refused_with_the_mending_command() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let mut daemon = Daemon::make(folder.path())?;
        daemon.init()?;
        assert_eq!(fs::metadata(daemon.root())?.permissions().mode() & 0o7777, 0o600);
        for mode in [0o640, 0o604, 0o700, 0o4600] {
            fs::set_permissions(daemon.root(), Permissions::from_mode(mode))?;
            refuses_to_serve(&mut daemon, 21, "run chmod 0600").await?;
        }
        fs::set_permissions(daemon.root(), Permissions::from_mode(0o400))?;
        daemon.start().await
    })
}

#[test]
fn damaged_bundle_or_root_is_refused_each_with_its_own_code() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let mut daemon = Daemon::make(folder.path())?;
        daemon.init()?;
        let (root, bundle) = (fs::read(daemon.root())?, fs::read(daemon.bundle_file())?);
        let root_code = |bytes: &[u8]| fs::write(daemon.root(), bytes);
        let last = bundle.len() - 1;

        root_code(&root[..31])?;
        refuses_to_serve(&mut daemon, 21, "has 31 bytes, and a key has 32").await?;
        fs::write(daemon.root(), [7; 32])?;
        refuses_to_serve(&mut daemon, 22, "wrong root key: it is wrapped under").await?;
        fs::remove_file(daemon.root())?;
        refuses_to_serve(&mut daemon, 20, "is missing: restore it from your backup").await?;
        fs::write(daemon.root(), &root)?;
        fs::set_permissions(daemon.root(), Permissions::from_mode(0o600))?;

        fs::write(daemon.bundle_file(), &bundle[..last])?;
        refuses_to_serve(&mut daemon, 31, "is damaged: wrong length").await?;
        fs::write(daemon.bundle_file(), [])?;
        refuses_to_serve(&mut daemon, 31, "is damaged: wrong length").await?;
        let mut flipped = bundle.clone();
        flipped[last] ^= 1;
        fs::write(daemon.bundle_file(), flipped)?;
        refuses_to_serve(&mut daemon, 32, "is not authentic").await?;

        fs::write(daemon.bundle_file(), &bundle)?;
        daemon.start().await
    })
}

/// Every bit of the file, one after the other. None may be accepted, whatever it is in.
#[test]
fn bundle_with_any_bit_flipped_is_refused() -> Result<()> {
    use envelope::RingName;
    use strongroomd::{config::Config, keyring::Store, root::Roots};

    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = Daemon::make(folder.path())?;
        daemon.init()?;
        let config = Config::load(&daemon.config())?;
        let roots = Roots::open(&config.roots).await?;
        let store = Store::new(&config.bundle.dir, RingName::parse("etcd")?);
        let bundle = fs::read(daemon.bundle_file())?;
        assert!(store.load(&roots).await.is_ok());
        for position in 0..bundle.len() * 8 {
            let mut changed = bundle.clone();
            changed[position / 8] ^= 1 << (position % 8);
            fs::write(daemon.bundle_file(), changed)?;
            let loaded = store.load(&roots).await;
            assert!(loaded.is_err(), "bit {position} may be flipped");
        }
        Ok(())
    })
}

#[test]
fn last_good_bundle_serves_on_and_the_trouble_is_told() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        let plugin = daemon.plugin()?;
        let stored = plugin.encrypt(&SEED).await?;

        fs::write(daemon.bundle_file(), "no bundle")?;
        daemon.reload()?;
        loads(&daemon, "Refused", 1.0).await?;
        assert_eq!(plugin.decrypt(request(&stored)).await?.plaintext, SEED);
        assert_eq!(plugin.status().await?.healthz, "ok");
        let (status, text) = daemon.admin("/readyz").await?;
        assert!(status.is_success());
        assert!(text.starts_with("degraded\nbundle: "), "{text}");
        Ok(())
    })
}

#[test]
fn new_bundle_is_served_without_a_restart_and_encrypt_follows_status() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving(&folder).await?;
        let plugin = daemon.plugin()?;
        let first = plugin.status().await?.key_id;
        let stored = plugin.encrypt(&SEED).await?;
        assert_eq!(stored.key_id, first);

        let holder = Holder::of(&daemon)?;
        let versions = holder.rotated(State::Deactivated)?;
        let second = versions[1].id.as_str().to_owned();
        fs::write(daemon.bundle_file(), holder.encode(2, versions)?)?;
        loads(&daemon, "Accepted", 2.0).await?;

        // kube-apiserver throws an answer away whose key_id is not the one that Status named.
        assert_eq!(plugin.encrypt(&SEED).await?.key_id, first);
        assert_eq!(plugin.status().await?.key_id, second);
        assert_eq!(plugin.encrypt(&SEED).await?.key_id, second);
        assert_eq!(plugin.decrypt(request(&stored)).await?.plaintext, SEED);

        let hash = ring::digest::digest(&ring::digest::SHA256, second.as_bytes());
        let hash = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let metrics = daemon.metrics().await?;
        let label = format!("sha256:{hash}");
        assert_eq!(
            metrics.sum("strongroom_kms_key_id_hash", &[("key_id_hash", &label)]),
            Some(1.0)
        );
        assert_eq!(metrics.sum("strongroom_kms_key_id_hash", &[]), Some(1.0));
        assert_eq!(metrics.sum("strongroom_bundle_generation", &[]), Some(2.0));
        Ok(())
    })
}

#[test]
fn older_bundle_than_accepted_is_refused_also_after_a_restart() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let mut daemon = serving(&folder).await?;
        let old = fs::read(daemon.bundle_file())?;
        let holder = Holder::of(&daemon)?;
        let new = holder.encode(2, holder.rotated(State::Deactivated)?)?;
        fs::write(daemon.bundle_file(), &new)?;
        loads(&daemon, "Accepted", 2.0).await?;
        let named = daemon.plugin()?.status().await?.key_id;

        fs::write(daemon.bundle_file(), &old)?;
        loads(&daemon, "Refused", 1.0).await?;
        assert_eq!(daemon.plugin()?.status().await?.key_id, named);
        assert!(daemon.log()?.contains("is old: generation 1, and this node has accepted 2"));

        assert!(daemon.terminate().await?.success());
        refuses_to_serve(&mut daemon, 33, "generation 1, and this node has accepted 2").await?;
        fs::write(daemon.bundle_file(), &new)?;
        daemon.start().await
    })
}

#[test]
fn state_of_a_version_decides_whatever_the_annotation_says() -> Result<()> {
    testbed::run(async {
        let states =
            [State::Archived, State::DestroyScheduled, State::Destroyed, State::Compromised];
        for state in states {
            let folder = Folder::make()?;
            let daemon = serving(&folder).await?;
            let plugin = daemon.plugin()?;
            let stored = plugin.encrypt(&SEED).await?;
            assert_eq!(stored.annotations.len(), 1);

            let holder = Holder::of(&daemon)?;
            fs::write(daemon.bundle_file(), holder.encode(2, holder.rotated(state)?)?)?;
            loads(&daemon, "Accepted", 2.0).await?;
            let refused = plugin.decrypt(request(&stored)).await.unwrap_err();
            assert_eq!(refused.code(), Code::FailedPrecondition);
            let said =
                format!("key version {} is {} and opens nothing", stored.key_id, state.as_str());
            let way_back = match state {
                State::Archived | State::Compromised => {
                    "; strongroom keys restore 1 opens it again"
                }
                _ => "",
            };
            assert_eq!(refused.message(), said + way_back);
        }
        Ok(())
    })
}

#[test]
fn lost_bundle_is_recovered_from_by_the_annotation() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let mut daemon = serving(&folder).await?;
        let stored = daemon.plugin()?.encrypt(&SEED).await?;
        assert!(daemon.terminate().await?.success());

        fs::remove_dir_all(daemon.bundle())?;
        let config = daemon.config().display().to_string();
        let refused = daemon.run(&["init", "--config", &config])?;
        assert_eq!(refused.status.code(), Some(11));
        assert!(String::from_utf8(refused.stderr)?.contains("--first-version N"));
        let again = daemon.run(&["init", "--config", &config, "--first-version", "2"])?;
        assert!(again.status.success());
        daemon.start().await?;

        let plugin = daemon.plugin()?;
        assert!(plugin.status().await?.key_id.starts_with("etcd/v2/"));
        assert_eq!(plugin.decrypt(request(&stored)).await?.plaintext, SEED);
        let mut bare = request(&stored);
        bare.annotations.clear();
        assert_eq!(plugin.decrypt(bare).await.unwrap_err().code(), Code::NotFound);
        Ok(())
    })
}

#[test]
fn annotation_can_be_turned_off() -> Result<()> {
    testbed::run(async {
        let folder = Folder::make()?;
        let daemon = serving_with(&folder, "annotation = true", "annotation = false").await?;
        let stored = daemon.plugin()?.encrypt(&SEED).await?;
        assert!(stored.annotations.is_empty());
        assert_eq!(daemon.plugin()?.decrypt(request(&stored)).await?.plaintext, SEED);
        Ok(())
    })
}
