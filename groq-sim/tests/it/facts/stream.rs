//! The chunks of a stream.

use serde_json::{Value, json};

use crate::support::{contents, events, finish_reason, instant, is_done, reasoning, send, send_text, streamed, with};

/// `data:` lines of a stream, as they came.
fn lines(text: &str) -> Vec<&str> {
    text.split("\n\n").filter(|event| !event.is_empty()).collect()
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The first chunk has the role and no text, `x_groq.id` and the seed; then reasoning with its channel, then text, then the
/// finish with usage in two places; with `include_usage` a chunk without choices; then `[DONE]`. Byte for byte.
#[tokio::test]
async fn every_chunk() {
    let sim = instant().await;
    let options = json!({"stream_options": {"include_usage": true}, "seed": 27_718_886});
    let text = send_text(&sim, &with(streamed("Hello [sim:ok reasoning=1 tokens=2]"), options)).await;
    let parsed = events(&text);
    let [id, fingerprint] = ["id", "system_fingerprint"].map(|name| parsed[0][name].as_str().unwrap());
    let created = &parsed[0]["created"];
    let request = parsed[0]["x_groq"]["id"].as_str().unwrap();
    assert!(id.starts_with("chatcmpl-") && fingerprint.starts_with("fp_") && request.starts_with("req_"));
    let head = format!(
        "data: {{\"id\":\"{id}\",\"object\":\"chat.completion.chunk\",\"created\":{created},\"model\":\
         \"openai/gpt-oss-20b\",\"system_fingerprint\":\"{fingerprint}\",\"choices\":["
    );
    let chunk =
        |delta: &str| format!("{head}{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":null}}]");
    let usage =
        serde_json::from_str::<Value>(lines(&text)[5].strip_prefix("data: ").unwrap()).unwrap()["usage"].clone();
    let [thought, first, second] =
        [reasoning(&parsed)[0], contents(&parsed)[0], contents(&parsed)[1]].map(|word| json!(word).to_string());

    let lines = lines(&text);
    assert_eq!(lines.len(), 7);
    let role = chunk(r#"{"role":"assistant","content":""}"#);
    assert_eq!(
        lines[0],
        format!("{role},\"x_groq\":{{\"id\":\"{request}\",\"seed\":27718886}}}}")
    );
    let analysis = chunk(&format!("{{\"reasoning\":{thought},\"channel\":\"analysis\"}}"));
    assert_eq!(lines[1], format!("{analysis}}}"));
    assert_eq!(lines[2], format!("{}}}", chunk(&format!("{{\"content\":{first}}}"))));
    assert_eq!(lines[3], format!("{}}}", chunk(&format!("{{\"content\":{second}}}"))));
    let finish: Value = serde_json::from_str(lines[4].strip_prefix("data: ").unwrap()).unwrap();
    let stop =
        format!("{head}{{\"index\":0,\"delta\":{{}},\"logprobs\":null,\"finish_reason\":\"stop\"}}],\"x_groq\":");
    assert!(
        lines[4].starts_with(&format!("{stop}{{\"id\":\"{request}\",\"usage\":{{")),
        "{}",
        lines[4]
    );
    assert_eq!((&finish["usage"], &finish["x_groq"]["usage"]), (&usage, &usage));
    assert!(lines[5].starts_with(&format!("{head}],\"usage\":{{")), "{}", lines[5]);
    assert!(lines[5].ends_with(",\"service_tier\":\"on_demand\"}"), "{}", lines[5]);
    assert_eq!(lines[6], "data: [DONE]");
}

/// Usage has seven figures, and details where there is something to detail.
#[tokio::test]
async fn usage_and_its_details() {
    let sim = instant().await;
    let usage = async |text: &str| {
        let events = events(&send_text(&sim, &streamed(text)).await);
        events[events.len() - 2]["usage"].clone()
    };
    let figures = [
        "completion_time",
        "completion_tokens",
        "prompt_time",
        "prompt_tokens",
        "queue_time",
        "total_time",
        "total_tokens",
    ];
    let bare = usage("bare [sim:ok reasoning=0]").await;
    assert_eq!(keys(&bare), figures);
    let long = "the same words ".repeat(20);
    let reasoned = usage(&long).await;
    assert_eq!(keys(&reasoned["completion_tokens_details"]), ["reasoning_tokens"]);
    assert!(reasoned.get("prompt_tokens_details").is_none());
    let cached = usage(&long).await;
    assert_eq!(keys(&cached["prompt_tokens_details"]), ["cached_tokens"]);
    assert_eq!(keys(&cached).len(), figures.len() + 2);
}

/// Usage comes up to three times, and is the same each time.
#[tokio::test]
async fn three_places_of_usage() {
    let sim = instant().await;
    for times in 0..=3_usize {
        let events = events(&send_text(&sim, &streamed(&format!("[sim:usage times={times}]"))).await);
        let told: Vec<_> = events
            .iter()
            .flat_map(|event| [&event["x_groq"]["usage"], &event["usage"]])
            .filter(|usage| usage.is_object())
            .collect();
        assert_eq!(told.len(), times);
        assert!(told.windows(2).all(|pair| pair[0] == pair[1]));
        assert!(is_done(&events));
    }
}

/// `created` can change within a stream.
#[tokio::test]
async fn created_can_change() {
    let sim = instant().await;
    let events = events(&send_text(&sim, &streamed("[sim:created-changes]")).await);
    let created: Vec<_> = events.iter().filter_map(|event| event["created"].as_u64()).collect();
    assert!(created.last() > created.first());
}

