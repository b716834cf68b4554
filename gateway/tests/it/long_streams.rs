//! Streams that last longer than any limit of the gateway's for a call with one answer.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::client::Client;
use crate::system::{PATIENCE, System};

/// The longest that such a call may take, or a request to arrive: `deploy/envoy/envoy.yaml` and GATEWAY_REQUEST_SECONDS.
const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn nothing_cuts_a_stream_that_lasts() {
    let system = System::shared();
    let client = Client::customer(&system).await.waiting(LIMIT + 2 * PATIENCE);
    let mut watch = client.stream(Method::GET, "/v1/tickets:watch").await;
    let watching = Instant::now();
    assert_eq!(watch.next().await.unwrap()["ticket_id"], "", "a bookmark");

    let ticket = client
        .ticket("Why does it burn so slowly? [sim:slow ttft_ms=500 token_ms=1000 tokens=33]")
        .await;
    assert_eq!(watch.next().await.unwrap()["ticket_id"], ticket);
    let mut asked = client
        .stream(Method::POST, &format!("/v1/tickets/{ticket}/replies:stream"))
        .await;
    let asking = Instant::now();
    let started = asked.next().await.unwrap()["started"].take();
    let attach = format!("/v1/replies/{}:attach", started["reply_id"].as_str().unwrap());
    let mut attached = client.stream(Method::GET, &attach).await;
    let attaching = Instant::now();
    assert_eq!(attached.next().await.unwrap()["started"], started);

    let ((text, end), (same, _)) = tokio::join!(asked.text(0), attached.text(0));
    for (what, began) in [("asked", asking), ("attached", attaching), ("watched", watching)] {
        assert!(began.elapsed() > LIMIT, "{what} for {:?} only", began.elapsed());
    }
    assert_eq!(end["completed"]["message"]["body"], text);
    assert_eq!(same, text);

    // The watch lives too: it tells of the answer, and of what happens now.
    let new = client.ticket("And now?").await;
    let mut told = Vec::new();
    while !told.contains(&json!(new)) {
        let event = watch.next().await.unwrap_or_else(|| panic!("the watch has ended"));
        assert!(event.get("interrupted").is_none(), "{event}");
        told.push(event["ticket_id"].clone());
    }
    assert!(told.contains(&json!(ticket)), "{told:?}");
}
