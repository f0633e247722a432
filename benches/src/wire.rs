//! The client's end of the wire: gRPC over h2, with bytes prepared before the clock starts.
//!
//! A generated client would decode, allocate and hop through a buffer task for each call, on the cores that the server needs. This one sends the headers
//! that kube-apiserver sends, and compares answers as bytes.

use std::{os::unix::net::UnixStream as StdStream, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request, Uri, Version};
use prost::Message;
use tokio::net::UnixStream;

/// One connection; clones share it.
#[derive(Clone)]
pub(crate) struct Wire(SendRequest<Bytes>);

impl Wire {
    /// Connects and shakes hands. The connection lives on a task of the current runtime, until the last clone is gone.
    pub(crate) async fn connect(socket: &Path) -> Result<Self> {
        let stream = StdStream::connect(socket)
            .with_context(|| format!("cannot connect to {}", socket.display()))?;
        stream.set_nonblocking(true)?;
        let (send, connection) = h2::client::handshake(UnixStream::from_std(stream)?).await?;
        tokio::spawn(async move {
            // An error of the connection is the error of every call on it: said there.
            let _ = connection.await;
        });
        Ok(Self(send))
    }

    /// Calls, and gives back the answer's message bytes; anything but status 0 and one message is an error.
    pub(crate) async fn call(&mut self, call: &Prepared) -> Result<Bytes> {
        let mut ready = self.0.clone().ready().await?;
        let (response, mut body) = ready.send_request(call.request(), false)?;
        body.send_data(call.message.clone(), true)?;
        let response = response.await?;
        grpc_ok(response.headers(), false)?;
        let mut body = response.into_body();
        let mut answer = Bytes::new();
        while let Some(chunk) = body.data().await {
            let chunk = chunk?;
            body.flow_control().release_capacity(chunk.len())?;
            answer = if answer.is_empty() { chunk } else { [answer, chunk].concat().into() };
        }
        grpc_ok(&body.trailers().await?.context("the answer has no trailers")?, true)?;
        let (prefix, message) =
            answer.split_at_checked(PREFIX).context("the answer has no message")?;
        let said =
            prefix.get(1..).and_then(|length| length.try_into().ok()).map(u32::from_be_bytes);
        ensure!(
            said.and_then(|said| usize::try_from(said).ok()) == Some(message.len()),
            "the answer is not one message"
        );
        Ok(answer.slice(PREFIX..))
    }
}

/// A call whose bytes are ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    uri: Uri,
    headers: HeaderMap,
    message: Bytes,
}

impl Prepared {
    pub(crate) fn new(method: &str, message: &impl Message) -> Result<Self> {
        let mut framed = BytesMut::with_capacity(PREFIX + message.encoded_len());
        framed.put_u8(0);
        framed.put_u32(message.encoded_len().try_into()?);
        message.encode(&mut framed)?;
        // As grpc-go sends them for a call with the default time-out of kube-apiserver.
        let headers = [
            (http::header::CONTENT_TYPE, "application/grpc"),
            (http::header::USER_AGENT, "grpc-go/1.79.0"),
            (http::header::TE, "trailers"),
            (http::HeaderName::from_static("grpc-timeout"), "2999857u"),
        ];
        Ok(Self {
            uri: format!("http://localhost/v2.KeyManagementService/{method}").parse()?,
            headers: headers
                .into_iter()
                .map(|(name, value)| (name, http::HeaderValue::from_static(value)))
                .collect(),
            message: framed.freeze(),
        })
    }

    fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// Compressed flag and length, before each message of gRPC.
const PREFIX: usize = 5;

fn grpc_ok(headers: &HeaderMap, must: bool) -> Result<()> {
    match headers.get("grpc-status") {
        Some(status) if status == "0" => Ok(()),
        None if !must => Ok(()),
        status => {
            let message = headers
                .get("grpc-message")
                .map(|text| String::from_utf8_lossy(text.as_bytes()).into_owned());
            bail!("the server answered grpc-status {status:?}: {}", message.unwrap_or_default())
        }
    }
}
