//! A server that speaks the contracts and does what it is told: for what a real system never does, or not on command.

mod accounts;
mod feed;
mod tickets;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use deskhand_proto::accounts::v1::Role;
use deskhand_proto::accounts::v1::auth_service_server::AuthServiceServer;
use deskhand_proto::accounts::v1::user_service_server::UserServiceServer;
use deskhand_proto::feed::v1::feed_service_server::FeedServiceServer;
use deskhand_proto::feed::v1::{TicketEvent, WatchTicketsRequest};
use deskhand_proto::replies::v1 as replies;
use deskhand_proto::replies::v1::reply_event::{Completed, Delta, Event, Started};
use deskhand_proto::replies::v1::reply_service_server::{ReplyService, ReplyServiceServer};
use deskhand_proto::replies::v1::{
    AttachReplyRequest, AttachReplyResponse, CancelReplyRequest, CancelReplyResponse, GetReplyRequest,
    GetReplyResponse, ListRepliesRequest, ListRepliesResponse, ReplyEvent, StreamReplyRequest, StreamReplyResponse,
};
use deskhand_proto::tickets::v1::ticket_service_server::TicketServiceServer;
use deskhand_proto::tickets::v1::{
    AssignTicketRequest, AuthorKind, ListTicketsRequest, Message, PostMessageRequest, Ticket, UpdateTicketRequest,
};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

use self::accounts::Tokens;
pub(crate) use self::feed::Told;

pub(crate) const TICKET: &str = "019a2f3e-7c1b-7d40-8a55-0123456789ab";
/// Whoever calls.
pub(crate) const ME: &str = "019a2f3e-7c1b-7d40-8a55-0000000000aa";
pub(crate) const TOKEN: &str = "scripted-token";
/// What a password can be reset by, and to.
pub(crate) const RESET_TOKEN: &str = "scripted-reset";
pub(crate) const NEW_PASSWORD: &str = "another correct horse";

/// What the server shall do.
#[derive(Default)]
pub(crate) struct Script {
    /// How calls fail, first come first served, before any succeeds.
    pub(crate) refusals: Vec<Status>,
    /// What a reply's stream does.
    pub(crate) stream: Vec<Step>,
    /// What stands in every ticket, newest first.
    pub(crate) messages: Vec<Message>,
    /// What is in the only page of tickets.
    pub(crate) tickets: Vec<Ticket>,
    /// The history of every ticket.
    pub(crate) events: Vec<TicketEvent>,
    /// What each stream of the feed does, first come first served; a later one is a bookmark, and silence.
    pub(crate) feeds: VecDeque<Vec<Told>>,
    /// The role of whoever calls.
    pub(crate) role: Role,
    /// Access tokens that are taken for expired.
    pub(crate) expired: Vec<&'static str>,
    /// The first refresh is done, but not answered before the test says so.
    pub(crate) refresh_answer: Option<Receiver<()>>,
}

/// One thing that a stream does.
pub(crate) enum Step {
    Send(Event),
    /// Waits until the test says go on.
    Wait(Receiver<()>),
    Fail(Status),
    /// Says nothing more, and does not end.
    Hang,
}

/// A call that came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) request_id: String,
    pub(crate) authorization: Option<String>,
    pub(crate) timeout: Option<String>,
}

/// What some calls asked for, in full.
#[derive(Clone, Default)]
pub(crate) struct Asked {
    pub(crate) lists: Vec<ListTicketsRequest>,
    pub(crate) updates: Vec<UpdateTicketRequest>,
    pub(crate) assignments: Vec<AssignTicketRequest>,
    pub(crate) posts: Vec<PostMessageRequest>,
    pub(crate) feeds: Vec<WatchTicketsRequest>,
}

/// The running server. It ends with the test.
pub(crate) struct Scripted {
    pub(crate) address: String,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    script: Mutex<Script>,
    calls: Mutex<Vec<Call>>,
    asked: Mutex<Asked>,
    tokens: Mutex<Tokens>,
}

impl Scripted {
    pub(crate) fn start(script: Script) -> Self {
        Self::start_at(0, script)
    }

