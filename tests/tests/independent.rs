//! The second implementation of the formats, in another language and written from docs/format.md alone, reads what ours writes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use testbed::{Daemon, folder::Folder, process::complete, python};

const SEED: [u8; 32] = [0x5e; 32];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("independent")
}

fn implementation() -> Result<Command> {
    let mut command = Command::new(python::with_packages(&folder().join("requirements.txt"))?);
    command.arg("-B").arg(folder().join("strongroom_format.py"));
    Ok(command)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn committed_vectors_are_what_it_writes() -> Result<()> {
    let out = Folder::make()?;
    complete(implementation()?.arg("vectors").arg(out.path()))?;
    let committed = folder().join("../../envelope/vectors");
    complete(Command::new("diff").arg("-r").arg(committed).arg(out.path()))
        .context("envelope/vectors differs from what the second implementation writes")?;
    Ok(())
}

#[test]
fn it_opens_the_bundle_that_init_makes() -> Result<()> {
    let place = Folder::make()?;
    let daemon = Daemon::make(place.path())?;
    daemon.init()?;
    let opened = complete(
        implementation()?.arg("open-bundle").arg(daemon.root()).arg(daemon.bundle_file()),
    )?;
    assert!(opened.contains("etcd/v1/"), "{opened}");
    assert!(opened.contains("active"), "{opened}");
    Ok(())
}

#[test]
fn it_recovers_a_seed_from_the_root_key_and_what_lies_in_etcd() -> Result<()> {
    testbed::run(async {
        let place = Folder::make()?;
        let mut daemon = Daemon::make(place.path())?;
        daemon.init()?;
        daemon.start().await?;
        let stored = daemon.plugin()?.encrypt(&SEED).await?;
        let annotation = stored.annotations.get("kek.strongroom.dev").context("no annotation")?;
        let mut recover = implementation()?;
        recover.arg("recover").arg("--root").arg(daemon.root());
        recover.args(["--key-id", &stored.key_id]);
        recover.args(["--annotation", &hex(annotation)]);
        recover.args(["--ciphertext", &hex(&stored.ciphertext)]);
        assert!(complete(&mut recover)?.contains(&hex(&SEED)));
        Ok(())
    })
}
