//! What is sent to the provider, and answers byte by byte from a server that sends what the test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use deskhand_proto::assistant::v1 as proto;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tonic::Code;

use crate::harness::{Desk, KEY, ONE_CALL, about, conversation};

#[tokio::test]
async fn the_request_holds_what_was_rendered_and_only_fields_that_the_model_takes() {
    let (desk, sim) = Desk::simulated(&[]).await;
    let conversation = conversation("hello");
    let rendered = desk
        .client
        .clone()
        .render_prompt(proto::RenderPromptRequest {
            conversation: Some(conversation.clone()),
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner();
    let reply = desk
        .reply(proto::StreamReplyRequest {
            conversation: Some(conversation),
            ..Default::default()
        })
        .await;
    assert!(reply.finished());
    assert_eq!(reply.started().prompt_version, rendered.prompt_version);

    let request = sim.control().requests().pop().unwrap();
    assert_eq!(request.path, "/openai/v1/chat/completions");
    let messages: Vec<_> = rendered
        .messages
        .iter()
        .map(|message| serde_json::json!({"role": message.role, "content": message.content}))
        .collect();
    assert_eq!(
        request.body,
        serde_json::json!({
            "model": "openai/gpt-oss-120b",
            "messages": messages,
            "max_completion_tokens": 3_072,
            "reasoning_effort": "low",
            "stream": true,
            "stream_options": {"include_usage": true},
            "tools": request.body["tools"],
        })
    );
    assert_eq!(request.body["tools"][0]["function"]["name"], "hand_off");
    assert_eq!(request.headers["accept"], "text/event-stream");
    assert!(!request.headers.contains_key("referer"));
}

#[tokio::test]
async fn models_of_other_families_are_answered_too() {
    for (model, tokens) in [("qwen/qwen3.8-27b", 1_024), ("openai/gpt-oss-20b", 3_072)] {
        let (desk, sim) = Desk::simulated(&["--groq-model", model]).await;
        assert!(desk.reply(about("hello")).await.finished(), "{model}");
        assert_eq!(
            sim.control().requests().pop().unwrap().body["max_completion_tokens"],
            tokens
        );
    }
    let (desk, _sim) = Desk::simulated(&["--groq-model", "no/such-model", "--groq-fallback-model", ""]).await;
    assert_eq!(desk.reply(about("hello")).await.failure().1, "MODEL_UNAVAILABLE");
}

/// Answers one request with these pieces, each in a write of its own, then closes. Gives back the request's head.
async fn scripted(pieces: Vec<Vec<u8>>) -> (Desk, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let request = read_request(&mut socket).await.unwrap();
        for piece in pieces {
            // The other side may have seen enough.
            if socket.write_all(&piece).await.is_err() {
                break;
            }
        }
        let text = String::from_utf8(request).unwrap();
        text.split_once("\r\n\r\n").unwrap().0.to_owned()
    });
    (Desk::asking(&base_url, &ONE_CALL).await, served)
}

async fn read_request(socket: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        let mut piece = [0; 4096];
        match socket.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => request.extend_from_slice(&piece[..read]),
        }
    }
    Some(request)
}

fn stream_of(body: &str) -> Vec<Vec<u8>> {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req_head\r\nconnection: close\r\n\r\n";
    vec![head.as_bytes().to_vec(), body.as_bytes().to_vec()]
}

const HELLO: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

#[tokio::test]
async fn the_head_of_a_request() {
    let (desk, served) = scripted(stream_of(&format!("{HELLO}{STOP}data: [DONE]\n\n"))).await;
    let reply = desk.reply(about("hello")).await;
    assert!(reply.finished(), "{reply:?}");
    assert_eq!(reply.text(), "Hello");
    assert_eq!(reply.ended().upstream_id, "req_head");
    assert_eq!(reply.ended().usage_source(), proto::UsageSource::Estimated);
    let head = served.await.unwrap();
    assert!(head.starts_with("POST /openai/v1/chat/completions HTTP/1.1\r\n"));
    assert!(head.contains(&format!("authorization: Bearer {KEY}")));
    assert!(head.contains("content-type: application/json"));
}

#[tokio::test]
async fn endings_that_are_no_end() {
    for (body, why) in [
        (String::new(), "nothing"),
        (HELLO.to_owned(), "no finish"),
        (format!("{HELLO}{STOP}"), "no end marker"),
        (format!("{HELLO}data: [DONE]\n\n"), "an end marker without a finish"),
        (
            format!("{HELLO}{STOP}data: [DONE]\n"),
            "an end marker that is cut before its end",
        ),
        (
            format!("{HELLO}{STOP}data: [DON"),
            "an end marker that is cut in the middle",
        ),
        (format!("{HELLO}data: {{\"choices\":"), "a chunk that is cut"),
        (format!("{HELLO}data: garbage\n\n{STOP}data: [DONE]\n\n"), "garbage"),
        (
            format!("{HELLO}{}", STOP.replace("stop", "tool_calls")),
            "an unexpected finish",
        ),
    ] {
        let (desk, _served) = scripted(stream_of(&body)).await;
        let reply = desk.reply(about("hello")).await;
        assert_eq!(
            reply.failure(),
            (Code::Unavailable, "UPSTREAM_PROTOCOL".to_owned()),
            "{why}"
        );
    }
}

