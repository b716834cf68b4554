//! What is logged of a request, and what never is.

use serde_json::{Value, json};

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
    let mut line = Value::Null;
    until("the line of a request", async || {
        let log = system.log("gateway");
        let found = log.lines().find(|line| line.contains(&id)).unwrap_or("null");
        line = serde_json::from_str(found).unwrap();
        !line.is_null()
    })
    .await;
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
