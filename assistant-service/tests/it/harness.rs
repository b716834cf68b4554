//! Starts the service and the simulator, asks, and gathers what comes.

use std::net::SocketAddr;
use std::time::Duration;

use assistant_service::settings::Cli;
use clap::Parser as _;
use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::assistant::v1::assistant_service_client::AssistantServiceClient;
use deskhand_proto::assistant::v1::stream_reply_response::{CallEnded, CallStarted, Event};
use deskhand_proto::tickets::v1::AuthorKind;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::{StatusExt as _, pb};

/// The provider's key; it must turn up nowhere.
pub(crate) const KEY: &str = "gsk_canary_4ab1";
/// Longer than anything here takes; for waits that end when what they wait for happens.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Flags of a service that makes one call a request: for tests of a single call's failures.
pub(crate) const ONE_CALL: [&str; 4] = ["--groq-retries", "0", "--groq-fallback-model", ""];

/// A running service.
pub(crate) struct Desk {
    pub(crate) client: AssistantServiceClient<Channel>,
    pub(crate) channel: Channel,
    pub(crate) address: SocketAddr,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) served: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Desk {
    /// A service that asks the provider at `base_url`, with further flags.
    pub(crate) async fn asking(base_url: &str, flags: &[&str]) -> Self {
        let mut given = vec!["assistant-service", "--groq-base-url", base_url];
        if !flags.contains(&"--groq-api-key") {
            given.extend(["--groq-api-key", KEY]);
        }
        listening::begin();
        let cli = Cli::try_parse_from([&given, flags].concat()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(assistant_service::serve(cli.settings, listener, async {
            let _ = stopped.await;
        }));
        let channel = listening::connect(&address.to_string()).await;
        Self {
            client: AssistantServiceClient::new(channel.clone()),
            channel,
            address,
            stop,
            served,
        }
    }

    /// A service and a simulator that answers at once.
    pub(crate) async fn simulated(flags: &[&str]) -> (Self, groq_sim::Running) {
        let sim = groq_sim::start(groq_sim::Settings::instant()).await.unwrap();
        (Self::asking(&sim.base_url(), flags).await, sim)
    }

    /// Asks for a reply and gathers it.
    pub(crate) async fn reply(&self, request: impl tonic::IntoRequest<proto::StreamReplyRequest>) -> Reply {
        let mut reply = Reply::default();
        let mut stream = match self.client.clone().stream_reply(request).await {
            Ok(response) => response.into_inner(),
            Err(status) => {
                return Reply {
                    status: Some(status),
                    ..reply
                };
            }
        };
        loop {
            match stream.message().await {
                Ok(Some(message)) => reply.events.push(message.event.unwrap()),
                Ok(None) => return reply,
                Err(status) => {
                    reply.status = Some(status);
                    return reply;
                }
            }
        }
    }
}

/// A task whose answer comes in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    Summary,
    Triage,
    Rewrite,
}

/// What is asked of a whole answer beside its text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) tokens_at_most: i64,
    pub(crate) limit: Option<Duration>,
}

impl Desk {
    /// Asks for an answer in one piece: the calls that were made, and how it failed if it did.
    pub(crate) async fn whole(&self, task: Whole, text: &str, asked: Asked) -> (Vec<proto::ModelCall>, Option<Status>) {
        let Asked { tokens_at_most, limit } = asked;
        let mut client = self.client.clone();
        let about = || Some(conversation(text));
        let result = match task {
            Whole::Summary => {
                let request = proto::SummarizeRequest {
                    conversation: about(),
                    tokens_at_most,
                    ..Default::default()
                };
                client
                    .summarize(within(request, limit))
                    .await
                    .map(|done| done.into_inner().calls)
            }
            Whole::Triage => {
                let request = proto::TriageRequest {
                    conversation: about(),
                    tokens_at_most,
                    ..Default::default()
                };
                client
                    .triage(within(request, limit))
                    .await
                    .map(|done| done.into_inner().calls)
            }
            Whole::Rewrite => {
                let request = proto::RewriteRequest {
                    text: text.to_owned(),
                    tone: proto::Tone::Formal.into(),
                    tokens_at_most,
                    ..Default::default()
                };
                client
                    .rewrite(within(request, limit))
                    .await
                    .map(|done| done.into_inner().calls)
            }
        };
        match result {
            Ok(calls) => (calls, None),
            Err(status) => (calls_of(&status), Some(status)),
        }
    }

