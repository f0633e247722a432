//! Rotations of a server under measurement, one after the other.

use std::{convert::Infallible, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use proto::admin::{
    RunState, StartRotationRequest, WatchRotationRequest, admin_client::AdminClient,
};
use tonic::transport::Endpoint;

/// How long the admin API of a server that has just been started may be away.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// Begins a rotation whenever none is open, through the admin API at `socket`, for as long as it is polled.
pub(crate) async fn rotate(socket: &Path) -> Result<Infallible> {
    let mut admin = tokio::time::timeout(PATIENCE, connect(socket)).await??;
    loop {
        let request = StartRotationRequest { reason: "measured".into(), compromised: false };
        // One that was begun for the last stretch may still be open.
        let _ = admin.start_rotation(request).await;
        let mut looks = admin.watch_rotation(WatchRotationRequest {}).await?.into_inner();
        while let Some(look) = looks.message().await? {
            let run = look.rotation.and_then(|rotation| rotation.run);
            if run.is_none_or(|run| run.state() != RunState::Open) {
                break;
            }
        }
    }
}

async fn connect(socket: &Path) -> Result<AdminClient<tonic::transport::Channel>> {
    let endpoint = Endpoint::new(format!("unix://{}", socket.display()))?;
    loop {
        match endpoint.connect().await {
            Ok(channel) => return Ok(AdminClient::new(channel)),
            Err(_) if !socket.exists() => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(error).context("the admin API"),
        }
    }
}
