//! A server that speaks the contracts and does what it is told: for what a real system never does, or not on command.

mod accounts;
mod feed;
mod replies;
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
use deskhand_proto::replies::v1::reply_event::{Completed, Delta, Event, Started};
use deskhand_proto::replies::v1::reply_service_server::ReplyServiceServer;
use deskhand_proto::replies::v1::{
    AcceptDraftRequest, AttachReplyRequest, GetUsageRequest, RateReplyRequest, Reply, RewriteTextRequest, UsageRow,
};
use deskhand_proto::tickets::v1::ticket_service_server::TicketServiceServer;
use deskhand_proto::tickets::v1::{
    AssignTicketRequest, AuthorKind, ListTicketsRequest, Message, PostMessageRequest, Ticket, UpdateTicketRequest,
};
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Code, Request, Status};
use tonic_types::{ErrorDetails, StatusExt};

use self::accounts::Tokens;
pub(crate) use self::feed::Told;

pub(crate) const TICKET: &str = "019a2f3e-7c1b-7d40-8a55-0123456789ab";
/// Whoever calls.
pub(crate) const ME: &str = "019a2f3e-7c1b-7d40-8a55-0000000000aa";
/// The reply that every stream is of.
pub(crate) const REPLY: &str = "019a2f3e-7c1b-7d40-8a55-0000000000bb";
pub(crate) const TOKEN: &str = "scripted-token";
/// What a password can be reset by, and to.
pub(crate) const RESET_TOKEN: &str = "scripted-reset";
pub(crate) const NEW_PASSWORD: &str = "another correct horse";

/// What the server shall do.
#[derive(Default)]
pub(crate) struct Script {
    /// How calls fail, first come first served, before any succeeds.
    pub(crate) refusals: Vec<Status>,
    /// How the next calls of some methods fail, each when it is its turn.
    pub(crate) later: VecDeque<(&'static str, Status)>,
    /// What the first stream of a reply that is asked for does, and what the later ones do.
    pub(crate) stream: Vec<Step>,
    pub(crate) streams: VecDeque<Vec<Step>>,
    /// What each stream of a reply that is attached to does; a later one hangs.
    pub(crate) attaches: VecDeque<Vec<Step>>,
    /// What the reply is, where it is asked for as such.
    pub(crate) reply: Reply,
    /// What is in each page of usage.
    pub(crate) usage: VecDeque<Vec<UsageRow>>,
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
    pub(crate) attaches: Vec<AttachReplyRequest>,
    pub(crate) accepts: Vec<AcceptDraftRequest>,
    pub(crate) ratings: Vec<RateReplyRequest>,
    pub(crate) rewrites: Vec<RewriteTextRequest>,
    pub(crate) usages: Vec<GetUsageRequest>,
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
            // A stream may wait for a test that has failed.
            runtime.shutdown_background();
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
    started_with(1)
}

/// Of an attempt.
pub(crate) fn started_with(attempt: i32) -> Step {
    Step::Send(Event::Started(Started {
        reply_id: REPLY.to_owned(),
        attempt,
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
        if script.later.front().is_some_and(|(refused, _)| *refused == method)
            && let Some((_, status)) = script.later.pop_front()
        {
            return Err(status);
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
