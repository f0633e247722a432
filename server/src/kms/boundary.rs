use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::{HeaderValue, Request, Response};
use tokio::time::{Sleep, sleep};
use tonic::{Code, Status, body::Body};
use tower::Service;

use crate::metrics::{Method, Metrics};

/// Longest that a call may take. kube-apiserver gives up after 3 seconds.
const DEADLINE: Duration = Duration::from_secs(3);

/// The edge of the service: what tonic cannot parse becomes the peer's fault, a call has a deadline, every call is counted
/// once with its method and code.
///
/// tonic answers INTERNAL to whatever it cannot decode, and OUT_OF_RANGE to a message over the limit. The plugin itself
/// answers neither, so here they become INVALID_ARGUMENT and RESOURCE_EXHAUSTED, as the gRPC specification has it.
#[derive(Clone)]
pub(super) struct Boundary<S> {
    inner: S,
    metrics: Arc<Metrics>,
}

impl<S> Boundary<S> {
    pub(super) fn new(inner: S, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }
}

impl<S> Service<Request<Body>> for Boundary<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Call<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = Method::of_path(request.uri().path());
        Call {
            inner: self.inner.call(request),
            deadline: None,
            // Dropped before it answered: the peer went away.
            record: Record {
                method,
                code: Code::Cancelled,
                begun: Instant::now(),
                metrics: Arc::clone(&self.metrics),
            },
        }
    }
}

/// A call under way.
pub(super) struct Call<F> {
    inner: F,
    /// Made when the call first has to wait; most never do.
    deadline: Option<Pin<Box<Sleep>>>,
    record: Record,
}

impl<F> Future for Call<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut response = match Pin::new(&mut this.inner).poll(cx) {
            Poll::Ready(Ok(response)) => response,
            Poll::Ready(Err(never)) => match never {},
            Poll::Pending => {
                let deadline = this.deadline.get_or_insert_with(|| Box::pin(sleep(DEADLINE)));
                match deadline.as_mut().poll(cx) {
                    Poll::Ready(()) => {
                        Status::deadline_exceeded("the call took longer than 3 seconds").into_http()
                    }
                    Poll::Pending => return Poll::Pending,
                }
            }
        };
        this.record.code = blame(&mut response);
        Poll::Ready(Ok(response))
    }
}

/// Settles who is at fault, and returns the code that the peer will see.
fn blame(response: &mut Response<Body>) -> Code {
    // A success has its code in the trailers.
    let Some(code) = response.headers().get(Status::GRPC_STATUS) else { return Code::Ok };
    let code = match Code::from_bytes(code.as_bytes()) {
        Code::Internal => Code::InvalidArgument,
        Code::OutOfRange => Code::ResourceExhausted,
        code => return code,
    };
    response.headers_mut().insert(Status::GRPC_STATUS, HeaderValue::from(code as i32));
    code
}

/// Counts its call when it is dropped.
struct Record {
    method: Method,
    code: Code,
    begun: Instant,
    metrics: Arc<Metrics>,
}

impl Drop for Record {
    fn drop(&mut self) {
        self.metrics.call(self.method, self.code, self.begun.elapsed());
    }
}
