//! `/_sim/…` over HTTP.

use groq_sim::Running;
use serde_json::{Value, json};

use crate::support::{ask, instant, send, send_text, streamed};

async fn call(sim: &Running, method: reqwest::Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let mut request = reqwest::Client::new().request(method, format!("{}/_sim{path}", sim.base_url()));
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn get(sim: &Running, path: &str) -> Value {
    call(sim, reqwest::Method::GET, path, None).await.1
}

#[tokio::test]
async fn scenario_queue_pace_and_length_are_set_and_reset() {
    let sim = instant().await;
    let before = get(&sim, "").await;
    let put = reqwest::Method::PUT;
    let post = reqwest::Method::POST;
    let (_, now) = call(
        &sim,
        put.clone(),
        "/scenario",
        Some(json!({"name": "status", "code": 503})),
    )
    .await;
    assert_eq!(now["scenario"]["code"], 503);
    assert_eq!(send(&sim, &ask("x")).await.status(), 503);
    call(
        &sim,
        post.clone(),
        "/next",
        Some(json!({"times": 2, "scenario": "status code=422"})),
    )
    .await;
    call(&sim, post.clone(), "/next", Some(json!({"scenario": {"name": "ok"}}))).await;
    assert_eq!(get(&sim, "").await["queued"], 3);
    for status in [422, 422, 200, 503] {
        assert_eq!(send(&sim, &ask("x")).await.status(), status);
    }
    let (_, now) = call(&sim, put.clone(), "/pace", Some(json!({"ttft_ms": 1.5, "token_ms": 0}))).await;
    assert_eq!(now["pace"], json!({"ttft_ms": 1.5, "token_ms": 0.0}));
    let (_, now) = call(&sim, put, "/answer", Some(json!({"tokens": 9}))).await;
    assert_eq!(now["answer_tokens"], 9);
    let (_, now) = call(&sim, post, "/reset", None).await;
    assert_eq!(now, before);
}

#[tokio::test]
async fn mistakes_are_400_with_a_sentence() {
    let sim = instant().await;
    for (path, body) in [
        ("/scenario", json!({"name": "nope"})),
        ("/scenario", json!("ok after=1")),
        ("/scenario", json!({"name": "status", "code": 200})),
        ("/scenario", json!({"name": "usage", "times": 4})),
        ("/pace", json!({"ttft": 1})),
        ("/answer", json!({"tokens": -1})),
    ] {
        let (status, answer) = call(&sim, reqwest::Method::PUT, path, Some(body)).await;
        assert_eq!(status, 400);
        assert!(answer["error"].is_string());
    }
}

#[tokio::test]
async fn requests_are_listed_in_full_without_the_key() {
    let sim = instant().await;
    let body = ask("Grüße");
    let url = format!("{}/openai/v1/chat/completions?a=b", sim.base_url());
    let request = reqwest::Client::new()
        .post(url)
        .bearer_auth("very-secret")
        .header("X-Trace", "t1");
    request.json(&body).send().await.unwrap();
    let listed = get(&sim, "/requests").await;
    let request = &listed["requests"][0];
    assert_eq!(request["body"], body);
    assert_eq!(request["path"], "/openai/v1/chat/completions?a=b");
    assert_eq!(request["headers"]["x-trace"], "t1");
    assert!(!listed.to_string().contains("very-secret"));
    assert!(request["headers"].get("authorization").is_none());
}

#[tokio::test]
async fn calls_are_listed_with_what_was_sent_and_billed() {
    let sim = instant().await;
    let text = send_text(&sim, &streamed("x [sim:ok tokens=5 reasoning=3]")).await;
    let calls = get(&sim, "/calls?ended=1").await;
    let call = &calls["calls"][0];
    assert_eq!(call["outcome"], "finished");
    assert_eq!(call["status"], 200);
    assert_eq!(call["stream"], true);
    assert_eq!(call["chunks"], 1 + 3 + 5 + 1 + 1);
    assert_eq!(call["bytes"], text.len());
    assert_eq!(call["text"], "You wrote “x”");
    assert_eq!(call["scenario"], "ok reasoning=3 tokens=5");
    assert_eq!(call["usage_sent"], 2);
    assert_eq!(call["billed"]["completion_tokens"], 8);
    assert!(call["ended_ms"].as_f64() >= call["first_byte_ms"].as_f64());
    let requests = get(&sim, "/requests").await;
    assert_eq!(requests["requests"][0]["id"], call["id"]);
}

#[tokio::test]
async fn waiting_for_calls_ends_with_what_there_is() {
    let sim = instant().await;
    assert_eq!(get(&sim, "/calls?ended=1&within_ms=10").await, json!({"calls": []}));
}

#[tokio::test]
async fn the_catalog_is_listed() {
    let sim = instant().await;
    let listed = get(&sim, "/scenarios").await;
    let names: Vec<_> = listed["scenarios"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["name"])
        .collect();
    assert_eq!(names.len(), groq_sim::catalog().len());
    assert!(names.contains(&&json!("silent-in-middle")));
    assert_eq!(listed["common"][0]["name"], "ttft_ms");
}

#[tokio::test]
async fn models_and_their_scenarios_are_set_over_http() {
    let sim = instant().await;
    let put = reqwest::Method::PUT;
    let model = "openai/gpt-oss-20b";
    for (path, value, status) in [
        (
            "/model-scenario",
            json!({"model": model, "scenario": "status code=503"}),
            503,
        ),
        ("/model-scenario", json!({"model": model, "scenario": null}), 200),
        (
            "/availability",
            json!({"model": model, "availability": "decommissioned"}),
            400,
        ),
        ("/availability", json!({"model": model, "availability": "missing"}), 404),
        ("/availability", json!({"model": model, "availability": null}), 200),
    ] {
        assert_eq!(call(&sim, put.clone(), path, Some(value)).await.0, 200);
        assert_eq!(send(&sim, &ask("x")).await.status(), status, "{path}");
    }
    for (path, value) in [
        ("/model-scenario", json!({"model": model, "scenario": "nope"})),
        ("/availability", json!({"model": model, "availability": "gone"})),
        ("/language", json!({"language": "xx"})),
    ] {
        assert_eq!(call(&sim, put.clone(), path, Some(value)).await.0, 400, "{path}");
    }
    let (status, _) = call(&sim, reqwest::Method::POST, "/advance", Some(json!({"seconds": -1}))).await;
    assert_eq!(status, 400);
}
