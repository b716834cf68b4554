//! Access tokens that are not: each is refused the same way.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deskhand_proto::accounts::v1::GetMeRequest;
use serde_json::{Value, json};
use tonic::{Code, Request};

use crate::harness::{Desk, User, assert_refused, with_token};

/// The desk's own key, to make tokens that only their content makes wrong.
struct Forge {
    key: Ed25519KeyPair,
    header: Value,
    claims: Value,
}

impl Forge {
    async fn of(desk: &Desk) -> (Self, User) {
        let user = desk.customer().await;
        let mut files = std::fs::read_dir(desk.keys_dir())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let file = files.find(|file| file.extension().is_some_and(|extension| extension == "pem"));
        let pem = pem::parse(std::fs::read(file.unwrap()).unwrap()).unwrap();
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pem.contents()).unwrap();
        let mut parts = user.token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
        let header = serde_json::from_slice(&parts.next().unwrap()).unwrap();
        let claims = serde_json::from_slice(&parts.next().unwrap()).unwrap();
        (Self { key, header, claims }, user)
    }

    fn signed(&self, header: &Value, claims: &Value) -> String {
        let content = format!("{}.{}", encoded(header), encoded(claims));
        format!(
            "{content}.{}",
            URL_SAFE_NO_PAD.encode(self.key.sign(content.as_bytes()))
        )
    }

    fn with_header(&self, name: &str, value: Value) -> String {
        let mut header = self.header.clone();
        header[name] = value;
        self.signed(&header, &self.claims)
    }

    fn with_claim(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims.clone();
        claims[name] = value;
        self.signed(&self.header, &claims)
    }

    fn without_claim(&self, name: &str) -> String {
        let mut claims = self.claims.clone();
        claims.as_object_mut().unwrap().remove(name).unwrap();
        self.signed(&self.header, &claims)
    }
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn a_token_of_our_own_making_passes() {
    let desk = Desk::open().await;
    let (forge, _) = Forge::of(&desk).await;
    let token = forge.signed(&forge.header, &forge.claims);
    desk.auth().get_me(with_token(GetMeRequest {}, &token)).await.unwrap();
}

#[tokio::test]
async fn whatever_is_wrong_with_a_token_it_is_refused() {
    let desk = Desk::open().await;
    let (forge, _) = Forge::of(&desk).await;
    let unsigned = |alg: &str| {
        let mut header = forge.header.clone();
        header["alg"] = json!(alg);
        format!("{}.{}.", encoded(&header), encoded(&forge.claims))
    };
    let by_public_key = {
        let mut header = forge.header.clone();
        header["alg"] = json!("HS256");
        let content = format!("{}.{}", encoded(&header), encoded(&forge.claims));
        let key = hmac::Key::new(hmac::HMAC_SHA256, forge.key.public_key().as_ref());
        format!(
            "{content}.{}",
            URL_SAFE_NO_PAD.encode(hmac::sign(&key, content.as_bytes()))
        )
    };
    let by_another = {
        let content = format!("{}.{}", encoded(&forge.header), encoded(&forge.claims));
        let key = Ed25519KeyPair::generate().unwrap();
        format!("{content}.{}", URL_SAFE_NO_PAD.encode(key.sign(content.as_bytes())))
    };
    let exp = forge.claims["exp"].as_u64().unwrap();
    let cases = [
        ("alg none", unsigned("none")),
        ("alg NONE", unsigned("NONE")),
        ("HS256 by the public key", by_public_key),
        ("another's signature", by_another),
        ("typ JWT", forge.with_header("typ", json!("JWT"))),
        ("no typ", forge.with_header("typ", Value::Null)),
        ("unknown kid", forge.with_header("kid", json!("unknown"))),
        ("path kid", forge.with_header("kid", json!("../../etc/passwd"))),
        ("huge kid", forge.with_header("kid", json!("k".repeat(2000)))),
        ("no kid", forge.with_header("kid", Value::Null)),
        ("iss", forge.with_claim("iss", json!("other"))),
        ("aud", forge.with_claim("aud", json!("other"))),
        ("sub", forge.with_claim("sub", json!("../1"))),
        ("role", forge.with_claim("role", json!("ROOT"))),
        ("string exp", forge.with_claim("exp", json!(exp.to_string()))),
        ("future nbf", forge.with_claim("nbf", json!(exp))),
        ("no iss", forge.without_claim("iss")),
        ("no aud", forge.without_claim("aud")),
        ("no sub", forge.without_claim("sub")),
        ("no exp", forge.without_claim("exp")),
        ("over 4 KiB", forge.with_claim("more", json!("x".repeat(4096)))),
        ("empty", String::new()),
        ("dots", "..".to_owned()),
    ];
    for (what, token) in cases {
        let answer = desk.auth().get_me(with_token(GetMeRequest {}, &token)).await;
        let told = crate::harness::told(&answer.expect_err(what));
        assert_eq!(
            told,
            (Code::Unauthenticated, "TOKEN_INVALID".to_owned(), vec![]),
            "{what}"
        );
    }
    let fetched = forge.with_header("jku", json!("http://127.0.0.1:9/keys"));
    desk.auth()
        .get_me(with_token(GetMeRequest {}, &fetched))
        .await
        .expect("jku is not even looked at");
}

#[tokio::test]
async fn the_header_itself() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let mut twice = user.asks(GetMeRequest {});
    twice
        .metadata_mut()
        .append("authorization", format!("Bearer {}", user.token).parse().unwrap());
    assert_refused(
        desk.auth().get_me(twice).await,
        Code::Unauthenticated,
        "TOKEN_INVALID",
        &[],
    );
    for value in ["Bearer", "Basic YTpi", "bearer", "Bearer  ", user.token.as_str()] {
        let mut request = Request::new(GetMeRequest {});
        request.metadata_mut().insert("authorization", value.parse().unwrap());
        assert_refused(
            desk.auth().get_me(request).await,
            Code::Unauthenticated,
            "TOKEN_INVALID",
            &[],
        );
    }
    let mut lower = Request::new(GetMeRequest {});
    lower
        .metadata_mut()
        .insert("authorization", format!("bearer {}", user.token).parse().unwrap());
    desk.auth()
        .get_me(lower)
        .await
        .expect("the scheme's name has no letter case");
}

#[tokio::test]
async fn no_other_header_says_who_calls() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    for name in ["x-user-id", "x-jwt-payload", "x-forwarded-user", "x-role"] {
        let mut request = Request::new(GetMeRequest {});
        request.metadata_mut().insert(name, user.id.parse().unwrap());
        assert_refused(
            desk.auth().get_me(request).await,
            Code::Unauthenticated,
            "TOKEN_MISSING",
            &[],
        );
    }
}
