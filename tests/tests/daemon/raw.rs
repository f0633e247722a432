//! HTTP/2 by hand, for what no gRPC client would send.

use std::path::Path;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use h2::{
    Reason, SendStream,
    client::{self, ResponseFuture, SendRequest},
};
use http::{HeaderMap, Request};
use prost::Message;
use proto::kms::EncryptRequest;
use tokio::net::UnixStream;
use tonic::Code;

/// One HTTP/2 connection to the daemon.
pub(crate) struct Connection(SendRequest<Bytes>);

/// A call whose headers are sent and whose body is not.
pub(crate) struct Call {
    response: ResponseFuture,
    body: SendStream<Bytes>,
}

impl Connection {
    pub(crate) async fn open(socket: &Path) -> Result<Self> {
        let (send, connection) = client::handshake(UnixStream::connect(socket).await?).await?;
        tokio::spawn(connection);
        Ok(Self(send.ready().await?))
    }

    pub(crate) async fn begin(&mut self, method: &str) -> Result<Call> {
        let request = Request::post(format!("http://localhost/v2.KeyManagementService/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        self.0 = self.0.clone().ready().await?;
        let (response, body) = self.0.send_request(request, false)?;
        Ok(Call { response, body })
    }

    /// A whole call with this body, whatever it is; returns the code of the answer.
    pub(crate) async fn call(&mut self, method: &str, body: &[u8]) -> Result<Code> {
        self.begin(method).await?.finish(body).await
    }
}

impl Call {
    pub(crate) async fn finish(mut self, body: &[u8]) -> Result<Code> {
        // A body that is over the limit may be refused before it is sent whole.
        let _ = self.body.send_data(Bytes::copy_from_slice(body), true);
        self.without_body().await
    }

    /// Waits for the answer to headers alone.
    pub(crate) async fn without_body(self) -> Result<Code> {
        let response = self.response.await?;
        if let Some(code) = code(response.headers()) {
            return Ok(code);
        }
        let mut stream = response.into_body();
        while let Some(chunk) = stream.data().await {
            stream.flow_control().release_capacity(chunk?.len())?;
        }
        code(&stream.trailers().await?.context("no trailers")?).context("no grpc-status")
    }

    pub(crate) fn cancel(mut self) {
        self.body.send_reset(Reason::CANCEL);
    }
}

fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()))
}

/// A message in gRPC's framing: not compressed, length, bytes.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&[0], (message.len() as u32).to_be_bytes().as_slice(), message].concat()
}

pub(crate) fn encrypt_request(plaintext: &[u8]) -> Vec<u8> {
    framed(&EncryptRequest { plaintext: plaintext.to_vec(), uid: "test".into() }.encode_to_vec())
}
