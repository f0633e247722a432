//! One etcd, and the raw values in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::process::Process;
use crate::programs::Programs;
use crate::wait::{Look, until};
use crate::{http, port};

/// A single member on loopback. Reads and writes go through its JSON gateway, past kube-apiserver.
pub struct Etcd {
    url: String,
    data: PathBuf,
    process: Process,
}

impl Etcd {
    /// Starts one with its data in `folder` and waits until it is healthy.
    pub async fn start(folder: &Path) -> Result<Self> {
        let url = format!("http://127.0.0.1:{}", port::free()?);
        let peer = format!("http://127.0.0.1:{}", port::free()?);
        let data = folder.join("data");
        let mut command = Command::new(Programs::find()?.etcd());
        command
            .args(["--name", "test", "--data-dir"])
            .arg(&data)
            // Nothing here has to survive a power cut.
            .args(["--unsafe-no-fsync", "--logger", "zap", "--log-level", "warn"])
            .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("test={peer}")]);
        let process = Process::start("etcd", command, &folder.join("etcd.log"))?;
        let mut this = Self { url, data, process };
        this.wait_healthy().await?;
        Ok(this)
    }

    /// Where clients reach it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The folder of its files, whose bytes a thief would have.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The value under a key.
    pub async fn read(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let answer = self.call("range", &json!({ "key": encode(key) })).await?;
        Ok(entries(&answer)?.pop().map(|(_, value)| value))
    }

    /// The value under a key that must be there.
    pub async fn value(&self, key: &str) -> Result<Vec<u8>> {
        self.read(key).await?.with_context(|| format!("etcd has no key {key}"))
    }

    /// Puts a value, past every check of kube-apiserver.
    pub async fn write(&self, key: &str, value: &[u8]) -> Result<()> {
        self.call("put", &json!({ "key": encode(key), "value": encode(value) })).await?;
        Ok(())
    }

    /// Deletes a key.
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.call("deleterange", &json!({ "key": encode(key) })).await?;
        Ok(())
    }

    /// All keys and values under a prefix, in order.
    pub async fn list(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        const PAGE: usize = 500;
        let end = after(prefix.as_bytes());
        let mut from = prefix.as_bytes().to_vec();
        let mut all = Vec::new();
        loop {
            let range = json!({ "key": encode(&from), "range_end": encode(&end), "limit": PAGE });
            let page = entries(&self.call("range", &range).await?)?;
            let full = page.len() == PAGE;
            all.extend(page);
            match all.last() {
                Some((key, _)) if full => from = [key.as_bytes(), b"\0"].concat(),
                _ => return Ok(all),
            }
        }
    }

    async fn wait_healthy(&mut self) -> Result<()> {
        let Self { url, process, .. } = self;
        until("etcd is healthy", Duration::from_secs(30), async || {
            process.still_runs()?;
            Ok(match http::get(&format!("{url}/health")).await {
                Ok((status, _)) if status.is_success() => Look::Done(()),
                Ok((status, text)) => Look::NotYet(format!("{status} {text}")),
                Err(error) => Look::NotYet(format!("{error:#}")),
            })
        })
        .await
    }

    async fn call(&self, method: &str, request: &Value) -> Result<Value> {
        http::post(&format!("{}/v3/kv/{method}", self.url), request).await
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// The gateway leaves out what is empty: no `kvs` for none found, no `value` for an empty one.
fn entries(answer: &Value) -> Result<Vec<(String, Vec<u8>)>> {
    let found = answer.get("kvs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let field = |entry: &Value, name: &str| {
        let text = entry.get(name).and_then(Value::as_str).unwrap_or_default();
        BASE64_STANDARD.decode(text).context("etcd answers without base64")
    };
    found
        .iter()
        .map(|entry| Ok((String::from_utf8(field(entry, "key")?)?, field(entry, "value")?)))
        .collect()
}

/// The first key after all keys with this prefix. Prefixes here are text, whose bytes are never 0xff.
fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}
