//! The listener for machines.

use deskhand_proto::accounts::v1::GetJwksRequest;
use reqwest::StatusCode;
use serde_json::Value;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::{Desk, PATIENCE};

async fn get(desk: &Desk, path: &str) -> (StatusCode, String) {
    let answer = reqwest::get(format!("http://{}{path}", desk.ops)).await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

fn not_ready(reason: &str) -> (StatusCode, String) {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n"))
}

#[tokio::test]
async fn it_lives_is_ready_and_tells_nothing_else() {
    let desk = Desk::open().await;
    assert_eq!(get(&desk, "/livez").await, (StatusCode::OK, "ok\n".to_owned()));
    assert_eq!(get(&desk, "/readyz").await, (StatusCode::OK, "ok\n".to_owned()));
    for path in [
        "/",
        "/metrics",
        "/livez/",
        "/.well-known/openid-configuration",
        "/.well-known/jwks.json/..",
    ] {
        assert_eq!(get(&desk, path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let post = reqwest::Client::new().post(format!("http://{}/livez", desk.ops)).send();
    assert_eq!(post.await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn the_keys_are_a_jwk_set() {
    let desk = Desk::open().await;
    let answer = reqwest::get(format!("http://{}/.well-known/jwks.json", desk.ops))
        .await
        .unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["cache-control"], "public, max-age=300");
    let set: Value = answer.json().await.unwrap();
    let [key] = &desk.auth().get_jwks(GetJwksRequest {}).await.unwrap().into_inner().keys[..] else {
        panic!("one key was to be there")
    };
    let expected = serde_json::json!({"keys": [{
        "kty": "OKP", "crv": "Ed25519", "x": key.x, "kid": key.kid, "use": "sig", "alg": "EdDSA",
    }]});
    assert_eq!(set, expected);
}

#[tokio::test]
async fn it_is_not_ready_without_a_database_of_its_schema() {
    let desk = Desk::open().await;
    assert_eq!(get(&desk, "/readyz").await.0, StatusCode::OK);
    let mut held = desk.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE _sqlx_migrations")
        .execute(&mut *held)
        .await
        .unwrap();
    assert_eq!(
        get(&desk, "/readyz").await,
        not_ready("the database does not answer within 1 s")
    );
    held.rollback().await.unwrap();
    assert_eq!(get(&desk, "/readyz").await.0, StatusCode::OK);

    let newest = "version = (SELECT max(version) FROM _sqlx_migrations)";
    let set = async |success: bool| {
        let set = format!("UPDATE _sqlx_migrations SET success = {success} WHERE {newest}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(set))
            .execute(&desk.pool)
            .await
            .unwrap();
    };
    set(false).await;
    let (status, reason) = get(&desk, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        reason.contains("ticket-service migrate") && reason.lines().count() == 1,
        "{reason}"
    );
    set(true).await;
    assert_eq!(get(&desk, "/readyz").await.0, StatusCode::OK);

    sqlx::raw_sql("ALTER TABLE _sqlx_migrations RENAME COLUMN success TO was_fine")
        .execute(&desk.pool)
        .await
        .unwrap();
    assert_eq!(get(&desk, "/readyz").await, not_ready("the database cannot be used"));
    assert_eq!(get(&desk, "/livez").await.0, StatusCode::OK);
}

#[tokio::test]
async fn it_is_not_ready_while_it_stops() {
    let mut desk = Desk::open().await;
    let (ops, mut health) = (desk.ops, HealthClient::new(desk.channel.clone()));
    // An open stream holds the service.
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    watch.message().await.unwrap();
    let stopping = tokio::spawn(async move { desk.stop().await });
    watch.message().await.unwrap();
    let answer = reqwest::get(format!("http://{ops}/readyz")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.text().await.unwrap(), "the service is stopping\n");
    drop(watch);
    tokio::time::timeout(PATIENCE, stopping).await.unwrap().unwrap();
}
