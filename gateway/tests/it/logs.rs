//! What is logged of a request, and what never is.

use serde_json::{Value, json};
use tonic::Code;

use crate::client::{Answer, Client, PASSWORD};
use crate::system::{System, until};

#[tokio::test]
async fn a_line_says_what_happened_and_holds_no_secret() {
    let system = System::shared();
    let client = Client::customer(&system).await;
    let credentials = json!({"email": client.email, "password": PASSWORD});
    let session = client.post("/v1/auth/login", &credentials).await.ok();
    let request = client.request(
        reqwest::Method::GET,
        "/v1/tickets?page_token=canary-in-a-query&access_token=canary2",
    );
    let request = request
        .header("cookie", "canary-cookie")
        .header("user-agent", "canary-agent")
        .header("referer", "canary-referer");
    let answer = Answer::of(request).await;
    let id = answer.headers["x-request-id"].to_str().unwrap().to_owned();
    let line = line_of(&system, &id).await;
    assert_eq!(line["path"], "/v1/tickets");
    assert_eq!((&line["method"], &line["status"]), (&json!("GET"), &json!(400)));
    assert_eq!(line["from"], "127.0.0.1");
    assert!(line["ms"].is_number() && line["time"].is_string(), "{line}");

    let logs = system.log("gateway") + &system.log("ticket-service");
    let secrets = [
        "canary",
        PASSWORD,
        &client.email,
        &client.token,
        session["access_token"].as_str().unwrap(),
        session["refresh_token"].as_str().unwrap(),
        "Bearer ",
    ];
    for secret in secrets {
        assert!(!logs.contains(secret), "{secret} is in a log");
    }
}

/// What was logged of a request.
async fn line_of(system: &System, id: &str) -> Value {
    let mut line = Value::Null;
    until("the line of a request", async || {
        let log = system.log("gateway");
        let found = log.lines().find(|line| line.contains(id)).unwrap_or("null");
        line = serde_json::from_str(found).unwrap();
        !line.is_null()
    })
    .await;
    line
}

#[tokio::test]
async fn a_line_says_the_code_that_the_service_gave() {
    let system = System::shared();
    let client = Client::customer(&system).await;
    for (path, status, code) in [
        ("/v1/me", 200, Code::Ok),
        ("/v1/tickets?page_size=-1", 400, Code::InvalidArgument),
        ("/v1/tickets/019a4c1e-7b5a-7c3d-9e2f-0123456789ab", 404, Code::NotFound),
        ("/v1/users", 403, Code::PermissionDenied),
    ] {
        let answer = client.get(path).await;
        let line = line_of(&system, answer.headers["x-request-id"].to_str().unwrap()).await;
        assert_eq!(
            (&line["status"], &line["grpc_status"]),
            (&json!(status), &json!(code as i32)),
            "{line}"
        );
    }
}
