//! What a customer of the desk does, over plain HTTP and JSON from end to end.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Client, PASSWORD};
use crate::system::System;

#[tokio::test]
async fn from_sign_up_to_an_answer() {
    let system = System::shared();
    let mut client = Client::of(&system);
    let email = format!("{}@example.com", Uuid::now_v7());
    let new = json!({"email": email, "password": PASSWORD, "display_name": "Ada"});
    let user = client.post("/v1/auth/signup", &new).await.ok()["user"].take();
    assert_eq!(
        (&user["email"], &user["role"]),
        (&json!(email), &json!("ROLE_CUSTOMER"))
    );
    client
        .post("/v1/auth/signup", &new)
        .await
        .assert_refused(409, "EMAIL_TAKEN");

    let credentials = json!({"email": email, "password": PASSWORD});
    let session = client.post("/v1/auth/login", &credentials).await.ok();
    client.token = session["access_token"].as_str().unwrap().to_owned();
    assert_eq!(client.get("/v1/me").await.ok()["user"], user);

    let none = client.get("/v1/tickets").await.ok();
    assert_eq!(
        none,
        json!({"tickets": [], "next_page_token": ""}),
        "an empty list is a list"
    );
    let new = json!({"title": "The printer is on fire", "description": "It burns.", "tags": ["Printer"],
                     "category": "TICKET_CATEGORY_TECHNICAL", "request_id": Uuid::new_v4()});
    let ticket = client.post("/v1/tickets", &new).await.ok()["ticket"].take();
    assert_eq!(
        (&ticket["tags"], &ticket["status"]),
        (&json!(["printer"]), &json!("TICKET_STATUS_OPEN"))
    );
    assert_eq!(
        client.post("/v1/tickets", &new).await.ok()["ticket"],
        ticket,
        "the same request_id"
    );
    let id = ticket["id"].as_str().unwrap();
    let listed = client
        .get("/v1/tickets?statuses=TICKET_STATUS_OPEN&query=fire&page_size=1")
        .await
        .ok();
    assert_eq!(listed["tickets"], json!([ticket]));

    let messages = format!("/v1/tickets/{id}/messages");
    let said = client
        .post(&messages, &json!({"body": "Now the scanner burns too: „äß“ 🔥"}))
        .await
        .ok();
    assert_eq!(said["message"]["author_kind"], "AUTHOR_KIND_CUSTOMER");

    let mut stream = client
        .stream(Method::POST, &format!("/v1/tickets/{id}/replies:stream"))
        .await;
    let started = stream.next().await.unwrap();
    assert_eq!(started["started"]["attempt"], 1);
    let (text, end) = stream.text(0).await;
    assert!(text.contains("scanner burns"), "{text}");
    assert_eq!(end["completed"]["message"]["body"], text);

    let whole = client.get(&format!("/v1/tickets/{id}")).await.ok();
    let bodies: Vec<_> = whole["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| &message["body"])
        .collect();
    assert_eq!(bodies, [&json!(text), &said["message"]["body"]], "newest first");
    assert_eq!(client.get(&messages).await.ok()["messages"], whole["messages"]);
    let reply = started["started"]["reply_id"].as_str().unwrap();
    let replies = client.get(&format!("/v1/tickets/{id}/replies")).await.ok();
    assert_eq!(
        (&replies["replies"][0]["id"], &replies["replies"][0]["state"]),
        (&json!(reply), &json!("REPLY_STATE_COMPLETED"))
    );

    let patch = json!({"title": "The printer was on fire", "status": "TICKET_STATUS_RESOLVED"});
    let path = format!("/v1/tickets/{id}?update_mask=title,status");
    let changed = client.send(Method::PATCH, &path, patch.to_string()).await.ok();
    assert_eq!(changed["ticket"]["title"], "The printer was on fire");
    let events = client.get(&format!("/v1/tickets/{id}/events")).await.ok();
    assert!(events["events"].as_array().unwrap().len() >= 4, "{events}");

    let refreshed = client
        .post("/v1/auth/refresh", &json!({"refresh_token": session["refresh_token"]}))
        .await
        .ok();
    client.token = refreshed["access_token"].as_str().unwrap().to_owned();
    let sessions = client.get("/v1/me/sessions").await.ok();
    let session = sessions["sessions"][0]["id"].as_str().unwrap();
    client
        .request(Method::DELETE, &format!("/v1/me/sessions/{session}"))
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap();
    client.get("/v1/me").await.assert_refused(401, "SESSION_ENDED");
}

#[tokio::test]
async fn an_answer_comes_as_it_is_written_and_goes_on_where_it_broke_off() {
    let system = System::shared();
    let client = Client::customer(&system).await;
    let id = client.ticket("Why does it burn? [sim:slow]").await;
    let mut stream = client
        .stream(Method::POST, &format!("/v1/tickets/{id}/replies:stream"))
        .await;
    // Nor does a proxy hold its pieces back.
    assert_eq!(stream.headers()["cache-control"], "no-store");
    assert_eq!(stream.headers()["x-accel-buffering"], "no");
    let started = stream.next().await.unwrap()["started"].take();
    let reply = started["reply_id"].as_str().unwrap();
    let mut had = String::new();
    for _ in 0..3 {
        had.push_str(stream.next().await.unwrap()["delta"]["text"].as_str().unwrap());
    }
    let running = client.get(&format!("/v1/replies/{reply}")).await;
    // Nobody else's cache keeps an answer.
    assert_eq!(running.headers["cache-control"], "no-store");
    assert_eq!(running.headers["x-content-type-options"], "nosniff");
    let running = running.ok();
    assert_eq!(
        running["reply"]["state"], "REPLY_STATE_RUNNING",
        "pieces come one by one"
    );
    drop(stream);

    let attach = format!("/v1/replies/{reply}:attach?attempt=1&after_offset={}", had.len());
    let mut stream = client.stream(Method::GET, &attach).await;
    assert_eq!(stream.next().await.unwrap()["started"]["reply_id"], reply);
    let (rest, end) = stream.text(had.len()).await;
    assert_eq!(end["completed"]["message"]["body"], format!("{had}{rest}"));
    let beyond = client
        .get(&format!("/v1/replies/{reply}:attach?attempt=1&after_offset=999999"))
        .await;
    beyond.assert_refused(400, "OFFSET_OUT_OF_RANGE");
}

#[tokio::test]
async fn tickets_are_watched_as_they_change() {
    let system = System::shared();
    let client = Client::customer(&system).await;
    let mut stream = client.stream(Method::GET, "/v1/tickets:watch").await;
    let bookmark = stream.next().await.unwrap();
    assert_eq!(bookmark["ticket_id"], "");
    let id = client.ticket("It burns.").await;
    let event = stream.next().await.unwrap();
    assert_eq!(
        (&event["ticket_id"], &event["kind"]),
        (&json!(id), &json!("TICKET_EVENT_KIND_CREATED"))
    );
    drop(stream);

    let cursor = reqwest::Url::parse_with_params("http://x/", [("after_cursor", bookmark["cursor"].as_str().unwrap())]);
    let path = format!("/v1/tickets:watch?{}", cursor.unwrap().query().unwrap());
    let mut again = client.stream(Method::GET, &path).await;
    assert_eq!(again.next().await.unwrap()["ticket_id"], "");
    assert_eq!(
        again.next().await.unwrap()["id"],
        event["id"],
        "told again to who goes on from before it"
    );
    client
        .get("/v1/tickets:watch?after_cursor=nonsense")
        .await
        .assert_refused(400, "INVALID_FIELDS");
}

#[tokio::test]
async fn every_page_of_a_long_list_is_there_once() {
    let system = System::shared();
    let client = Client::customer(&system).await;
    let mut made = Vec::new();
    for number in 0..5 {
        made.push(client.ticket(&format!("It burns, {number}.")).await);
    }
    made.reverse();
    let (mut seen, mut token): (Vec<Value>, _) = (Vec::new(), String::new());
    loop {
        let page = client
            .get(&format!("/v1/tickets?page_size=2&page_token={token}"))
            .await
            .ok();
        seen.extend(
            page["tickets"]
                .as_array()
                .unwrap()
                .iter()
                .map(|ticket| ticket["id"].clone()),
        );
        token = page["next_page_token"].as_str().unwrap().to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, made);
    let other = Client::customer(&system).await;
    let page = client.get("/v1/tickets?page_size=2").await.ok();
    let borrowed = format!(
        "/v1/tickets?page_size=2&page_token={}",
        page["next_page_token"].as_str().unwrap()
    );
    other.get(&borrowed).await.assert_refused(400, "INVALID_FIELDS");
    assert_eq!(StatusCode::OK, client.get(&borrowed).await.status);
}
