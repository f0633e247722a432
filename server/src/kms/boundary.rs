use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::time::{Sleep, sleep};
use tonic::{Code, Status, body::Body};
use tower::Service;

use crate::metrics::{Method, Metrics};

/// Longest that a call may take. kube-apiserver gives up after 3 seconds.
const DEADLINE: Duration = Duration::from_secs(3);
/// Most calls under way, of all peers. A call that has begun may hold a message of full size, so this bounds memory to 15 MiB.
const MAX_CALLS: usize = 384;
/// Longest headers in bytes, names and values. The HTTP/2 layer lets more through, so that the answer can be gRPC's.
const MAX_HEADERS: usize = 8 << 10;

/// The calls that are under way.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<AtomicUsize>);

impl Calls {
    /// Whether there are none.
    #[must_use]
    pub fn none(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

/// The edge of the service: what tonic cannot parse becomes the peer's fault, a call has a deadline, every call is counted
/// once with its method and code.
///
/// tonic answers INTERNAL to whatever it cannot decode, and OUT_OF_RANGE to a message over the limit. The plugin itself
/// answers neither, so here they become INVALID_ARGUMENT and RESOURCE_EXHAUSTED, as the gRPC specification has it.
#[derive(Clone)]
pub(super) struct Boundary<S> {
    inner: S,
    calls: Calls,
    metrics: Arc<Metrics>,
}

impl<S> Boundary<S> {
    pub(super) fn new(inner: S, calls: Calls, metrics: Arc<Metrics>) -> Self {
        Self { inner, calls, metrics }
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
        let under_way = self.calls.0.fetch_add(1, Ordering::AcqRel);
        let work = if under_way >= MAX_CALLS {
            Err("too many calls are under way: try again in a moment")
        } else if too_long(request.headers()) {
            Err("the headers are longer than 8 KiB")
        } else {
            Ok(self.inner.call(request))
        };
        let record = Record {
            method,
            // Dropped before it answered: the peer went away.
            code: Code::Cancelled,
            begun: Instant::now(),
            calls: self.calls.clone(),
            metrics: Arc::clone(&self.metrics),
        };
        Call { work, deadline: None, record }
    }
}

/// A call under way, or one that is refused before it is looked at.
pub(super) struct Call<F> {
    work: Result<F, &'static str>,
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
        let polled = match &mut this.work {
            Ok(inner) => Pin::new(inner).poll(cx),
            Err(why) => Poll::Ready(Ok(Status::resource_exhausted(*why).into_http())),
        };
        let mut response = match polled {
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

fn too_long(headers: &HeaderMap) -> bool {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>()
        > MAX_HEADERS
}

/// Counts its call when it is dropped.
struct Record {
    method: Method,
    code: Code,
    begun: Instant,
    calls: Calls,
    metrics: Arc<Metrics>,
}

impl Drop for Record {
    fn drop(&mut self) {
        self.calls.0.fetch_sub(1, Ordering::AcqRel);
        self.metrics.call(self.method, self.code, self.begun.elapsed());
    }
}