/// The finish is one of five words.
#[tokio::test]
async fn finishes() {
    let sim = instant().await;
    for (scenario, reason) in [
        ("ok", "stop"),
        ("length", "length"),
        ("tool-calls", "tool_calls"),
        ("finish reason=function_call", "function_call"),
        ("content-filter", "content_filter"),
    ] {
        let tools = json!({"tools": [{"type": "function", "function": {"name": "t"}}]});
        let request = with(streamed(&format!("[sim:{scenario}]")), tools);
        let events = events(&send_text(&sim, &request).await);
        assert_eq!(finish_reason(&events), Some(reason));
        assert!(is_done(&events), "{scenario}");
    }
}

/// A call of a tool arrives whole, in one chunk, and several may come in one answer: in one chunk or one each.
#[tokio::test]
async fn calls_of_tools() {
    let sim = instant().await;
    let tools = json!({"tools": [{"type": "function", "function": {"name": "t"}}]});
    for (scenario, chunks) in [
        ("tool-calls", vec![vec![0]]),
        ("tool-calls count=3", vec![vec![0, 1, 2]]),
        ("tool-calls count=3 apart=true", vec![vec![0], vec![1], vec![2]]),
    ] {
        let marked = format!("[sim:{scenario} arguments=\"{{}}\"]");
        let events = events(&send_text(&sim, &with(streamed(&marked), tools.clone())).await);
        let came: Vec<_> = events
            .iter()
            .filter_map(|event| event["choices"][0]["delta"]["tool_calls"].as_array())
            .collect();
        let indices = |calls: &Vec<Value>| calls.iter().map(|call| call["index"].as_u64().unwrap()).collect();
        assert_eq!(came.iter().map(|calls| indices(calls)).collect::<Vec<Vec<_>>>(), chunks);
        let calls: Vec<_> = came.into_iter().flatten().collect();
        for call in &calls {
            assert_eq!(keys(call), ["function", "id", "index", "type"]);
            assert_eq!(call["function"], json!({"name": "t", "arguments": "{}"}));
        }
        let mut ids: Vec<_> = calls.iter().map(|call| call["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((ids.len(), finish_reason(&events)), (calls.len(), Some("tool_calls")));
        let usage = &events[events.len() - 2]["usage"];
        let reasoned = usage["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap();
        assert_eq!(usage["completion_tokens"], reasoned + 3 * calls.len() as u64);

        // The same in one piece, and one at most where the caller wants it so.
        let whole = with(with(streamed(&marked), tools.clone()), json!({"stream": false}));
        let body: Value = send(&sim, &whole).await.json().await.unwrap();
        assert_eq!(
            body["choices"][0]["message"]["tool_calls"].as_array().unwrap().len(),
            calls.len()
        );
        let alone = with(whole, json!({"parallel_tool_calls": false}));
        let body: Value = send(&sim, &alone).await.json().await.unwrap();
        assert_eq!(body["choices"][0]["message"]["tool_calls"].as_array().unwrap().len(), 1);
    }
}

/// An error after HTTP 200: `event: error` and a line of data with a status code, and then no `[DONE]`.
#[tokio::test]
async fn error_events() {
    let sim = instant().await;
    for (scenario, code, status) in [
        ("error-event", "tool_use_failed", 400),
        ("error-event after=0", "tool_use_failed", 400),
        ("error-event code=json_validate_failed", "json_validate_failed", 400),
        ("error-event code=over_capacity status=503", "over_capacity", 503),
    ] {
        let response = send(&sim, &streamed(&format!("[sim:{scenario}]"))).await;
        assert_eq!(response.status(), 200);
        let text = response.text().await.unwrap();
        let (before, error) = text.split_once("event: error\ndata: ").unwrap();
        assert!(!text.contains("[DONE]") && error.ends_with("}}\n\n") && error.matches('\n').count() == 2);
        assert!(before.starts_with("data: {") && before.ends_with("}\n\n"));
        let error: Value = serde_json::from_str(error).unwrap();
        assert_eq!(keys(&error), ["error"]);
        let error = &error["error"];
        assert_eq!(
            keys(error),
            ["code", "failed_generation", "message", "status_code", "type"]
        );
        assert_eq!(
            (&error["type"], &error["code"], &error["status_code"]),
            (&json!("invalid_request_error"), &json!(code), &json!(status))
        );
        assert!(error["message"].is_string() && error["failed_generation"].is_string());
    }
}

/// Errors may also come as a bare line of data, with a code that is a word or none, and as a word in `x_groq.error`.
#[tokio::test]
async fn other_errors_inside_a_stream() {
    let sim = instant().await;
    let last = async |scenario: &str| {
        let text = send_text(&sim, &streamed(&format!("[sim:{scenario}]"))).await;
        assert!(!text.contains("event:"), "{scenario}");
        let mut events = events(&text);
        if scenario.contains("done=true") {
            assert_eq!(events.pop(), Some(json!("[DONE]")));
        }
        assert_ne!(events.last(), Some(&json!("[DONE]")), "{scenario}");
        events.pop().unwrap()
    };
    assert_eq!(keys(&last("error-data").await["error"]), ["message", "type"]);
    assert_eq!(
        last("error-data code=over_capacity").await["error"]["code"],
        "over_capacity"
    );
    assert_eq!(last("error-data code=503").await["error"]["code"], "503");
    assert!(last("error-x-groq").await["x_groq"]["error"].is_string());
    assert!(last("error-x-groq done=true").await["x_groq"]["error"].is_string());
    assert!(last("error-x-groq object=true").await["x_groq"]["error"]["message"].is_string());
}
