//! What a sign-up may not bring along.

use reqwest::StatusCode;
use serde_json::json;
use uuid::Uuid;

use crate::client::{Client, PASSWORD};
use crate::system::System;

#[tokio::test]
async fn a_smuggled_role_is_refused() {
    let system = System::shared();
    let client = Client::of(&system);
    let database = system.database().await;
    for smuggled in [
        json!({}),
        json!({"role": "ROLE_ADMIN"}),
        json!({"role": 3}),
        json!({"user": {"role": "ROLE_ADMIN"}, "isAdmin": true, "is_admin": true}),
        json!({"Role": "ADMIN", "ROLE": 3, "4": 3, "roles": ["ROLE_ADMIN"], "id": "00000000-0000-7000-8000-000000000000"}),
    ] {
        let email = format!("{}@example.com", Uuid::now_v7());
        let mut request = json!({"email": email, "password": PASSWORD, "display_name": "Eve"});
        request
            .as_object_mut()
            .unwrap()
            .extend(smuggled.as_object().unwrap().clone());
        let answer = client.post("/v1/auth/signup", &request).await;
        let made: Option<String> = sqlx::query_scalar("SELECT role FROM users WHERE email = $1")
            .bind(&email)
            .fetch_optional(&database)
            .await
            .unwrap();
        if smuggled == json!({}) {
            assert_eq!(answer.ok()["user"]["role"], "ROLE_CUSTOMER");
            assert_eq!(made.as_deref(), Some("CUSTOMER"));
        } else {
            assert_eq!(
                (answer.status, answer.reason()),
                (StatusCode::BAD_REQUEST, "INVALID_FIELDS"),
                "{smuggled}"
            );
            assert_eq!(made, None, "{smuggled}");
        }
    }
    database.close().await;
}
