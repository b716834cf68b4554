//! JSON that is none, or not what it should be: refused with the field's path, and nothing is kept of it.

use reqwest::Method;
use serde_json::json;

use crate::client::{Answer, Client};
use crate::system::System;

const ID: &str = "019a4c1e-7b5a-7c3d-9e2f-0123456789ab";

#[tokio::test]
async fn bad_bodies_are_refused_and_nothing_is_kept() {
    let system = System::shared();
    let client = Client::customer(&system).await;
    let before = kept(&client).await;
    let deep = format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000));
    let lists = format!("{{\"tags\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
    let good = r#""title":"T","description":"D""#;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("", b"{".to_vec()),
        ("", b"}".to_vec()),
        ("", b"nonsense".to_vec()),
        ("", b"[]".to_vec()),
        ("", b"null".to_vec()),
        ("", b"\"text\"".to_vec()),
        ("", br#"{"title":"T" "description":"D"}"#.to_vec()),
        ("", br#"{title:"T",description:"D"}"#.to_vec()),
        ("", br#"{'title':'T','description':'D'}"#.to_vec()),
        ("", format!("{{{good},}}").into_bytes()),
        ("", format!("{{{good}}} {{}}").into_bytes()),
        ("", format!("{{{good}}}x").into_bytes()),
        ("", format!("/* c */{{{good}}}").into_bytes()),
        ("", "\u{feff}{}".as_bytes().to_vec()),
        ("", b"{\"title\":\"\xff\",\"description\":\"D\"}".to_vec()),
        ("", b"{\"title\":\"\xc0\xaf\",\"description\":\"D\"}".to_vec()),
        ("", b"{\"title\":\"\xed\xa0\x80\",\"description\":\"D\"}".to_vec()),
        ("", b"{\"title\":\"\xf5\x80\x80\x80\",\"description\":\"D\"}".to_vec()),
        ("", b"{\"title\":\"a\nb\",\"description\":\"D\"}".to_vec()),
        ("", br#"{"title":"\ud800","description":"D"}"#.to_vec()),
        ("", br#"{"title":"\udc00\ud800","description":"D"}"#.to_vec()),
        ("", br#"{"title":"\x41","description":"D"}"#.to_vec()),
        ("", br#"{"title":"unended"#.to_vec()),
        ("priority", format!("{{{good},\"priority\":01}}").into_bytes()),
        ("a", deep.into_bytes()),
        ("tags[0]", lists.into_bytes()),
        ("title", br#"{"title":5,"description":"D"}"#.to_vec()),
        ("title", br#"{"title":true,"description":"D"}"#.to_vec()),
        ("title", br#"{"title":{"a":1},"description":"D"}"#.to_vec()),
        ("title", br#"{"title":["T"],"description":"D"}"#.to_vec()),
        ("priority", format!("{{{good},\"priority\":\"URGENT\"}}").into_bytes()),
        ("priority", format!("{{{good},\"priority\":1.5}}").into_bytes()),
        ("priority", format!("{{{good},\"priority\":true}}").into_bytes()),
        ("tags", format!("{{{good},\"tags\":\"printer\"}}").into_bytes()),
        (
            "tags",
            format!("{{{good},\"tags\":{{\"0\":\"printer\"}}}}").into_bytes(),
        ),
        ("tags[1]", format!("{{{good},\"tags\":[\"printer\",1]}}").into_bytes()),
        ("tags[0]", format!("{{{good},\"tags\":[null]}}").into_bytes()),
        (
            "status",
            format!("{{{good},\"status\":\"TICKET_STATUS_CLOSED\"}}").into_bytes(),
        ),
        ("Title", br#"{"Title":"T","description":"D"}"#.to_vec()),
        ("ticket", br#"{"ticket":{"title":"T","description":"D"}}"#.to_vec()),
        ("__proto__", format!("{{{good},\"__proto__\":{{}}}}").into_bytes()),
        ("?", format!("{{{good},\"a\\\"b\":1}}").into_bytes()),
        ("title", br#"{"title":"T","title":"U","description":"D"}"#.to_vec()),
        ("title", br#"{"title":"T","\u0074itle":"U","description":"D"}"#.to_vec()),
        (
            "request_id",
            format!("{{{good},\"request_id\":\"a\",\"requestId\":\"b\"}}").into_bytes(),
        ),
        ("title", br#"{"title":null,"description":"D"}"#.to_vec()),
        ("tags", format!("{{{good},\"tags\":null}}").into_bytes()),
        ("priority", format!("{{{good},\"priority\":2}}").into_bytes()),
        // These are JSON, and the service's own to refuse.
        ("title", br#"{"title":"a\u0000b","description":"D"}"#.to_vec()),
        (
            "description",
            format!("{{\"title\":\"T\",\"description\":\"{}\"}}", "x".repeat(20_000)).into_bytes(),
        ),
    ];
    for (field, body) in cases {
        let shown = String::from_utf8_lossy(&body).chars().take(80).collect::<String>();
        let answer = client.send(Method::POST, "/v1/tickets", body).await;
        assert_eq!(answer.status, 400, "{shown}: {answer:?}");
        if field.is_empty() || answer.reason() == "MALFORMED_REQUEST" {
            assert_eq!(answer.reason(), "MALFORMED_REQUEST", "{shown}");
        } else {
            assert_eq!(
                (answer.reason(), answer.fields()),
                ("INVALID_FIELDS", vec![field]),
                "{shown}"
            );
        }
    }
    assert_eq!(kept(&client).await, before);
    // A script that fails lets the request pass.
    assert!(
        !system.log("gateway").contains("script log"),
        "{}",
        system.log("gateway")
    );
    // What is odd, and right.
    for body in [
        format!("{{{good}}}"),
        format!(" \r\n\t{{ {good} , \"tags\" : [ ] , \"category\" : \"TICKET_CATEGORY_BILLING\" }} \n"),
        r#"{"title":"\ud83d\udd25 \"\\\/\b\f\n\r\t\u00e4","description":"„“ 🔥"}"#.replace(r"\b\f\n\r\t", ""),
    ] {
        client.send(Method::POST, "/v1/tickets", body).await.ok();
    }
}

/// What the caller has made so far; other tests make their own beside it.
async fn kept(client: &Client) -> usize {
    client.get("/v1/tickets?page_size=100").await.ok()["tickets"]
        .as_array()
        .unwrap()
        .len()
}

#[tokio::test]
async fn bad_requests_around_a_body_are_refused() {
    let system = System::shared();
    let client = Client::customer(&system).await;
    let good = json!({"title": "T", "description": "D"});
    let post = || client.request(Method::POST, "/v1/tickets");
    let large = json!({"title": "T", "description": "x".repeat(5_000_000)}).to_string();
    for (what, request, status, reason) in [
        (
            "5 MB",
            post().header("content-type", "application/json").body(large),
            413,
            "MESSAGE_TOO_LARGE",
        ),
        (
            "a form",
            post()
                .header("content-type", "application/x-www-form-urlencoded")
                .body("title=T&description=D"),
            415,
            "MEDIA_TYPE_UNSUPPORTED",
        ),
        ("a text", post().body(good.to_string()), 415, "MEDIA_TYPE_UNSUPPORTED"),
        (
            "another character set",
            post()
                .header("content-type", "application/json; charset=utf-16")
                .body("{}"),
            415,
            "MEDIA_TYPE_UNSUPPORTED",
        ),
        (
            "compressed",
            post().header("content-encoding", "gzip").json(&good),
            415,
            "MEDIA_TYPE_UNSUPPORTED",
        ),
        (
            "another method",
            client.request(Method::PUT, "/v1/tickets").json(&good),
            405,
            "METHOD_NOT_ALLOWED",
        ),
        (
            "another method",
            client.request(Method::DELETE, "/v1/tickets"),
            405,
            "METHOD_NOT_ALLOWED",
        ),
        (
            "a verb's method",
            client.request(Method::GET, "/v1/me:changePassword"),
            405,
            "METHOD_NOT_ALLOWED",
        ),
        (
            "no method",
            client.request(Method::POST, "/v1/ticket").json(&good),
            404,
            "METHOD_UNKNOWN",
        ),
        (
            "no verb",
            client.request(Method::POST, "/v1/tickets/x:explode").json(&json!({})),
            405,
            "METHOD_NOT_ALLOWED",
        ),
        (
            "a body for GET",
            client.request(Method::GET, "/v1/me").json(&json!({})),
            400,
            "MALFORMED_REQUEST",
        ),
    ] {
        let answer = Answer::of(request).await;
        assert_eq!((answer.status.as_u16(), answer.reason()), (status, reason), "{what}");
    }
    assert_eq!(kept(&client).await, 0);
}

#[tokio::test]
async fn what_is_nearly_grpc_is_no_way_around_the_check() {
    let system = System::shared();
    let client = Client::customer(&system).await;
    for kind in [
        "Application/gRPC",
        "APPLICATION/GRPC",
        "application/grpcx",
        "application/grpc-web+nonsense",
        "application/grpc;a=b",
        "application/grpc, application/json",
        "application/json, application/grpc",
        "application/jsonx",
    ] {
        let request = client.request(Method::POST, "/v1/tickets").header("content-type", kind);
        // The transcoder would take it.
        let answer = Answer::of(request.body("{title:\"T\",description:\"D\"}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.reason()),
            (415, "MEDIA_TYPE_UNSUPPORTED"),
            "{kind}"
        );
    }
    for kind in ["application/grpc", "application/grpc+json"] {
        let request = client.request(Method::POST, "/v1/tickets").header("content-type", kind);
        let answer = request.body("{title:\"T\",description:\"D\"}").send().await.unwrap();
        assert_eq!(
            answer.headers()["grpc-status"],
            "12",
            "{kind}: there is no such method in gRPC"
        );
    }
    assert_eq!(kept(&client).await, 0);
}

#[tokio::test]
async fn bad_queries_are_refused_by_field() {
    let system = System::shared();
    let client = Client::customer(&system).await;
    for (query, field) in [
        ("page_size=x", "page_size"),
        ("page_size=1.5", "page_size"),
        ("page_size=-1", "page_size"),
        ("page_size=1&page_size=2", "page_size"),
        ("page_size=1&pageSize=2", "page_size"),
        ("statuses=OPEN", "statuses"),
        ("statuses=1", "statuses"),
        ("nonsense=1", "nonsense"),
        ("access_token=abc", "access_token"),
        ("a%26b=1", "?"),
        ("page_token=x", "page_token"),
        ("assignee_id=x", "assignee_id"),
        ("page_size=99999999999", "page_size"),
        ("page_size=2147483648", "page_size"),
        ("page_size=-2147483649", "page_size"),
        ("page_size=1e400", "page_size"),
        ("page_size=0x10", "page_size"),
        ("page_size=", "page_size"),
        ("created_from=yesterday", "created_from"),
        ("created_from=2026-01-01", "created_from"),
        ("created_from=2026-13-01T00:00:00Z", "created_from"),
        ("created_from=2026-02-29T00:00:00Z", "created_from"),
        ("created_from=2026-01-01T24:00:00Z", "created_from"),
        ("created_from=2026-01-01T00:00:00", "created_from"),
        ("created_from=2026-01-01T00:00:00.Z", "created_from"),
        ("created_from=2026-01-01T00:00:00.0123456789Z", "created_from"),
        ("created_from=0000-01-01T00:00:00Z", "created_from"),
        ("created_before=2026-01-01T00:00:00%2B25:00", "created_before"),
        ("query=%ff", "query"),
        ("query=%c3%28", "query"),
    ] {
        let answer = client.get(&format!("/v1/tickets?{query}")).await;
        answer.assert_refused(400, "INVALID_FIELDS");
        assert_eq!(answer.fields(), [field], "{query}");
    }
    for query in [
        "query=%25_%27%20OR%201%3D1--&created_from=2026-01-01T00:00:00Z",
        "page_size=0007&created_from=2024-02-29T23:59:59.123456789%2B05:30&created_before=9999-12-31T23:59:59Z",
        "page_size=2147483647&created_from=0001-01-01T00:00:00Z",
    ] {
        client.get(&format!("/v1/tickets?{query}")).await.ok();
    }
    let offset = |text: &str| format!("/v1/replies/{ID}:attach?attempt=1&after_offset={text}");
    let beyond = client.get(&offset("9223372036854775808")).await;
    assert_eq!(
        (beyond.reason(), beyond.fields()),
        ("INVALID_FIELDS", vec!["after_offset"])
    );
    client
        .get(&offset("9223372036854775807"))
        .await
        .assert_refused(404, "REPLY_NOT_FOUND");
}

#[tokio::test]
async fn an_id_in_the_body_does_not_beat_the_path() {
    let system = System::shared();
    let (mine, theirs) = (Client::customer(&system).await, Client::customer(&system).await);
    let (my_ticket, other) = (mine.ticket("Mine.").await, theirs.ticket("Theirs.").await);
    let path = format!("/v1/tickets/{my_ticket}");
    for body in [
        json!({"id": other, "title": "Stolen"}),
        json!({"id": my_ticket, "title": "Same"}),
    ] {
        let answer = mine
            .send(Method::PATCH, &format!("{path}?update_mask=title"), body.to_string())
            .await;
        answer.assert_refused(400, "INVALID_FIELDS");
        assert_eq!(answer.fields(), ["ticket.id"]);
    }
    let answer = mine
        .post(&format!("{path}/messages"), &json!({"ticket_id": other, "body": "B"}))
        .await;
    assert_eq!(answer.fields(), ["ticket_id"]);
    for query in [
        format!("ticket.id={other}"),
        format!("ticket.title=Q&ticket_id={other}"),
    ] {
        let answer = mine
            .send(
                Method::PATCH,
                &format!("{path}?update_mask=title&{query}"),
                r#"{"title":"T"}"#,
            )
            .await;
        answer.assert_refused(400, "INVALID_FIELDS");
    }
    let unknown = mine.get(&format!("/v1/tickets/{ID}")).await;
    assert_eq!(mine.get(&format!("/v1/tickets/{other}")).await.body, unknown.body);
    assert_eq!(
        theirs.get(&format!("/v1/tickets/{other}")).await.ok()["ticket"]["title"],
        "The printer is on fire"
    );
}
