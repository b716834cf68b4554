//! What a request may hold.

use groq_sim::Running;
use serde_json::{Value, json};

use crate::support::{ask, instant, send_json, send_text, streamed, with};

const BIG: &str = "openai/gpt-oss-120b";
const SMALL: &str = "openai/gpt-oss-20b";
const GUARD: &str = "openai/gpt-oss-safeguard-20b";
const QWEN: &str = "qwen/qwen3.8-27b";

fn asking(more: Value) -> Value {
    with(ask("Answer in JSON."), more)
}

fn of(model: &str, more: Value) -> Value {
    with(asking(more), json!({"model": model}))
}

async fn allowed(sim: &Running, request: Value) {
    let stream = request["stream"] == true;
    if stream {
        assert!(
            send_text(sim, &request).await.ends_with("data: [DONE]\n\n"),
            "{request}"
        );
        return;
    }
    let (status, _, body) = send_json(sim, &request).await;
    assert_eq!(status, 200, "{request}: {body}");
}

/// A 400 with exactly this message and parameter, and no code.
async fn refused(sim: &Running, request: Value, message: &str, param: Option<&str>) {
    let (status, headers, body) = send_json(sim, &request).await;
    let mut error = json!({"message": message, "type": "invalid_request_error"});
    if let Some(param) = param {
        error["param"] = json!(param);
    }
    assert_eq!((status, &body), (400, &json!({"error": error})), "{request}");
    assert!(headers.contains_key("x-request-id") && !headers.contains_key("retry-after"));
}

/// Fields that the provider does not know are a 400: a caller needs an allow-list.
#[tokio::test]
async fn unknown_and_unsupported_fields() {
    let sim = instant().await;
    for field in [
        // Penalties, `metadata` and `store` are not supported.
        "frequency_penalty",
        "presence_penalty",
        "metadata",
        "store",
        // What other servers take.
        "reasoning",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "functions",
        "function_call",
        "prediction",
        "thinking",
        "anything",
    ] {
        let message = format!("property '{field}' is unsupported");
        refused(&sim, asking(json!({field: 1})), &message, None).await;
        refused(&sim, asking(json!({field: null})), &message, None).await;
    }
    // Nor is `messages[].name`.
    for (at, role, message) in [
        (0, "system", json!({"role": "system", "content": "x", "name": "n"})),
        (0, "user", json!({"role": "user", "content": "x", "name": "n"})),
    ] {
        let path = format!("messages.{at}");
        let words = format!(
            "'{path}' : for 'role:{role}' the following must be satisfied[('{path}' : property 'name' is unsupported)]"
        );
        refused(&sim, asking(json!({"messages": [message]})), &words, Some(&path)).await;
    }
}

/// `temperature` is 0 to 2, `n` is 1, `stop` has at most 4.
#[tokio::test]
async fn bounds() {
    let sim = instant().await;
    for fine in [
        json!({"temperature": 0}),
        json!({"temperature": 2}),
        json!({"temperature": 0.7}),
        json!({"n": 1}),
        json!({"stop": "x"}),
        json!({"stop": ["1", "2", "3", "4"]}),
    ] {
        allowed(&sim, asking(fine)).await;
    }
    for temperature in [json!(-0.01), json!(2.01)] {
        let words = "'temperature' : value must be between 0 and 2";
        refused(
            &sim,
            asking(json!({"temperature": temperature})),
            words,
            Some("temperature"),
        )
        .await;
    }
    for n in [0, 2] {
        refused(&sim, asking(json!({"n": n})), "'n' : value must be 1", Some("n")).await;
    }
    let five = json!({"stop": ["1", "2", "3", "4", "5"]});
    refused(
        &sim,
        asking(five),
        "'stop' : maximum number of items is 4",
        Some("stop"),
    )
    .await;
}

