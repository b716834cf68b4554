//! Bearer token → [`Caller`], as a layer around every method: what is not open to anyone needs a token.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::stream::{self, StreamExt as _};
use http::{HeaderMap, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::revocations::Revocations;
use super::tokens::Tokens;
use crate::caller::Caller;
use crate::error::{Error, Result};

/// Methods, and services (ending in a slash), that are open to anyone.
const OPEN: &[&str] = &[
    "/deskhand.accounts.v1.AuthService/GetJwks",
    "/deskhand.accounts.v1.AuthService/LogIn",
    "/deskhand.accounts.v1.AuthService/RefreshToken",
    "/deskhand.accounts.v1.AuthService/RequestPasswordReset",
    "/deskhand.accounts.v1.AuthService/ResetPassword",
    "/deskhand.accounts.v1.AuthService/SignUp",
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
];

/// Wraps the server.
#[derive(Clone)]
pub(crate) struct Authenticate {
    tokens: Arc<Tokens>,
    revocations: Arc<Revocations>,
}

impl Authenticate {
    /// With what verifies tokens, and what knows of sessions that ended.
    pub(crate) fn new(tokens: Arc<Tokens>, revocations: Arc<Revocations>) -> Self {
        Self { tokens, revocations }
    }
}

impl<S> Layer<S> for Authenticate {
    type Service = Authenticated<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Authenticated {
            inner,
            authenticate: self.clone(),
        }
    }
}

/// The service that [`Authenticate`] makes.
#[derive(Clone)]
pub(crate) struct Authenticated<S> {
    inner: S,
    authenticate: Authenticate,
}

impl<S, B> Service<Request<B>> for Authenticated<S>
where
    S: Service<Request<B>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        if OPEN
            .iter()
            .any(|open| path == *open || (open.ends_with('/') && path.starts_with(open)))
        {
            return Box::pin(self.inner.call(request));
        }
        let claimed = bearer(request.headers()).and_then(|token| self.authenticate.tokens.verify(token));
        let claimed = match claimed {
            Ok(caller) => caller,
            Err(error) => return Box::pin(async { Ok(Status::from(error).into_http()) }),
        };
        let revocations = self.authenticate.revocations.clone();
        // The one that is ready is this one; the clone takes its place.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            match revocations.check(claimed).await {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    inner.call(request).await
                }
                Err(error) => Ok(Status::from(error).into_http()),
            }
        })
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

/// Passes a stream on while its caller may call as who they are. Then it says `told`, for those who see no status, and ends
/// with the status.
pub(crate) fn while_allowed<T: Send + 'static>(
    events: impl Stream<Item = Result<T, Status>> + Send + 'static,
    revocations: Arc<Revocations>,
    caller: Caller,
    told: T,
) -> impl Stream<Item = Result<T, Status>> + Send {
    let ended = Arc::new(AtomicBool::new(false));
    let noted = ended.clone();
    let end = stream::once(async move {
        let refused = || [Ok(told), Err(Error::SessionEnded.into())];
        stream::iter(ended.load(Ordering::Acquire).then(refused).into_iter().flatten())
    });
    let allowed = events.take_until(async move {
        revocations.ended(caller).await;
        noted.store(true, Ordering::Release);
    });
    allowed.chain(end.flatten())
}
