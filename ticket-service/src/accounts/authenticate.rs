//! Bearer token → [`Caller`], as a layer around every method: what is not open to anyone needs a token.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use http::{HeaderMap, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::tokens::Tokens;
use crate::caller::Caller;
use crate::error::{Error, Result};

/// Methods, and services (ending in a slash), that are open to anyone.
const OPEN: &[&str] = &[
    "/deskhand.accounts.v1.AuthService/LogIn",
    "/deskhand.accounts.v1.AuthService/SignUp",
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
];

/// Wraps the server.
#[derive(Clone)]
pub(crate) struct Authenticate {
    tokens: Arc<Tokens>,
}

impl Authenticate {
    /// With what verifies tokens.
    pub(crate) fn new(tokens: Arc<Tokens>) -> Self {
        Self { tokens }
    }
}

impl<S> Layer<S> for Authenticate {
    type Service = Authenticated<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Authenticated {
            inner,
            tokens: self.tokens.clone(),
        }
    }
}

/// The service that [`Authenticate`] makes.
#[derive(Clone)]
pub(crate) struct Authenticated<S> {
    inner: S,
    tokens: Arc<Tokens>,
}

impl<S, B> Service<Request<B>> for Authenticated<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        if !OPEN
            .iter()
            .any(|open| path == *open || (open.ends_with('/') && path.starts_with(open)))
        {
            match bearer(request.headers()).and_then(|token| self.tokens.verify(token)) {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                }
                Err(error) => return Either::Right(ready(Ok(Status::from(error).into_http()))),
            }
        }
        Either::Left(self.inner.call(request))
    }
}

/// The one bearer token of a request.
fn bearer(headers: &HeaderMap) -> Result<&str> {
    let mut values = headers.get_all("authorization").iter();
    let value = values.next().ok_or(Error::TokenMissing)?;
    if values.next().is_some() {
        return Err(Error::TokenInvalid);
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or(Error::TokenInvalid)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Error::TokenInvalid);
    }
    Ok(token)
}

/// Who calls, as the layer found out.
///
/// # Errors
/// [`Error::TokenMissing`] where the method stands among the open ones.
pub(crate) fn caller<T>(request: &tonic::Request<T>) -> Result<Caller> {
    request.extensions().get::<Caller>().copied().ok_or(Error::TokenMissing)
}