/// `max_tokens` is the old name of `max_completion_tokens`. Without either about 2,048 hold, and reasoning eats them.
#[tokio::test]
async fn the_length_of_an_answer() {
    let sim = instant().await;
    for (more, most) in [
        (json!({"max_completion_tokens": 40}), 40),
        (json!({"max_tokens": 40}), 40),
        (json!({"max_tokens": 70, "max_completion_tokens": 40}), 40),
        (json!({}), 2_048),
    ] {
        let (status, _, body) = send_json(&sim, &with(ask("[sim:ok reasoning=3000]"), more)).await;
        assert_eq!((status, &body["usage"]["completion_tokens"]), (200, &json!(most)));
        assert_eq!(body["usage"]["completion_tokens_details"]["reasoning_tokens"], most);
        let choice = &body["choices"][0];
        assert_eq!(
            (&choice["message"]["content"], &choice["finish_reason"]),
            (&json!(""), &json!("length"))
        );
    }
    for (model, most) in [(BIG, 65_536), (SMALL, 65_536), (GUARD, 65_536), (QWEN, 16_384)] {
        allowed(&sim, of(model, json!({"max_completion_tokens": most}))).await;
        for name in ["max_completion_tokens", "max_tokens"] {
            let words = format!(
                "`{name}` must be less than or equal to `{most}`, the maximum value for `{name}` is less than the \
                 `context_window` for this model"
            );
            refused(&sim, of(model, json!({name: most + 1})), &words, Some(name)).await;
        }
    }
}

/// `service_tier` is `auto`, `on_demand`, `flex` or `performance`.
#[tokio::test]
async fn tiers() {
    let sim = instant().await;
    for (asked, served) in [
        (json!({}), "on_demand"),
        (json!({"service_tier": "auto"}), "on_demand"),
        (json!({"service_tier": "on_demand"}), "on_demand"),
        (json!({"service_tier": "flex"}), "flex"),
        (json!({"service_tier": "performance"}), "performance"),
    ] {
        let (_, _, body) = send_json(&sim, &asking(asked)).await;
        assert_eq!(body["service_tier"], served);
    }
    let words = "'service_tier' : value must be one of [auto, on_demand, flex, performance]";
    refused(
        &sim,
        asking(json!({"service_tier": "priority"})),
        words,
        Some("service_tier"),
    )
    .await;
}

/// `reasoning_effort` is `low`, `medium` or `high` for gpt-oss, `none` or `default` for qwen3.
#[tokio::test]
async fn efforts() {
    let sim = instant().await;
    let gpt = ["low", "medium", "high"];
    let qwen = ["none", "default"];
    for (model, takes, others, words) in [
        (BIG, &gpt[..], &qwen[..], "`low`, `medium`, or `high`"),
        (SMALL, &gpt, &qwen, "`low`, `medium`, or `high`"),
        (GUARD, &gpt, &qwen, "`low`, `medium`, or `high`"),
        (QWEN, &qwen, &gpt, "`none` or `default`"),
    ] {
        for effort in takes {
            allowed(&sim, of(model, json!({"reasoning_effort": effort}))).await;
        }
        for effort in others.iter().chain(&["minimal", "xhigh"]) {
            let words = format!("`reasoning_effort` must be one of {words}");
            let request = of(model, json!({"reasoning_effort": effort}));
            refused(&sim, request, &words, Some("reasoning_effort")).await;
        }
    }
}

/// `include_reasoning` and `reasoning_format` (`hidden`, `raw`, `parsed`) exclude each other; `raw` with JSON mode or
/// tools is a 400.
#[tokio::test]
async fn ways_to_show_reasoning() {
    let sim = instant().await;
    let tools = json!([{"type": "function", "function": {"name": "t"}}]);
    for include in [true, false] {
        allowed(&sim, asking(json!({"include_reasoning": include}))).await;
        for format in ["hidden", "raw", "parsed"] {
            let both = json!({"include_reasoning": include, "reasoning_format": format});
            let words = "cannot specify both `include_reasoning` and `reasoning_format`";
            refused(&sim, asking(both), words, None).await;
        }
    }
    for model in [BIG, QWEN] {
        for format in ["hidden", "raw", "parsed"] {
            allowed(&sim, of(model, json!({"reasoning_format": format}))).await;
        }
        let words = "`reasoning_format` must be `parsed` or `hidden` with JSON mode or tools";
        for structured in [
            json!({"response_format": {"type": "json_object"}}),
            json!({"tools": tools}),
        ] {
            let raw = with(of(model, structured.clone()), json!({"reasoning_format": "raw"}));
            refused(&sim, raw, words, Some("reasoning_format")).await;
            for format in ["hidden", "parsed"] {
                allowed(
                    &sim,
                    with(of(model, structured.clone()), json!({"reasoning_format": format})),
                )
                .await;
            }
        }
    }
    let words = "'reasoning_format' : value must be one of [hidden, raw, parsed]";
    refused(
        &sim,
        asking(json!({"reasoning_format": "shown"})),
        words,
        Some("reasoning_format"),
    )
    .await;
}

