//! The three calls, as kube-apiserver makes them.
//!
//! Answers are read leniently: what the protocol calls a string is taken as bytes here, so that a key_id that is not UTF-8 is a finding of its own
//! and not a call that failed.

use std::{
    error::Error,
    fmt,
    time::{Duration, Instant},
};

use http::{Uri, uri::PathAndQuery};
use hyper_util::rt::TokioIo;
use prost::Message;
use proto::kms::{DecryptRequest, DecryptResponse, EncryptRequest, StatusRequest};
use tonic::{
    Request, Status, TimeoutExpired,
    client::Grpc,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

use super::contract;
use crate::socket::Address;

/// A plugin, and what waits for it.
pub(crate) struct Plugin {
    grpc: Grpc<Channel>,
    timeout: Duration,
    calls: u32,
}

impl Plugin {
    /// Connects when the first call is made. The `:authority` is `localhost`, as Kubernetes 1.32 and later send it.
    pub(crate) fn new(address: &Address, timeout: Duration) -> Self {
        let address = address.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let address = address.clone();
            async move { address.connect(timeout).await.map(TokioIo::new) }
        });
        let channel =
            Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector);
        Self { grpc: Grpc::new(channel), timeout, calls: 0 }
    }

    pub(crate) async fn status(&mut self) -> Timed<StatusAnswer> {
        self.call("/v2.KeyManagementService/Status", StatusRequest {}).await
    }

    pub(crate) async fn encrypt(&mut self, plaintext: &[u8]) -> Timed<EncryptAnswer> {
        let request = EncryptRequest { plaintext: plaintext.to_vec(), uid: self.uid() };
        self.call("/v2.KeyManagementService/Encrypt", request).await
    }

    /// Sends back what an Encrypt gave, with another ciphertext or key_id where the caller wants one.
    pub(crate) async fn decrypt(&mut self, sealed: &EncryptAnswer) -> Timed<DecryptResponse> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let annotations = sealed
            .annotations
            .iter()
            .map(|annotation| (text(&annotation.key), annotation.value.clone()));
        let request = DecryptRequest {
            ciphertext: sealed.ciphertext.clone(),
            uid: self.uid(),
            key_id: text(&sealed.key_id),
            annotations: annotations.collect(),
        };
        self.call("/v2.KeyManagementService/Decrypt", request).await
    }

    /// kube-apiserver sends a UUID; this one says in the plugin's log who asked.
    fn uid(&self) -> String {
        format!("strongroom-probe-{}", self.calls)
    }

    async fn call<Q, A>(&mut self, path: &'static str, message: Q) -> Timed<A>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        self.calls += 1;
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        let start = Instant::now();
        let answered = tokio::time::timeout(self.timeout, async {
            self.grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
            self.grpc
                .unary(request, PathAndQuery::from_static(path), ProstCodec::<Q, A>::default())
                .await
        });
        let answer = match answered.await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(CallError::from_status(status, self.timeout)),
            Err(_) => Err(CallError::Silent(self.timeout)),
        };
        Timed { answer, taken: start.elapsed() }
    }
}

/// What a call gave, and how long it took.
pub(crate) struct Timed<A> {
    pub(crate) answer: Result<A, CallError>,
    pub(crate) taken: Duration,
}

/// How a call failed: each case points at another part of the plugin.
#[derive(Debug)]
pub(crate) enum CallError {
    /// Nothing came in time.
    Silent(Duration),
    /// The plugin answered, with a code.
    Refused(Status),
    /// The connection or HTTP/2 failed under the call.
    Broken(Status),
}

impl CallError {
    fn from_status(status: Status, timeout: Duration) -> Self {
        // A status that was made on this side carries the error that it was made from.
        let is_ours = causes(&status).next().is_some();
        // The channel reads the deadline that it sends, and may be first to see it pass.
        let is_late = causes(&status).any(|cause| cause.is::<TimeoutExpired>());
        match (is_ours, is_late) {
            (_, true) => Self::Silent(timeout),
            (true, false) => Self::Broken(status),
            (false, false) => Self::Refused(status),
        }
    }
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next = status.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(timeout) => write!(f, "no answer within {timeout:?}"),
            Self::Refused(status) => {
                write!(
                    f,
                    "refused with {}: {}",
                    contract::name(status.code()),
                    contract::quoted(status.message().as_bytes())
                )
            }
            Self::Broken(status) => {
                f.write_str("the connection broke")?;
                causes(status).try_for_each(|cause| write!(f, ": {cause}"))
            }
        }
    }
}

/// `StatusResponse`, with bytes for strings.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StatusAnswer {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) version: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) healthz: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) key_id: Vec<u8>,
}

/// `EncryptResponse`, with bytes for strings.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct EncryptAnswer {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) ciphertext: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) key_id: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) annotations: Vec<Annotation>,
}

/// An entry of the map `annotations`, as maps lie on the wire.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Annotation {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}