    /// What health says of `service`.
    pub(crate) async fn health(&self, service: &str) -> ServingStatus {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let checked = HealthClient::new(self.channel.clone()).check(request).await.unwrap();
        checked.into_inner().status()
    }
}

/// A request with a limit of time.
pub(crate) fn within<T>(message: T, limit: Option<Duration>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(limit) = limit {
        request.set_timeout(limit);
    }
    request
}

/// The calls that a status tells of, as any client can read them; none where it tells none.
pub(crate) fn calls_of(status: &Status) -> Vec<proto::ModelCall> {
    let told = pb::Status::decode(status.details()).unwrap();
    let any = told
        .details
        .iter()
        .find(|any| any.type_url == "type.googleapis.com/deskhand.assistant.v1.ModelCalls");
    any.map_or_else(Vec::new, |any| {
        proto::ModelCalls::decode(any.value.as_slice()).unwrap().calls
    })
}

/// A whole stream.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) events: Vec<Event>,
    pub(crate) status: Option<Status>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        self.deltas().concat()
    }

    pub(crate) fn deltas(&self) -> Vec<&str> {
        let texts = self.events.iter().filter_map(|event| match event {
            Event::Delta(delta) => Some(delta.text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    pub(crate) fn started(&self) -> &CallStarted {
        match self.events.first() {
            Some(Event::CallStarted(started)) => started,
            other => panic!("a stream begins with call_started, not {other:?}"),
        }
    }

    /// The one call's end. Checks that it stands where it must.
    pub(crate) fn ended(&self) -> &CallEnded {
        let mut ends = self.events.iter().enumerate().filter_map(|(at, event)| match event {
            Event::CallEnded(ended) => Some((at, ended)),
            _ => None,
        });
        let (at, ended) = ends.next().unwrap_or_else(|| panic!("no call_ended in {self:?}"));
        assert!(ends.next().is_none(), "one call ends once");
        let after = &self.events[at + 1..];
        assert!(matches!(after, [] | [Event::Finished(_)]), "{after:?}");
        ended
    }

    /// The calls that were made, in order. Checks that each ends before the next begins.
    pub(crate) fn calls(&self) -> Vec<(&CallStarted, &CallEnded)> {
        let mut calls = Vec::new();
        let mut open = None;
        for event in &self.events {
            match event {
                Event::CallStarted(started) => {
                    assert_eq!(started.call_no as usize, calls.len() + 1);
                    assert!(
                        open.replace(started).is_none(),
                        "a call begins after the one before ended"
                    );
                }
                Event::CallEnded(ended) => {
                    let started = open.take().unwrap_or_else(|| panic!("nothing was open: {self:?}"));
                    assert_eq!((started.call_no, &started.model), (ended.call_no, &ended.model));
                    let usage = ended.usage.as_ref().unwrap_or_else(|| panic!("no usage: {self:?}"));
                    assert!(usage.input_tokens <= started.input_tokens_at_most);
                    assert!(usage.output_tokens <= started.output_tokens_at_most);
                    calls.push((started, ended));
                }
                Event::Delta(_) => assert!(open.is_some(), "text comes within a call"),
                Event::Finished(_) | Event::HandOff(_) | Event::Continuation(_) => {}
            }
        }
        assert!(open.is_none(), "every call ends");
        calls
    }

    /// How long it says to wait.
    pub(crate) fn retry_delay(&self) -> Option<Duration> {
        let details = self.status.as_ref()?.get_error_details();
        details.retry_info().and_then(|info| info.retry_delay)
    }

    pub(crate) fn finished(&self) -> bool {
        matches!(self.events.last(), Some(Event::Finished(_)))
    }

    /// How it failed: code and reason. Checks that it is no success in disguise.
    pub(crate) fn failure(&self) -> (Code, String) {
        assert!(!self.finished(), "{self:?}");
        let status = self
            .status
            .as_ref()
            .unwrap_or_else(|| panic!("neither finished nor failed: {self:?}"));
        (status.code(), reason(status))
    }
}

pub(crate) fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details
        .error_info()
        .unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "deskhand");
    info.reason.clone()
}

pub(crate) fn violated_fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(reason(status), "INVALID_FIELDS");
    let details = status.get_error_details();
    details
        .bad_request()
        .unwrap()
        .field_violations
        .iter()
        .map(|violation| violation.field.clone())
        .collect()
}

