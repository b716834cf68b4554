//! Requests byte by byte: what no client library sends.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Client, PASSWORD};
use crate::gateway::Gateway;
use crate::system::{PATIENCE, System};
use crate::upstream::Upstream;

/// Sends it all and reads until the other side closes or has said all; answers the statuses that came.
async fn send(address: &str, request: &[u8]) -> (Vec<u16>, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may be refused before it was read to its end.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match tokio::time::timeout(Duration::from_millis(500), stream.read(&mut chunk)).await {
            Ok(Ok(0) | Err(_)) => break,
            Ok(Ok(read)) => answer.extend_from_slice(&chunk[..read]),
            // Kept open: there is no more.
            Err(_) if !answer.is_empty() => break,
            Err(_) => {}
        }
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let statuses = answer
        .lines()
        .filter_map(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok())
        .collect();
    (statuses, answer)
}

fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: desk\r\n{headers}\r\n").into_bytes()
}

#[tokio::test]
async fn paths_that_mean_others_are_refused() {
    let system = System::shared();
    let admin = Client::admin(&system).await;
    let bearer = format!("authorization: Bearer {}\r\n", admin.token);
    // It would be let through if it were spelled so.
    assert_eq!(send(system.address(), &get("/v1/users", &bearer)).await.0, [200]);
    for path in [
        "/v1/tickets/../users",
        "/v1/tickets/%2e%2e/users",
        "/v1/tickets/%2E%2e/users",
        "/v1/./users",
        "/v1//users",
        "//v1/users",
        "/v1/users/",
        "/v1/users//",
        "/v1%2fusers",
        "/v1%2Fusers",
        "/v1\\users",
        "/v1%5cusers",
        "/v1/users;a=b",
        "/v1/users%00",
        "/V1/users",
        "/v1/auth/login/../../users",
        "/v1/auth/login/%2e%2e/%2e%2e/users",
        "/docs/../v1/users",
        "/v1/%75sers/",
        "http://other/v1//users",
        "*",
        "v1/users",
    ] {
        let (statuses, answer) = send(system.address(), &get(path, &bearer)).await;
        assert!(matches!(statuses[..], [400 | 404]), "{path}: {statuses:?}");
        assert!(
            answer.contains("type.googleapis.com/google.rpc.ErrorInfo") || statuses == [400],
            "{path}: {answer}"
        );
        // Nor does it get past the question for a token.
        let (statuses, _) = send(system.address(), &get(path, "")).await;
        assert!(matches!(statuses[..], [400 | 401 | 404]), "{path}: {statuses:?}");
    }
}

#[tokio::test]
async fn floods_of_headers_are_refused() {
    let system = System::shared();
    let many: String = (0..101).map(|number| format!("x-h{number}: v\r\n")).collect();
    let long = format!("x-long: {}\r\n", "v".repeat(17 * 1024));
    let endless: String = (0..10_000)
        .map(|number| format!("x-h{number}: {}\r\n", "v".repeat(100)))
        .collect();
    for headers in [many, long, endless] {
        let (statuses, answer) = send(system.address(), &get("/v1/me", &headers)).await;
        assert_eq!(statuses, [431], "{answer}");
        assert!(answer.contains("HEADERS_TOO_LARGE"), "{answer}");
    }
    let (statuses, _) = send(system.address(), &get("/v1/me", "x_user: 1\r\n")).await;
    assert_eq!(statuses, [400], "an underscore is read as a hyphen by some");
    Client::customer(&system).await.get("/v1/me").await.ok();
}

#[tokio::test]
async fn other_protocols_are_refused_in_the_form_of_every_error() {
    let system = System::shared();
    let websocket = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                     sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let old = b"GET /v1/me HTTP/1.0\r\nhost: desk\r\n\r\n".to_vec();
    for request in [get("/v1/me", websocket), old] {
        let (statuses, answer) = send(system.address(), &request).await;
        assert_eq!(statuses, [400], "{answer}");
        assert!(answer.contains("content-type: application/json"), "{answer}");
        assert!(answer.contains("\"reason\":\"MALFORMED_REQUEST\""), "{answer}");
    }
    // curl offers the second by itself, and does without.
    let offered = "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n";
    let (statuses, _) = send(system.address(), &get("/.well-known/jwks.json", offered)).await;
    assert_eq!(statuses, [200]);
}

#[tokio::test]
async fn no_request_hides_in_another() {
    let system = System::shared();
    let body = json!({"email": "hidden@example.com", "password": PASSWORD, "display_name": "I"}).to_string();
    let inner = format!(
        "POST /v1/auth/signup HTTP/1.1\r\nhost: desk\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let head = "POST /v1/auth/login HTTP/1.1\r\nhost: desk\r\ncontent-type: application/json\r\n";
    for request in [
        format!("{head}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("{head}transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n{inner}"),
        format!("{head}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("{head}content-length: 2\r\ncontent-length: 200\r\n\r\n{{}}{inner}"),
        format!("{head}content-length: +2\r\n\r\n{{}}{inner}"),
        format!("{head}content-length: -1\r\n\r\n{inner}"),
        format!("{head}content-length : 2\r\n\r\n{{}}{inner}"),
        format!("{head}transfer-encoding: chunked\r\n\r\nxyz\r\n{inner}"),
        format!("{head}x: y\rz: w\r\ncontent-length: 2\r\n\r\n{{}}"),
        format!("{head}x\0: y\r\ncontent-length: 2\r\n\r\n{{}}"),
        "GET /v1/me\r\n\r\n".to_owned(),
        "GET /v1/me HTTP/9.9\r\n\r\n".to_owned(),
        "GET /v1/me HTTP/1.1\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7f\x03\x03".to_owned() + "\r\n\r\n",
    ] {
        let (statuses, answer) = send(system.address(), request.as_bytes()).await;
        assert!(statuses.len() <= 1, "{request:?}: {answer}");
        assert!(matches!(statuses[..], [] | [400..=499]), "{request:?}: {answer}");
    }
    let database = system.database().await;
    let made = "SELECT count(*) FROM users WHERE email = 'hidden@example.com'";
    assert_eq!(
        sqlx::query_scalar::<_, i64>(made).fetch_one(&database).await.unwrap(),
        0
    );
    // It would be made if it were a request of its own.
    assert_eq!(send(system.address(), inner.as_bytes()).await.0, [200]);
    assert_eq!(
        sqlx::query_scalar::<_, i64>(made).fetch_one(&database).await.unwrap(),
        1
    );
    database.close().await;
    Client::of(&system).get("/.well-known/jwks.json").await.ok();
}

#[tokio::test]
async fn a_slow_request_is_given_up_and_holds_nothing() {
    let upstream = Upstream::on("127.0.0.1:0");
    let gateway = Gateway::before(&upstream.address, &[("GATEWAY_REQUEST_SECONDS", "1")]).await;
    let head =
        "POST /v1/auth/login HTTP/1.1\r\nhost: desk\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n";
    for (what, request) in [("body", format!("{head}{{\"email\":")), ("head", head[..60].to_owned())] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let began = Instant::now();
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{what}: {answer}");
        assert!(answer.contains("REQUEST_TOO_SLOW"), "{what}: {answer}");
        assert!(began.elapsed() < Duration::from_secs(10), "{what}");
    }
    assert!(upstream.calls().is_empty(), "nothing was begun");
}
