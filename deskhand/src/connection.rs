//! Calls to ticket-service, as whoever is logged in.

use std::sync::Arc;
use std::time::Duration;

use deskhand_proto::accounts::v1::auth_service_client::AuthServiceClient;
use deskhand_proto::accounts::v1::user_service_client::UserServiceClient;
use deskhand_proto::feed::v1::feed_service_client::FeedServiceClient;
use deskhand_proto::replies::v1::reply_service_client::ReplyServiceClient;
use deskhand_proto::tickets::v1::ticket_service_client::TicketServiceClient;
use secrecy::SecretString;
use tokio::time::{Instant, timeout_at};
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use crate::failure::Failure;
use crate::line::{CALL_TIMEOUT, GRACE, Limits, Line, Terms};
use crate::server::Server;
use crate::session::{Identity, Keeper};

const STREAM_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// The assistant has 60 s for an attempt, of which there are up to three.
const TASK_TIMEOUT: Duration = Duration::from_secs(3 * 60);
/// A call that is made once.
const CALL: Limits = Limits {
    time: CALL_TIMEOUT,
    told: true,
    repeat_within: Duration::ZERO,
};
/// One that may be repeated.
const CHANGE: Limits = Limits {
    repeat_within: Duration::MAX,
    ..CALL
};
/// One that has the assistant work before it answers.
const TASK: Limits = Limits {
    time: TASK_TIMEOUT,
    ..CHANGE
};
const WATCH: Limits = Limits { told: false, ..CHANGE };
/// A page of a hundred messages, the assistant's long ones too.
const LARGEST_ANSWER: usize = 64 << 20;

/// A way to the server, walked by someone, or by nobody in particular.
#[derive(Clone)]
pub(crate) struct Connection {
    line: Line,
    identity: Option<Arc<Identity>>,
}

impl Connection {
    pub(crate) fn new(line: Line) -> Self {
        Self { line, identity: None }
    }

    /// The same way, walked as the token's owner.
    pub(crate) fn with_token(&self, token: SecretString) -> Result<Self, Failure> {
        Ok(self.walked_by(Identity::given(token)?))
    }

    /// The same way, walked as whoever logged in.
    pub(crate) async fn with_session(&self) -> Result<Self, Failure> {
        Ok(self.walked_by(Identity::kept(self.keeper()?).await?))
    }

    fn walked_by(&self, identity: Identity) -> Self {
        Self {
            line: self.line.clone(),
            identity: Some(Arc::new(identity)),
        }
    }

    /// What keeps the session of whoever logged in at this server.
    pub(crate) fn keeper(&self) -> Result<Keeper, Failure> {
        Keeper::of_user(self.line.clone())
    }

    /// Whose way it is, where it is someone's.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }

    pub(crate) fn server(&self) -> &Server {
        &self.line.server
    }

