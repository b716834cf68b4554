//! What the gateway costs: the same calls straight to ticket-service, and through Envoy as gRPC and as JSON.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use deskhand_proto::replies::v1::StreamReplyRequest;
use deskhand_proto::replies::v1::reply_service_client::ReplyServiceClient;
use deskhand_proto::tickets::v1::ticket_service_client::TicketServiceClient;
use deskhand_proto::tickets::v1::{CreateTicketRequest, GetTicketRequest};
use local_postgres::process::{OnParentDeath, spawn_tied};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tonic::Request;
use tonic::transport::Channel;

use crate::assistant::{Process, Provider, free};
use crate::desk::{Desk, PASSWORD, beside_this_program, log_in};
use crate::table::Table;

const CALLERS: usize = 16;
const ROUNDS: u32 = 3;
/// Replies in each part of a round: each is asked for once.
const REPLIES: usize = 160;
const PIECES: &str = "[sim:ok tokens=64 reasoning=0 ttft_ms=0 token_ms=0]";
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Envoy before a desk.
struct Gateway {
    _process: Process,
    _files: TempDir,
    url: String,
}

impl Gateway {
    async fn before(desk: &Desk, ops: String) -> anyhow::Result<Self> {
        let (files, listen) = (tempfile::tempdir()?, free()?);
        let mut command = Command::new(beside_this_program("gateway")?);
        command
            .arg("run")
            .env("GATEWAY_ADDR", listen.to_string())
            .env("GATEWAY_DIR", files.path())
            .env("TICKET_SERVICE_UPSTREAM", desk.address().to_string())
            .env("TICKET_OPS_UPSTREAM", ops)
            .env("GATEWAY_REQUESTS_PER_SECOND", "0")
            .env("GATEWAY_COSTLY_REQUESTS_PER_SECOND", "0")
            .stdout(Stdio::null());
        let process = Process(spawn_tied(command, OnParentDeath::Kill)?);
        let url = format!("http://{listen}");
        let began = Instant::now();
        while reqwest::get(format!("{url}/livez")).await.is_err() {
            ensure!(
                began.elapsed() < READY_WITHIN,
                "the gateway does not answer (ENVOY_BIN?)"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self {
            _process: process,
            _files: files,
            url,
        })
    }
}

/// One way to the desk.
#[derive(Clone)]
enum Way {
    Grpc(Channel),
    Json(reqwest::Client, String),
}

impl Way {
    async fn get(&self, token: &str, ticket: &str) -> anyhow::Result<()> {
        match self {
            Self::Grpc(channel) => {
                let ticket_id = ticket.to_owned();
                let request = with_token(GetTicketRequest { ticket_id }, token)?;
                TicketServiceClient::new(channel.clone()).get_ticket(request).await?;
            }
            Self::Json(client, url) => {
                let request = client.get(format!("{url}/v1/tickets/{ticket}")).bearer_auth(token);
                request.send().await?.error_for_status()?.bytes().await?;
            }
        }
        Ok(())
    }

