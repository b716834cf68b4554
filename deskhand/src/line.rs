//! The line to ticket-service: its address, deadlines, and the one repeat that is safe. Who calls is not known here.

use std::time::Duration;

use deskhand_proto::accounts::v1::auth_service_client::AuthServiceClient;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep, timeout_at};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::failure::Failure;
use crate::server::Server;
use crate::status::is_unavailable;

pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long after a deadline the server's own word about it is still waited for.
pub(crate) const GRACE: Duration = Duration::from_millis(250);
/// While a call is under way. Whoever waits for what happens would not notice that the server's machine has gone.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Between a call that found the server unavailable and its repeat.
const PAUSE: Duration = Duration::from_millis(200);

/// A way to the server. Nothing is connected before the first call.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) server: Server,
    pub(crate) channel: Channel,
    timeout: Option<Duration>,
}

/// What a call is made with.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) limits: Limits,
    pub(crate) bearer: Option<Bearer>,
}

/// The times of a call.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// How long it may take, its repeat included.
    pub(crate) time: Duration,
    /// Whether the server is told. It is not where the answer has no end: then `time` is for its first piece.
    pub(crate) told: bool,
    /// How long after its beginning it may be repeated, where the server is unavailable.
    pub(crate) repeat_within: Duration,
}

/// An access token, and how it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Bearer {
    pub(crate) token: SecretString,
    header: MetadataValue<Ascii>,
}

impl Bearer {
    pub(crate) fn new(token: SecretString) -> Result<Self, Failure> {
        let mut header: MetadataValue<Ascii> = format!("Bearer {}", token.expose_secret())
            .parse()
            .map_err(|_| Failure::NotLoggedIn("the access token has characters that no token has".to_owned()))?;
        header.set_sensitive(true);
        Ok(Self { token, header })
    }
}

impl Line {
    pub(crate) fn new(server: Server, timeout: Option<Duration>) -> Result<Self, Failure> {
        let endpoint = Endpoint::from_shared(format!("http://{}", server.address))
            .and_then(|endpoint| endpoint.user_agent(concat!("deskhand/", env!("CARGO_PKG_VERSION"))))
            .map_err(|error| Failure::Local(error.to_string()))?;
        let channel = endpoint
            .connect_timeout(timeout.unwrap_or(CONNECT_TIMEOUT).min(CONNECT_TIMEOUT))
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_ANSWER_WITHIN)
            .connect_lazy();
        Ok(Self {
            server,
            channel,
            timeout,
        })
    }

    /// How long something may take, where it has `usual` unless the user said otherwise.
    pub(crate) fn time(&self, usual: Duration) -> Duration {
        self.timeout.unwrap_or(usual)
    }

    pub(crate) fn accounts(&self) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.channel.clone())
    }

    /// Makes a call, and tells its deadline besides the answer.
    pub(crate) async fn attempt<Q: Clone, A>(
        &self,
        message: Q,
        terms: Terms,
        method: impl AsyncFn(Request<Q>) -> Result<A, Status>,
    ) -> Result<(A, Instant), Failure> {
        let began = Instant::now();
        let deadline = began + terms.limits.time;
        let answer = timeout_at(deadline + GRACE, async {
            match method(request(message.clone(), &terms, deadline)).await {
                Err(status) if is_unavailable(&status) && began.elapsed() < terms.limits.repeat_within => {
                    sleep(PAUSE).await;
                    method(request(message, &terms, deadline)).await
                }
                answer => answer,
            }
        });
        Ok((self.in_time(answer.await)?, deadline))
    }

    /// What came of something that had a limit of time.
    pub(crate) fn in_time<T>(
        &self,
        answer: Result<Result<T, Status>, tokio::time::error::Elapsed>,
    ) -> Result<T, Failure> {
        match answer {
            Ok(answer) => answer.map_err(|status| Failure::status(status, &self.server)),
            Err(_) => Err(Failure::TimedOut),
        }
    }
}

fn request<Q>(message: Q, terms: &Terms, deadline: Instant) -> Request<Q> {
    let mut request = Request::new(message);
    if terms.limits.told {
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
    }
    if let Some(bearer) = &terms.bearer {
        request.metadata_mut().insert("authorization", bearer.header.clone());
    }
    request
}
