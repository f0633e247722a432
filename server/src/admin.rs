//! `/livez`, `/readyz` and `/metrics` over HTTP. Answers to everybody who can reach it, and tells no secret.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    health::Health,
    keyring::Keyring,
    metrics::{self, Metrics},
};

/// Everybody on the node can connect: what they hold open must not be what kube-apiserver needs.
const MAX_CONNECTIONS: usize = 32;
/// One request, one answer, this long, in this much memory.
const DEADLINE: Duration = Duration::from_secs(5);
const MAX_REQUEST: usize = 16 << 10;
/// Wait before the next accept when the system has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// What the pages are made of.
#[derive(Debug, Clone)]
pub struct Pages {
    /// Whether a snapshot is served.
    pub keyring: Arc<Keyring>,
    /// What is in trouble.
    pub health: Arc<Health>,
    /// What was counted.
    pub metrics: Arc<Metrics>,
}

/// Serves the pages until `stop`.
///
/// # Errors
/// Those of the listener.
pub async fn serve(listener: TcpListener, pages: Pages, stop: CancellationToken) -> io::Result<()> {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(pages);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            // Never closed.
            Ok(place) = Arc::clone(&places).acquire_owned() => place,
        };
        let stream = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "a connection to the admin pages could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(DEADLINE)
                .keep_alive(false)
                .max_buf_size(MAX_REQUEST)
                .serve_connection(TokioIo::new(stream), service);
            // Whatever went wrong is the peer's: there is nothing to do for us, and nothing to finish at the end.
            let _ = timeout(DEADLINE, connection).await;
            drop(place);
        });
    }
}

/// 200 `ok`, 200 `degraded` with the reasons while the keys in memory serve, 503 with the reasons when they do not.
async fn ready(State(pages): State<Pages>) -> impl IntoResponse {
    let mut reasons = pages.health.troubles();
    let healthz = pages.health.healthz();
    if healthz != "ok" {
        reasons.insert(0, format!("keys: {healthz}"));
    }
    let loaded = pages.keyring.snapshot().is_some();
    if !loaded {
        reasons.insert(0, "keys: none is loaded yet".into());
    }
    let serving = healthz == "ok" && loaded;
    let (status, word) = match (serving, reasons.is_empty()) {
        (true, true) => (StatusCode::OK, "ok"),
        (true, false) => (StatusCode::OK, "degraded"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let lines = reasons.iter().fold(format!("{word}\n"), |text, reason| text + reason + "\n");
    (status, lines)
}

async fn render(State(pages): State<Pages>) -> impl IntoResponse {
    match pages.metrics.render() {
        Ok(text) => (StatusCode::OK, [(CONTENT_TYPE, metrics::CONTENT_TYPE)], text),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "text/plain")], error.to_string())
        }
    }
}
