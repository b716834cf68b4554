//! The shape of a stream in which nothing goes wrong.

use serde_json::{Value, json};

use crate::support::{contents, events, finish_reason, instant, is_done, reasoning, send, send_text, streamed, with};

#[tokio::test]
async fn a_gpt_oss_stream_has_role_analysis_content_finish_usage_and_done() {
    let sim = instant().await;
    let request = with(
        streamed("Where is my order?"),
        json!({"stream_options": {"include_usage": true}, "seed": 7}),
    );
    let response = send(&sim, &request).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert!(id.starts_with("req_01"));
    let text = response.text().await.unwrap();
    assert!(text.starts_with("data: {") && text.ends_with("\n\ndata: [DONE]\n\n"));
    let events = events(&text);

    let first = &events[0];
    assert_eq!(first["object"], "chat.completion.chunk");
    assert_eq!(first["model"], "openai/gpt-oss-20b");
    assert!(first["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert!(first["system_fingerprint"].as_str().unwrap().starts_with("fp_"));
    assert!(first["created"].as_u64().unwrap() > 1_700_000_000);
    let choice =
        json!({"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": null, "finish_reason": null});
    assert_eq!(first["choices"], json!([choice]));
    assert_eq!(first["x_groq"], json!({"id": id, "seed": 7}));

    let thoughts = reasoning(&events);
    assert!(!thoughts.is_empty());
    for event in &events[1..=thoughts.len()] {
        assert_eq!(event["choices"][0]["delta"]["channel"], "analysis");
        assert!(event.get("x_groq").is_none());
    }
    let words = contents(&events);
    assert!((60..=120).contains(&words.len()), "{}", words.len());

    let [.., finish, usage, done] = events.as_slice() else {
        panic!("too short")
    };
    assert_eq!(
        finish["choices"],
        json!([{"index": 0, "delta": {}, "logprobs": null, "finish_reason": "stop"}])
    );
    assert_eq!(finish["x_groq"]["id"], id.as_str());
    let counted = &finish["usage"];
    assert_eq!(&finish["x_groq"]["usage"], counted);
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(&usage["usage"], counted);
    assert_eq!(usage["service_tier"], "on_demand");
    assert_eq!(done, "[DONE]");
    assert_eq!(counted["completion_tokens"], thoughts.len() + words.len());
    assert_eq!(counted["completion_tokens_details"]["reasoning_tokens"], thoughts.len());
    let sum = counted["prompt_tokens"].as_u64().unwrap() + counted["completion_tokens"].as_u64().unwrap();
    assert_eq!(counted["total_tokens"], sum);
    for time in ["queue_time", "prompt_time", "completion_time", "total_time"] {
        assert!(counted[time].is_f64(), "{time}");
    }
    assert_eq!(events.len(), 1 + thoughts.len() + words.len() + 3);
}

#[tokio::test]
async fn without_include_usage_there_is_no_usage_chunk() {
    let sim = instant().await;
    let events = events(&send_text(&sim, &streamed("hello")).await);
    assert!(is_done(&events));
    assert!(events.iter().all(|event| event["choices"] != json!([])));
    assert!(events[events.len() - 2]["usage"].is_object());
}

#[tokio::test]
async fn hidden_reasoning_is_billed_but_not_sent() {
    let sim = instant().await;
    for hide in [
        json!({"include_reasoning": false}),
        json!({"reasoning_format": "hidden"}),
    ] {
        let events = events(&send_text(&sim, &with(streamed("hello"), hide)).await);
        assert!(reasoning(&events).is_empty());
        let usage = &events[events.len() - 2]["usage"];
        let hidden = usage["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap();
        assert!(hidden > 0);
        assert_eq!(usage["completion_tokens"], hidden + contents(&events).len() as u64);
    }
}

#[tokio::test]
async fn qwen_thinks_aloud_unless_parsed_or_told_not_to() {
    let sim = instant().await;
    let qwen = |more: Value| with(with(streamed("hello"), json!({"model": "qwen/qwen3.8-27b"})), more);

    let aloud = events(&send_text(&sim, &qwen(json!({}))).await);
    let text = contents(&aloud).concat();
    assert!(
        text.starts_with("<think>\n") && text.contains("\n</think>\n\nYou wrote"),
        "{text}"
    );

    let parsed = events(&send_text(&sim, &qwen(json!({"reasoning_format": "parsed"}))).await);
    assert!(!reasoning(&parsed).is_empty());
    assert!(
        parsed
            .iter()
            .all(|event| event["choices"][0]["delta"].get("channel").is_none())
    );

    let silent = events(&send_text(&sim, &qwen(json!({"reasoning_effort": "none"}))).await);
    assert!(contents(&silent).concat().starts_with("You wrote"));
    assert!(
        silent[silent.len() - 2]["usage"]
            .get("completion_tokens_details")
            .is_none()
    );
}

#[tokio::test]
async fn max_completion_tokens_ends_with_length_and_reasoning_counts() {
    let sim = instant().await;
    let some = events(
        &send_text(
            &sim,
            &with(streamed("[sim:ok reasoning=10]"), json!({"max_completion_tokens": 30})),
        )
        .await,
    );
    assert_eq!(reasoning(&some).len(), 10);
    assert_eq!(contents(&some).len(), 20);
    assert_eq!(finish_reason(&some), Some("length"));

    let none = events(&send_text(&sim, &with(streamed("[sim:ok reasoning=10]"), json!({"max_tokens": 8}))).await);
    assert_eq!(reasoning(&none).len(), 8);
    assert!(contents(&none).is_empty());
    assert_eq!(finish_reason(&none), Some("length"));
    assert_eq!(none[none.len() - 2]["usage"]["completion_tokens"], 8);
}
