//! Whoever no longer wants an answer cuts the provider off, whatever the call is doing.

use std::pin::pin;
use std::time::{Duration, Instant};

use assistant_service::groq::engine::{Ask, Completed, Engine, Failed, Message, Schema};
use assistant_service::groq::failure::{Kind, Phase, Window};
use assistant_service::settings::Cli;
use clap::Parser as _;
use deskhand_proto::assistant::v1::stream_reply_response::Event;
use groq_sim::{Limits, Outcome, Running, Settings};
use service_kit::deadline::Deadline;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tonic::Request;

use crate::harness::{Desk, PATIENCE, about};

const AT_ONCE: Duration = Duration::from_millis(100);

fn engine(base_url: &str, flags: &[&str]) -> Engine {
    let base = ["assistant-service", "--groq-base-url", base_url, "--groq-api-key", "k"];
    Engine::new(&Cli::try_parse_from([&base, flags].concat()).unwrap().settings).unwrap()
}

async fn simulated(flags: &[&str]) -> (Engine, Running) {
    let sim = groq_sim::start(Settings::instant()).await.unwrap();
    (engine(&sim.base_url(), flags), sim)
}

fn ask(text: &str) -> Ask {
    Ask {
        messages: vec![Message {
            role: "user",
            content: text.to_owned(),
        }],
        answer_tokens: 200,
        estimated_prompt_tokens: 50,
        ..Ask::default()
    }
}

/// Asks for JSON, which comes in one piece.
fn ask_for_json(text: &str) -> Ask {
    let schema = Schema {
        name: "verdict".to_owned(),
        schema: serde_json::json!({
            "type": "object",
            "properties": {"why": {"type": "string"}},
            "required": ["why"],
            "additionalProperties": false,
        }),
    };
    Ask {
        schema: Some(schema.into()),
        ..ask(&format!("Answer in JSON. {text}"))
    }
}

fn within(ask: Ask, limit: Duration) -> Ask {
    Ask {
        deadline: Some(Deadline(tokio::time::Instant::now() + limit)),
        ..ask
    }
}

fn failed(result: Result<Completed, Failed>) -> Failed {
    result.unwrap_err()
}

#[tokio::test]
async fn an_answer_in_one_piece_comes_whole_and_keeps_to_its_form() {
    let (engine, sim) = simulated(&[]).await;
    let completed = engine.complete(&ask_for_json("hello")).await.unwrap();
    let json: serde_json::Value = serde_json::from_str(&completed.text).unwrap();
    assert!(json["why"].is_string());
    assert_eq!(completed.calls.len(), 1);
    let request = sim.control().requests().pop().unwrap();
    assert_eq!(request.body["response_format"]["json_schema"]["strict"], true);
    assert_eq!(request.body["stream"], false);
    assert!(request.body.get("stream_options").is_none());
    let billed = sim.control().calls().pop().unwrap().billed.unwrap();
    assert_eq!(
        completed.calls[0].ended.usage.output,
        u64::from(billed.completion_tokens)
    );
}

#[tokio::test]
async fn what_nobody_saw_may_be_asked_for_again() {
    for make in [ask, ask_for_json] {
        let (engine, sim) = simulated(&[]).await;
        let completed = engine.complete(&make("[sim:cut how=close first=1]")).await.unwrap();
        assert_eq!(completed.calls.len(), 2);
        assert_eq!(completed.text, sim.control().calls()[1].text);
    }
}

#[tokio::test]
async fn dropping_an_ask_closes_its_connection_at_once_in_every_phase() {
    type Make = fn(&str) -> Ask;
    let phases = [
        (ask as Make, "silent-before-headers", false),
        (ask, "silent-before-first-token", true),
        (ask, "silent-in-middle", true),
        (ask, "ok token_ms=10 tokens=150", true),
        (ask_for_json, "silent-before-headers", false),
        (ask_for_json, "silent-before-first-token", true),
        (ask_for_json, "silent-in-middle", true),
    ];
    let (engine, sim) = simulated(&[]).await;
    let mut ended = 0;
    for (make, scenario, headers) in phases {
        let mut fastest = Duration::MAX;
        // The machine may be busy; what matters is what happens when it is not.
        for _ in 0..3 {
            let ask = make(&format!("[sim:{scenario}]"));
            let engine = engine.clone();
            let asking = tokio::spawn(async move { engine.complete(&ask).await });
            let running = sim.control().wait_for_calls(PATIENCE, |calls| {
                calls.get(ended).is_some_and(|call| call.status.is_some() == headers)
            });
            running.await.expect("the call runs");
            let left = Instant::now();
            asking.abort();
            ended += 1;
            let calls = sim
                .control()
                .wait_for_ended(ended, PATIENCE)
                .await
                .expect("it is closed");
            fastest = fastest.min(left.elapsed());
            assert_eq!(calls[ended - 1].outcome, Outcome::ClientClosed, "{scenario}");
        }
        println!("{scenario}: closed after {fastest:?}");
        assert!(fastest < AT_ONCE, "{scenario}: {fastest:?}");
    }
}

