//! Models that come and go, and what differs from model to model.

use groq_sim::{Availability, Running};
use serde_json::{Value, json};

use crate::support::{ask, instant, send, send_json, with};

const BIG: &str = "openai/gpt-oss-120b";
const SMALL: &str = "openai/gpt-oss-20b";
const QWEN: &str = "qwen/qwen3.8-27b";
const GUARD: &str = "openai/gpt-oss-safeguard-20b";

async fn listed(sim: &Running) -> Vec<String> {
    let url = format!("{}/openai/v1/models", sim.base_url());
    let response = reqwest::Client::new().get(url).bearer_auth("k").send().await.unwrap();
    let list: Value = response.json().await.unwrap();
    let ids = list["data"].as_array().unwrap().iter();
    ids.map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_model_can_be_decommissioned_or_missing_while_it_runs() {
    let sim = instant().await;
    assert_eq!(listed(&sim).await, [BIG, SMALL, GUARD, QWEN]);
    let to = |model: &str| with(ask("x"), json!({"model": model}));
    sim.control().set_availability(BIG, Some(Availability::Decommissioned));
    sim.control().set_availability(QWEN, Some(Availability::Missing));
    sim.control()
        .set_availability("llama-9", Some(Availability::Decommissioned));
    assert_eq!(listed(&sim).await, [SMALL, GUARD]);
    for (model, status, code) in [
        (BIG, 400, "model_decommissioned"),
        (QWEN, 404, "model_not_found"),
        ("llama-9", 400, "model_decommissioned"),
        ("llama-3.3-70b-versatile", 404, "model_not_found"),
    ] {
        let (got, _, body) = send_json(&sim, &to(model)).await;
        assert_eq!((got, &body["error"]["code"]), (status, &json!(code)), "{model}");
    }
    assert_eq!(send(&sim, &to(SMALL)).await.status(), 200);
    sim.control().set_availability(BIG, None);
    assert_eq!(send(&sim, &to(BIG)).await.status(), 200);
    sim.control().reset();
    assert_eq!(listed(&sim).await.len(), 4);
}

#[tokio::test]
async fn a_model_can_have_a_scenario_of_its_own() {
    let sim = instant().await;
    let to = |model: &str| with(ask("x"), json!({"model": model}));
    let blocked = "status code=400 error=blocked_api_access".parse().unwrap();
    sim.control().set_model_scenario(BIG, Some(blocked));
    let (status, _, body) = send_json(&sim, &to(BIG)).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!("blocked_api_access")));
    assert_eq!(send(&sim, &to(SMALL)).await.status(), 200);
    sim.control().next(1, "status code=503".parse().unwrap());
    assert_eq!(send(&sim, &to(BIG)).await.status(), 503, "the queue goes first");
    sim.control().set_model_scenario(BIG, None);
    assert_eq!(send(&sim, &to(BIG)).await.status(), 200);
}

#[tokio::test]
async fn flex_can_be_full_while_another_tier_is_not() {
    let sim = instant().await;
    sim.control().set_scenario("status code=498 tier=flex".parse().unwrap());
    for (tier, status) in [("flex", 498), ("on_demand", 200), ("auto", 200), ("performance", 200)] {
        let response = send(&sim, &with(ask("x"), json!({"service_tier": tier}))).await;
        assert_eq!(response.status(), status, "{tier}");
    }
}

#[tokio::test]
async fn reasoning_effort_is_by_family() {
    let sim = instant().await;
    let cases = [
        (
            BIG,
            ["low", "medium", "high"].as_slice(),
            ["none", "default"].as_slice(),
        ),
        (SMALL, &["low", "medium", "high"], &["none", "default"]),
        (GUARD, &["low", "medium", "high"], &["none", "default"]),
        (QWEN, &["none", "default"], &["low", "medium", "high"]),
    ];
    for (model, allowed, refused) in cases {
        for (efforts, status) in [(allowed, 200), (refused, 400)] {
            for effort in efforts {
                let request = with(ask("x"), json!({"model": model, "reasoning_effort": effort}));
                assert_eq!(send(&sim, &request).await.status(), status, "{model} {effort}");
            }
        }
    }
}
