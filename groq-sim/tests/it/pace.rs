//! Time. Upper bounds are generous: the machine may be busy.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use groq_sim::{Pace, Settings};
use serde_json::json;

use crate::support::{send, send_text, streamed, with};

#[tokio::test]
async fn the_default_pace_is_realistic() {
    let sim = groq_sim::start(Settings::default()).await.unwrap();
    assert_eq!(
        sim.control().pace(),
        Pace {
            ttft_ms: 150.0,
            token_ms: 5.0
        }
    );
    let started = Instant::now();
    let mut stream = send(&sim, &streamed("[sim:ok tokens=40 reasoning=11]"))
        .await
        .bytes_stream();
    stream.next().await.unwrap().unwrap();
    assert!(started.elapsed() >= Duration::from_millis(150));
    while let Some(chunk) = stream.next().await {
        chunk.unwrap();
    }
    assert!(started.elapsed() >= Duration::from_millis(150 + 50 * 5));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_scenario_and_the_control_set_the_pace() {
    let sim = groq_sim::start(Settings::default()).await.unwrap();
    sim.control().set_pace(Pace {
        ttft_ms: 60_000.0,
        token_ms: 60_000.0,
    });
    let started = Instant::now();
    send_text(&sim, &streamed("[sim:ok ttft_ms=0 token_ms=0]")).await;
    sim.control().set_pace(Pace::INSTANT);
    send_text(&sim, &streamed("x")).await;
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn hidden_reasoning_takes_its_time_and_so_does_a_whole_answer() {
    let sim = groq_sim::start(Settings::instant()).await.unwrap();
    let request = streamed("[sim:ok token_ms=10 reasoning=20 tokens=5]");
    for more in [json!({"include_reasoning": false}), json!({"stream": false})] {
        let started = Instant::now();
        send_text(&sim, &with(request.clone(), more)).await;
        assert!(started.elapsed() >= Duration::from_millis(240));
    }
}

#[tokio::test]
async fn models_can_be_as_fast_as_groq_says() {
    let sim = groq_sim::start(Settings::instant()).await.unwrap();
    sim.control().set_model_speed(true);
    let took = async |model: &str| {
        let request = with(streamed("[sim:ok reasoning=0 tokens=200]"), json!({"model": model}));
        let started = Instant::now();
        send_text(&sim, &request).await;
        started.elapsed()
    };
    assert!(took("openai/gpt-oss-120b").await >= Duration::from_millis(398));
    let small = took("openai/gpt-oss-20b").await;
    assert!(small >= Duration::from_millis(199), "{small:?}");
    // Nothing is published of this one, so the pace that was set holds.
    let started = Instant::now();
    let url = format!("{}/_sim/model-speed", sim.base_url());
    let off = reqwest::Client::new().put(url).json(&json!({"on": false}));
    assert!(took("qwen/qwen3.8-27b").await < Duration::from_secs(5));
    assert_eq!(off.send().await.unwrap().status(), 200);
    assert!(!sim.control().model_speed());
    assert!(started.elapsed() < Duration::from_secs(10));
}
