//! A call's time limit: the caller's `grpc-timeout`, or a default by method, over the whole call, streams too.
//!
//! tonic enforces `grpc-timeout` until the response's headers only and answers CANCELLED. This layer ends a little
//! earlier with DEADLINE_EXCEEDED, bounds the body as well, and leaves a [`Deadline`] in the request's extensions, so that
//! the next hop can be given what is left.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::refusal::Refusal;

/// How much earlier than the caller's own clock this layer ends a call, at most.
const HEAD_START: Duration = Duration::from_millis(5);

/// When a call ends. In the extensions of every request that has a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// What is left of the call's time; zero when it is over.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// The limit of a call that came with none, by its path (`/package.Service/Method`); `None` for no limit.
pub type Default = fn(path: &str) -> Option<Duration>;

/// Wraps a server.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    default: Default,
}

impl Deadlines {
    /// Calls without a limit get `default`.
    pub fn new(default: Default) -> Self {
        Self { default }
    }
}

impl<S> Layer<S> for Deadlines {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Limited {
            inner,
            default: self.default,
        }
    }
}

/// The service that [`Deadlines`] makes.
#[derive(Clone, Debug)]
pub struct Limited<S> {
    inner: S,
    default: Default,
}

impl<S, B> Service<Request<B>> for Limited<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let limit = match from_headers(request.headers()) {
            Ok(asked) => asked.map(|asked| asked - HEAD_START.min(asked / 10)),
            Err(wrong) => {
                let refusal = Refusal::new(Code::InvalidArgument, "MALFORMED_REQUEST", wrong);
                let response = Status::from(refusal).into_http();
                return Box::pin(async move { Ok(response) });
            }
        };
        // A limit beyond what the clock can say is no limit.
        let ends = limit
            .or_else(|| (self.default)(request.uri().path()))
            .and_then(|limit| Instant::now().checked_add(limit));
        let Some(ends) = ends else {
            return Box::pin(self.inner.call(request));
        };

        request.extensions_mut().insert(Deadline(ends));
        let response = self.inner.call(request);
        Box::pin(async move {
            let Ok(response) = tokio::time::timeout_at(ends, response).await else {
                return Ok(Status::from(exceeded()).into_http());
            };
            Ok(response?.map(|body| {
                if body.is_end_stream() {
                    return body;
                }
                Body::new(LimitedBody {
                    body: Some(body),
                    ends: Box::pin(sleep_until(ends)),
                })
            }))
        })
    }
}

/// A body that ends with DEADLINE_EXCEEDED when its time is over, and drops what made it at that moment.
struct LimitedBody {
    body: Option<Body>,
    ends: Pin<Box<Sleep>>,
}

impl http_body::Body for LimitedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        // The clock first: a body that is always ready must end too.
        if self.body.is_some() && self.ends.as_mut().poll(cx).is_ready() {
            self.body = None;
            let mut trailers = HeaderMap::new();
            let written = Status::from(exceeded()).add_header(&mut trailers);
            return Poll::Ready(Some(written.map(|()| Frame::trailers(trailers))));
        }
        match self.body.as_mut() {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// What a call whose time is over answers.
pub fn exceeded() -> Refusal {
    Refusal::new(
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        "The call's time was over before its answer was whole.",
    )
}

/// What the caller set; `Err` where it cannot be read.
fn from_headers(headers: &HeaderMap) -> Result<Option<Duration>, &'static str> {
    let Some(value) = headers.get("grpc-timeout") else {
        return Ok(None);
    };
    let limit = value.to_str().ok().and_then(parse);
    limit.map(Some).ok_or("grpc-timeout is not 1 to 8 digits and a unit.")
}

/// `TimeoutValue TimeoutUnit` of the gRPC protocol: 1 to 8 digits, then one of `HMSmun`.
fn parse(text: &str) -> Option<Duration> {
    let (unit_at, unit) = text.char_indices().next_back()?;
    let digits = text.get(..unit_at)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        'H' => Duration::from_secs(value * 3600),
        'M' => Duration::from_secs(value * 60),
        'S' => Duration::from_secs(value),
        'm' => Duration::from_millis(value),
        'u' => Duration::from_micros(value),
        'n' => Duration::from_nanos(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use proptest::prelude::*;
    use tonic_types::StatusExt as _;
    use tower::ServiceExt as _;

    use super::*;

    fn asking(timeout: &str) -> Request<()> {
        Request::builder().header("grpc-timeout", timeout).body(()).unwrap()
    }

    fn none(_: &str) -> Option<Duration> {
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_handler_ends_as_deadline_exceeded_before_the_caller_s_clock() {
        let silent = tower::service_fn(|_: Request<()>| std::future::pending::<Result<Response<Body>, Status>>());
        let began = Instant::now();
        let response = Deadlines::new(none)
            .layer(silent)
            .oneshot(asking("100m"))
            .await
            .unwrap();

        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(
            status.get_error_details().error_info().unwrap().reason,
            "DEADLINE_EXCEEDED"
        );
        assert!(began.elapsed() < Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_goes_silent_ends_too() {
        struct Silent;
        impl http_body::Body for Silent {
            type Data = Bytes;
            type Error = Status;
            fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
                Poll::Pending
            }
        }
        let stream = tower::service_fn(|_: Request<()>| async { Ok::<_, Status>(Response::new(Body::new(Silent))) });
        let response = Deadlines::new(none).layer(stream).oneshot(asking("1S")).await.unwrap();

        let trailers = response
            .into_body()
            .collect()
            .await
            .unwrap()
            .trailers()
            .cloned()
            .unwrap();
        assert_eq!(
            Status::from_header_map(&trailers).unwrap().code(),
            Code::DeadlineExceeded
        );
    }

    #[tokio::test]
    async fn a_stream_that_never_rests_ends_too() {
        struct Restless;
        impl http_body::Body for Restless {
            type Data = Bytes;
            type Error = Status;
            fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
            }
        }
        let stream = tower::service_fn(|_: Request<()>| async { Ok::<_, Status>(Response::new(Body::new(Restless))) });
        let response = Deadlines::new(none).layer(stream).oneshot(asking("20m")).await.unwrap();
        let mut body = response.into_body();
        let trailers = loop {
            let frame = body.frame().await.unwrap().unwrap();
            if let Ok(trailers) = frame.into_trailers() {
                break trailers;
            }
            // As a connection does between writes.
            tokio::task::yield_now().await;
        };
        assert_eq!(
            Status::from_header_map(&trailers).unwrap().code(),
            Code::DeadlineExceeded
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_handler_is_told_what_is_left_and_the_default_stands_in() {
        let seen = tower::service_fn(|request: Request<()>| async move {
            let left = request.extensions().get::<Deadline>().unwrap().remaining();
            Ok::<_, Status>(
                Response::builder()
                    .header("left", left.as_millis().to_string())
                    .body(Body::empty())
                    .unwrap(),
            )
        });
        let layer = Deadlines::new(|_| Some(Duration::from_secs(7)));

        let asked = layer.layer(seen).oneshot(asking("2S")).await.unwrap();
        assert_eq!(asked.headers()["left"], "1995");
        let default = layer.layer(seen).oneshot(Request::new(())).await.unwrap();
        assert_eq!(default.headers()["left"], "7000");
    }

    #[test]
    fn enormous_and_malformed_limits() {
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for wrong in ["", "5", "m", "123456789S", "5x", "-5S", "5 S", "٣S", "5é"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".{0,12}") {
            let _ = parse(&text);
        }
    }
}
