//! Access tokens at the gateway: which it lets through, and that it follows the desk's keys.

use std::fs;
use std::sync::Arc;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use ticket_service::accounts::keys::Keys;
use ticket_service::accounts::tokens::Tokens;
use ticket_service::caller::{Caller, Role};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::client::Client;
use crate::gateway::{Gateway, NOWHERE};
use crate::system::{System, until};
use crate::upstream::Upstream;

/// What the gateway logged of a request.
async fn details(system: &System, request_id: &str) -> String {
    let mut found = String::new();
    until("the line of a request", async || {
        let log = system.log("gateway");
        found = log
            .lines()
            .find(|line| line.contains(request_id))
            .unwrap_or_default()
            .to_owned();
        !found.is_empty()
    })
    .await;
    found
}

fn issue(tokens: &Tokens, at: OffsetDateTime) -> String {
    let caller = Caller {
        user: Uuid::now_v7(),
        role: Role::Admin,
        session: Uuid::now_v7(),
    };
    tokens.issue(&caller, at).unwrap().0
}

#[tokio::test]
async fn a_token_that_is_none_ends_at_the_gateway() {
    let system = System::shared();
    let client = Client::customer(&system).await;
    let tokens = Tokens::new(Keys::from_folder(&system.home().join("keys")).unwrap());
    let now = OffsetDateTime::now_utc();
    let strangers = tempfile::tempdir().unwrap();
    let strange = Tokens::new(Keys::from_folder(strangers.path()).unwrap());
    let [header, claims, signature] = client.token.split('.').collect::<Vec<_>>()[..] else {
        panic!("a token")
    };
    let other = issue(&tokens, now);
    let other = other.split('.').collect::<Vec<_>>();
    for (token, reason, detail) in [
        (
            issue(&tokens, now - time::Duration::minutes(11)),
            "TOKEN_EXPIRED",
            "Jwt_is_expired",
        ),
        (issue(&strange, now), "TOKEN_INVALID", "jwt_authn_access_denied"),
        (
            format!("{header}.{}.{signature}", other[1]),
            "TOKEN_INVALID",
            "jwt_authn_access_denied",
        ),
        (
            format!("{header}.{claims}."),
            "TOKEN_INVALID",
            "jwt_authn_access_denied",
        ),
        // {"alg":"none"}
        (
            format!("eyJhbGciOiJub25lIn0.{claims}."),
            "TOKEN_INVALID",
            "jwt_authn_access_denied",
        ),
        ("nonsense".to_owned(), "TOKEN_INVALID", "jwt_authn_access_denied"),
        ("x".repeat(8000), "TOKEN_INVALID", "jwt_authn_access_denied"),
    ] {
        let answer = client.with_token(&token).get("/v1/me").await;
        answer.assert_refused(401, reason);
        let line = details(&system, answer.headers["x-request-id"].to_str().unwrap()).await;
        assert!(line.contains(detail), "{line}");
    }
    // One of our own making, which is right, passes.
    let said: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let id = |name: &str| said[name].as_str().unwrap().parse().unwrap();
    let caller = Caller {
        user: id("sub"),
        role: Role::Customer,
        session: id("sid"),
    };
    client
        .with_token(&tokens.issue(&caller, now).unwrap().0)
        .get("/v1/me")
        .await
        .ok();
    let two = client
        .request(reqwest::Method::GET, "/v1/me")
        .header("authorization", format!("Bearer {}", client.token));
    crate::client::Answer::of(two)
        .await
        .assert_refused(401, "TOKEN_INVALID");
    client.get("/v1/me").await.ok();
    let in_small_letters = Client::of(&system)
        .request(reqwest::Method::GET, "/v1/me")
        .header("authorization", format!("bearer {}", client.token));
    crate::client::Answer::of(in_small_letters).await.ok();
}

#[tokio::test]
async fn tokens_of_a_new_key_pass_and_those_of_the_old_one_still_do() {
    let system = Arc::new(System::with(&[]));
    let before = Client::customer(&system).await;
    let key = Ed25519KeyPair::generate().unwrap();
    let text = pem::encode(&pem::Pem::new(
        "PRIVATE KEY",
        key.to_pkcs8v1().unwrap().as_ref().to_vec(),
    ));
    let keys = system.home().join("keys");
    fs::write(keys.join("draft"), text).unwrap();
    // Its name says that it has been published for long: it signs at once, though it has to be the newest.
    let first = fs::read_dir(&keys)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let first = first.filter(|name| name.ends_with(".pem")).max().unwrap();
    fs::rename(keys.join(&first), keys.join("0001.pem")).unwrap();
    fs::rename(keys.join("draft"), keys.join("20260101T000000Z-published.pem")).unwrap();

    let kid = |token: &str| token.split('.').next().unwrap().to_owned();
    let mut after = before.clone();
    until("a token of the new key", async || {
        after = Client::customer(&system).await;
        kid(&after.token) != kid(&before.token)
    })
    .await;
    until("the gateway knowing the new key", async || {
        after.get("/v1/me").await.status == 200
    })
    .await;
    before.get("/v1/me").await.ok();
    assert_eq!(after.get("/v1/tickets").await.ok()["tickets"], json!([]));
}

#[tokio::test]
async fn without_the_desk_s_keys_nothing_is_said_of_a_token() {
    let upstream = Upstream::on("127.0.0.1:0");
    let gateway = Gateway::before(&upstream.address, &[("TICKET_OPS_UPSTREAM", NOWHERE)]).await;
    let strangers = tempfile::tempdir().unwrap();
    let token = issue(
        &Tokens::new(Keys::from_folder(strangers.path()).unwrap()),
        OffsetDateTime::now_utc(),
    );
    let request = crate::gateway::client().get(gateway.url("/v1/me")).bearer_auth(token);
    crate::client::Answer::of(request)
        .await
        .assert_refused(503, "SERVICE_UNAVAILABLE");
    assert!(upstream.calls().is_empty());
}
