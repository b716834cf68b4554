//! What is refused without a scenario.

use serde_json::{Value, json};

use crate::support::{ask, instant, send_json, streamed, with};

#[tokio::test]
async fn requests_that_groq_refuses_are_refused_in_its_words() {
    let sim = instant().await;
    let user = |more: Value| with(json!({"role": "user", "content": "x"}), more);
    let messages = |messages: Value| with(ask("x"), json!({"messages": messages}));
    let more = |more: Value| with(ask("x"), more);
    let qwen = |fields: Value| with(more(fields), json!({"model": "qwen/qwen3.8-27b"}));
    let tool = json!([{"type": "function", "function": {"name": "t"}}]);
    let schema = json!({"type": "json_schema", "json_schema": {"name": "t", "schema": {}}});
    let cases = [
        (
            more(json!({"reasoning": 1})),
            400,
            "property 'reasoning' is unsupported",
        ),
        (
            more(json!({"frequency_penalty": 0.1})),
            400,
            "property 'frequency_penalty' is unsupported",
        ),
        (
            more(json!({"presence_penalty": 0})),
            400,
            "property 'presence_penalty' is unsupported",
        ),
        (more(json!({"metadata": {}})), 400, "property 'metadata' is unsupported"),
        (more(json!({"store": true})), 400, "property 'store' is unsupported"),
        (more(json!({"n": 2})), 400, "'n'"),
        (more(json!({"temperature": 2.1})), 400, "'temperature'"),
        (more(json!({"temperature": -0.1})), 400, "'temperature'"),
        (more(json!({"temperature": "hot"})), 400, "'temperature'"),
        (more(json!({"top_p": 1.1})), 400, "'top_p'"),
        (
            more(json!({"stop": ["1", "2", "3", "4", "5"]})),
            400,
            "'stop' : maximum number of items is 4",
        ),
        (more(json!({"service_tier": "gold"})), 400, "'service_tier'"),
        (
            more(json!({"stream": "yes"})),
            400,
            "'stream' : value must be a boolean",
        ),
        (
            more(json!({"stream_options": {"include_usage": true}})),
            400,
            "`stream_options`",
        ),
        (
            with(streamed("x"), json!({"stream_options": {"x": 1}})),
            400,
            "stream_options.x",
        ),
        (
            more(json!({"max_completion_tokens": 0})),
            400,
            "'max_completion_tokens'",
        ),
        (
            more(json!({"max_completion_tokens": 65_537})),
            400,
            "less than or equal to `65536`",
        ),
        (
            more(json!({"reasoning_effort": "none"})),
            400,
            "`low`, `medium`, or `high`",
        ),
        (qwen(json!({"reasoning_effort": "low"})), 400, "`none` or `default`"),
        (
            more(json!({"include_reasoning": true, "reasoning_format": "parsed"})),
            400,
            "cannot specify both",
        ),
        (
            qwen(json!({"reasoning_format": "raw", "tools": tool})),
            400,
            "`reasoning_format`",
        ),
        (more(json!({"reasoning_format": "loud"})), 400, "'reasoning_format'"),
        (more(json!({"tool_choice": "required"})), 400, "there are no tools"),
        (
            more(json!({"response_format": {"type": "json_object"}})),
            400,
            "the word 'json'",
        ),
        (
            with(streamed("x"), json!({"response_format": schema})),
            400,
            "streaming",
        ),
        (qwen(json!({"response_format": schema})), 400, "does not support"),
        (messages(json!([])), 400, "minimum number of items is 1"),
        (messages(json!("x")), 400, "must be an array"),
        (
            messages(json!([user(json!({"role": "developer"}))])),
            400,
            "'messages.0' : discriminator property 'role'",
        ),
        (
            messages(json!([user(json!({"name": "bob"}))])),
            400,
            "property 'name' is unsupported",
        ),
        (
            messages(json!([{"role": "user"}])),
            400,
            "property 'content' is missing",
        ),
        (
            messages(json!([user(json!({"content": [{"type": "image_url"}]}))])),
            400,
            "other than text",
        ),
        (
            messages(json!([user(json!({"role": "tool"}))])),
            400,
            "'tool_call_id' is missing",
        ),
        (
            more(json!({"model": "llama-9"})),
            404,
            "The model `llama-9` does not exist",
        ),
        (
            more(json!({"model": "mixtral-8x7b-32768"})),
            400,
            "has been decommissioned",
        ),
        (ask(&"x ".repeat(140_000)), 400, "reduce the length"),
        (json!([1]), 400, "JSON object"),
    ];
    for (request, status, says) in cases {
        let (got, headers, body) = send_json(&sim, &request).await;
        let shown: String = request.to_string().chars().take(200).collect();
        assert_eq!(got, status, "{shown}");
        let error = &body["error"];
        assert!(error["message"].as_str().unwrap().contains(says), "{shown}: {error}");
        assert_eq!(error["type"], "invalid_request_error", "{shown}");
        assert!(
            headers.contains_key("x-request-id") && !headers.contains_key("retry-after"),
            "{shown}"
        );
    }
    let codes = [
        ("llama-9", "model_not_found"),
        ("mixtral-8x7b-32768", "model_decommissioned"),
    ];
    for (model, code) in codes {
        let (_, _, body) = send_json(&sim, &with(ask("x"), json!({"model": model}))).await;
        assert_eq!(body["error"]["code"], code);
    }
}

#[tokio::test]
async fn what_groq_allows_is_allowed() {
    let sim = instant().await;
    let call = json!([{"id": "fc_1", "type": "function", "function": {"name": "t", "arguments": "{}"}}]);
    let request = json!({
        "model": "openai/gpt-oss-120b",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": null, "tool_calls": call},
            {"role": "tool", "tool_call_id": "fc_1", "content": "done"},
            {"role": "user", "content": "y"},
        ],
        "temperature": 2, "top_p": 0.5, "n": 1, "stop": "never", "seed": 1, "user": "u", "service_tier": "auto",
        "reasoning_effort": "high", "include_reasoning": true, "max_completion_tokens": 4096, "stream": false,
        "parallel_tool_calls": true, "tools": [{"type": "function", "function": {"name": "t"}}], "tool_choice": "auto",
        "response_format": {"type": "text"},
    });
    let (status, _, body) = send_json(&sim, &request).await;
    assert_eq!(status, 200, "{body}");
    assert!(
        body["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .contains("5 messages")
    );
}

#[tokio::test]
async fn a_key_json_and_a_known_path_are_needed() {
    let sim = instant().await;
    let client = reqwest::Client::new();
    let url = format!("{}/openai/v1/chat/completions", sim.base_url());
    for authorization in [None, Some("Bearer "), Some("Basic x")] {
        let mut request = client.post(&url).json(&ask("x"));
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(
            response.json::<Value>().await.unwrap()["error"]["code"],
            "invalid_api_key"
        );
    }
    let response = client.post(&url).bearer_auth("k").body("{").send().await.unwrap();
    assert_eq!(response.status(), 400);
    for path in ["openai/v1/embeddings", "openai/v1/chat/completions"] {
        let response = client
            .get(format!("{}/{path}", sim.base_url()))
            .bearer_auth("k")
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 404);
        assert_eq!(response.json::<Value>().await.unwrap()["error"]["code"], "unknown_url");
    }
}
