//! What stands between a daemon and AWS: it passes requests on, or does to them what an outage does, and writes down what was asked.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::port;

/// What happens to requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// They are passed on.
    Works,
    /// Nobody listens.
    Refuses,
    /// They are taken, and never answered.
    IsSilent,
    /// Each is answered with this status and this error of AWS.
    Fails(u16, &'static str),
}

/// One request: the operation, and what was sent.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Such as `Decrypt`.
    pub operation: String,
    /// The JSON.
    pub body: Value,
    /// The id of the access key that signed it.
    pub signed_by: String,
}

/// An address on loopback that stays the same whatever happens to the line.
pub struct Endpoint {
    port: u16,
    upstream: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    serving: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// Before whatever listens on the port `upstream`; it works.
    pub async fn before(upstream: u16) -> Result<Self> {
        let mut this = Self { port: port::free()?, upstream, asked: Arc::default(), serving: None };
        this.becomes(Line::Works).await?;
        Ok(this)
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on this happens to requests; those under way are cut.
    pub async fn becomes(&mut self, line: Line) -> Result<()> {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // Its socket is closed once it has ended.
            let _ = serving.await;
        }
        if line == Line::Refuses {
            return Ok(());
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await?;
        let (upstream, asked) = (self.upstream, Arc::clone(&self.asked));
        self.serving = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let asked = Arc::clone(&asked);
                // A connection that breaks is the client's to notice.
                connections.spawn(async move { serve(stream, line, upstream, &asked).await.ok() });
                while connections.try_join_next().is_some() {}
            }
        }));
        Ok(())
    }

    /// Everything that was asked since the last look.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    line: Line,
    upstream: u16,
    asked: &Mutex<Vec<Asked>>,
) -> Result<()> {
    let request = read_request(&mut stream).await?;
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(request.asked()?);
    match line {
        Line::Works => {
            let mut onward = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).await?;
            onward.write_all(&request.bytes).await?;
            // moto ends each connection after its answer.
            tokio::io::copy(&mut onward, &mut stream).await?;
        }
        Line::Fails(status, error) => {
            let body = format!("{{\"__type\":\"{error}\",\"message\":\"words of the service\"}}");
            let answer = format!(
                "HTTP/1.1 {status} x\r\ncontent-type: application/x-amz-json-1.1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await?;
        }
        Line::IsSilent | Line::Refuses => std::future::pending().await,
    }
    Ok(())
}

struct Request {
    bytes: Vec<u8>,
    head: usize,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let head = str::from_utf8(self.bytes.get(..self.head)?).ok()?;
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn asked(&self) -> Result<Asked> {
        let target = self.header("x-amz-target").context("no operation")?;
        let operation = target.strip_prefix("TrentService.").context("not KMS")?.to_owned();
        let body = self.bytes.get(self.head..).unwrap_or_default();
        let signed = self.header("authorization").context("not signed")?;
        let signed_by =
            signed.split_once("Credential=").and_then(|(_, rest)| rest.split('/').next());
        let signed_by = signed_by.context("no credential")?.to_owned();
        Ok(Asked { operation, body: serde_json::from_slice(body)?, signed_by })
    }
}

/// Head and body of one request.
async fn read_request(stream: &mut TcpStream) -> Result<Request> {
    const MOST: usize = 64 << 10;
    let mut request = Request { bytes: Vec::new(), head: 0 };
    loop {
        if let Some(end) = request.bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            request.head = end + 4;
            let length: usize = request.header("content-length").unwrap_or("0").parse()?;
            if request.bytes.len() >= request.head + length {
                return Ok(request);
            }
        }
        if request.bytes.len() > MOST || stream.read_buf(&mut request.bytes).await? == 0 {
            bail!("a request without an end");
        }
    }
}