#[tokio::test]
async fn a_deadline_ends_a_call_that_comes_in_one_piece_and_its_end_is_told() {
    let (engine, sim) = simulated(&[]).await;
    let began = Instant::now();
    let limit = Duration::from_millis(500);
    let asked = engine
        .complete(&within(ask_for_json("[sim:silent-before-headers]"), limit))
        .await;
    let failed = failed(asked);
    assert_eq!(failed.failure.kind, Kind::TimedOut(Phase::Deadline));
    assert!(began.elapsed() < Duration::from_secs(4));
    assert_eq!(failed.calls.len(), 1, "the last word was said");
    let calls = sim.control().wait_for_ended(1, PATIENCE).await.unwrap();
    assert_eq!(calls[0].outcome, Outcome::ClientClosed);
}

#[tokio::test]
async fn a_caller_s_deadline_tells_what_the_call_may_have_cost() {
    let (desk, _sim) = Desk::simulated(&[]).await;
    let mut request = Request::new(about("[sim:silent-in-middle]"));
    request.set_timeout(Duration::from_secs(1));
    let reply = desk.reply(request).await;
    assert_eq!(reply.failure().1, "DEADLINE_EXCEEDED");
    let ended = reply.ended();
    assert!(ended.usage.as_ref().unwrap().output_tokens > 0 && ended.cost_micro_usd > 0);
    assert_eq!(ended.outcome(), deskhand_proto::assistant::v1::CallOutcome::CutShort);
}

#[tokio::test]
async fn the_total_limit_bounds_an_answer_in_one_piece() {
    let (engine, _sim) = simulated(&["--total-limit", "300ms"]).await;
    for scenario in ["silent-before-headers", "silent-before-first-token", "silent-in-middle"] {
        let began = Instant::now();
        let failed = failed(engine.complete(&ask_for_json(&format!("[sim:{scenario}]"))).await);
        assert_eq!(failed.failure.kind, Kind::TimedOut(Phase::Total), "{scenario}");
        assert!(began.elapsed() >= Duration::from_millis(300) && began.elapsed() < Duration::from_secs(4));
    }
}

#[tokio::test]
async fn nothing_is_sent_for_a_caller_that_left_during_a_delay() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let request = about("[sim:rate-limit wait=0.4 kind=rpm]");
    let mut stream = desk.client.clone().stream_reply(request).await.unwrap().into_inner();
    while !matches!(
        stream.message().await.unwrap().unwrap().event,
        Some(Event::CallEnded(_))
    ) {}
    drop(stream);
    // Longer than the delay: that nothing happens takes time to see.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(sim.control().calls().len(), 1);
}

#[tokio::test]
async fn nothing_is_sent_for_a_caller_that_left_while_it_waited_for_quota() {
    let limits = Limits {
        requests_per_day: 1_000,
        tokens_per_minute: 30_000,
        ..Limits::default()
    };
    let settings = Settings {
        limits,
        ..Settings::instant()
    };
    let sim = groq_sim::start(settings).await.unwrap();
    let engine = engine(&sim.base_url(), &[]);
    // All of it is used up, but for what the call gives back; 500 a second come back.
    engine.complete(&ask("[sim:ok remaining_tokens=0]")).await.unwrap();
    let next = ask("hello");
    {
        let mut waiting = pin!(engine.complete(&next));
        let polled = tokio::time::timeout(Duration::from_millis(100), &mut waiting).await;
        assert!(polled.is_err(), "it waits");
        assert_eq!(sim.control().calls().len(), 1);
    }
    // Nor for one that cannot wait so long.
    let failed = failed(engine.complete(&within(next.clone(), Duration::from_millis(50))).await);
    assert_eq!(failed.failure.kind, Kind::RateLimited(Window::Minute));
    assert!(failed.failure.retry_after.unwrap() > Duration::from_millis(50));
    assert!(failed.calls.is_empty());
    // The next gets what they left.
    engine.complete(&next).await.unwrap();
    assert_eq!(sim.control().calls().len(), 2);
}

#[tokio::test]
async fn dropping_an_ask_closes_a_connection_that_is_not_one_yet() {
    // It accepts, and never says a word of TLS.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let engine = engine(&format!("https://{}", listener.local_addr().unwrap()), &[]);
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let (ask, engine) = (ask("hello"), engine.clone());
        let asking = tokio::spawn(async move { engine.complete(&ask).await });
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut hello = [0; 4096];
        assert!(socket.read(&mut hello).await.unwrap() > 0);
        let left = Instant::now();
        asking.abort();
        let end = async { while socket.read(&mut hello).await.unwrap_or(0) > 0 {} };
        tokio::time::timeout(PATIENCE, end).await.expect("it is closed");
        fastest = fastest.min(left.elapsed());
    }
    assert!(fastest < AT_ONCE, "{fastest:?}");
}
