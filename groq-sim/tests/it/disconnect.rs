//! A client that goes away is noticed.

use std::time::{Duration, Instant};

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
