//! What assistant-service adds to the provider's stream: time to the first token, and how many streams a second.

use std::net::SocketAddr;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use deskhand_proto::assistant::v1::assistant_service_client::AssistantServiceClient;
use deskhand_proto::assistant::v1::stream_reply_response::Event;
use deskhand_proto::assistant::v1::{Conversation, StreamReplyRequest};
use local_postgres::process::{OnParentDeath, spawn_tied};
use serde_json::Value;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::desk::{beside_this_program, resident_kib};
use crate::relay;
use crate::table::{Table, milliseconds, quantile};

pub(crate) const CALLERS: usize = 16;
pub(crate) const ROUNDS: u32 = 3;
/// 64 pieces of text, as fast as they can be sent.
pub(crate) const SCENARIO: &str = "[sim:ok tokens=64 reasoning=0 ttft_ms=0 token_ms=0]";
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A child, killed when dropped.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn start(program: &str, arguments: &[&str], variables: &[(&str, String)]) -> anyhow::Result<Process> {
    let mut command = Command::new(beside_this_program(program)?);
    command.args(arguments).env_clear().env("RUST_LOG", "warn");
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    Ok(Process(spawn_tied(command, OnParentDeath::Kill)?))
}

/// An address that was free a moment ago.
pub(crate) fn free() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Channel> {
    let began = Instant::now();
    loop {
        match Channel::from_shared(format!("http://{address}"))?.connect().await {
            Ok(channel) => return Ok(channel),
            Err(error) => ensure!(began.elapsed() < READY_WITHIN, "{address}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An assistant-service and the simulator that it asks, as processes.
pub(crate) struct Provider {
    _sim: Process,
    pub(crate) upstream: String,
    assistant: Process,
    pub(crate) address: SocketAddr,
}

impl Provider {
    /// Starts both, with further variables of assistant-service.
    pub(crate) async fn start(further: &[(&str, String)]) -> anyhow::Result<Self> {
        let (sim, address) = (free()?, free()?);
        let upstream = format!("http://{sim}");
        let endless = ["GROQ_SIM_LIMIT_TOKENS", "GROQ_SIM_LIMIT_REQUESTS"].map(|name| (name, "1000000000".to_owned()));
        let listen = [("GROQ_SIM_ADDR", sim.to_string())];
        let _sim = start("groq-sim", &[], &[&listen[..], &endless[..]].concat())?;
        let variables = [
            ("ASSISTANT_SERVICE_ADDR", address.to_string()),
            ("GROQ_BASE_URL", upstream.clone()),
            ("GROQ_API_KEY", "gsk_bench".to_owned()),
        ];
        let assistant = start("assistant-service", &[], &[&variables[..], further].concat())?;
        connect(sim).await?;
        Ok(Self {
            _sim,
            upstream,
            assistant,
            address,
        })
    }

    /// Where assistant-service is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A connection to assistant-service.
    pub(crate) async fn connect(&self) -> anyhow::Result<Channel> {
        connect(self.address).await
    }

    /// Memory that assistant-service has in use, in KiB.
    pub(crate) fn resident_kib(&self) -> anyhow::Result<u64> {
        Ok(resident_kib(self.assistant.0.id())?.0)
    }
}

pub(crate) async fn run(time: Duration) -> anyhow::Result<Table> {
    let provider = Provider::start(&[]).await?;
    let (bare, upstream) = (free()?, provider.upstream.clone());
    let ours = provider.connect().await?;
    let http = reqwest::Client::new();
    let body = body_sent(&http, &upstream, &ours).await?;
    let relay_variables = [
        (relay::LISTEN, bare.to_string()),
        (relay::UPSTREAM, upstream.clone()),
        (relay::BODY, body.clone()),
    ];
    let _relay = start("bench", &["assistant"], &relay_variables)?;
    let bare = connect(bare).await?;

    let mut direct = Vec::new();
    let mut through = Vec::new();
    let mut through_relay = Vec::new();
    let (mut rate, mut yardstick) = (0.0, 0.0);
    let mut client = AssistantServiceClient::new(ours.clone());
    let mut relay = AssistantServiceClient::new(bare.clone());
    for _ in 0..ROUNDS {
        let part = time / ROUNDS;
        let began = Instant::now();
        while began.elapsed() < part {
            direct.push(first_token_direct(&http, &upstream, &body).await?);
            through.push(first_delta(&mut client, |_| true).await?);
            through_relay.push(first_delta(&mut relay, |text| has_text(text.as_bytes())).await?);
        }
        yardstick += streams_a_second(&bare, part).await? / f64::from(ROUNDS);
        rate += streams_a_second(&ours, part).await? / f64::from(ROUNDS);
    }
    let mut table = Table::default();
    for (name, thousandths) in [("p50", 500), ("p99", 990)] {
        let [direct, through, relay] =
            [&mut direct, &mut through, &mut through_relay].map(|times| quantile(times, thousandths));
        table.row(
            &format!("first token, straight from the simulator, {name}"),
            milliseconds(direct),
            None,
        );
        table.row(
            &format!("first token, through the bare relay, {name}"),
            milliseconds(relay),
            None,
        );
        let ratio = through.as_secs_f64() / direct.as_secs_f64();
        table.row(
            &format!("first token, through assistant-service, {name}"),
            milliseconds(through),
            Some((ratio, "straight")),
        );
        let added = through.saturating_sub(direct);
        let least = relay.saturating_sub(direct);
        let of_relay = Some((added.as_secs_f64() / least.as_secs_f64(), "what the bare relay adds"));
        table.row(&format!("  added, {name}"), milliseconds(added), of_relay);
    }
    table.row(
        &format!("bare relay, {CALLERS} callers"),
        format!("{yardstick:.0} streams/s"),
        None,
    );
    table.row(
        &format!("assistant-service, {CALLERS} callers"),
        format!("{rate:.0} streams/s"),
        Some((rate / yardstick, "the bare relay")),
    );
    Ok(table)
}

/// A question that says what the simulator is to do.
pub(crate) fn question(scenario: &str) -> StreamReplyRequest {
    StreamReplyRequest {
        conversation: Some(Conversation {
            title: "Printer".to_owned(),
            description: format!("It is on fire. {scenario}"),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(crate) async fn first_delta(
    client: &mut AssistantServiceClient<Channel>,
    counts: impl Fn(&str) -> bool,
) -> anyhow::Result<Duration> {
    let asked = Instant::now();
    let mut stream = client.stream_reply(question(SCENARIO)).await?.into_inner();
    let mut first = None;
    while let Some(message) = stream.message().await? {
        if matches!(message.event, Some(Event::Delta(delta)) if first.is_none() && counts(&delta.text)) {
            first = Some(asked.elapsed());
        }
    }
    first.context("an answer without text")
}

async fn first_token_direct(http: &reqwest::Client, upstream: &str, body: &str) -> anyhow::Result<Duration> {
    let asked = Instant::now();
    let mut response = relay::ask(http, upstream, body).await?;
    let mut first = None;
    while let Some(bytes) = response.chunk().await? {
        if first.is_none() && has_text(&bytes) {
            first = Some(asked.elapsed());
        }
    }
    first.context("an answer without text")
}

/// Whether some of the provider's bytes hold text of an answer.
fn has_text(bytes: &[u8]) -> bool {
    let text: &[u8] = b"\"content\":\"";
    bytes
        .windows(text.len() + 1)
        .any(|part| part.starts_with(text) && part[text.len()] != b'"')
}

/// Whole streams a second, of callers that ask without pause.
pub(crate) async fn streams_a_second(channel: &Channel, time: Duration) -> anyhow::Result<f64> {
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let mut client = AssistantServiceClient::new(channel.clone());
        let (stop, count) = (stop.clone(), count.clone());
        callers.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let mut stream = client.stream_reply(question(SCENARIO)).await?.into_inner();
                let mut messages = 0;
                while stream.message().await?.is_some() {
                    messages += 1;
                }
                if messages == 0 {
                    bail!("a stream without a message");
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    // Until the first ones are through, it has not begun.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (began, before) = (Instant::now(), count.load(Ordering::Relaxed));
    tokio::time::sleep(time).await;
    let rate = (count.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(rate)
}

/// What assistant-service sends to the provider for the question, so that everybody sends the same.
pub(crate) async fn body_sent(http: &reqwest::Client, upstream: &str, ours: &Channel) -> anyhow::Result<String> {
    first_delta(&mut AssistantServiceClient::new(ours.clone()), |_| true).await?;
    let answer = http.get(format!("{upstream}/_sim/requests")).send().await?;
    let told: Value = serde_json::from_slice(&answer.error_for_status()?.bytes().await?)?;
    let newest = told["requests"].as_array().and_then(|requests| requests.last());
    Ok(newest.context("the simulator was not asked")?["body"].to_string())
}
