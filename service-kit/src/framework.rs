//! Errors that tonic makes itself (an unknown method, a body that is no message) get what every error here has: a code
//! that is true, a reason, and a sentence of ours.
//!
//! Everything that a handler refuses carries details already and passes untouched, so what carries none is tonic's.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::refusal::Refusal;

const DETAILS: &str = "grpc-status-details-bin";

/// Wraps a server; stands outside everything but [`crate::calls`].
#[derive(Clone, Copy, Debug)]
pub struct CompleteErrors;

impl<S> Layer<S> for CompleteErrors {
    type Service = Completing<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Completing { inner }
    }
}

/// The service that [`CompleteErrors`] makes.
#[derive(Clone, Debug)]
pub struct Completing<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for Completing<S>
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
        let response = self.inner.call(request);
        Box::pin(async move {
            let mut response = response.await?;
            complete(response.headers_mut());
            Ok(response.map(|body| {
                if body.is_end_stream() {
                    body
                } else {
                    Body::new(Trailers { body })
                }
            }))
        })
    }
}

pin_project_lite::pin_project! {
    /// Does to a stream's trailing status what is done to a leading one.
    struct Trailers {
        #[pin]
        body: Body,
    }
}

impl http_body::Body for Trailers {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(self.project().body.poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| match frame.into_trailers() {
                Ok(mut trailers) => {
                    complete(&mut trailers);
                    Frame::trailers(trailers)
                }
                Err(data) => data,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn complete(headers: &mut HeaderMap) {
    if headers.contains_key(DETAILS) {
        return;
    }
    let Some(status) = Status::from_header_map(headers).filter(|status| status.code() != Code::Ok) else {
        return;
    };
    headers.remove("grpc-status");
    headers.remove("grpc-message");
    if let Err(unencodable) = Status::from(in_our_words(&status)).add_header(headers) {
        tracing::error!(error = %unencodable, "a status could not be written");
    }
}

fn in_our_words(status: &Status) -> Refusal {
    let message = status.message();
    match status.code() {
        Code::Internal if message.starts_with("failed to decode Protobuf message") => malformed(),
        Code::Internal if message == "Missing request message." => malformed(),
        Code::Internal if message.starts_with("Unexpected EOF") => malformed(),
        Code::Unimplemented if message.starts_with("Content is compressed") => Refusal::new(
            Code::Unimplemented,
            "UNSUPPORTED_ENCODING",
            "The request is compressed in a way that is not accepted here.",
        ),
        Code::Unimplemented => Refusal::new(Code::Unimplemented, "METHOD_UNKNOWN", "There is no such method here."),
        Code::OutOfRange if message.starts_with("Error, decoded message length too large") => Refusal::new(
            Code::OutOfRange,
            "MESSAGE_TOO_LARGE",
            "The request is larger than this server accepts.",
        ),
        // tonic's own time limit says CANCELLED, about a limit that the caller set.
        Code::Cancelled if message == "Timeout expired" => crate::deadline::exceeded(),
        Code::Cancelled => Refusal::new(Code::Cancelled, "CANCELLED", "The call was cancelled."),
        Code::NotFound if message == "service not registered" => {
            Refusal::new(Code::NotFound, "SERVICE_UNKNOWN", "There is no such service here.")
        }
        Code::InvalidArgument => malformed(),
        code => {
            tracing::error!(?code, message, "a call failed outside any handler");
            Refusal::new(
                Code::Internal,
                "INTERNAL",
                "Something went wrong here; it has been logged.",
            )
        }
    }
}

fn malformed() -> Refusal {
    Refusal::new(
        Code::InvalidArgument,
        "MALFORMED_REQUEST",
        "The request is not a message of this method.",
    )
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt as _;

    use super::*;

    fn completed(status: Status) -> Status {
        let mut headers = HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        complete(&mut headers);
        Status::from_header_map(&headers).unwrap()
    }

    #[test]
    fn a_bare_status_gets_a_reason_and_loses_its_text() {
        let status = completed(Status::internal("failed to decode Protobuf message: secret"));

        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(
            status.get_error_details().error_info().unwrap().reason,
            "MALFORMED_REQUEST"
        );
        assert!(!status.message().contains("secret"));
    }

    #[test]
    fn a_status_with_details_passes_untouched() {
        let before = Status::from(Refusal::new(Code::Aborted, "SOME_REASON", "A sentence."));
        let after = completed(before.clone());

        assert_eq!(after.code(), before.code());
        assert_eq!(after.message(), before.message());
        assert_eq!(after.details(), before.details());
    }

    #[test]
    fn success_is_no_error() {
        let mut headers = HeaderMap::new();
        Status::ok("").add_header(&mut headers).unwrap();
        complete(&mut headers);
        assert!(!headers.contains_key(DETAILS));
    }
}
