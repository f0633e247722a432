//! `/livez`, `/readyz` and `/metrics` over HTTP. Answers to everybody who can reach it, and tells no secret.

use std::{io, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    health::Health,
    keyring::Keyring,
    metrics::{self, Metrics},
};

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
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// 200 `ok`, 200 `degraded` with the reasons while the keys in memory serve, 503 with the reasons when they do not.
async fn ready(State(pages): State<Pages>) -> impl IntoResponse {
    let mut reasons = pages.health.troubles();
    let healthz = pages.health.healthz();
    if healthz != "ok" {
        reasons.insert(0, format!("keys: {healthz}"));
    }
    if pages.keyring.snapshot().is_none() {
        reasons.insert(0, "keys: none is loaded yet".into());
    }
    let serving = healthz == "ok" && pages.keyring.snapshot().is_some();
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
