//! Answers in one piece, models, headers.

use serde_json::{Value, json};

use crate::support::{ask, instant, send, send_json, with};

#[tokio::test]
async fn a_completion_has_message_usage_and_x_groq() {
    let sim = instant().await;
    let (status, headers, body) = send_json(&sim, &ask("Where is my order?")).await;
    assert_eq!(status, 200);
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["x_groq"]["id"], headers["x-request-id"].to_str().unwrap());
    assert_eq!(body["service_tier"], "on_demand");
    let choice = &body["choices"][0];
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(choice["message"]["role"], "assistant");
    assert!(
        choice["message"]["content"]
            .as_str()
            .unwrap()
            .contains("“Where is my order?”")
    );
    assert!(
        choice["message"]["reasoning"]
            .as_str()
            .unwrap()
            .starts_with("The user says")
    );
    assert!(body["usage"]["completion_tokens"].as_u64().unwrap() > 60);

    let (_, _, body) = send_json(&sim, &with(ask("x"), json!({"include_reasoning": false}))).await;
    assert!(body["choices"][0]["message"].get("reasoning").is_none());
}

#[tokio::test]
async fn rate_limit_headers_are_six_with_go_durations() {
    let sim = instant().await;
    let (_, headers, body) = send_json(&sim, &ask("x")).await;
    let header = |name: &str| headers[format!("x-ratelimit-{name}")].to_str().unwrap().to_owned();
    assert_eq!(header("limit-requests"), "500000");
    assert_eq!(header("remaining-requests"), "499999");
    assert_eq!(header("reset-requests"), "173ms");
    assert_eq!(header("limit-tokens"), "250000");
    let used = body["usage"]["total_tokens"].as_u64().unwrap();
    assert_eq!(header("remaining-tokens"), (250_000 - used).to_string());
    assert!(header("reset-tokens").ends_with("ms"));
    assert!(!headers.contains_key("retry-after"));
}

#[tokio::test]
async fn headers_can_be_scripted() {
    let sim = instant().await;
    let text = "[sim:ok remaining_requests=1 reset_requests=2m59.56s remaining_tokens=12 reset_tokens=7.66s]";
    let response = send(&sim, &ask(text)).await;
    for (name, value) in [
        ("remaining-requests", "1"),
        ("reset-requests", "2m59.56s"),
        ("remaining-tokens", "12"),
        ("reset-tokens", "7.66s"),
    ] {
        assert_eq!(response.headers()[format!("x-ratelimit-{name}")], value);
    }
}

#[tokio::test]
async fn models_are_listed_and_found() {
    let sim = instant().await;
    let client = reqwest::Client::new();
    let url = format!("{}/openai/v1/models", sim.base_url());
    let list: Value = client
        .get(&url)
        .bearer_auth("k")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(list["object"], "list");
    assert_eq!(list["data"].as_array().unwrap().len(), 4);
    let one = client
        .get(format!("{url}/openai/gpt-oss-120b"))
        .bearer_auth("k")
        .send()
        .await
        .unwrap();
    assert!(one.headers().contains_key("x-request-id"));
    let one: Value = one.json().await.unwrap();
    assert_eq!(one, list["data"][0]);
    assert_eq!(one["context_window"], 131_072);
    assert_eq!(one["max_completion_tokens"], 65_536);
    let none = client
        .get(format!("{url}/llama-9"))
        .bearer_auth("k")
        .send()
        .await
        .unwrap();
    assert_eq!(none.status(), 404);
    assert_eq!(none.json::<Value>().await.unwrap()["error"]["code"], "model_not_found");
    assert_eq!(client.get(&url).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_required_tool_is_called_with_arguments_that_fit() {
    let sim = instant().await;
    let tool = json!({"type": "function", "function": {"name": "hand_off", "parameters": {
        "type": "object", "properties": {"why": {"type": "string"}}, "required": ["why"]}}});
    let request = with(
        ask("I want a person"),
        json!({"tools": [tool], "tool_choice": "required"}),
    );
    let (_, _, body) = send_json(&sim, &request).await;
    let choice = &body["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert!(choice["message"].get("content").is_none());
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["function"]["name"], "hand_off");
    assert_eq!(call["function"]["arguments"], r#"{"why":"I want a person"}"#);

    let (_, _, body) = send_json(&sim, &with(request, json!({"tool_choice": "auto"}))).await;
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn structured_answers_are_json_of_the_right_shape() {
    let sim = instant().await;
    let schema = json!({"type": "object", "properties": {"urgent": {"type": "boolean"}}, "required": ["urgent"],
        "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "t", "strict": true, "schema": schema}});
    let (_, _, body) = send_json(&sim, &with(ask("x"), json!({"response_format": format}))).await;
    assert_eq!(body["choices"][0]["message"]["content"], r#"{"urgent":true}"#);
    let format = json!({"type": "json_object"});
    let (_, _, body) = send_json(&sim, &with(ask("as JSON"), json!({"response_format": format}))).await;
    let content = body["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(serde_json::from_str::<Value>(content).unwrap().is_object());
}
