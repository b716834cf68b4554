//! Requests that make one call at a time, for who has each call in books of its own before it is made.

use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::assistant::v1::stream_reply_response::{CallEnded, Event};
use futures_util::stream::{self, StreamExt as _};
use prost::Message as _;
use tonic::{Code, Status};

use crate::harness::{Desk, Whole, about, calls_of, conversation, reason, violated_fields};

const FIRST: &str = "openai/gpt-oss-120b";

/// What a client is told of a request: its calls, and what came of it.
#[derive(Debug, Default)]
struct Told {
    calls: Vec<proto::ModelCall>,
    text: String,
    continuation: Option<proto::Continuation>,
    status: Option<Status>,
}

/// A task; `None` is a reply.
type Task = Option<Whole>;

const TASKS: [Task; 4] = [None, Some(Whole::Summary), Some(Whole::Triage), Some(Whole::Rewrite)];

/// How a request is made.
#[derive(Clone, Debug, Default)]
struct How {
    tokens_at_most: i64,
    one_call: bool,
    continuation: Option<proto::Continuation>,
}

async fn ask(desk: &Desk, task: Task, text: &str, how: How) -> Told {
    let How {
        tokens_at_most,
        one_call,
        continuation,
    } = how;
    let mut client = desk.client.clone();
    let about_text = Some(conversation(text));
    let whole = match task {
        None => {
            let request = proto::StreamReplyRequest {
                tokens_at_most,
                one_call,
                continuation,
                ..about(text)
            };
            return streamed(desk, request).await;
        }
        Some(Whole::Summary) => {
            let request = proto::SummarizeRequest {
                conversation: about_text,
                tokens_at_most,
                one_call,
                continuation,
            };
            client.summarize(request).await.map(|done| {
                let done = done.into_inner();
                (done.summary, done.calls, done.continuation)
            })
        }
        Some(Whole::Triage) => {
            let request = proto::TriageRequest {
                conversation: about_text,
                tokens_at_most,
                one_call,
                continuation,
            };
            client.triage(request).await.map(|done| {
                let done = done.into_inner();
                (done.why, done.calls, done.continuation)
            })
        }
        Some(Whole::Rewrite) => {
            let request = proto::RewriteRequest {
                text: text.to_owned(),
                tone: proto::Tone::Formal.into(),
                tokens_at_most,
                one_call,
                continuation,
            };
            client.rewrite(request).await.map(|done| {
                let done = done.into_inner();
                (done.text, done.calls, done.continuation)
            })
        }
    };
    match whole {
        Ok((text, calls, continuation)) => Told {
            calls,
            text,
            continuation,
            status: None,
        },
        Err(status) => Told {
            calls: calls_of(&status),
            status: Some(status),
            ..Told::default()
        },
    }
}

async fn streamed(desk: &Desk, request: proto::StreamReplyRequest) -> Told {
    let mut reply = desk.reply(request).await;
    let mut told = Told {
        status: reply.status.take(),
        ..Told::default()
    };
    let last = reply.events.len().saturating_sub(1);
    let mut started = None;
    for (at, event) in reply.events.into_iter().enumerate() {
        match event {
            Event::CallStarted(call) => started = Some(call),
            Event::Delta(delta) => told.text.push_str(&delta.text),
            Event::CallEnded(ended) => told.calls.push(proto::ModelCall {
                started: started.take(),
                ended: Some(ended),
            }),
            Event::HandOff(hand_off) => told.text.push_str(&hand_off.why),
            Event::Finished(_) => assert_eq!(at, last),
            Event::Continuation(continuation) => {
                assert_eq!(at, last, "a continuation comes last");
                told.continuation = Some(continuation);
            }
        }
    }
    assert!(started.is_none(), "every call ends");
    told
}

