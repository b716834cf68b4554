//! How much one address may ask.

use serde_json::json;

use crate::client::Answer;
use crate::gateway::{Gateway, client};
use crate::upstream::Upstream;

const KEYS: &str = "/.well-known/jwks.json";

/// Asks so often; answers how many were let through, and the first that was not.
async fn ask(gateway: &Gateway, path: &str, times: usize, forwarded_for: &str) -> (usize, Option<Answer>) {
    let client = client();
    let (mut passed, mut refused) = (0, None);
    for _ in 0..times {
        let request = match path {
            KEYS => client.get(gateway.url(path)),
            path => client.post(gateway.url(path)).json(&json!({})),
        };
        let answer = Answer::of(request.header("x-forwarded-for", forwarded_for)).await;
        match answer.status.as_u16() {
            429 => refused = Some(refused.unwrap_or(answer)),
            _ => passed += 1,
        }
    }
    (passed, refused)
}

#[tokio::test]
async fn an_address_gets_its_share_and_no_more() {
    let upstream = Upstream::on("127.0.0.1:0");
    let limits = [
        ("GATEWAY_REQUESTS_PER_SECOND", "5"),
        ("GATEWAY_COSTLY_REQUESTS_PER_SECOND", "1"),
    ];
    let gateway = Gateway::before(&upstream.address, &limits).await;
    // What costs more has less, and is counted apart.
    let (passed, refused) = ask(&gateway, "/v1/auth/login", 10, "").await;
    assert!((4..=6).contains(&passed), "{passed}");
    let refused = refused.unwrap();
    refused.assert_refused(429, "TOO_MANY_REQUESTS");
    assert!(refused.headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() <= 5);
    let (passed, refused) = ask(&gateway, KEYS, 60, "").await;
    assert!((5..=40).contains(&passed), "{passed}");
    refused.unwrap().assert_refused(429, "TOO_MANY_REQUESTS");
    // Whoever the caller says to be.
    let mut passed = 0;
    for number in 0..10 {
        passed += ask(&gateway, "/v1/auth/login", 1, &format!("203.0.113.{number}"))
            .await
            .0;
    }
    assert!(passed <= 5, "{passed}");
    let grpc = client().post(gateway.url("/deskhand.accounts.v1.AuthService/LogIn"));
    let mut statuses = Vec::new();
    for _ in 0..8 {
        let grpc = grpc
            .try_clone()
            .unwrap()
            .header("content-type", "application/grpc")
            .body("\0\0\0\0\0");
        statuses.push(
            grpc.send().await.unwrap().headers()["grpc-status"]
                .to_str()
                .unwrap()
                .to_owned(),
        );
    }
    assert!(statuses.contains(&"8".to_owned()), "{statuses:?}");
}

#[tokio::test]
async fn behind_a_proxy_of_ours_addresses_are_told_apart() {
    let upstream = Upstream::on("127.0.0.1:0");
    let settings = [
        ("GATEWAY_COSTLY_REQUESTS_PER_SECOND", "1"),
        ("GATEWAY_TRUSTED_HOPS", "1"),
    ];
    let gateway = Gateway::before(&upstream.address, &settings).await;
    for address in ["203.0.113.1", "203.0.113.2", "2001:db8:1::1"] {
        let (passed, refused) = ask(&gateway, "/v1/auth/login", 10, address).await;
        assert!((4..=6).contains(&passed) && refused.is_some(), "{address}: {passed}");
    }
    // The same customer of a provider, and one who claims to be somebody else.
    let (passed, _) = ask(&gateway, "/v1/auth/login", 4, "2001:db8:1::2").await;
    assert!(passed <= 2, "{passed}");
    let (passed, _) = ask(&gateway, "/v1/auth/login", 4, "198.51.100.1, 203.0.113.2").await;
    assert!(passed <= 3, "{passed}");
}
