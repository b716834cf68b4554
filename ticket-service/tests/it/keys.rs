//! Signing keys that come and go while the service runs.

use std::fs;
use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deskhand_proto::accounts::v1::{GetJwksRequest, GetMeRequest};
use serde_json::{Value, json};
use tempfile::TempDir;
use ticket_service::accounts::keys::{Keys, command};
use ticket_service::accounts::tokens::Tokens;
use ticket_service::caller::{Caller, Role};
use ticket_service::settings;
use time::OffsetDateTime;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::harness::{Desk, PATIENCE, assert_refused, told, with_token};
use crate::tools;

/// A name that says that its key has been there long enough to sign, and is newer than `0001.pem`.
const LONG_PUBLISHED: &str = "20260101T000000Z-published.pem";

/// Puts a new key into a folder; answers its public half.
fn put_key(folder: &Path, name: &str) -> String {
    let key = Ed25519KeyPair::generate().unwrap();
    let der = key.to_pkcs8v1().unwrap();
    let text = pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref().to_vec()));
    // Whole at once, as an operator's tools would.
    fs::write(folder.join("draft"), text).unwrap();
    fs::rename(folder.join("draft"), folder.join(name)).unwrap();
    URL_SAFE_NO_PAD.encode(key.public_key())
}

/// A desk whose folder of keys has this one key.
async fn desk_with_key(name: &str) -> (Desk, TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let x = put_key(folder.path(), name);
    let desk = Desk::with(&["--signing-keys-dir", folder.path().to_str().unwrap()]).await;
    (desk, folder, x)
}

/// The public halves that the service publishes.
async fn published(desk: &Desk) -> Vec<String> {
    let answer = desk.auth().get_jwks(GetJwksRequest {}).await.unwrap().into_inner();
    answer.keys.into_iter().map(|key| key.x).collect()
}

