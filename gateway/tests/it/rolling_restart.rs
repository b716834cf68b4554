//! Replicas are stopped and started again, one after the other, or killed, while clients go on calling through the gateway.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::client::Client;
use crate::replicas::Replicas;
use crate::system::{PATIENCE, until};

const READERS: usize = 6;
const WRITERS: usize = 3;
const ASKERS: usize = 3;
/// Calls that have to go well while a replica is away, and again when it is back.
const ENOUGH: usize = 300;
/// Answers that have ended before a replica that stops gives up what it writes (8 s), and one that has not.
const SHORT: &str = "[sim:slow ttft_ms=50 token_ms=20 tokens=40]";
const MEDIUM: &str = "[sim:slow ttft_ms=50 token_ms=50 tokens=80]";
const LONG: &str = "[sim:slow ttft_ms=50 token_ms=100 tokens=110]";

/// What the clients have done so far.
#[derive(Default)]
struct Tally {
    over: AtomicBool,
    calls: AtomicUsize,
    answers: AtomicUsize,
    interrupted: AtomicUsize,
    /// Whether replicas die, not only stop.
    deaths: AtomicBool,
}

impl Tally {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    async fn until_enough_calls(&self) {
        let calls = self.calls.load(Ordering::Relaxed);
        until("enough calls", async || {
            self.calls.load(Ordering::Relaxed) >= calls + ENOUGH
        })
        .await;
    }