#[tokio::test]
async fn responses_that_are_no_stream() {
    let whole =
        |head: &str, body: &str| vec![format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()];
    let json = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let over = r#"{"error":{"message":"over capacity","status_code":503}}"#;
    let failed = |code, reason: &str| (code, reason.to_owned());
    for (response, failure, why) in [
        (
            whole(json, over),
            failed(Code::Unavailable, "UPSTREAM_UNAVAILABLE"),
            "an error with status 200",
        ),
        (
            whole(json, "{}"),
            failed(Code::Unavailable, "UPSTREAM_PROTOCOL"),
            "JSON",
        ),
        (
            whole("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n", ""),
            failed(Code::Unavailable, "UPSTREAM_PROTOCOL"),
            "a redirect, which is not followed",
        ),
        (
            whole(
                "HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\n",
                &"<p>".repeat(200_000),
            ),
            failed(Code::Unavailable, "UPSTREAM_UNAVAILABLE"),
            "an error page that is longer than is read",
        ),
        (
            vec![b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 100\r\n\r\n{\"err".to_vec()],
            failed(Code::ResourceExhausted, "UPSTREAM_RATE_LIMITED"),
            "an error whose body is cut",
        ),
        (
            vec![b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()],
            failed(Code::Unavailable, "UPSTREAM_UNAVAILABLE"),
            "not HTTP",
        ),
        (
            Vec::new(),
            failed(Code::Unavailable, "UPSTREAM_UNAVAILABLE"),
            "a connection that is closed",
        ),
    ] {
        let (desk, _served) = scripted(response).await;
        let reply = desk.reply(about("hello")).await;
        assert_eq!(reply.failure(), failure, "{why}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_events_keep_nothing_alive() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(&stream_of(HELLO).concat()).await.unwrap();
        while socket.write_all(b": still here\n\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let desk = Desk::asking(&base_url, &["--chunk-limit", "300ms"]).await;
    let reply = desk.reply(about("hello")).await;
    assert_eq!(reply.text(), "Hello");
    assert_eq!(reply.failure().1, "UPSTREAM_TIMED_OUT");
}

#[tokio::test]
async fn pieces_that_come_together_as_chunks_of_their_own_go_together() {
    let mut response =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for event in [[HELLO; 64].as_slice(), &[STOP, "data: [DONE]\n\n"]].concat() {
        response.push_str(&format!("{:x}\r\n{event}\r\n", event.len()));
    }
    response.push_str("0\r\n\r\n");
    let (desk, _served) = scripted(vec![response.into_bytes()]).await;
    let reply = desk.reply(about("hello")).await;
    assert!(reply.finished(), "{reply:?}");
    assert_eq!(reply.text(), "Hello".repeat(64));
    assert!(
        reply.deltas().len() <= 8,
        "{} deltas of 64 tokens that came at once",
        reply.deltas().len()
    );
}

#[tokio::test]
async fn answers_one_after_the_other_share_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let (ended, mut end) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.set_nodelay(true).unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            let ended = ended.clone();
            tokio::spawn(async move {
                while read_request(&mut socket).await.is_some() {
                    let body = format!("{HELLO}{STOP}data: [DONE]\n\n");
                    let head =
                        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
                    socket
                        .write_all(format!("{head}{:x}\r\n{body}\r\n", body.len()).as_bytes())
                        .await
                        .unwrap();
                    // The body's end comes a little after the stream's.
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    socket.write_all(b"0\r\n\r\n").await.unwrap();
                    ended.send(()).await.unwrap();
                }
            });
        }
    });
    let desk = Desk::asking(&base_url, &[]).await;
    for _ in 0..10 {
        assert!(desk.reply(about("hello")).await.finished());
        end.recv().await.unwrap();
        // The HTTP client takes a connection back in a task of its own, which a request sent in the same instant can
        // overtake; nothing shows when it has.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let connections = connections.load(Ordering::Relaxed);
    assert!(connections <= 3, "{connections} connections for 10 answers");
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_ends_at_its_limit() {
    // It accepts, and never says a word of TLS.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("https://{}", listener.local_addr().unwrap());
    let desk = Desk::asking(&base_url, &[&ONE_CALL[..], &["--connect-limit", "200ms"]].concat()).await;
    let began = Instant::now();
    let reply = desk.reply(about("hello")).await;
    assert_eq!(reply.failure(), (Code::Unavailable, "UPSTREAM_TIMED_OUT".to_owned()));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    drop(listener);
}
