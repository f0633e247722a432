//! A bare tonic server that answers with messages of strongroomd's sizes and does no cryptography: what the transport alone costs.
//!
//! It takes the command line of strongroomd (`init`, `serve --config FILE`), so that every contender is started the same way.

use std::{
    fmt,
    os::unix::net::UnixListener as StdListener,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, Result, bail};
use proto::kms::{
    DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, StatusRequest,
    StatusResponse,
    key_management_service_server::{KeyManagementService, KeyManagementServiceServer},
};
use serde::Deserialize;
use tokio::{
    net::UnixListener,
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status, transport::Server};

/// Serves until SIGTERM.
pub(crate) fn serve(config: &Path, shape: RuntimeShape) -> Result<()> {
    let text = std::fs::read_to_string(config)
        .with_context(|| format!("cannot read {}", config.display()))?;
    let config: Config = toml::from_str(&text)
        .with_context(|| format!("{} is no configuration", config.display()))?;
    let listener = bind(&config.kms.socket)?;
    match shape {
        RuntimeShape::CurrentThread => current_thread()?.block_on(accept(listener)),
        RuntimeShape::MultiThread(workers) => Builder::new_multi_thread()
            .worker_threads(workers)
            .enable_all()
            .build()?
            // The task that accepts runs on a worker: what `block_on` itself runs is outside the pool, and each accept would cross threads.
            .block_on(async { tokio::spawn(accept(listener)).await? }),
        RuntimeShape::Sharded(threads) => {
            for _ in 1..threads {
                let (runtime, listener) = (current_thread()?, listener.try_clone()?);
                std::thread::spawn(move || runtime.block_on(accept(listener)));
            }
            current_thread()?.block_on(accept(listener))
        }
    }
}

/// How the threads of a server are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RuntimeShape {
    /// One thread does everything.
    CurrentThread,
    /// tokio's work-stealing pool with so many workers.
    MultiThread(usize),
    /// So many single-threaded runtimes that accept from one listener; a connection stays where it was accepted.
    Sharded(usize),
}

impl FromStr for RuntimeShape {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let count = |text: &str| match text.parse() {
            Ok(count @ 1..=64) => Ok(count),
            _ => bail!("{text:?} is no number of threads from 1 to 64"),
        };
        match text.split_once(':') {
            None if text == "current-thread" => Ok(Self::CurrentThread),
            Some(("multi-thread", workers)) => Ok(Self::MultiThread(count(workers)?)),
            Some(("sharded", threads)) => Ok(Self::Sharded(count(threads)?)),
            _ => bail!(
                "{text:?} is no runtime shape: use current-thread, multi-thread:N or sharded:N"
            ),
        }
    }
}

impl fmt::Display for RuntimeShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CurrentThread => f.write_str("current-thread"),
            Self::MultiThread(workers) => write!(f, "multi-thread:{workers}"),
            Self::Sharded(threads) => write!(f, "sharded:{threads}"),
        }
    }
}

/// The part of strongroomd's file that an echo needs; the rest is not its business.
#[derive(Deserialize)]
struct Config {
    kms: Kms,
}

#[derive(Deserialize)]
struct Kms {
    socket: PathBuf,
}

/// Listens under another name first: a path that is visible but does not accept yet is refused, and a client then backs off.
fn bind(socket: &Path) -> Result<StdListener> {
    let unready = socket.with_extension("unready");
    let listener = StdListener::bind(&unready)
        .with_context(|| format!("cannot listen on {}", unready.display()))?;
    std::fs::rename(&unready, socket)
        .with_context(|| format!("cannot put a socket at {}", socket.display()))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn current_thread() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

async fn accept(listener: StdListener) -> Result<()> {
    let incoming = UnixListenerStream::new(UnixListener::from_std(listener)?);
    let mut terminate = signal(SignalKind::terminate())?;
    Server::builder()
        .add_service(KeyManagementServiceServer::new(Echo))
        .serve_with_incoming_shutdown(incoming, async move {
            terminate.recv().await;
        })
        .await?;
    Ok(())
}

/// The sizes that strongroomd answers with: `0x01 ‖ nonce[24] ‖ ciphertext[32] ‖ tag[16]`, `etcd/v1/<12 hex>`, one annotation of 80 bytes.
struct Echo;

const KEY_ID: &str = "etcd/v1/0123456789ab";
const NONCE_END: usize = 25;
const TAG: usize = 16;

#[tonic::async_trait]
impl KeyManagementService for Echo {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(StatusResponse {
            version: "v2".to_owned(),
            healthz: "ok".to_owned(),
            key_id: KEY_ID.to_owned(),
        }))
    }

    async fn encrypt(
        &self,
        request: Request<EncryptRequest>,
    ) -> Result<Response<EncryptResponse>, Status> {
        let plaintext = request.into_inner().plaintext;
        let mut ciphertext = Vec::with_capacity(NONCE_END + plaintext.len() + TAG);
        ciphertext.resize(NONCE_END, 1);
        ciphertext.extend_from_slice(&plaintext);
        ciphertext.resize(NONCE_END + plaintext.len() + TAG, 2);
        Ok(Response::new(EncryptResponse {
            ciphertext,
            key_id: KEY_ID.to_owned(),
            annotations: [("kek.strongroom.dev".to_owned(), vec![3; 80])].into(),
        }))
    }

    async fn decrypt(
        &self,
        request: Request<DecryptRequest>,
    ) -> Result<Response<DecryptResponse>, Status> {
        let ciphertext = request.into_inner().ciphertext;
        let plaintext =
            ciphertext.get(NONCE_END..).and_then(|rest| rest.get(..rest.len().checked_sub(TAG)?));
        let plaintext =
            plaintext.ok_or_else(|| Status::invalid_argument("ciphertext: too short"))?.to_vec();
        Ok(Response::new(DecryptResponse { plaintext }))
    }
}
