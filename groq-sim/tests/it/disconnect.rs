//! A client that goes away is noticed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use groq_sim::{Outcome, Settings};
use serde_json::json;

use crate::support::{LIMIT, ask, instant, open, send, streamed, with};

#[tokio::test]
async fn leaving_in_the_middle_of_a_stream_is_noticed_and_counted() {
    let sim = groq_sim::start(Settings::default()).await.unwrap();
    let mut stream = send(&sim, &streamed("[sim:ok ttft_ms=0 token_ms=20 reasoning=0]"))
        .await
        .bytes_stream();
    let mut text = String::new();
    while !text.contains("You") {
        text += std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap();
    }
    drop(stream);
    let left = Instant::now();
    let call = sim.control().wait_for_ended(1, LIMIT).await.unwrap().remove(0);
    assert!(left.elapsed() < Duration::from_millis(500), "{:?}", left.elapsed());
    assert_eq!(call.outcome, Outcome::ClientClosed);
    assert_eq!(call.status, Some(200));
    assert!(call.chunks >= 2 && call.chunks < 40, "{}", call.chunks);
    assert!(call.ended_ms.is_some() && call.text.starts_with("You"));
    assert_eq!(call.usage_sent, 0);
    assert_eq!(call.billed.unwrap().completion_tokens, call.chunks - 1);
}

#[tokio::test]
async fn leaving_during_a_silence_is_noticed() {
    for scenario in ["silent-before-headers", "silent-before-first-token", "silent-in-middle"] {
        for stream in [true, false] {
            let sim = instant().await;
            let body = with(ask(&format!("[sim:{scenario}]")), json!({"stream": stream}));
            let connection = open(sim.addr, &body).await;
            let began = |calls: &[groq_sim::Call]| calls.iter().any(|call| !call.scenario.is_empty());
            sim.control().wait_for_calls(LIMIT, began).await.unwrap();
            drop(connection);
            let left = Instant::now();
            let call = sim.control().wait_for_ended(1, LIMIT).await.unwrap().remove(0);
            assert_eq!(call.outcome, Outcome::ClientClosed, "{scenario}");
            assert!(
                left.elapsed() < Duration::from_millis(500),
                "{scenario}: {:?}",
                left.elapsed()
            );
        }
    }
}

#[tokio::test]
async fn leaving_while_a_whole_answer_is_being_generated_is_noticed() {
    let sim = instant().await;
    let connection = open(sim.addr, &ask("[sim:ok ttft_ms=60000]")).await;
    sim.control()
        .wait_for_calls(LIMIT, |calls| !calls.is_empty())
        .await
        .unwrap();
    drop(connection);
    let call = sim.control().wait_for_ended(1, LIMIT).await.unwrap().remove(0);
    assert_eq!(
        (call.outcome, call.status, call.chunks),
        (Outcome::ClientClosed, None, 0)
    );
}

#[tokio::test]
async fn dropping_the_simulator_drops_its_connections() {
    let sim = instant().await;
    let mut stream = send(&sim, &streamed("[sim:silent-in-middle]")).await.bytes_stream();
    let addr = sim.addr;
    drop(sim);
    let end = tokio::time::timeout(LIMIT, async { while let Some(Ok(_)) = stream.next().await {} }).await;
    assert!(end.is_ok());
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}

/// What a test can hold a caller to: how long after the client closed its connection the books say so.
#[tokio::test]
async fn a_closed_connection_is_noticed_within_milliseconds_in_every_phase() {
    let phases = [
        ("silent-before-headers", true, 0),
        ("silent-before-headers", false, 0),
        ("silent-before-first-token", true, 0),
        ("silent-in-middle", true, 6),
        ("ok token_ms=5 tokens=4000 reasoning=0", true, 6),
        ("ok ttft_ms=60000", false, 0),
        // Nobody reads, so the connection is full.
        ("huge-line after=0 bytes=20000000 reasoning=5", true, 6),
    ];
    for (scenario, stream, chunks) in phases {
        let mut fastest = f64::MAX;
        // The machine may be busy; what matters is what happens when it is not.
        for _ in 0..5 {
            let sim = instant().await;
            let more = json!({"stream": stream, "max_completion_tokens": 5000});
            let connection = open(sim.addr, &with(ask(&format!("[sim:{scenario}]")), more)).await;
            let running = |calls: &[groq_sim::Call]| {
                calls
                    .iter()
                    .any(|call| !call.scenario.is_empty() && call.chunks >= chunks)
            };
            sim.control().wait_for_calls(LIMIT, running).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
            let left = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1000.0;
            drop(connection);
            let call = sim.control().wait_for_ended(1, LIMIT).await.unwrap().remove(0);
            assert_eq!(call.outcome, Outcome::ClientClosed, "{scenario}");
            fastest = fastest.min(call.ended_at_ms.unwrap() - left);
        }
        assert!(fastest < 10.0, "{scenario}: {fastest} ms");
    }
}