    pub(crate) fn accounts(&self) -> AuthServiceClient<Channel> {
        self.line.accounts().max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.line.channel.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn tickets(&self) -> TicketServiceClient<Channel> {
        TicketServiceClient::new(self.line.channel.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn replies(&self) -> ReplyServiceClient<Channel> {
        ReplyServiceClient::new(self.line.channel.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn feed(&self) -> FeedServiceClient<Channel> {
        FeedServiceClient::new(self.line.channel.clone())
    }

    /// Makes a call, and no repeat of one that the server may have taken.
    pub(crate) async fn call<Q: Clone, A>(
        &self,
        message: Q,
        method: impl AsyncFn(Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Failure> {
        let method = async |request| method(request).await.map(Response::into_inner);
        let (answer, _) = self.made(message, CALL, method).await?;
        Ok(answer)
    }

    /// Makes a call that changes something and carries a request id: where the server is unavailable, it is made once
    /// more, with the same id.
    pub(crate) async fn change<Q: Clone, A>(
        &self,
        message: Q,
        method: impl AsyncFn(Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Failure> {
        let method = async |request| method(request).await.map(Response::into_inner);
        let (answer, _) = self.made(message, CHANGE, method).await?;
        Ok(answer)
    }

    /// As `change`, where the assistant is asked for something, and takes its time.
    pub(crate) async fn task<Q: Clone, A>(
        &self,
        message: Q,
        method: impl AsyncFn(Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Failure> {
        let method = async |request| method(request).await.map(Response::into_inner);
        let (answer, _) = self.made(message, TASK, method).await?;
        Ok(answer)
    }

    /// When an answer that comes in pieces must have come, where it is asked for now.
    pub(crate) fn stream_deadline(&self) -> Instant {
        Instant::now() + self.line.time(STREAM_TIMEOUT)
    }

    /// Opens an answer that comes in pieces, until a deadline. It is not repeated: what has come is the caller's to know.
    pub(crate) async fn open<Q: Clone, A>(
        &self,
        message: Q,
        deadline: Instant,
        method: impl AsyncFn(Request<Q>) -> Result<Response<Streaming<A>>, Status>,
    ) -> Result<Streaming<A>, Failure> {
        let method = async |request| method(request).await.map(Response::into_inner);
        let limits = Limits {
            time: deadline.saturating_duration_since(Instant::now()),
            ..CALL
        };
        let (pieces, _) = self.made_within(limits, message, method).await?;
        Ok(pieces)
    }

    /// The next piece of what was opened, where it comes before a deadline; `None` after the last one.
    pub(crate) async fn next_piece<A>(
        &self,
        pieces: &mut Streaming<A>,
        deadline: Instant,
    ) -> Result<Option<A>, Failure> {
        self.line.in_time(timeout_at(deadline + GRACE, pieces.message()).await)
    }

    /// Opens an answer that goes on until it is left, and waits for its first piece; only that has a limit of time.
    pub(crate) async fn watch<Q: Clone, A>(
        &self,
        message: Q,
        method: impl AsyncFn(Request<Q>) -> Result<Response<Streaming<A>>, Status>,
    ) -> Result<(Option<A>, Streaming<A>), Failure> {
        let open = async |request| opened(method(request).await?).await;
        let (answer, _) = self.made(message, WATCH, open).await?;
        Ok(answer)
    }

    /// What a status means that something opened here ended in.
    pub(crate) fn failure(&self, status: Status) -> Failure {
        Failure::status(status, &self.line.server)
    }

    /// Makes a call; where its token is not accepted, once more with the next one: such a call has done nothing yet.
    async fn made<Q: Clone, A>(
        &self,
        message: Q,
        limits: Limits,
        method: impl AsyncFn(Request<Q>) -> Result<A, Status>,
    ) -> Result<(A, Instant), Failure> {
        let limits = Limits {
            time: self.line.time(limits.time),
            ..limits
        };
        self.made_within(limits, message, method).await
    }

    async fn made_within<Q: Clone, A>(
        &self,
        limits: Limits,
        message: Q,
        method: impl AsyncFn(Request<Q>) -> Result<A, Status>,
    ) -> Result<(A, Instant), Failure> {
        let terms = || Terms {
            limits,
            bearer: self.identity().map(Identity::bearer),
        };
        match self.line.attempt(message.clone(), terms(), &method).await {
            Err(failure) if self.renew_after(&failure).await? => self.line.attempt(message, terms(), &method).await,
            answer => answer,
        }
    }

    /// Whether there is another token to try, where this failure was for the token; told otherwise where the session has
    /// ended.
    pub(crate) async fn renew_after(&self, failure: &Failure) -> Result<bool, Failure> {
        match self.identity() {
            Some(identity) => identity.renew_after(failure).await,
            None => Ok(false),
        }
    }
}

/// The first piece, and where the others come from.
async fn opened<A>(answer: Response<Streaming<A>>) -> Result<(Option<A>, Streaming<A>), Status> {
    let mut pieces = answer.into_inner();
    let first = pieces.message().await?;
    Ok((first, pieces))
}

/// An id for a change that is about to be asked for.
pub(crate) fn new_request_id() -> String {
    Uuid::now_v7().to_string()
}