/// Asks one call at a time, each of another replica, as who keeps books does, and checks that each request makes one.
async fn ask_one_by_one(sim: &groq_sim::Running, task: Task, text: &str, tokens_at_most: i64) -> Told {
    let mut all = Told::default();
    let mut how = How {
        tokens_at_most,
        one_call: true,
        continuation: None,
    };
    loop {
        let before = sim.control().calls().len();
        let desk = Desk::asking(&sim.base_url(), &[]).await;
        let mut told = ask(&desk, task, text, how).await;
        let made = sim.control().calls().len() - before;
        assert!(made <= 1 && told.calls.len() == made, "{made} calls: {told:?}");
        all.calls.append(&mut told.calls);
        let Some(continuation) = told.continuation.take() else {
            return Told {
                calls: all.calls,
                ..told
            };
        };
        assert_eq!(told.text, "", "what goes on has no answer yet");
        assert!(told.status.is_none(), "{told:?}");
        assert_eq!(usize::try_from(continuation.call_no).unwrap(), all.calls.len() + 1);
        assert!(
            all.calls.len() < 10,
            "a request ends however often the provider is asked"
        );
        how = How {
            tokens_at_most: continuation.tokens_left,
            one_call: true,
            continuation: Some(continuation),
        };
    }
}

/// What of a call does not hang on the moment, as the length of what the simulator thinks up does.
fn outline(calls: &[proto::ModelCall]) -> Vec<(i32, String, i32, i32, i64)> {
    let of = |call: &proto::ModelCall| {
        let (started, ended): (_, &CallEnded) = (call.started.as_ref().unwrap(), call.ended.as_ref().unwrap());
        assert_eq!(started.call_no, ended.call_no);
        let usage = ended.usage.unwrap();
        (
            ended.call_no,
            ended.model.clone(),
            ended.outcome,
            ended.usage_source,
            usage.input_tokens,
        )
    };
    calls.iter().map(of).collect()
}

const SCENARIOS: &[&[&str]] = &[
    &[],
    &["status code=503"],
    &["status code=503", "status code=500"],
    &["status code=503", "status code=500", "status code=503"],
    &["rate-limit wait=0.01 kind=rpm"],
    &["status code=404"],
    &["rate-limit kind=tpd", "status code=503"],
    &["status code=404", "status code=404"],
    &["status code=498"],
    &["cut how=reset after=0 reasoning=3"],
    &["status code=400 error=tool_use_failed"],
    &[
        "status code=400 error=tool_use_failed",
        "status code=400 error=tool_use_failed",
    ],
    &["tool-calls tool=hand_off arguments=\"{}\""],
    &["tool-calls tool=refund arguments=\"{}\"", "status code=503"],
    &[
        "tool-calls tool=hand_off arguments=\"{}\"",
        "tool-calls tool=refund arguments=\"{}\"",
    ],
    &["tool-calls tool=hand_off"],
    &["bad-json kind=wrong-enum"],
    &["bad-json kind=wrong-enum", "status code=503"],
    &["bad-json kind=wrong-enum", "bad-json kind=wrong-enum"],
    &["status code=503", "bad-json kind=wrong-enum", "status code=503"],
    &["status code=401"],
    &["length after=3"],
    &["cut how=reset after=3"],
];

#[tokio::test]
async fn one_by_one_is_what_it_is_at_once() {
    // A few at a time: most of it is waiting.
    let checks = SCENARIOS
        .iter()
        .flat_map(|scenarios| TASKS.map(|task| same(scenarios, task)));
    stream::iter(checks).buffer_unordered(8).collect::<()>().await;
}

async fn same(scenarios: &[&str], task: Task) {
    let (mut told, mut sent) = (Vec::new(), Vec::new());
    for one_call in [false, true] {
        let sim = groq_sim::start(groq_sim::Settings::instant()).await.unwrap();
        for scenario in scenarios {
            sim.control().next(1, scenario.parse().unwrap());
        }
        told.push(if one_call {
            ask_one_by_one(&sim, task, "hello", 0).await
        } else {
            let desk = Desk::asking(&sim.base_url(), &[]).await;
            ask(&desk, task, "hello", How::default()).await
        });
        let requests = sim.control().requests();
        // Not the looks at the list of models. Markers around texts are drawn anew for each request.
        let calls = requests.iter().filter(|request| request.body.is_object());
        sent.push(calls.map(|call| call.body.to_string().len()).collect::<Vec<_>>());
    }
    let at = format!("{scenarios:?} {task:?}");
    let failed = |told: &Told| told.status.as_ref().map(|status| (status.code(), reason(status)));
    assert_eq!(failed(&told[0]), failed(&told[1]), "{at}");
    assert_eq!(outline(&told[0].calls), outline(&told[1].calls), "{at}");
    assert_eq!(told[0].text.is_empty(), told[1].text.is_empty(), "{at}");
    assert_eq!(sent[0], sent[1], "{at}");
}

