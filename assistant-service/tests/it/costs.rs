//! What calls cost, as it is told: equal to the provider's books, or not below them.

use deskhand_proto::assistant::v1::stream_reply_response::CallEnded;
use deskhand_proto::assistant::v1::{CallOutcome, UsageSource};

use crate::harness::{Desk, ONE_CALL, about};

/// Millionths of a dollar, at the first model's prices.
fn price(ended: &CallEnded) -> i64 {
    let usage = ended.usage.as_ref().unwrap();
    let fresh = usage.input_tokens - usage.cached_input_tokens;
    (fresh * 150_000 + usage.cached_input_tokens * 75_000 + usage.output_tokens * 600_000 + 999_999) / 1_000_000
}

#[tokio::test]
async fn what_is_reported_is_told_and_priced_cached_tokens_at_their_price() {
    let (desk, sim) = Desk::simulated(&[]).await;
    for round in 0..2 {
        let reply = desk.reply(about("My printer is on fire")).await;
        let ended = reply.ended();
        let billed = sim.control().calls().pop().unwrap().billed.unwrap();
        let cached = billed.prompt_tokens_details.map_or(0, |details| details.cached_tokens);
        assert_eq!(cached > 0, round == 1, "the same prompt again is cached");
        let usage = ended.usage.as_ref().unwrap();
        assert_eq!(ended.usage_source(), UsageSource::Reported);
        assert_eq!(usage.cached_input_tokens, i64::from(cached));
        assert_eq!(usage.input_tokens, i64::from(billed.prompt_tokens));
        assert_eq!(usage.output_tokens, i64::from(billed.completion_tokens));
        assert_eq!(ended.cost_micro_usd, price(ended));
        assert!(ended.cost_micro_usd > 0);
        assert_eq!(ended.model, "openai/gpt-oss-120b");
    }
}

#[tokio::test]
async fn what_is_not_reported_is_estimated_and_never_below_the_provider_s_books() {
    for (scenario, flags) in [
        ("usage times=0", &[][..]),
        ("usage times=0 tokens=1000", &["--answer-tokens", "2000"][..]),
        ("silent-before-headers", &["--first-token-limit", "200ms"]),
        ("silent-before-first-token", &["--first-token-limit", "200ms"]),
        ("silent-in-middle after=40", &["--chunk-limit", "200ms"]),
        ("silent-in-middle after=1 reasoning=300", &["--chunk-limit", "200ms"]),
        (
            "ok token_ms=1 tokens=3000",
            &["--answer-tokens", "4000", "--total-limit", "700ms"],
        ),
        (
            "ok token_ms=0.7 reasoning=3000",
            &["--first-token-limit", "20s", "--total-limit", "700ms"],
        ),
        ("end-early after=30", &[]),
        ("cut how=reset after=30", &[]),
        ("cut how=close after=30", &[]),
        ("error-event after=30", &[]),
        ("error-data after=30", &[]),
        ("error-x-groq after=30", &[]),
        ("huge-line after=30", &[]),
        ("status code=400 error=tool_use_failed", &[]),
    ] {
        let (desk, sim) = Desk::simulated(&[&ONE_CALL, flags].concat()).await;
        let reply = desk.reply(about(&format!("Grüße 日本 [sim:{scenario}]"))).await;
        let calls = reply.calls();
        let (started, ended) = calls[0];
        // After this the books are closed.
        let call = sim
            .control()
            .wait_for_ended(1, crate::harness::PATIENCE)
            .await
            .unwrap()
            .pop()
            .unwrap();
        assert_eq!(ended.usage_source(), UsageSource::Estimated, "{scenario}");
        let usage = ended.usage.as_ref().unwrap();
        let (input, output) = call.billed.map_or((0, 0), |billed| {
            (i64::from(billed.prompt_tokens), i64::from(billed.completion_tokens))
        });
        assert!(
            usage.input_tokens >= input,
            "{scenario}: {} of {input}",
            usage.input_tokens
        );
        assert!(
            usage.output_tokens >= output,
            "{scenario}: {} of {output}",
            usage.output_tokens
        );
        assert_eq!(usage.input_tokens, started.input_tokens_at_most);
        assert_eq!(
            (usage.cached_input_tokens, ended.cost_micro_usd),
            (0, price(ended)),
            "{scenario}"
        );
    }
}

#[tokio::test]
async fn no_prompt_has_more_tokens_than_announced() {
    let (desk, sim) = Desk::simulated(&[]).await;
    for text in [
        "hello",
        "日本語の質問です",
        "🦀🦀🦀",
        ". . . . ! ? ; , - _ ( )",
        &"a b ".repeat(2_000),
    ] {
        let reply = desk.reply(about(text)).await;
        let billed = sim.control().calls().pop().unwrap().billed.unwrap();
        let started = reply.started();
        assert!(
            started.input_tokens_at_most >= i64::from(billed.prompt_tokens),
            "{text}"
        );
        assert_eq!(started.output_tokens_at_most, 3_072);
    }
}

#[tokio::test]
async fn a_call_that_never_left_costs_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let desk = Desk::asking(&format!("http://{address}"), &ONE_CALL).await;
    let reply = desk.reply(about("hello")).await;
    let ended = reply.ended();
    assert_eq!(ended.usage, Some(Default::default()));
    assert_eq!((ended.usage_source(), ended.cost_micro_usd), (UsageSource::Reported, 0));
    assert_eq!(ended.outcome(), CallOutcome::Failed);
}

#[tokio::test]
async fn prices_can_be_set() {
    let folder = tempfile_folder();
    let file = folder.join("prices.json");
    std::fs::write(
        &file,
        r#"{"openai/gpt-oss-120b": {"input": 0, "cached_input": 0, "output": 1000000000}}"#,
    )
    .unwrap();
    let (desk, _sim) = Desk::simulated(&["--prices-file", file.to_str().unwrap()]).await;
    let reply = desk.reply(about("hello")).await;
    let ended = reply.ended();
    assert_eq!(
        ended.cost_micro_usd,
        ended.usage.as_ref().unwrap().output_tokens * 1_000
    );

    // A model without a price is answered, and costs nothing that we know of.
    let flags = [
        "--prices-file",
        file.to_str().unwrap(),
        "--groq-model",
        "qwen/qwen3.8-27b",
    ];
    let (desk, _sim) = Desk::simulated(&flags).await;
    assert_eq!(desk.reply(about("hello")).await.ended().cost_micro_usd, 0);
    std::fs::remove_dir_all(folder).unwrap();
}

fn tempfile_folder() -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("deskhand-costs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