    /// At a port that was free a moment ago.
    pub(crate) fn start_at(port: u16, script: Script) -> Self {
        let state = Arc::new(State {
            script: Mutex::new(script),
            calls: Mutex::default(),
            asked: Mutex::default(),
            tokens: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let (tell_address, address) = std::sync::mpsc::channel::<SocketAddr>();
        let served = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
                tell_address.send(listener.local_addr().unwrap()).unwrap();
                let server = Server::builder()
                    .add_service(AuthServiceServer::from_arc(Arc::clone(&served)))
                    .add_service(UserServiceServer::from_arc(Arc::clone(&served)))
                    .add_service(TicketServiceServer::from_arc(Arc::clone(&served)))
                    .add_service(FeedServiceServer::from_arc(Arc::clone(&served)))
                    .add_service(ReplyServiceServer::from_arc(served))
                    .serve_with_incoming(TcpListenerStream::new(listener));
                tokio::select! {
                    ended = server => ended.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        let address = address.recv().unwrap().to_string();
        Self {
            address,
            state,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// A server whose replies stream as told.
    pub(crate) fn streaming(stream: Vec<Step>) -> Self {
        Self::start(Script {
            stream,
            ..Script::default()
        })
    }

    /// A server that refuses the first calls.
    pub(crate) fn refusing(refusals: Vec<Status>) -> Self {
        Self::start(Script {
            refusals,
            ..Script::default()
        })
    }

    /// The methods called so far.
    pub(crate) fn methods(&self) -> Vec<&'static str> {
        self.calls().iter().map(|call| call.method).collect()
    }

    /// What was asked for so far.
    pub(crate) fn asked(&self) -> Asked {
        self.state.asked.lock().unwrap().clone()
    }

    /// Changes what is in the page of tickets.
    pub(crate) fn set_tickets(&self, tickets: Vec<Ticket>) {
        self.state.script.lock().unwrap().tickets = tickets;
    }

    /// The calls so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state.calls.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(
            std::thread::panicking() || matches!(ended, Some(Ok(()))),
            "the scripted server panicked"
        );
    }
}

/// A refusal as the server makes them.
pub(crate) fn refusal(code: Code, reason: &str) -> Status {
    Status::with_error_details(code, "No.", ErrorDetails::with_error_info(reason, "deskhand", []))
}

pub(crate) fn started() -> Step {
    Step::Send(Event::Started(Started {
        reply_id: "reply".to_owned(),
        attempt: 1,
    }))
}

pub(crate) fn delta(attempt: i32, offset: i64, text: &str) -> Step {
    Step::Send(Event::Delta(Delta {
        attempt,
        offset,
        text: text.to_owned(),
    }))
}

pub(crate) fn completed(body: &str) -> Step {
    Step::Send(Event::Completed(Completed {
        message: Some(answer("answer", body)),
        usage: None,
    }))
}

/// A message by the assistant.
pub(crate) fn answer(id: &str, body: &str) -> Message {
    let author_kind = AuthorKind::Assistant.into();
    Message {
        id: id.to_owned(),
        author_kind,
        body: body.to_owned(),
        ..Message::default()
    }
}

impl State {
    /// Notes a call, and refuses it while the script says so.
    fn admit<Q>(&self, method: &'static str, request: &Request<Q>, request_id: &str) -> Result<(), Status> {
        let header = |name| {
            request
                .metadata()
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        let (authorization, timeout) = (header("authorization"), header("grpc-timeout"));
        let call = Call {
            method,
            request_id: request_id.to_owned(),
            authorization,
            timeout,
        };
        let bearer = call.authorization.clone();
        self.calls.lock().unwrap().push(call);
        let mut script = self.script.lock().unwrap();
        if !script.refusals.is_empty() {
            return Err(script.refusals.remove(0));
        }
        let token = bearer.as_deref().and_then(|bearer| bearer.strip_prefix("Bearer "));
        if token.is_some_and(|token| script.expired.contains(&token)) {
            return Err(refusal(Code::Unauthenticated, "TOKEN_EXPIRED"));
        }
        Ok(())
    }

    fn ticket() -> Ticket {
        Ticket {
            id: TICKET.to_owned(),
            number: 7,
            title: "Title".to_owned(),
            ..Ticket::default()
        }
    }
}

#[tonic::async_trait]
impl ReplyService for State {
    type StreamReplyStream = ReceiverStream<Result<StreamReplyResponse, Status>>;

    async fn stream_reply(
        &self,
        request: Request<StreamReplyRequest>,
    ) -> Result<Response<Self::StreamReplyStream>, Status> {
        self.admit("StreamReply", &request, &request.get_ref().request_id)?;
        let mut steps = VecDeque::from(std::mem::take(&mut self.script.lock().unwrap().stream));
        let (send, receive) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(step) = steps.pop_front() {
                let sent = match step {
                    Step::Send(event) => {
                        let event = Some(ReplyEvent { event: Some(event) });
                        send.send(Ok(StreamReplyResponse { event })).await
                    }
                    Step::Fail(status) => send.send(Err(status)).await,
                    Step::Wait(gate) => {
                        // A test that is gone wants nothing more.
                        let _ = tokio::task::spawn_blocking(move || gate.recv()).await;
                        Ok(())
                    }
                    Step::Hang => {
                        send.closed().await;
                        return;
                    }
                };
                if sent.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receive)))
    }

    type AttachReplyStream = ReceiverStream<Result<AttachReplyResponse, Status>>;

    async fn attach_reply(
        &self,
        request: Request<AttachReplyRequest>,
    ) -> Result<Response<Self::AttachReplyStream>, Status> {
        self.admit("AttachReply", &request, "")?;
        Err(Status::unimplemented("not scripted"))
    }

    async fn list_replies(
        &self,
        request: Request<ListRepliesRequest>,
    ) -> Result<Response<ListRepliesResponse>, Status> {
        self.admit("ListReplies", &request, "")?;
        Err(Status::unimplemented("not scripted"))
    }

    async fn cancel_reply(
        &self,
        request: Request<CancelReplyRequest>,
    ) -> Result<Response<CancelReplyResponse>, Status> {
        self.admit("CancelReply", &request, &request.get_ref().request_id)?;
        Err(Status::unimplemented("not scripted"))
    }

    async fn get_reply(&self, request: Request<GetReplyRequest>) -> Result<Response<GetReplyResponse>, Status> {
        self.admit("GetReply", &request, "")?;
        Err(Status::unimplemented("not scripted"))
    }

    async fn accept_draft(
        &self,
        request: Request<replies::AcceptDraftRequest>,
    ) -> Result<Response<replies::AcceptDraftResponse>, Status> {
        self.admit("AcceptDraft", &request, &request.get_ref().request_id)?;
        Err(Status::unimplemented("not scripted"))
    }

    async fn discard_draft(
        &self,
        request: Request<replies::DiscardDraftRequest>,
    ) -> Result<Response<replies::DiscardDraftResponse>, Status> {
        self.admit("DiscardDraft", &request, &request.get_ref().request_id)?;
        Err(Status::unimplemented("not scripted"))
    }

    async fn rate_reply(
        &self,
        request: Request<replies::RateReplyRequest>,
    ) -> Result<Response<replies::RateReplyResponse>, Status> {
        self.admit("RateReply", &request, &request.get_ref().request_id)?;
        Err(Status::unimplemented("not scripted"))
    }

    async fn summarize_ticket(
        &self,
        request: Request<replies::SummarizeTicketRequest>,
    ) -> Result<Response<replies::SummarizeTicketResponse>, Status> {
        self.admit("SummarizeTicket", &request, &request.get_ref().request_id)?;
        Err(Status::unimplemented("not scripted"))
    }

    async fn triage_ticket(
        &self,
        request: Request<replies::TriageTicketRequest>,
    ) -> Result<Response<replies::TriageTicketResponse>, Status> {
        self.admit("TriageTicket", &request, &request.get_ref().request_id)?;
        Err(Status::unimplemented("not scripted"))
    }

    async fn rewrite_text(
        &self,
        request: Request<replies::RewriteTextRequest>,
    ) -> Result<Response<replies::RewriteTextResponse>, Status> {
        self.admit("RewriteText", &request, &request.get_ref().request_id)?;
        Err(Status::unimplemented("not scripted"))
    }

    async fn get_usage(
        &self,
        request: Request<replies::GetUsageRequest>,
    ) -> Result<Response<replies::GetUsageResponse>, Status> {
        self.admit("GetUsage", &request, "")?;
        Err(Status::unimplemented("not scripted"))
    }
}
