//! A client for requests and streams, and one that sees the bytes.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use groq_sim::{Running, Settings};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const LIMIT: Duration = Duration::from_secs(10);
pub(crate) const MODEL: &str = "openai/gpt-oss-20b";

pub(crate) async fn instant() -> Running {
    groq_sim::start(Settings::instant()).await.unwrap()
}

/// A request whose last user message is `text`.
pub(crate) fn ask(text: &str) -> Value {
    json!({"model": MODEL, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]})
}

pub(crate) fn streamed(text: &str) -> Value {
    with(ask(text), json!({"stream": true}))
}

pub(crate) fn with(mut request: Value, more: Value) -> Value {
    request
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    request
}

pub(crate) async fn send(sim: &Running, body: &Value) -> reqwest::Response {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client
        .post(format!("{}/openai/v1/chat/completions", sim.base_url()))
        .bearer_auth("key")
        .json(body);
    request.send().await.unwrap()
}

/// Status, headers and JSON of a response.
pub(crate) async fn send_json(sim: &Running, body: &Value) -> (u16, reqwest::header::HeaderMap, Value) {
    let response = send(sim, body).await;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, response.json().await.unwrap())
}

/// The body of a stream that ends.
pub(crate) async fn send_text(sim: &Running, body: &Value) -> String {
    let response = send(sim, body).await;
    assert_eq!(response.status(), 200);
    response.text().await.unwrap()
}

/// The data of each event of a plainly framed stream; `[DONE]` stands as a string.
pub(crate) fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| json!(data)))
        .collect()
}

pub(crate) fn contents(events: &[Value]) -> Vec<&str> {
    let deltas = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
    deltas.filter(|text| !text.is_empty()).collect()
}

pub(crate) fn reasoning(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["reasoning"].as_str())
        .collect()
}

pub(crate) fn finish_reason(events: &[Value]) -> Option<&str> {
    events
        .iter()
        .find_map(|event| event["choices"][0]["finish_reason"].as_str())
}

pub(crate) fn is_done(events: &[Value]) -> bool {
    events.last() == Some(&json!("[DONE]"))
}

/// How the bytes of a response ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As HTTP wants it.
    Whole,
    /// An orderly close in the middle.
    Closed,
    Reset,
    /// Nothing more came although the connection was open.
    Silence,
}

/// A response as it came over the wire.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) head: String,
    /// The chunks of the chunked encoding.
    pub(crate) frames: Vec<Vec<u8>>,
    pub(crate) end: End,
}

impl Raw {
    pub(crate) fn body(&self) -> Vec<u8> {
        self.frames.concat()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body()).unwrap()
    }
}

pub(crate) async fn open(addr: SocketAddr, body: &Value) -> TcpStream {
    let body = body.to_string();
    let head = format!(
        "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer k\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    stream
}

/// Reads until the response ends, or until nothing came for `patience`.
pub(crate) async fn read_raw(mut stream: TcpStream, patience: Duration) -> Raw {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let end = match tokio::time::timeout(patience, stream.read(&mut buffer)).await {
            Err(_) => End::Silence,
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionReset => End::Reset,
            Ok(Err(error)) => panic!("{error}"),
            Ok(Ok(0)) => End::Closed,
            Ok(Ok(count)) => {
                bytes.extend_from_slice(&buffer[..count]);
                if !bytes.ends_with(b"0\r\n\r\n") {
                    continue;
                }
                End::Whole
            }
        };
        let split = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .map(|at| at + 4);
        let (head, body) = bytes.split_at(split.unwrap_or(0));
        return Raw {
            head: String::from_utf8_lossy(head).into_owned(),
            frames: dechunk(body),
            end,
        };
    }
}

fn dechunk(mut body: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Some(line) = body.windows(2).position(|window| window == b"\r\n") {
        let Ok(size) = usize::from_str_radix(std::str::from_utf8(&body[..line]).unwrap(), 16) else {
            break;
        };
        let start = line + 2;
        if size == 0 || body.len() < start + size + 2 {
            break;
        }
        frames.push(body[start..start + size].to_vec());
        body = &body[start + size + 2..];
    }
    frames
}

pub(crate) async fn raw(sim: &Running, body: &Value) -> Raw {
    read_raw(open(sim.addr, body).await, LIMIT).await
}
