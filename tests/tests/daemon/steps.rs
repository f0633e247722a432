//! Steps that several tests take.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use proto::kms::{DecryptRequest, EncryptResponse};
use testbed::{
    Daemon,
    folder::Folder,
    wait::{Look, until},
};

/// A seed, as kube-apiserver would send one.
pub(crate) const SEED: [u8; 32] = [0x5e; 32];

/// A daemon of its own that serves, in an empty folder.
pub(crate) async fn serving(folder: &Folder) -> Result<Daemon> {
    serving_with(folder, "", "").await
}

/// The same, with this text of its configuration replaced by that.
pub(crate) async fn serving_with(folder: &Folder, from: &str, to: &str) -> Result<Daemon> {
    let mut daemon = Daemon::make(folder.path())?;
    let text = fs::read_to_string(daemon.config())?;
    fs::write(daemon.config(), text.replace(from, to))?;
    daemon.init()?;
    daemon.start().await?;
    Ok(daemon)
}

/// Starts the daemon and expects it to stop by itself, with this exit code and these words on standard error.
pub(crate) async fn refuses_to_serve(daemon: &mut Daemon, code: i32, words: &str) -> Result<()> {
    let before = daemon.log().unwrap_or_default().len();
    daemon.launch()?;
    let status = daemon.exit().await?;
    let said = daemon.log()?.split_off(before);
    ensure!(status.code() == Some(code), "{status}, expected exit code {code}; it said:\n{said}");
    ensure!(said.contains(words), "it did not say {words:?} but:\n{said}");
    Ok(())
}

/// What kube-apiserver sends to read what it stored.
pub(crate) fn request(stored: &EncryptResponse) -> DecryptRequest {
    DecryptRequest {
        ciphertext: stored.ciphertext.clone(),
        uid: "test".into(),
        key_id: stored.key_id.clone(),
        annotations: stored.annotations.clone(),
    }
}

/// Waits until the daemon has read this many bundles with that outcome.
pub(crate) async fn loads(daemon: &Daemon, outcome: &str, count: f64) -> Result<()> {
    until("a reload", Duration::from_secs(10), async || {
        let metrics = daemon.metrics().await?;
        let seen = metrics.sum("strongroom_bundle_loads_total", &[("outcome", outcome)]);
        Ok(if seen >= Some(count) { Look::Done(()) } else { Look::NotYet(format!("{seen:?}")) })
    })
    .await
}

/// Waits until the daemon has taken the first signal.
pub(crate) async fn draining(daemon: &Daemon) -> Result<()> {
    until("the drain", Duration::from_secs(5), async || {
        Ok(if daemon.log()?.contains("draining") {
            Look::Done(())
        } else {
            Look::NotYet("nothing in the log".into())
        })
    })
    .await
}

/// Waits until the daemon needs no more than 8 MiB over `before` (KiB).
pub(crate) async fn memory_returns(daemon: &Daemon, before: u64) -> Result<()> {
    until("memory given back", Duration::from_secs(30), async || {
        let now = daemon.resident_kib()?;
        Ok(if now <= before + (8 << 10) {
            Look::Done(())
        } else {
            Look::NotYet(format!("{now} KiB, {before} before"))
        })
    })
    .await
}