    async fn reply(&self, token: &str, ticket: &str) -> anyhow::Result<()> {
        match self {
            Self::Grpc(channel) => {
                let asked = StreamReplyRequest {
                    ticket_id: ticket.to_owned(),
                    ..Default::default()
                };
                let mut client = ReplyServiceClient::new(channel.clone());
                let mut stream = client.stream_reply(with_token(asked, token)?).await?.into_inner();
                let mut last = None;
                while let Some(event) = stream.message().await? {
                    last = event.event.and_then(|event| event.event);
                }
                ensure!(
                    matches!(
                        last,
                        Some(deskhand_proto::replies::v1::reply_event::Event::Completed(_))
                    ),
                    "a reply ended otherwise: {last:?}"
                );
            }
            Self::Json(client, url) => {
                let request = client.post(format!("{url}/v1/tickets/{ticket}/replies:stream"));
                let mut response = request.bearer_auth(token).send().await?.error_for_status()?;
                let mut last = Vec::new();
                while let Some(chunk) = response.chunk().await? {
                    last = chunk.to_vec();
                }
                let has_end = last.windows(11).any(|part| part == b"\"completed\"");
                ensure!(has_end, "a reply ended otherwise: {}", String::from_utf8_lossy(&last));
            }
        }
        Ok(())
    }
}

pub(crate) async fn run(time: Duration) -> anyhow::Result<Table> {
    let provider = Provider::start(&[]).await?;
    let ops = free()?.to_string();
    // One caller asks for them all.
    let endless = ["CUSTOMER_ASKS_PER_HOUR", "USER_TOKENS_PER_DAY", "DESK_TOKENS_PER_DAY"];
    let mut variables: Vec<_> = endless.map(|name| (name, "0".to_owned())).into();
    variables.extend([("ASSISTANT_URL", provider.url()), ("TICKET_OPS_ADDR", ops.clone())]);
    let desk = Desk::with(variables).await?;
    let gateway = Gateway::before(&desk, ops).await?;
    let token = log_in(&mut desk.client().await?, "first@example.com".to_owned(), PASSWORD)
        .await?
        .access_token;
    let mut tickets = TicketServiceClient::new(desk.channel().await?);

    let through = Channel::from_shared(gateway.url.clone())?.connect().await?;
    let ways = [
        ("gRPC, straight", Way::Grpc(desk.channel().await?)),
        ("gRPC, through Envoy", Way::Grpc(through)),
        (
            "JSON, through Envoy",
            Way::Json(reqwest::Client::new(), gateway.url.clone()),
        ),
    ];
    let ticket = create(&mut tickets, &token).await?;
    let (mut gets, mut replies) = ([0.0; 3], [0.0; 3]);
    for _ in 0..ROUNDS {
        for ((_, way), rate) in ways.iter().zip(&mut gets) {
            *rate += gets_a_second(way, &token, &ticket, time / ROUNDS).await? / f64::from(ROUNDS);
        }
        for ((_, way), rate) in ways.iter().zip(&mut replies) {
            let mut asked = Vec::new();
            for _ in 0..REPLIES {
                asked.push(create(&mut tickets, &token).await?);
            }
            *rate += replies_a_second(way, &token, asked).await? / f64::from(ROUNDS);
        }
    }
    let mut table = Table::default();
    for (what, rates) in [("GetTicket", gets), ("reply of 64 pieces", replies)] {
        for ((name, _), rate) in ways.iter().zip(rates) {
            let ratio = (rate != rates[0]).then_some((rate / rates[0], "straight"));
            table.row(&format!("{what}, {name}"), format!("{rate:.0} /s"), ratio);
        }
    }
    Ok(table)
}

/// Of callers that ask without pause.
async fn gets_a_second(way: &Way, token: &str, ticket: &str, time: Duration) -> anyhow::Result<f64> {
    let count = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    let began = Instant::now();
    for _ in 0..CALLERS {
        let (way, token, ticket, count) = (way.clone(), token.to_owned(), ticket.to_owned(), count.clone());
        callers.spawn(async move {
            while began.elapsed() < time {
                way.get(&token, &ticket).await?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    Ok(count.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}

/// Of callers that ask for a reply to each of these tickets.
async fn replies_a_second(way: &Way, token: &str, tickets: Vec<String>) -> anyhow::Result<f64> {
    let (count, tickets) = (tickets.len() as f64, Arc::new(Mutex::new(tickets)));
    let mut callers = JoinSet::new();
    let began = Instant::now();
    for _ in 0..CALLERS {
        let (way, token, tickets) = (way.clone(), token.to_owned(), tickets.clone());
        let next = move || tickets.lock().ok()?.pop();
        callers.spawn(async move {
            while let Some(ticket) = next() {
                way.reply(&token, &ticket).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    Ok(count / began.elapsed().as_secs_f64())
}

async fn create(tickets: &mut TicketServiceClient<Channel>, token: &str) -> anyhow::Result<String> {
    let new = CreateTicketRequest {
        title: "Printer".into(),
        description: format!("It is on fire. {PIECES}"),
        ..Default::default()
    };
    let made = tickets.create_ticket(with_token(new, token)?).await?.into_inner();
    Ok(made.ticket.context("an answer without a ticket")?.id)
}

fn with_token<T>(message: T, token: &str) -> anyhow::Result<Request<T>> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("authorization", format!("Bearer {token}").parse()?);
    Ok(request)
}
