//! One reader that stalls, among a thousand streams: what it costs the service, and the others.

use std::time::{Duration, Instant};

use anyhow::ensure;
use deskhand_proto::assistant::v1::assistant_service_client::AssistantServiceClient;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::assistant::{Provider, question};
use crate::table::{Spread, Table};

const STREAMS: usize = 1000;
const PER_CONNECTION: usize = 100;
const ROUNDS: usize = 5;
/// Some 15 MB on the provider's wire, of which the reader takes one piece.
const ENDLESS: &str = "[sim:ok tokens=60000 reasoning=0 ttft_ms=0 token_ms=0]";
const WHOLE: &str = "[sim:ok tokens=64 reasoning=0 ttft_ms=0 token_ms=1]";

pub(crate) async fn run(_: Duration) -> anyhow::Result<Table> {
    let provider = Provider::start(&[("ANSWER_TOKENS", "61000".to_owned())]).await?;
    // Once before, so that what grows with the first thousand has grown.
    all(&provider).await?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let (mut most_alone, mut most_beside) = (0, 0);
    for _ in 0..ROUNDS {
        alone.push(all(&provider).await?);
        most_alone = most_alone.max(provider.resident_kib()?);
        let mut client = AssistantServiceClient::new(provider.connect().await?);
        let mut stalled = client.stream_reply(question(ENDLESS)).await?.into_inner();
        ensure!(stalled.message().await?.is_some(), "the stalled reader's stream begins");
        // Until the simulator has made up the long answer, which is work of its own.
        tokio::time::sleep(Duration::from_secs(2)).await;
        beside.push(all(&provider).await?);
        most_beside = most_beside.max(provider.resident_kib()?);
        drop(stalled);
    }
    let mut table = Table::default();
    for (name, thousandths) in [("p50", 500), ("p99", 990)] {
        let [alone, beside] = [&mut alone, &mut beside].map(|rounds| Spread::of(rounds, thousandths));
        table.row(&format!("{STREAMS} streams at once, {name}"), alone.to_string(), None);
        let ratio = beside.median.as_secs_f64() / alone.median.as_secs_f64();
        table.row(
            &format!("  beside a stalled reader, {name}"),
            beside.to_string(),
            Some((ratio, "without")),
        );
    }
    let mebibytes = |kib: u64| format!("{:.1} MiB", kib as f64 / 1024.0);
    table.row("resident at most", mebibytes(most_alone), None);
    table.row("  beside a stalled reader", mebibytes(most_beside), None);
    Ok(table)
}

/// How long each of a thousand whole streams took, all begun at once.
async fn all(provider: &Provider) -> anyhow::Result<Vec<Duration>> {
    let mut streams = JoinSet::new();
    let mut channel: Option<Channel> = None;
    for number in 0..STREAMS {
        if number % PER_CONNECTION == 0 {
            channel = Some(provider.connect().await?);
        }
        let Some(channel) = channel.clone() else { continue };
        streams.spawn(async move {
            let asked = Instant::now();
            let mut client = AssistantServiceClient::new(channel);
            let mut stream = client.stream_reply(question(WHOLE)).await?.into_inner();
            while stream.message().await?.is_some() {}
            Ok::<_, anyhow::Error>(asked.elapsed())
        });
    }
    let mut times = Vec::new();
    while let Some(time) = streams.join_next().await {
        times.push(time??);
    }
    Ok(times)
}