#[tokio::test]
async fn the_next_call_is_not_made_before_it_is_asked_for() {
    for task in TASKS {
        let (desk, sim) = Desk::simulated(&[]).await;
        sim.control()
            .next(1, format!("status code=404 model={FIRST}").parse().unwrap());
        let once = How {
            one_call: true,
            ..How::default()
        };
        let told = ask(&desk, task, "hello", once).await;
        assert_eq!(told.continuation.unwrap().call_no, 2, "{task:?}");
        // Answered, so nothing of it goes on: were another call made, it would have been sent before.
        assert_eq!(sim.control().calls().len(), 1, "{task:?}");
    }
}

#[tokio::test]
async fn what_is_left_is_told_and_kept_to() {
    for task in TASKS {
        let sim = groq_sim::start(groq_sim::Settings::instant()).await.unwrap();
        let desk = Desk::asking(&sim.base_url(), &[]).await;
        let needs = ask(&desk, task, "hello", How::default()).await;
        let started = needs.calls[0].started.clone().unwrap();
        let needs = started.input_tokens_at_most + started.output_tokens_at_most;
        // Cut off, so it counts as all that was announced: enough for another one, or not.
        for (tokens_at_most, calls) in [(2 * needs - 1, 1), (2 * needs, 2)] {
            sim.control().reset();
            let cut = "cut how=reset after=0 reasoning=3";
            sim.control().next(1, cut.parse().unwrap());
            let told = ask_one_by_one(&sim, task, "hello", tokens_at_most).await;
            assert_eq!(told.calls.len(), calls, "{task:?} {tokens_at_most}");
            assert_eq!(told.status.is_none(), calls == 2, "{task:?}: {:?}", told.status);
        }
        sim.control().reset();
        sim.control()
            .next(1, "cut how=reset after=0 reasoning=3".parse().unwrap());
        let once = How {
            tokens_at_most: 2 * needs,
            one_call: true,
            continuation: None,
        };
        let told = ask(&desk, task, "hello", once).await;
        assert_eq!(told.continuation.unwrap().tokens_left, needs, "{task:?}");
    }
}

#[tokio::test]
async fn what_was_not_told_by_the_service_is_no_continuation() {
    let (desk, sim) = Desk::simulated(&[]).await;
    for (call_no, state, field) in [
        (0, "{}", "continuation.call_no"),
        (1, "{}", "continuation.call_no"),
        (-7, "{}", "continuation.call_no"),
        (i32::MAX, "{}", "continuation.call_no"),
        (2, "", "continuation.state"),
        (2, "{", "continuation.state"),
        (2, "7", "continuation.state"),
        (2, "{\"retries\": -1}", "continuation.state"),
    ] {
        let how = How {
            continuation: Some(proto::Continuation {
                call_no,
                tokens_left: 0,
                state: state.into(),
            }),
            ..How::default()
        };
        for task in TASKS {
            let status = ask(&desk, task, "hello", how.clone()).await.status.unwrap();
            assert_eq!(status.code(), Code::InvalidArgument);
            assert_eq!(violated_fields(&status), [field], "{call_no} {state}");
        }
    }
    assert!(sim.control().requests().is_empty());
    // It is small, so that whoever keeps it for a while need not mind.
    sim.control().next(1, "status code=503".parse().unwrap());
    let once = How {
        one_call: true,
        ..How::default()
    };
    let told = ask(&desk, None, "hello", once).await;
    assert!(told.continuation.unwrap().encoded_len() < 200);
}
