//! What the simulator says that calls cost.

use std::time::Duration;

use groq_sim::{Outcome, Running};
use serde_json::{Value, json};

use crate::support::{LIMIT, MODEL, ask, instant, open, send, send_json, send_text, streamed, with};

#[tokio::test]
async fn the_books_add_up_to_what_was_told() {
    let sim = instant().await;
    let policy = "Be kind and brief. ".repeat(20);
    let mut sum = (0, 0, 0, 0);
    for (model, text) in [
        (MODEL, "one"),
        (MODEL, "two"),
        ("openai/gpt-oss-120b", "three"),
        ("qwen/qwen3.8-27b", "four"),
    ] {
        let request = json!({"model": model, "messages": [
            {"role": "system", "content": policy}, {"role": "user", "content": text}]});
        let (_, _, body) = send_json(&sim, &request).await;
        let count = |path: &str| body.pointer(path).and_then(Value::as_u64).unwrap_or(0);
        sum.0 += count("/usage/prompt_tokens");
        sum.1 += count("/usage/prompt_tokens_details/cached_tokens");
        sum.2 += count("/usage/completion_tokens");
        sum.3 += count("/usage/completion_tokens_details/reasoning_tokens");
    }
    send(&sim, &ask("[sim:status code=503]")).await;
    send(&sim, &with(ask("x"), json!({"model": "llama-9"}))).await;
    let books = sim.control().books();
    let total = &books.total;
    assert_eq!((total.calls, total.finished, total.refused, total.billed), (6, 4, 2, 4));
    assert_eq!(
        (
            total.prompt_tokens,
            total.cached_tokens,
            total.completion_tokens,
            total.reasoning_tokens
        ),
        sum
    );
    assert!(sum.1 > 0 && sum.3 > 0);
    assert_eq!(books.models["llama-9"].refused, 1);
    let small = &books.models[MODEL];
    let cost = (small.prompt_tokens - small.cached_tokens) * 75_000
        + small.cached_tokens * 37_500
        + small.completion_tokens * 300_000;
    assert_eq!(small.cost_picodollars, cost);
    let each: u64 = sim.control().calls().iter().map(|call| call.cost_picodollars).sum();
    assert_eq!(total.cost_picodollars, each);
    assert_eq!(
        each,
        books.models.values().map(|tally| tally.cost_picodollars).sum::<u64>()
    );

    let url = format!("{}/_sim/books", sim.base_url());
    let read: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    assert_eq!(read, serde_json::to_value(&books).unwrap());
    sim.control().reset();
    assert_eq!(sim.control().books(), groq_sim::Books::default());
}

#[tokio::test]
async fn books_forget_nothing_that_the_list_forgets() {
    let sim = groq_sim::start(groq_sim::Settings {
        keep: groq_sim::Keep { calls: 2 },
        ..groq_sim::Settings::instant()
    })
    .await
    .unwrap();
    for _ in 0..5 {
        send_text(&sim, &streamed("x")).await;
    }
    assert_eq!(
        (sim.control().calls().len(), sim.control().books().total.finished),
        (2, 5)
    );
}

/// Leaves when `so_far` says so, and answers the tokens that were billed: completion, and of them reasoning.
async fn leave(sim: &Running, request: &Value, so_far: Duration) -> Option<(u32, u32)> {
    let connection = open(sim.addr, request).await;
    let count = sim.control().calls().len();
    let arrived = |calls: &[groq_sim::Call]| calls.len() > count || calls.iter().any(|call| !call.scenario.is_empty());
    sim.control().wait_for_calls(LIMIT, arrived).await.unwrap();
    tokio::time::sleep(so_far).await;
    drop(connection);
    let call = sim.control().wait_for_ended(1, LIMIT).await.unwrap().remove(0);
    assert_eq!(call.outcome, Outcome::ClientClosed);
    let books = sim.control().books().total;
    assert_eq!(books.client_closed, 1);
    let billed = call
        .billed
        .map(|usage| (usage.completion_tokens, usage.reasoning_tokens()));
    assert_eq!(
        billed.map_or(0, |(tokens, _)| u64::from(tokens)),
        books.completion_tokens
    );
    billed
}

#[tokio::test]
async fn what_was_generated_until_the_client_left_is_billed_although_nothing_was_sent() {
    let slow = "[sim:ok ttft_ms=20 token_ms=10 reasoning=8 tokens=4000]";
    let pause = Duration::from_millis(300);
    // About 29 tokens; the machine may be busy, so only more of them are allowed than that.
    let expect = |billed: Option<(u32, u32)>, what: &str| {
        let (tokens, reasoning) = billed.unwrap_or_default();
        assert!((25..400).contains(&tokens), "{what}: {tokens}");
        assert_eq!(reasoning, 8, "{what}");
    };
    let long = json!({"max_completion_tokens": 5000});
    let sim = instant().await;
    expect(leave(&sim, &with(ask(slow), long.clone()), pause).await, "whole");
    let sim = instant().await;
    expect(
        leave(&sim, &with(streamed(slow), long.clone()), pause).await,
        "streamed",
    );

    let hidden = "[sim:ok ttft_ms=20 token_ms=10 reasoning=4000 tokens=5]";
    let request = with(
        with(streamed(hidden), long.clone()),
        json!({"include_reasoning": false}),
    );
    let sim = instant().await;
    let (tokens, reasoning) = leave(&sim, &request, pause).await.unwrap();
    assert!(
        (25..400).contains(&tokens) && tokens == reasoning,
        "hidden: {tokens} {reasoning}"
    );

    let words = "word ".repeat(4000);
    let call = format!("[sim:tool-calls token_ms=10 reasoning=0 arguments=\"{words}\"]");
    let sim = instant().await;
    let (tokens, _) = leave(&sim, &with(streamed(&call), long), pause).await.unwrap();
    assert!((25..400).contains(&tokens), "a call: {tokens}");
}

#[tokio::test]
async fn who_leaves_before_the_first_token_is_billed_nothing() {
    for stream in [true, false] {
        let sim = instant().await;
        let request = with(ask("[sim:ok ttft_ms=60000]"), json!({"stream": stream}));
        assert_eq!(leave(&sim, &request, Duration::from_millis(30)).await, None);
    }
}
