//! How long after a change its event is with those who watch: here, on another replica, and among two thousand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use deskhand_proto::feed::v1::feed_service_client::FeedServiceClient;
use deskhand_proto::feed::v1::{WatchTicketsRequest, WatchTicketsResponse};
use deskhand_proto::tickets::v1::CreateTicketRequest;
use deskhand_proto::tickets::v1::ticket_service_client::TicketServiceClient;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Request, Streaming};

use crate::desk::{Desk, PASSWORD, log_in};
use crate::table::{Table, milliseconds, quantile};

const WATCHERS: usize = 2000;
/// Streams that share a connection.
const PER_CONNECTION: usize = 100;
const ROUNDS_AMONG_MANY: usize = 10;

pub(crate) async fn run(time: Duration) -> anyhow::Result<Table> {
    let desk = Desk::open().await?;
    let other = desk.replica().await?;
    desk.execute("UPDATE users SET role = 'AGENT' WHERE email = 'first@example.com'")?;
    let token = log_in(&mut desk.client().await?, "first@example.com".to_owned(), PASSWORD)
        .await?
        .access_token;
    let mut tickets = TicketServiceClient::new(desk.channel().await?);

    let mut table = Table::default();
    let mut yardstick = Duration::ZERO;
    for (name, channel) in [
        ("watching here", desk.channel().await?),
        ("watching another replica", other.channel().await?),
    ] {
        let mut events = watch(channel, &token).await?;
        let (mut creating, mut waiting) = (Vec::new(), Vec::new());
        let began = Instant::now();
        while began.elapsed() < time / 2 {
            let asked = Instant::now();
            create(&mut tickets, &token).await?;
            creating.push(asked.elapsed());
            event(&mut events).await?;
            waiting.push(asked.elapsed());
            // Not in step with whatever looks every so often.
            tokio::time::sleep(Duration::from_millis(waiting.len() as u64 % 90)).await;
        }
        if yardstick.is_zero() {
            yardstick = quantile(&mut creating, 500);
            table.row("CreateTicket, answered, p50", milliseconds(yardstick), None);
        }
        for (quantile_name, thousandths) in [("p50", 500), ("p99", 990)] {
            let waited = quantile(&mut waiting, thousandths);
            let ratio = Some((waited.as_secs_f64() / yardstick.as_secs_f64(), "CreateTicket's p50"));
            table.row(
                &format!("its event, {name}, {quantile_name}"),
                milliseconds(waited),
                ratio,
            );
        }
    }

    let (resident, _) = desk.resident_kib()?;
    let (mut first, mut last) = among_many(&desk, &mut tickets, &token).await?;
    let (with_watchers, _) = desk.resident_kib()?;
    for (name, times) in [("the first", &mut first), ("the last", &mut last)] {
        let waited = quantile(times, 500);
        let ratio = Some((waited.as_secs_f64() / yardstick.as_secs_f64(), "CreateTicket's p50"));
        table.row(
            &format!("its event, {name} of {WATCHERS} watchers, p50"),
            milliseconds(waited),
            ratio,
        );
    }
    let growth = with_watchers.saturating_sub(resident) as f64 / WATCHERS as f64;
    table.row("resident memory a watcher", format!("{growth:.1} KiB"), None);
    Ok(table)
}

/// Of each round, how long the first and the last of many watchers waited.
async fn among_many(
    desk: &Desk,
    tickets: &mut TicketServiceClient<Channel>,
    token: &str,
) -> anyhow::Result<(Vec<Duration>, Vec<Duration>)> {
    let round = Arc::new(Barrier::new(WATCHERS + 1));
    let mut watchers = JoinSet::new();
    let mut channel = desk.channel().await?;
    for number in 0..WATCHERS {
        if number % PER_CONNECTION == 0 {
            channel = desk.channel().await?;
        }
        let mut events = watch(channel.clone(), token).await?;
        let round = round.clone();
        watchers.spawn(async move {
            let mut heard = Vec::new();
            for _ in 0..ROUNDS_AMONG_MANY {
                round.wait().await;
                event(&mut events).await?;
                heard.push(Instant::now());
                round.wait().await;
            }
            Ok::<_, anyhow::Error>(heard)
        });
    }
    let mut asked = Vec::new();
    for _ in 0..ROUNDS_AMONG_MANY {
        round.wait().await;
        asked.push(Instant::now());
        create(tickets, token).await?;
        round.wait().await;
    }
    let (mut first, mut last) = (
        vec![Duration::MAX; ROUNDS_AMONG_MANY],
        vec![Duration::ZERO; ROUNDS_AMONG_MANY],
    );
    while let Some(heard) = watchers.join_next().await {
        let heard = heard??;
        for (((heard, asked), first), last) in heard.iter().zip(&asked).zip(&mut first).zip(&mut last) {
            let waited = heard.duration_since(*asked);
            *first = waited.min(*first);
            *last = waited.max(*last);
        }
    }
    Ok((first, last))
}

fn with_token<T>(message: T, token: &str) -> anyhow::Result<Request<T>> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("authorization", format!("Bearer {token}").parse()?);
    Ok(request)
}

async fn create(tickets: &mut TicketServiceClient<Channel>, token: &str) -> anyhow::Result<()> {
    let new = CreateTicketRequest {
        title: "Printer".into(),
        description: "It is on fire.".into(),
        ..Default::default()
    };
    tickets.create_ticket(with_token(new, token)?).await?;
    Ok(())
}

/// A watcher that has had its first bookmark.
async fn watch(channel: Channel, token: &str) -> anyhow::Result<Streaming<WatchTicketsResponse>> {
    let mut feed = FeedServiceClient::new(channel);
    let request = with_token(WatchTicketsRequest::default(), token)?;
    let mut events = feed.watch_tickets(request).await?.into_inner();
    events.message().await?.context("a stream begins with a bookmark")?;
    Ok(events)
}

/// The next event of a ticket.
async fn event(events: &mut Streaming<WatchTicketsResponse>) -> anyhow::Result<()> {
    loop {
        let next = events.message().await?.context("the stream ended")?;
        if next.event.is_some_and(|event| !event.ticket_id.is_empty()) {
            return Ok(());
        }
    }
}