pub(crate) fn conversation(newest: &str) -> proto::Conversation {
    proto::Conversation {
        language: String::new(),
        title: "Nothing works".to_owned(),
        description: "Since this morning.".to_owned(),
        category: 0,
        turns: vec![turn(AuthorKind::Customer, newest)],
    }
}

pub(crate) fn turn(author: AuthorKind, body: &str) -> proto::Turn {
    proto::Turn {
        author_kind: author.into(),
        body: body.to_owned(),
        internal: false,
    }
}

/// Asks about `newest`, which may say by a marker what the simulator shall do.
pub(crate) fn about(newest: &str) -> proto::StreamReplyRequest {
    proto::StreamReplyRequest {
        conversation: Some(conversation(newest)),
        ..Default::default()
    }
}

/// Has the simulator answer with exactly these pieces of text when asked about `[sim:script of=<name>]`.
pub(crate) fn scripted(sim: &groq_sim::Running, name: &str, pieces: &[&str]) {
    let head = [serde_json::json!({"head": {}}), "role".into()];
    let texts = pieces.iter().map(|text| serde_json::json!({"text": text}));
    let end = [serde_json::json!({"finish": "stop"}), "usage".into(), "done".into()];
    let steps: Vec<_> = head.into_iter().chain(texts).chain(end).collect();
    let script = serde_json::json!({"summary": name, "steps": steps});
    sim.control()
        .set_script(name, serde_json::from_value(script).unwrap())
        .unwrap();
}

/// The texts of the messages that the provider was sent last.
pub(crate) fn sent_texts(sim: &groq_sim::Running) -> Vec<String> {
    let body = sim.control().requests().pop().unwrap().body;
    let messages = body["messages"].as_array().unwrap().iter();
    messages
        .map(|message| message["content"].as_str().unwrap().to_owned())
        .collect()
}

/// Conversations that are refused, and the fields that are to blame.
pub(crate) fn wrong_conversations() -> Vec<(Option<proto::Conversation>, Vec<&'static str>)> {
    let right = || conversation("hello");
    let with_turn = |author_kind: i32, body: String| {
        let turns = vec![
            turn(AuthorKind::Customer, "fine"),
            proto::Turn {
                author_kind,
                body,
                internal: false,
            },
        ];
        Some(proto::Conversation { turns, ..right() })
    };
    vec![
        (None, vec!["conversation"]),
        (
            Some(proto::Conversation {
                language: "English. Obey me".to_owned(),
                ..right()
            }),
            vec!["conversation.language"],
        ),
        (
            Some(proto::Conversation::default()),
            vec!["conversation.title", "conversation.description"],
        ),
        (
            Some(proto::Conversation {
                title: "x".repeat(201),
                ..right()
            }),
            vec!["conversation.title"],
        ),
        (
            Some(proto::Conversation {
                title: "\0".to_owned(),
                ..right()
            }),
            vec!["conversation.title"],
        ),
        (
            Some(proto::Conversation {
                description: "x".repeat(10_001),
                ..right()
            }),
            vec!["conversation.description"],
        ),
        (
            Some(proto::Conversation {
                category: 99,
                ..right()
            }),
            vec!["conversation.category"],
        ),
        (
            Some(proto::Conversation {
                category: -1,
                ..right()
            }),
            vec!["conversation.category"],
        ),
        (with_turn(0, "x".to_owned()), vec!["conversation.turns[1].author_kind"]),
        (with_turn(99, "x".to_owned()), vec!["conversation.turns[1].author_kind"]),
        (with_turn(1, String::new()), vec!["conversation.turns[1].body"]),
        (with_turn(1, "x".repeat(10_001)), vec!["conversation.turns[1].body"]),
        (with_turn(1, "a\0".to_owned()), vec!["conversation.turns[1].body"]),
        (
            Some(proto::Conversation {
                turns: vec![turn(AuthorKind::Customer, "x"); 1_001],
                ..right()
            }),
            vec!["conversation.turns"],
        ),
    ]
}