    async fn until_enough(&self) {
        let so_far = || (self.calls.load(Ordering::Relaxed), self.answers.load(Ordering::Relaxed));
        let (calls, answers) = so_far();
        until("enough calls and answers", async || {
            let (calls_now, answers_now) = so_far();
            calls_now >= calls + ENOUGH && answers_now > answers
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_fails_no_call_and_loses_no_answer() {
    let mut replicas = Replicas::start().await;
    let tally = Arc::new(Tally::default());
    let mut clients = JoinSet::new();
    for number in 0..READERS + WRITERS + ASKERS {
        let client = Client::at(replicas.gateway.url("")).signed_up().await;
        let tally = tally.clone();
        clients.spawn(async move {
            while tally.goes_on() {
                if number < READERS {
                    read(&client, &tally).await;
                } else if number < READERS + WRITERS {
                    write(&client, &tally).await;
                } else {
                    ask(&client, SHORT, &tally).await;
                }
            }
        });
    }
    let patient = Client::at(replicas.gateway.url(""))
        .waiting(4 * PATIENCE)
        .signed_up()
        .await;
    let restarting = async {
        let mut long = JoinSet::new();
        for index in 0..2 {
            tally.until_enough().await;
            until("long answers at both replicas", async || {
                let (client, tally) = (patient.clone(), tally.clone());
                long.spawn(async move { ask(&client, LONG, &tally).await });
                replicas.begin_to_answer(&patient.email).await == 2
            })
            .await;
            replicas.stop(index).await;
            tally.until_enough().await;
            let calls = replicas.calls(index).await;
            replicas.start_again(index).await;
            tally.until_enough().await;
            until("calls to the new replica", async || {
                replicas.calls(index).await > calls + 20
            })
            .await;
        }
        while let Some(ended) = long.join_next().await {
            ended.unwrap();
        }
        tally.over.store(true, Ordering::Relaxed);
    };
    let all_ended = async {
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
    };
    // A client that fails ends the test at once.
    tokio::join!(restarting, all_ended);
    let interrupted = tally.interrupted.load(Ordering::Relaxed);
    assert!(
        interrupted >= 2,
        "{interrupted} answers were on their way at a replica that stopped"
    );
    println!(
        "{} calls, {} answers, {interrupted} of them taken up elsewhere",
        tally.calls.load(Ordering::Relaxed),
        tally.answers.load(Ordering::Relaxed)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_dies_fails_no_read_doubles_no_write_and_loses_no_answer() {
    let mut replicas = Replicas::start().await;
    let tally = Arc::new(Tally::default());
    tally.deaths.store(true, Ordering::Relaxed);
    let mut clients = JoinSet::new();
    for number in 0..READERS + WRITERS {
        let client = Client::at(replicas.gateway.url("")).signed_up().await;
        let tally = tally.clone();
        clients.spawn(async move {
            while tally.goes_on() {
                if number < READERS {
                    read(&client, &tally).await;
                } else {
                    write(&client, &tally).await;
                }
            }
        });
    }
    let patient = Client::at(replicas.gateway.url(""))
        .waiting(4 * PATIENCE)
        .signed_up()
        .await;
    let dying = async {
        tally.until_enough_calls().await;
        let mut answers = JoinSet::new();
        until("answers at both replicas", async || {
            let (client, tally) = (patient.clone(), tally.clone());
            answers.spawn(async move { ask(&client, MEDIUM, &tally).await });
            replicas.begin_to_answer(&patient.email).await == 2
        })
        .await;
        replicas.kill(0);
        tally.until_enough_calls().await;
        while let Some(ended) = answers.join_next().await {
            ended.unwrap();
        }
        replicas.start_again(0).await;
        tally.until_enough_calls().await;
        tally.over.store(true, Ordering::Relaxed);
    };
    let all_ended = async {
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
    };
    tokio::join!(dying, all_ended);
    assert!(tally.interrupted.load(Ordering::Relaxed) >= 1, "no answer broke off");
}

/// Reads for a while; each call goes well the first time.
async fn read(client: &Client, tally: &Tally) {
    let ticket = ticket(client, "It burns.", tally).await;
    for _ in 0..50 {
        let one = client.get(&format!("/v1/tickets/{ticket}")).await.ok();
        assert_eq!(one["ticket"]["id"], json!(ticket));
        let all = client.get("/v1/tickets").await.ok();
        assert_eq!(all["tickets"][0]["id"], json!(ticket));
        tally.calls.fetch_add(2, Ordering::Relaxed);
    }
}

/// Posts for a while; each message stands there once.
async fn write(client: &Client, tally: &Tally) {
    let ticket = ticket(client, "It burns.", tally).await;
    let messages = format!("/v1/tickets/{ticket}/messages");
    let mut written = Vec::new();
    for number in 0..30 {
        let body = format!("And again, {number}.");
        let said = post(client, &messages, json!({"body": body}), tally).await;
        assert_eq!(said["message"]["body"], json!(body));
        written.push(said["message"].clone());
        tally.calls.fetch_add(1, Ordering::Relaxed);
    }
    written.reverse();
    let kept = client.get(&format!("{messages}?page_size=100")).await.ok();
    assert_eq!(kept["messages"], json!(written));
}

/// Changes something once: goes well the first time, unless a replica dies over it.
async fn post(client: &Client, path: &str, mut body: Value, tally: &Tally) -> Value {
    body["request_id"] = json!(Uuid::new_v4());
    loop {
        let said = client.post(path, &body).await;
        if said.status != 503 || !tally.deaths.load(Ordering::Relaxed) {
            return said.ok();
        }
    }
}

async fn ticket(client: &Client, description: &str, tally: &Tally) -> String {
    let new = json!({"title": "The printer is on fire", "description": description});
    let made = post(client, "/v1/tickets", new, tally).await;
    made["ticket"]["id"].as_str().unwrap().to_owned()
}

/// Asks for an answer, and has it whole.
async fn ask(client: &Client, how: &str, tally: &Tally) {
    let ticket = ticket(client, &format!("Why does it burn? {how}"), tally).await;
    let path = format!("/v1/tickets/{ticket}/replies:stream");
    let ask = json!({"request_id": Uuid::new_v4()});
    let mut stream = loop {
        match client.open(Method::POST, &path, &ask).await {
            Some(stream) => break stream,
            None => assert!(tally.deaths.load(Ordering::Relaxed), "it goes well the first time"),
        }
    };
    let (mut started, mut text) = (Value::Null, String::new());
    let message = loop {
        let event = match stream.next_of_a_stream_that_may_break().await {
            Ok(Some(event)) => event,
            broken => {
                // A server that stops says so first.
                assert!(tally.deaths.load(Ordering::Relaxed), "{broken:?}");
                json!({"interrupted": {"reason": "SERVER_STOPPING"}})
            }
        };
        if let Some(begun) = event.get("started") {
            if begun["attempt"] != started["attempt"] {
                text.clear();
            }
            started = begun.clone();
        } else if let Some(restarted) = event.get("restarted") {
            started["attempt"] = restarted["attempt"].clone();
            text.clear();
        } else if let Some(delta) = event.get("delta") {
            assert_eq!(delta["offset"], json!(text.len().to_string()), "{event}");
            text.push_str(delta["text"].as_str().unwrap());
        } else if let Some(interrupted) = event.get("interrupted") {
            assert_eq!(interrupted["reason"], "SERVER_STOPPING", "{event}");
            tally.interrupted.fetch_add(1, Ordering::Relaxed);
            let attach = format!(
                "/v1/replies/{}:attach?attempt={}&after_offset={}",
                started["reply_id"].as_str().unwrap(),
                started["attempt"],
                text.len()
            );
            stream = client.stream(Method::GET, &attach).await;
        } else {
            break event["completed"]["message"].clone();
        }
    };
    assert_eq!(message["body"], json!(text));
    let posted = client.get(&format!("/v1/tickets/{ticket}/messages")).await.ok();
    assert_eq!(posted["messages"], json!([message]), "it stands there once");
    tally.answers.fetch_add(1, Ordering::Relaxed);
}