async fn until_published(desk: &Desk, expected: &[&str]) {
    let until = async {
        while published(desk).await != expected {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, until)
        .await
        .expect("the keys are published");
}

async fn get_me(desk: &Desk, token: &str) -> Result<(), Status> {
    desk.auth().get_me(with_token(GetMeRequest {}, token)).await.map(drop)
}

fn header(token: &str) -> Value {
    let header = token.split('.').next().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
}

#[tokio::test]
async fn a_token_of_the_old_key_lives_on_until_it_expires() {
    let (desk, folder, old) = desk_with_key("0001.pem").await;
    let user = desk.customer().await;
    let caller = Caller {
        user: user.id.parse().unwrap(),
        role: Role::Customer,
        session: Uuid::now_v7(),
    };
    let tokens = Tokens::new(Keys::from_folder(folder.path()).unwrap());
    let past = OffsetDateTime::now_utc() - time::Duration::minutes(11);
    let expired = tokens.issue(&caller, past).unwrap().0;

    let new = put_key(folder.path(), LONG_PUBLISHED);
    until_published(&desk, &[&old, &new]).await;
    let later = desk.log_in(&user.email).await;
    assert_ne!(header(&later.token)["kid"], header(&user.token)["kid"]);
    get_me(&desk, &later.token).await.unwrap();
    get_me(&desk, &user.token).await.unwrap();
    assert_refused(
        get_me(&desk, &expired).await,
        Code::Unauthenticated,
        "TOKEN_EXPIRED",
        &[],
    );
}

#[tokio::test]
async fn a_new_key_is_published_by_all_replicas_before_it_signs() {
    let (desk, folder, old) = desk_with_key("0001.pem").await;
    let replica = desk
        .replica_with(&["--signing-keys-dir", folder.path().to_str().unwrap()])
        .await;
    let user = desk.customer().await;
    let mut kid = Vec::new();
    let now = OffsetDateTime::now_utc();
    command::run(&settings::Keys::Generate, folder.path(), now, &mut kid).unwrap();
    let kid = String::from_utf8(kid).unwrap().trim_end().to_owned();

    for desk in [&desk, &replica] {
        let until = async {
            while published(desk).await.len() != 2 {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, until)
            .await
            .expect("the key is published");
        let by_rpc = desk.auth().get_jwks(GetJwksRequest {}).await.unwrap().into_inner().keys;
        assert_eq!(
            (by_rpc[0].x.as_str(), by_rpc[1].kid.as_str()),
            (old.as_str(), kid.as_str())
        );
        let by_rpc: Vec<Value> = by_rpc
            .into_iter()
            .map(|key| {
                json!({
                    "kty": key.kty, "crv": key.crv, "x": key.x, "kid": key.kid, "use": key.r#use, "alg": key.alg,
                })
            })
            .collect();
        let url = format!("http://{}/.well-known/jwks.json", desk.ops);
        let by_http: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        assert_eq!(by_http, json!({ "keys": by_rpc }));
    }
    let later = desk.log_in(&user.email).await;
    assert_eq!(header(&later.token)["kid"], header(&user.token)["kid"]);
}

#[tokio::test]
async fn a_broken_file_ends_no_token_and_stops_no_rotation() {
    let (desk, folder, first) = desk_with_key("0001.pem").await;
    let user = desk.customer().await;
    fs::write(folder.path().join("0001.pem"), "nonsense").unwrap();
    fs::write(folder.path().join("0002.pem"), "nonsense").unwrap();
    let next = put_key(folder.path(), LONG_PUBLISHED);
    until_published(&desk, &[&first, &next]).await;
    get_me(&desk, &user.token).await.unwrap();
    let later = desk.log_in(&user.email).await;
    get_me(&desk, &later.token).await.unwrap();
}

#[tokio::test]
async fn a_key_that_is_retired_by_force_takes_its_tokens_with_it() {
    let (desk, folder, leaked) = desk_with_key("0001.pem").await;
    let user = desk.customer().await;
    let kid = header(&user.token)["kid"].as_str().unwrap().to_owned();
    let retire = settings::Keys::Retire { kid, force: true };
    command::run(&retire, folder.path(), OffsetDateTime::now_utc(), &mut Vec::new()).unwrap();
    let until = async {
        loop {
            match get_me(&desk, &user.token).await {
                Ok(()) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                Err(status) => return status,
            }
        }
    };
    let status = tokio::time::timeout(PATIENCE, until).await.expect("the token ends");
    assert_eq!(
        told(&status),
        (Code::Unauthenticated, "TOKEN_INVALID".to_owned(), vec![])
    );
    let now = published(&desk).await;
    assert!(now.len() == 1 && now[0] != leaked, "{now:?}");
    let later = desk.log_in(&user.email).await;
    get_me(&desk, &later.token).await.unwrap();
}

#[tokio::test]
async fn jose_verifies_a_token() {
    let (desk, folder, _) = desk_with_key("0001.pem").await;
    let user = desk.customer().await;
    let another = tempfile::tempdir().unwrap();
    put_key(another.path(), "0001.pem");
    let caller = Caller {
        user: user.id.parse().unwrap(),
        role: Role::Admin,
        session: Uuid::now_v7(),
    };
    let now = OffsetDateTime::now_utc();
    let issue = |folder: &Path, at| {
        Tokens::new(Keys::from_folder(folder).unwrap())
            .issue(&caller, at)
            .unwrap()
            .0
    };
    let parts: Vec<&str> = user.token.split('.').collect();
    let promoted = URL_SAFE_NO_PAD.encode(
        String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap())
            .unwrap()
            .replace("CUSTOMER", "ADMIN"),
    );

    let url = format!("http://{}/.well-known/jwks.json", desk.ops);
    for (token, expected) in [
        (user.token.clone(), json!({"sub": user.id})),
        (
            format!("{}.{promoted}.{}", parts[0], parts[2]),
            json!({"error": "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"}),
        ),
        (issue(another.path(), now), json!({"error": "ERR_JWKS_NO_MATCHING_KEY"})),
        (
            issue(folder.path(), now - time::Duration::minutes(11)),
            json!({"error": "ERR_JWT_EXPIRED"}),
        ),
    ] {
        let mut node = tokio::process::Command::new("node");
        node.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/jose.mjs"));
        let output = node
            .args([tools::folder("jose-").as_os_str(), url.as_ref(), token.as_ref()])
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), expected);
    }
}