fn form(schema: &Value) -> Value {
    json!({"response_format": {"type": "json_schema", "json_schema": {"name": "t", "strict": true, "schema": schema}}})
}

/// A strict schema goes with gpt-oss-20b and -120b only: every property required, `additionalProperties` false, at every
/// level. Streaming does not go with it.
#[tokio::test]
async fn strict_schemas() {
    let sim = instant().await;
    let inner = json!({"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"],
        "additionalProperties": false});
    let whole = json!({"type": "object", "properties": {"a": inner, "c": {"type": "array", "items": inner}},
        "required": ["a", "c"], "additionalProperties": false});
    for model in [BIG, SMALL] {
        allowed(&sim, of(model, form(&whole))).await;
        let words = "response format `json_schema` cannot be used with streaming or tools";
        let streamed = with(of(model, form(&whole)), json!({"stream": true}));
        refused(&sim, streamed, words, Some("response_format")).await;
    }
    for model in [GUARD, QWEN] {
        let words = format!("This model does not support response format `json_schema`: `{model}`");
        refused(&sim, of(model, form(&whole)), &words, Some("response_format")).await;
    }
    for (pointer, field, path) in [
        ("", "required", ""),
        ("", "additionalProperties", ""),
        ("/properties/a", "required", "/properties/a"),
        ("/properties/a", "additionalProperties", "/properties/a"),
        ("/properties/c/items", "required", "/properties/c/items"),
        ("/properties/c/items", "additionalProperties", "/properties/c/items"),
    ] {
        let mut schema = whole.clone();
        let object = schema.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
        object.remove(field);
        let missing = if path.is_empty() { "a" } else { "b" };
        let why = match field {
            "required" => format!(
                "`required` is required to be supplied and to be an array including every key in properties. Missing \
                 '{missing}'"
            ),
            _ => "`additionalProperties:false` must be set on every object".to_owned(),
        };
        let words = format!("invalid JSON schema for response_format: 't': {path}/{field}: {why}");
        refused(&sim, of(SMALL, form(&schema)), &words, Some("response_format")).await;
    }
}

/// JSON mode, elsewhere and there too, needs the word JSON in the prompt; it may stream.
#[tokio::test]
async fn json_mode() {
    let sim = instant().await;
    let format = json!({"response_format": {"type": "json_object"}});
    for model in [BIG, SMALL, GUARD, QWEN] {
        allowed(&sim, of(model, format.clone())).await;
        allowed(&sim, with(of(model, format.clone()), json!({"stream": true}))).await;
        let without = with(with(ask("Answer."), format.clone()), json!({"model": model}));
        let words =
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.";
        refused(&sim, without, words, Some("response_format")).await;
    }
}

/// `stream_options: {include_usage: true}` works, and goes with `stream` only.
#[tokio::test]
async fn options_of_a_stream() {
    let sim = instant().await;
    let options = json!({"stream_options": {"include_usage": true}});
    allowed(&sim, with(streamed("x"), options.clone())).await;
    let words = "`stream_options` is only allowed with `stream`";
    refused(&sim, asking(options), words, Some("stream_options")).await;
    let unknown = with(streamed("x"), json!({"stream_options": {"include_obfuscation": true}}));
    let words = "property 'stream_options.include_obfuscation' is unsupported";
    refused(&sim, unknown, words, None).await;
}

/// There is no moderation endpoint, and no embeddings for our purpose. Everything wants `Authorization: Bearer`.
#[tokio::test]
async fn endpoints() {
    let sim = instant().await;
    let client = reqwest::Client::new();
    for path in ["moderations", "embeddings", "completions", "responses"] {
        let url = format!("{}/openai/v1/{path}", sim.base_url());
        let response = client
            .post(url)
            .bearer_auth("k")
            .json(&asking(json!({})))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(response.json::<Value>().await.unwrap()["error"]["code"], "unknown_url");
    }
    for path in ["models", "models/openai/gpt-oss-20b"] {
        let url = format!("{}/openai/v1/{path}", sim.base_url());
        let with_key = client.get(&url).bearer_auth("k").send().await.unwrap();
        let without = client.get(&url).send().await.unwrap();
        assert_eq!(
            (with_key.status().as_u16(), without.status().as_u16()),
            (200, 401),
            "{path}"
        );
        let body: Value = without.json().await.unwrap();
        let error = json!({"message": "Invalid API Key", "type": "invalid_request_error", "code": "invalid_api_key"});
        assert_eq!(body, json!({"error": error}));
    }
}
