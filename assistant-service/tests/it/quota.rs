//! More is asked than the provider's limits allow: the service holds back what would be refused.
//!
//! The provider here counts as the real one does: a call's prompt and the most that it may write are taken when it comes,
//! and what it did not use is given back; all comes back evenly.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use assistant_service::groq::engine::{Ask, Engine, Message};
use assistant_service::groq::failure::{Kind, Window};
use assistant_service::settings::Cli;
use clap::Parser as _;
use futures_util::future::join_all;
use service_kit::deadline::Deadline;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, interval, sleep};

use crate::harness::PATIENCE;

/// 1,000 a second.
const TOKENS_A_MINUTE: f64 = 60_000.0;
const PROMPT: u32 = 200;
const ANSWER: u32 = 300;
/// What a call really takes.
const USED: f64 = 250.0;

struct Books {
    left: f64,
    at: Instant,
    calls: usize,
    refused: usize,
}

impl Books {
    fn take(&mut self, tokens: f64) -> bool {
        let passed = self.at.elapsed().as_secs_f64();
        self.at = Instant::now();
        self.left = (self.left + passed * TOKENS_A_MINUTE / 60.0).min(TOKENS_A_MINUTE);
        let fits = self.left >= tokens;
        if fits {
            self.left -= tokens;
        }
        fits
    }
}

/// A provider of whose minute `left` tokens are left.
async fn provider(left: f64) -> (String, Arc<Mutex<Books>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let books = Arc::new(Mutex::new(Books {
        left,
        at: Instant::now(),
        calls: 0,
        refused: 0,
    }));
    let kept = Arc::clone(&books);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(answer(socket, Arc::clone(&kept)));
        }
    });
    (base_url, books)
}

async fn answer(mut socket: TcpStream, books: Arc<Mutex<Books>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        let mut piece = [0; 4096];
        match socket.read(&mut piece).await {
            Ok(read) if read > 0 => request.extend_from_slice(&piece[..read]),
            _ => return,
        }
    }
    let (fits, left) = {
        let mut books = books.lock().unwrap();
        books.calls += 1;
        let fits = books.take(f64::from(PROMPT + ANSWER));
        books.refused += usize::from(!fits);
        (fits, books.left as u64)
    };
    let limits = format!(
        "x-ratelimit-limit-tokens: {TOKENS_A_MINUTE}\r\nx-ratelimit-remaining-tokens: {left}\r\nconnection: close\r\n"
    );
    if !fits {
        let body = r#"{"error":{"message":"Rate limit reached on tokens per minute (TPM). Please try again in 1s.","code":"rate_limit_exceeded"}}"#;
        let head = format!("HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\n{limits}\r\n");
        let _ = socket.write_all(format!("{head}{body}").as_bytes()).await;
        return;
    }
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{limits}\r\n");
    let _ = socket.write_all(head.as_bytes()).await;
    sleep(Duration::from_millis(60)).await;
    books.lock().unwrap().left += f64::from(PROMPT + ANSWER) - USED;
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\
        \"usage\":{\"prompt_tokens\":150,\"completion_tokens\":100}}\n\ndata: [DONE]\n\n";
    let _ = socket.write_all(body.as_bytes()).await;
}

fn engine(base_url: &str, share: &str) -> Engine {
    // A model without reasoning: what it reserves is what is said here.
    let model = "qwen/qwen3.8-27b";
    let base = ["assistant-service", "--groq-base-url", base_url, "--groq-model", model];
    let flags = [
        "--groq-fallback-model",
        "",
        "--quota-share",
        share,
        "--groq-retries",
        "0",
    ];
    Engine::new(&Cli::try_parse_from([&base[..], &flags].concat()).unwrap().settings).unwrap()
}

fn ask() -> Ask {
    Ask {
        messages: vec![Message {
            role: "user",
            content: "hello".to_owned(),
        }],
        answer_tokens: ANSWER,
        estimated_prompt_tokens: PROMPT,
        deadline: Some(Deadline(Instant::now() + Duration::from_secs(2))),
        ..Ask::default()
    }
}

#[tokio::test]
async fn at_twice_what_the_provider_allows_hardly_a_call_is_refused_there() {
    for shares in [&["1"][..], &["0.5", "0.5"]] {
        let (base_url, books) = provider(3_000.0).await;
        let engines: Vec<_> = shares.iter().map(|share| engine(&base_url, share)).collect();
        // What the limits are is learned from a first answer.
        for engine in &engines {
            engine.complete(&ask()).await.unwrap();
        }
        // 4 calls a second go through; 8 are asked, for 8 s.
        let mut clock = interval(Duration::from_millis(125));
        let mut asked = Vec::new();
        let began = Instant::now();
        for at in 0..64 {
            clock.tick().await;
            let engine = engines[at % engines.len()].clone();
            asked.push(tokio::spawn(async move { engine.complete(&ask()).await }));
        }
        let results = join_all(asked).await;
        let took = began.elapsed().as_secs_f64();
        let (mut answered, mut held_back) = (0_usize, 0_usize);
        for result in results {
            match result.unwrap() {
                Ok(_) => answered += 1,
                Err(failed) => {
                    assert_eq!(failed.failure.kind, Kind::RateLimited(Window::Minute));
                    assert!(failed.failure.retry_after.unwrap() > Duration::ZERO);
                    held_back += usize::from(failed.calls.is_empty());
                }
            }
        }
        let (calls, refused) = {
            let books = books.lock().unwrap();
            (books.calls, books.refused)
        };
        println!(
            "{} replicas: 64 asked in {took:.1} s, {answered} answered, {held_back} held back, {refused} of {calls} refused",
            shares.len()
        );
        assert!(100 * refused <= calls, "{refused} of {calls} calls were refused");
        assert!(answered + held_back >= 63);
        // What is there is used: what comes back while they ask, and what was left.
        assert!(answered as f64 * USED >= 0.8 * took.min(8.0) * TOKENS_A_MINUTE / 60.0);
    }
}

#[tokio::test]
async fn what_is_held_back_is_told_so_honestly() {
    let (base_url, books) = provider(500.0).await;
    let engine = engine(&base_url, "1");
    engine.complete(&ask()).await.unwrap();
    let soon = || Ask {
        deadline: Some(Deadline(Instant::now() + Duration::from_millis(50))),
        ..ask()
    };
    let failed = engine.complete(&soon()).await.unwrap_err();
    let wait = failed.failure.retry_after.unwrap();
    assert!(failed.calls.is_empty());
    assert!(wait > Duration::from_millis(50) && wait < PATIENCE, "{wait:?}");
    sleep(wait).await;
    engine
        .complete(&soon())
        .await
        .map(drop)
        .or_else(|failed| match failed.failure.kind {
            // The machine was busy; but it was sent.
            Kind::TimedOut(_) if !failed.calls.is_empty() => Ok(()),
            _ => Err(failed),
        })
        .unwrap();
    assert_eq!(books.lock().unwrap().refused, 0);
}
