//! The list of models can fail as a call can.

use std::time::{Duration, Instant};

use groq_sim::Running;
use serde_json::{Value, json};

use crate::support::{End, LIMIT, Raw, instant, read_raw};

async fn list(sim: &Running) -> reqwest::Response {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/openai/v1/models", sim.base_url());
    client.get(url).bearer_auth("k").send().await.unwrap()
}

async fn raw_list(sim: &Running, patience: Duration) -> Raw {
    use tokio::io::AsyncWriteExt as _;
    let mut stream = tokio::net::TcpStream::connect(sim.addr).await.unwrap();
    let head = "GET /openai/v1/models HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer k\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    read_raw(stream, patience).await
}

fn set(sim: &Running, scenario: &str) {
    sim.control().set_list_scenario(Some(scenario.parse().unwrap()));
}

#[tokio::test]
async fn error_statuses_come_with_their_bodies() {
    let sim = instant().await;
    for (scenario, status, code) in [
        ("status code=401", 401, Some("invalid_api_key")),
        ("status code=403", 403, None),
        ("status code=500", 500, None),
        ("status code=503", 503, None),
        ("rate-limit kind=rpm", 429, Some("rate_limit_exceeded")),
    ] {
        set(&sim, scenario);
        let response = list(&sim).await;
        assert_eq!(response.status(), status, "{scenario}");
        assert_eq!(
            response.headers().contains_key("retry-after"),
            status == 429,
            "{scenario}"
        );
        assert!(response.headers().contains_key("x-request-id"));
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"]["code"].as_str(), code, "{scenario}");
        assert!(body["error"]["message"].is_string());
    }
    set(&sim, "html-error");
    let response = list(&sim).await;
    assert_eq!(response.status(), 502);
    assert!(response.text().await.unwrap().starts_with("<html>"));
    set(&sim, "not-json");
    assert_eq!(list(&sim).await.text().await.unwrap(), "upstream ok");
    sim.control().set_list_scenario(None);
    let body: Value = list(&sim).await.json().await.unwrap();
    assert_eq!(body["data"].as_array().unwrap().len(), 4);
    assert!(sim.control().calls().is_empty(), "no call of a model");
    assert_eq!(sim.control().books().total.calls, 0);
    assert_eq!(sim.control().requests().len(), 8);
}

#[tokio::test]
async fn silences_and_broken_bodies() {
    let sim = instant().await;
    let patience = Duration::from_millis(150);
    set(&sim, "silent-before-headers");
    let reply = raw_list(&sim, patience).await;
    assert!(reply.head.is_empty() && reply.end == End::Silence);
    for (scenario, end) in [
        ("silent-before-first-token", End::Silence),
        ("silent-in-middle", End::Silence),
        ("cut how=reset", End::Reset),
        ("cut how=close", End::Closed),
    ] {
        set(&sim, scenario);
        let reply = raw_list(&sim, patience).await;
        assert_eq!(reply.end, end, "{scenario}");
        assert!(reply.head.starts_with("HTTP/1.1 200"), "{scenario}");
        let body = reply.body();
        assert!(serde_json::from_slice::<Value>(&body).is_err(), "{scenario}");
        assert_eq!(body.is_empty(), scenario == "silent-before-first-token", "{scenario}");
    }
    set(&sim, "end-early");
    let half = list(&sim).await.text().await.unwrap();
    assert!(half.starts_with("{\"data\":[") && serde_json::from_str::<Value>(&half).is_err());
    set(&sim, "byte-at-a-time");
    assert_eq!(list(&sim).await.json::<Value>().await.unwrap()["object"], "list");
    set(&sim, "slow ttft_ms=120");
    let began = Instant::now();
    assert_eq!(list(&sim).await.status(), 200);
    assert!((Duration::from_millis(120)..LIMIT).contains(&began.elapsed()));
}

#[tokio::test]
async fn a_header_a_count_and_the_control_choose() {
    let sim = instant().await;
    let client = reqwest::Client::new();
    let url = format!("{}/openai/v1/models", sim.base_url());
    let marked = client
        .get(&url)
        .bearer_auth("k")
        .header("x-sim-scenario", "status code=503");
    assert_eq!(marked.send().await.unwrap().status(), 503);
    let wrong = client.get(&url).bearer_auth("k").header("x-sim-scenario", "nope");
    assert_eq!(wrong.send().await.unwrap().status(), 400);

    set(&sim, "status code=500 first=2");
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(list(&sim).await.status().as_u16());
    }
    assert_eq!(statuses, [500, 500, 200]);

    let control = format!("{}/_sim/list-scenario", sim.base_url());
    for (scenario, status) in [(json!("status code=403"), 403), (json!(null), 200)] {
        let set = client
            .put(&control)
            .json(&json!({"scenario": scenario}))
            .send()
            .await
            .unwrap();
        assert_eq!(set.status(), 200);
        assert_eq!(list(&sim).await.status(), status);
    }
    let one = client.get(format!("{url}/openai/gpt-oss-20b")).bearer_auth("k");
    set(&sim, "status code=503");
    assert_eq!(one.try_clone().unwrap().send().await.unwrap().status(), 503);
    // Without a key nothing else matters.
    assert_eq!(client.get(&url).send().await.unwrap().status(), 401);
    sim.control().reset();
    assert_eq!(one.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_script_can_play_any_list() {
    let sim = instant().await;
    let script = json!({"steps": [{"head": {}}, {"body": {"data": [{"id": "m"}]}}]});
    sim.control()
        .set_script("mine", serde_json::from_value(script).unwrap())
        .unwrap();
    set(&sim, "script of=mine");
    let body: Value = list(&sim).await.json().await.unwrap();
    assert_eq!(body, json!({"data": [{"id": "m"}]}));
    set(&sim, "script of=none");
    assert_eq!(list(&sim).await.status(), 400);
}
