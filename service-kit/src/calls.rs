//! A span for every call, so that what is logged below it says which call it belongs to, and one line when it ends.
//!
//! Looks at the health that go well have their line at DEBUG: gateways and container engines ask every few seconds, for ever.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::{Instrument as _, Span};

const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";

/// Wraps a server; stands outermost.
#[derive(Clone, Copy, Debug)]
pub struct LogCalls;

impl<S> Layer<S> for LogCalls {
    type Service = Logging<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Logging { inner }
    }
}

/// The service that [`LogCalls`] makes.
#[derive(Clone, Debug)]
pub struct Logging<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for Logging<S>
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

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let span = tracing::info_span!("call", method = request.uri().path());
        let mut record = Record {
            span: span.clone(),
            is_health_check: request.uri().path() == HEALTH_CHECK,
            began: Instant::now(),
            code: None,
        };
        let response = span.in_scope(|| self.inner.call(request));
        Box::pin(
            async move {
                let response = response.await?;
                record.read(response.headers());
                Ok(response.map(|body| {
                    if body.is_end_stream() {
                        body
                    } else {
                        Body::new(Recorded { body, record })
                    }
                }))
            }
            .instrument(span),
        )
    }
}

/// Writes the call's line when it goes, however the call ended.
struct Record {
    span: Span,
    is_health_check: bool,
    began: Instant,
    code: Option<Code>,
}

impl Record {
    fn read(&mut self, headers: &HeaderMap) {
        if let Some(status) = Status::from_header_map(headers) {
            self.code = Some(status.code());
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let ms = self.began.elapsed().as_millis();
        // A call that ends without a status was dropped: its caller went away.
        let code = self.code.unwrap_or(Code::Cancelled);
        self.span.in_scope(|| {
            if self.is_health_check && code == Code::Ok {
                tracing::debug!(?code, ms, "call ended");
            } else {
                tracing::info!(?code, ms, "call ended");
            }
        });
    }
}

struct Recorded {
    body: Body,
    record: Record,
}

impl http_body::Body for Recorded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let span = self.record.span.clone();
        let polled = span.in_scope(|| Pin::new(&mut self.body).poll_frame(cx));
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(trailers) = frame.trailers_ref()
        {
            self.record.read(trailers);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tower::ServiceExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged at INFO of a call that ends with this code.
    async fn line_of(method: &'static str, code: Code) -> String {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        let _logging = tracing::subscriber::set_default(subscriber);

        let server = tower::service_fn(move |_: Request<()>| async move {
            Ok::<_, Status>(Status::new(code, "").into_http::<Body>())
        });
        let request = Request::builder().uri(method).body(()).unwrap();
        drop(LogCalls.layer(server).oneshot(request).await.unwrap());
        let line = log.0.lock().unwrap().clone();
        String::from_utf8(line).unwrap()
    }

    #[tokio::test]
    async fn health_that_is_well_is_no_news() {
        assert_eq!(line_of(HEALTH_CHECK, Code::Ok).await, "");
        assert!(line_of(HEALTH_CHECK, Code::Unavailable).await.contains("call ended"));
        assert!(line_of("/deskhand.v1.Some/Call", Code::Ok).await.contains("call ended"));
    }
}
