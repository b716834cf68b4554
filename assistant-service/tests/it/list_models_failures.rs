//! The provider's list of models, where it cannot be had.

use std::time::{Duration, Instant};

use deskhand_proto::assistant::v1::ListModelsRequest;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::harness::{Desk, reason};

#[tokio::test]
async fn every_failure_has_its_reason() {
    let (desk, sim) = Desk::simulated(&["--total-limit", "400ms"]).await;
    let unavailable = (Code::Unavailable, "UPSTREAM_UNAVAILABLE");
    let protocol = (Code::Unavailable, "UPSTREAM_PROTOCOL");
    let timed_out = (Code::Unavailable, "UPSTREAM_TIMED_OUT");
    let unauthenticated = (Code::FailedPrecondition, "UPSTREAM_UNAUTHENTICATED");
    for (scenario, expected) in [
        ("status code=400", (Code::FailedPrecondition, "UPSTREAM_REJECTED")),
        ("status code=401", unauthenticated),
        ("status code=403", unauthenticated),
        ("status code=404", (Code::FailedPrecondition, "MODEL_UNAVAILABLE")),
        ("status code=500", unavailable),
        ("status code=503", unavailable),
        (
            "rate-limit kind=rpm wait=2",
            (Code::ResourceExhausted, "UPSTREAM_RATE_LIMITED"),
        ),
        ("html-error", unavailable),
        ("not-json", protocol),
        ("not-json body=\"\"", protocol),
        ("end-early", protocol),
        ("cut how=reset", unavailable),
        ("cut how=close", unavailable),
        ("silent-before-headers", timed_out),
        ("silent-before-first-token", timed_out),
        ("silent-in-middle", timed_out),
        ("slow ttft_ms=60000", timed_out),
    ] {
        sim.control().set_list_scenario(Some(scenario.parse().unwrap()));
        let began = Instant::now();
        let status = desk.client.clone().list_models(ListModelsRequest {}).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), expected, "{scenario}");
        assert!(began.elapsed() < Duration::from_secs(4), "{scenario}");
        let wait = status
            .get_error_details()
            .retry_info()
            .and_then(|info| info.retry_delay);
        let told = scenario.starts_with("rate-limit").then(|| Duration::from_secs(2));
        assert_eq!(wait, told, "{scenario}");
    }
    sim.control().set_list_scenario(Some("byte-at-a-time".parse().unwrap()));
    let listed = desk.client.clone().list_models(ListModelsRequest {}).await.unwrap();
    assert_eq!(listed.into_inner().models.len(), 4);
}

#[tokio::test]
async fn a_list_that_is_odd_is_read_as_far_as_it_can_be() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let script = serde_json::json!({"steps": [{"head": {}}, {"body": {"object": "list", "data": [
        {"id": "b", "active": true, "new": [1]}, {"id": "gone", "active": false}, {"id": "a", "context_window": null}]}}]});
    sim.control()
        .set_script("odd", serde_json::from_value(script).unwrap())
        .unwrap();
    sim.control().set_list_scenario(Some("script of=odd".parse().unwrap()));
    let listed = desk.client.clone().list_models(ListModelsRequest {}).await.unwrap();
    let ids: Vec<_> = listed.into_inner().models.into_iter().map(|model| model.id).collect();
    assert_eq!(ids, ["a", "b"]);
}
