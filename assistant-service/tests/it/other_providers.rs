//! Providers that are not Groq: what a model gets that nothing is known of.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use assistant_service::groq::engine::{Ask, Engine, Message, Schema, Tool};
use assistant_service::settings::Cli;
use clap::Parser as _;

/// Answers each request with `body`, and gives back what it was sent.
async fn provider(content_type: &'static str, body: &'static str) -> (String, tokio::sync::mpsc::Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let (sent, received) = tokio::sync::mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = Vec::new();
            let json = loop {
                let mut piece = [0; 4096];
                let read = socket.read(&mut piece).await.unwrap();
                request.extend_from_slice(&piece[..read]);
                let text = String::from_utf8_lossy(&request);
                let body = text.split_once("\r\n\r\n").map(|(_, body)| serde_json::from_str(body));
                if let Some(Ok(json)) = body {
                    break json;
                }
            };
            sent.send(json).await.unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n");
            socket.write_all(head.as_bytes()).await.unwrap();
            socket.write_all(body.as_bytes()).await.unwrap();
        }
    });
    (base_url, received)
}

fn engine(base_url: &str, model: &str) -> Engine {
    let arguments = ["assistant-service", "--groq-base-url", base_url, "--groq-model", model];
    Engine::new(&Cli::try_parse_from(arguments).unwrap().settings).unwrap()
}

fn ask() -> Ask {
    Ask {
        messages: vec![Message {
            role: "user",
            content: "Answer in JSON.".to_owned(),
        }],
        answer_tokens: 100,
        estimated_prompt_tokens: 10,
        tools: Some(
            [Tool {
                name: "hand_off".to_owned(),
                description: "d".to_owned(),
                parameters: json!({"type": "object"}),
            }]
            .into(),
        ),
        ..Ask::default()
    }
}

const STREAM: &str = "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hi\"}}]}\n\n\
    data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
const WHOLE: &str = "{\"id\":\"x\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\
    \"content\":\"{}\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,\"finish_reason\":\"stop\"}],\
    \"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1,\"total_tokens\":6}}";

#[tokio::test]
async fn an_unknown_model_gets_only_what_all_servers_take() {
    let (base_url, mut received) = provider("text/event-stream; charset=utf-8", STREAM).await;
    let completed = engine(&base_url, "some/model").complete(&ask()).await.unwrap();
    assert_eq!(completed.text, "Hi");
    assert_eq!(
        received.recv().await.unwrap(),
        json!({
            "model": "some/model",
            "messages": [{"role": "user", "content": "Answer in JSON."}],
            "max_completion_tokens": 2_148,
            "stream": true,
        })
    );
}

#[tokio::test]
async fn where_json_is_asked_for_it_gets_json_mode_and_answers_in_one_piece() {
    let (base_url, mut received) = provider("application/json", WHOLE).await;
    let ask = Ask {
        schema: Some(
            Schema {
                name: "s".to_owned(),
                schema: json!({"type": "object"}),
            }
            .into(),
        ),
        ..ask()
    };
    let completed = engine(&base_url, "some/model").complete(&ask).await.unwrap();
    assert_eq!(completed.text, "{}");
    assert_eq!(completed.calls[0].ended.usage.input, 5);
    assert_eq!(
        received.recv().await.unwrap(),
        json!({
            "model": "some/model",
            "messages": [{"role": "user", "content": "Answer in JSON."}],
            "max_completion_tokens": 2_148,
            "response_format": {"type": "json_object"},
            "stream": false,
        })
    );
}

#[tokio::test]
async fn a_model_that_is_known_gets_what_it_takes() {
    let (base_url, mut received) = provider("text/event-stream", STREAM).await;
    engine(&base_url, "openai/gpt-oss-20b").complete(&ask()).await.unwrap();
    let sent = received.recv().await.unwrap();
    assert_eq!(sent["reasoning_effort"], "low");
    assert_eq!(sent["stream_options"], json!({"include_usage": true}));
    assert_eq!(
        sent["tools"],
        json!([{"type": "function", "function": {"name": "hand_off", "description": "d", "parameters": {"type": "object"}}}])
    );
}
