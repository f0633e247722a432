//! Plain HTTP to programs on this machine: etcd's JSON gateway, the daemon's admin listener.

use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);

/// The answer's status and text.
pub async fn get(url: &str) -> Result<(StatusCode, String)> {
    let (status, body) = send(Request::get(url).body(Full::default())?).await?;
    Ok((status, String::from_utf8(body.to_vec()).context("the answer is not text")?))
}

/// Posts JSON and reads JSON; anything but success is an error.
pub async fn post(url: &str, json: &Value) -> Result<Value> {
    post_with(url, &[], json).await
}

/// The same with more headers.
pub async fn post_with(url: &str, headers: &[(&str, &str)], json: &Value) -> Result<Value> {
    let body = Full::from(serde_json::to_vec(json)?);
    let mut request = Request::post(url).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (status, body) = send(request.body(body)?).await?;
    if !status.is_success() {
        bail!("{url} answers {status}: {}", String::from_utf8_lossy(&body));
    }
    serde_json::from_slice(&body).with_context(|| format!("{url} does not answer with JSON"))
}

async fn send(request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes)> {
    static CLIENT: LazyLock<Client<HttpConnector, Full<Bytes>>> =
        LazyLock::new(|| Client::builder(TokioExecutor::new()).build_http());
    let url = request.uri().to_string();
    let exchange = async {
        let answer = CLIENT.request(request).await?;
        let status = answer.status();
        Ok::<_, anyhow::Error>((status, answer.into_body().collect().await?.to_bytes()))
    };
    tokio::time::timeout(LIMIT, exchange)
        .await
        .with_context(|| format!("no answer from {url}"))?
        .with_context(|| format!("no exchange with {url}"))
}
