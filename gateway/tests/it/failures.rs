//! The service is away, or fails.

use tonic::Code;

use crate::client::Answer;
use crate::gateway::{Gateway, client};
use crate::system::until;
use crate::upstream::Upstream;

#[tokio::test]
async fn while_the_service_is_away_errors_are_errors_and_then_it_goes_on() {
    let upstream = Upstream::on("127.0.0.1:0");
    let gateway = Gateway::before(&upstream.address, &[]).await;
    let path = "/.well-known/jwks.json";
    assert_eq!(gateway.get(path).await.status, 404, "as it was told");
    let address = upstream.address.clone();
    drop(upstream);
    until("the end of the service", async || gateway.get(path).await.status == 503).await;
    let away = gateway.get(path).await;
    away.assert_refused(503, "SERVICE_UNAVAILABLE");
    assert_eq!(away.headers["retry-after"], "1");
    let post = client()
        .post(gateway.url("/v1/auth/login"))
        .json(&serde_json::json!({}));
    Answer::of(post).await.assert_refused(503, "SERVICE_UNAVAILABLE");
    let grpc = client().post(gateway.url("/deskhand.accounts.v1.AuthService/GetJwks"));
    let grpc = grpc
        .header("content-type", "application/grpc")
        .body("\0\0\0\0\0")
        .send()
        .await
        .unwrap();
    assert_eq!(grpc.headers()["grpc-status"], "14");
    assert!(grpc.headers().contains_key("grpc-status-details-bin"));

    let _again = Upstream::on(&address);
    until("the service", async || gateway.get(path).await.status == 404).await;
}

#[tokio::test]
async fn only_what_reads_is_tried_again() {
    let upstream = Upstream::on("127.0.0.1:0");
    let gateway = Gateway::before(&upstream.address, &[]).await;
    upstream.answers(Code::Unavailable);
    let tries = |rpc: &str| upstream.calls().iter().filter(|(path, _)| path.ends_with(rpc)).count();
    let answer = gateway.get("/.well-known/jwks.json").await;
    assert_eq!(answer.status, 503);
    assert_eq!(tries("/GetJwks"), 3);
    for (path, rpc) in [("/v1/auth/login", "/LogIn"), ("/v1/auth/signup", "/SignUp")] {
        let post = client().post(gateway.url(path)).json(&serde_json::json!({}));
        assert_eq!(Answer::of(post).await.status, 503);
        assert_eq!(tries(rpc), 1, "{rpc}");
    }
}

#[tokio::test]
async fn a_replica_that_goes_away_is_passed_over_at_once() {
    let (stays, goes) = (Upstream::on("127.0.0.1:0"), Upstream::on("127.0.0.1:0"));
    let both = format!("{},{}", stays.address, goes.address);
    let unlimited = [
        ("GATEWAY_REQUESTS_PER_SECOND", "0"),
        ("GATEWAY_COSTLY_REQUESTS_PER_SECOND", "0"),
    ];
    let gateway = Gateway::before(&both, &unlimited).await;
    let log_in = async || {
        let post = client().post(gateway.url("/v1/auth/login"));
        Answer::of(post.json(&serde_json::json!({}))).await.status
    };
    until("calls to both", async || {
        log_in().await;
        [&stays, &goes].iter().all(|replica| {
            let calls = replica.calls();
            calls.iter().any(|(path, _)| path.ends_with("/LogIn"))
        })
    })
    .await;
    drop(goes);
    // Long before its health is looked at again.
    for call in 0..100 {
        assert_eq!(log_in().await, 404, "call {call}: as it was told");
    }
}
