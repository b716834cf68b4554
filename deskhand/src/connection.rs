//! Calls to ticket-service: address, deadline, identity, and the one repeat that is safe.

use std::time::Duration;

use deskhand_proto::accounts::v1::auth_service_client::AuthServiceClient;
use deskhand_proto::replies::v1::reply_service_client::ReplyServiceClient;
use deskhand_proto::tickets::v1::ticket_service_client::TicketServiceClient;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep, timeout_at};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use crate::failure::{Failure, is_unavailable};
use crate::server::Server;

const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const STREAM_TIMEOUT: Duration = Duration::from_secs(5 * 60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A page of a hundred messages, the assistant's long ones too.
const LARGEST_ANSWER: usize = 64 << 20;
/// How long after a deadline the server's own word about it is still waited for.
const GRACE: Duration = Duration::from_millis(250);
/// Between a call that found the server unavailable and its repeat.
const PAUSE: Duration = Duration::from_millis(200);

/// A way to the server. Nothing is connected before the first call.
#[derive(Clone)]
pub(crate) struct Connection {
    server: Server,
    channel: Channel,
    timeout: Option<Duration>,
    authorization: Option<MetadataValue<Ascii>>,
}

impl Connection {
    pub(crate) fn new(server: Server, timeout: Option<Duration>) -> Result<Self, Failure> {
        let endpoint = Endpoint::from_shared(format!("http://{}", server.address))
            .and_then(|endpoint| endpoint.user_agent(concat!("deskhand/", env!("CARGO_PKG_VERSION"))))
            .map_err(|error| Failure::Local(error.to_string()))?;
        let channel = endpoint
            .connect_timeout(timeout.unwrap_or(CONNECT_TIMEOUT).min(CONNECT_TIMEOUT))
            .connect_lazy();
        Ok(Self {
            server,
            channel,
            timeout,
            authorization: None,
        })
    }

    /// The same way, walked as the token's owner.
    pub(crate) fn with_token(&self, token: &SecretString) -> Result<Self, Failure> {
        let mut value: MetadataValue<Ascii> = format!("Bearer {}", token.expose_secret())
            .parse()
            .map_err(|_| Failure::NotLoggedIn("the access token has characters that no token has".to_owned()))?;
        value.set_sensitive(true);
        Ok(Self {
            authorization: Some(value),
            ..self.clone()
        })
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn accounts(&self) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.channel.clone())
    }

    pub(crate) fn tickets(&self) -> TicketServiceClient<Channel> {
        TicketServiceClient::new(self.channel.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn replies(&self) -> ReplyServiceClient<Channel> {
        ReplyServiceClient::new(self.channel.clone())
    }

    /// Makes a call, once.
    pub(crate) async fn call<Q, A>(
        &self,
        message: Q,
        method: impl AsyncFnOnce(Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Failure> {
        let deadline = Instant::now() + self.timeout.unwrap_or(CALL_TIMEOUT);
        let answer = timeout_at(deadline + GRACE, method(self.request(message, deadline))).await;
        Ok(self.in_time(answer)?.into_inner())
    }

    /// Makes a call that changes something and carries a request id: where the server is unavailable, it is made once
    /// more, with the same id.
    pub(crate) async fn change<Q: Clone, A>(
        &self,
        message: Q,
        method: impl AsyncFn(Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Failure> {
        let deadline = Instant::now() + self.timeout.unwrap_or(CALL_TIMEOUT);
        let answer = timeout_at(deadline + GRACE, async {
            match method(self.request(message.clone(), deadline)).await {
                Err(status) if is_unavailable(&status) => {
                    sleep(PAUSE).await;
                    method(self.request(message, deadline)).await
                }
                answer => answer,
            }
        });
        Ok(self.in_time(answer.await)?.into_inner())
    }

    /// As `change`, for an answer that comes in pieces. It is repeated only while no piece has come.
    pub(crate) async fn stream<Q: Clone, A>(
        &self,
        message: Q,
        method: impl AsyncFn(Request<Q>) -> Result<Response<Streaming<A>>, Status>,
    ) -> Result<Pieces<A>, Failure> {
        let deadline = Instant::now() + self.timeout.unwrap_or(STREAM_TIMEOUT);
        let open = async |message: Q| {
            let mut pieces = method(self.request(message, deadline)).await?.into_inner();
            let first = pieces.message().await?;
            Ok((first, pieces))
        };
        let opened = timeout_at(deadline + GRACE, async {
            match open(message.clone()).await {
                Err(status) if is_unavailable(&status) => {
                    sleep(PAUSE).await;
                    open(message).await
                }
                opened => opened,
            }
        });
        let (first, rest) = self.in_time(opened.await)?;
        Ok(Pieces {
            connection: self.clone(),
            deadline,
            first: Some(first),
            rest,
        })
    }

    fn request<Q>(&self, message: Q, deadline: Instant) -> Request<Q> {
        let mut request = Request::new(message);
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        if let Some(value) = &self.authorization {
            request.metadata_mut().insert("authorization", value.clone());
        }
        request
    }

    fn in_time<T>(&self, answer: Result<Result<T, Status>, tokio::time::error::Elapsed>) -> Result<T, Failure> {
        match answer {
            Ok(answer) => answer.map_err(|status| Failure::status(status, &self.server)),
            Err(_) => Err(Failure::TimedOut),
        }
    }
}

/// An answer that comes in pieces, until its deadline.
pub(crate) struct Pieces<A> {
    connection: Connection,
    deadline: Instant,
    /// What the opening read: a piece, or that there is none.
    first: Option<Option<A>>,
    rest: Streaming<A>,
}

impl<A> Pieces<A> {
    /// The next piece; `None` after the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<A>, Failure> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        let piece = timeout_at(self.deadline + GRACE, self.rest.message()).await;
        self.connection.in_time(piece)
    }
}

/// An id for a change that is about to be asked for.
pub(crate) fn new_request_id() -> String {
    Uuid::now_v7().to_string()
}
