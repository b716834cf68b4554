//! Replies through both services, durable: what that adds to the first token, and how many there are a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use deskhand_proto::assistant::v1::assistant_service_client::AssistantServiceClient;
use deskhand_proto::replies::v1::StreamReplyRequest;
use deskhand_proto::replies::v1::reply_event::Event;
use deskhand_proto::replies::v1::reply_service_client::ReplyServiceClient;
use tokio::task::JoinSet;
use tonic::Request;
use tonic::transport::Channel;

use crate::assistant::{
    CALLERS, Provider, ROUNDS, SCENARIO, body_sent, connect, first_delta, free, start, streams_a_second,
};
use crate::desk::{Desk, PASSWORD, log_in};
use crate::relay;
use crate::table::{Table, milliseconds, quantile};

/// Tickets that there are, each of which is answered once; more than are asked in the time.
const TICKETS: u64 = 60_000;

pub(crate) async fn run(time: Duration) -> anyhow::Result<Table> {
    let provider = Provider::start(&[]).await?;
    let endless = ["CUSTOMER_ASKS_PER_HOUR", "USER_TOKENS_PER_DAY", "DESK_TOKENS_PER_DAY"];
    let mut variables: Vec<_> = endless.map(|name| (name, "0".to_owned())).into();
    variables.push(("ASSISTANT_URL", format!("http://{}", provider.address)));
    let desk = Desk::durable(variables).await?;
    let user = log_in(&mut desk.client().await?, "user0@example.com".to_owned(), PASSWORD).await?;
    let asking = Asking {
        channel: desk.channel().await?,
        token: Arc::from(user.access_token),
        next: Arc::default(),
    };
    desk.execute(&format!(
        "INSERT INTO tickets (id, requester_id, title, description, priority, category)
         SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, u.id, 'Printer', 'It is on fire. {SCENARIO}',
                'NORMAL', 'GENERAL'
         FROM users u, generate_series(0, {TICKETS} - 1) n WHERE u.email = 'user0@example.com'"
    ))?;

    let alone = provider.connect().await?;
    let body = body_sent(&reqwest::Client::new(), &provider.upstream, &alone).await?;
    let (inner, outer) = (free()?, free()?);
    let variables = [
        (relay::LISTEN, inner.to_string()),
        (relay::UPSTREAM, provider.upstream.clone()),
        (relay::BODY, body),
    ];
    let _inner = start("bench", &["assistant"], &variables)?;
    connect(inner).await?;
    let variables = [
        (relay::LISTEN, outer.to_string()),
        (relay::RELAY, format!("http://{inner}")),
    ];
    let _outer = start("bench", &["assistant"], &variables)?;
    let relays = connect(outer).await?;

    let (mut of_assistant, mut of_both, mut commits) = (Vec::new(), Vec::new(), Vec::new());
    let (mut yardstick, mut rate) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        let part = time / ROUNDS;
        commits.push(desk.commit(part)?);
        let mut client = AssistantServiceClient::new(alone.clone());
        let began = Instant::now();
        while began.elapsed() < part {
            of_assistant.push(first_delta(&mut client, |_| true).await?);
            of_both.push(asking.first_token().await?);
        }
        yardstick += streams_a_second(&relays, part).await? / f64::from(ROUNDS);
        rate += asking.replies_a_second(part).await? / f64::from(ROUNDS);
    }

    let mut table = Table::default();
    let commit = quantile(&mut commits, 500);
    table.row("a commit of one row, by pgbench, p50", milliseconds(commit), None);
    for (name, thousandths) in [("p50", 500), ("p99", 990)] {
        let alone = quantile(&mut of_assistant, thousandths);
        let both = quantile(&mut of_both, thousandths);
        table.row(
            &format!("first token, assistant-service alone, {name}"),
            milliseconds(alone),
            None,
        );
        table.row(&format!("first token, through both, {name}"), milliseconds(both), None);
        let added = both.saturating_sub(alone);
        let beyond = added.saturating_sub(commit);
        table.row(&format!("  added, {name}"), milliseconds(added), None);
        table.row(&format!("  added beyond a commit, {name}"), milliseconds(beyond), None);
    }
    table.row(
        &format!("two bare relays, {CALLERS} callers"),
        format!("{yardstick:.0} streams/s"),
        None,
    );
    table.row(
        &format!("both services, durable, {CALLERS} callers"),
        format!("{rate:.0} replies/s"),
        Some((rate / yardstick, "the two relays")),
    );
    Ok(table)
}

/// Asks for replies, each to a ticket of its own.
#[derive(Clone)]
struct Asking {
    channel: Channel,
    token: Arc<str>,
    next: Arc<AtomicU64>,
}

impl Asking {
    async fn first_token(&self) -> anyhow::Result<Duration> {
        let asked = Instant::now();
        let mut first = None;
        self.ask(|| {
            first.get_or_insert_with(|| asked.elapsed());
        })
        .await?;
        first.context("a reply without text")
    }

    /// A whole reply; `heard` is called at each piece.
    async fn ask(&self, mut heard: impl FnMut()) -> anyhow::Result<()> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        if n >= TICKETS {
            bail!("there are too few tickets");
        }
        let mut request = Request::new(StreamReplyRequest {
            ticket_id: format!("00000000-0000-7000-8000-{n:012x}"),
            ..Default::default()
        });
        let bearer = format!("Bearer {}", self.token).parse()?;
        request.metadata_mut().insert("authorization", bearer);
        let mut stream = ReplyServiceClient::new(self.channel.clone())
            .stream_reply(request)
            .await?
            .into_inner();
        while let Some(response) = stream.message().await? {
            match response.event.and_then(|event| event.event) {
                Some(Event::Delta(_)) => heard(),
                Some(Event::Started(_)) => {}
                Some(Event::Completed(_)) => return Ok(()),
                other => bail!("not a whole reply: {other:?}"),
            }
        }
        bail!("a reply without an end")
    }

    /// Whole replies a second, of callers that ask without pause.
    async fn replies_a_second(&self, time: Duration) -> anyhow::Result<f64> {
        let stop = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicU64::new(0));
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (asking, stop, count) = (self.clone(), stop.clone(), count.clone());
            callers.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    asking.ask(|| {}).await?;
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
}
