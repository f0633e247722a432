use std::{
    convert::Infallible,
    marker::PhantomData,
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

use crate::metrics::Metrics;

/// Longest headers in bytes, names and values. The HTTP/2 layer lets more through, so that the answer can be gRPC's.
const MAX_HEADERS: usize = 8 << 10;

/// What one service's methods are bounded by, and counted as.
pub(crate) trait Method: Copy + Send + Unpin + 'static {
    /// Most calls under way, of all peers.
    const MAX_CALLS: usize;

    /// The method of an HTTP/2 path.
    fn of_path(path: &str) -> Self;

    /// Longest that a call may take until it answers.
    fn deadline(self) -> Duration;

    /// Counts a call that was answered, or given up by its peer.
    fn count(self, metrics: &Metrics, code: Code, took: Duration);
}

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
/// tonic answers INTERNAL to whatever it cannot decode, and OUT_OF_RANGE to a message over the limit. Our services themselves
/// answer neither, so here they become INVALID_ARGUMENT and RESOURCE_EXHAUSTED, as the gRPC specification has it.
pub(crate) struct Boundary<S, M> {
    inner: S,
    calls: Calls,
    metrics: Arc<Metrics>,
    methods: PhantomData<fn() -> M>,
}

impl<S, M: Method> Boundary<S, M> {
    pub(crate) fn new(inner: S, calls: Calls, metrics: Arc<Metrics>) -> Self {
        Self { inner, calls, metrics, methods: PhantomData }
    }
}

impl<S: Clone, M> Clone for Boundary<S, M> {
    fn clone(&self) -> Self {
        let Self { inner, calls, metrics, methods } = self;
        Self {
            inner: inner.clone(),
            calls: calls.clone(),
            metrics: Arc::clone(metrics),
            methods: *methods,
        }
    }
}

impl<S: Clone, M: Method> Boundary<S, M> {
    pub(crate) fn call<B>(&self, request: Request<B>) -> Call<S::Future, M>
    where
        S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    {
        let method = M::of_path(request.uri().path());
        let under_way = self.calls.0.fetch_add(1, Ordering::AcqRel);
        let work = if under_way >= M::MAX_CALLS {
            Err("too many calls are under way: try again in a moment")
        } else if too_long(request.headers()) {
            Err("the headers are longer than 8 KiB")
        } else {
            // Ready at all times, as every service that tonic generates.
            Ok(self.inner.clone().call(request))
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
pub(crate) struct Call<F, M: Method> {
    work: Result<F, &'static str>,
    /// Made when the call first has to wait; most never do.
    deadline: Option<Pin<Box<Sleep>>>,
    record: Record<M>,
}

impl<F, M: Method> Future for Call<F, M>
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
                let limit = this.record.method.deadline();
                let deadline = this.deadline.get_or_insert_with(|| Box::pin(sleep(limit)));
                match deadline.as_mut().poll(cx) {
                    Poll::Ready(()) => Status::deadline_exceeded(format!(
                        "the call took longer than {} seconds",
                        limit.as_secs()
                    ))
                    .into_http(),
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
struct Record<M: Method> {
    method: M,
    code: Code,
    begun: Instant,
    calls: Calls,
    metrics: Arc<Metrics>,
}

impl<M: Method> Drop for Record<M> {
    fn drop(&mut self) {
        self.calls.0.fetch_sub(1, Ordering::AcqRel);
        self.method.count(&self.metrics, self.code, self.begun.elapsed());
    }
}
