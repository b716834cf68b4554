//! Measures Deskhand's services against yardsticks in the same run. README.md says how to read the tables.
#![expect(clippy::print_stdout, reason = "a program for the command line")]

mod argon2_slots;
mod assistant;
mod desk;
mod feed;
mod gateway;
mod login_times;
mod redaction;
mod relay;
mod replies;
mod stalled_reader;
mod table;

use clap::{Parser, ValueEnum};

/// Measures Deskhand's services against yardsticks in the same run.
#[derive(Parser)]
struct Args {
    /// What to measure.
    scenario: Scenario,
    /// Seconds for each part of it.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scenario {
    /// Failed log-ins: unknown address, disabled account, wrong password.
    LoginTimes,
    /// 200 log-ins at once: memory, other calls, rate.
    Argon2Slots,
    /// How long after a change its event is told: here, on another replica, among 2,000 watchers.
    Feed,
    /// What assistant-service adds to the provider's stream: time to the first token, and streams a second.
    Assistant,
    /// JSON through the gateway against gRPC without it: GetTicket, and replies as server-sent events.
    Gateway,
    /// Replies through both services, kept: time to the first token beside assistant-service alone, and replies a second.
    Replies,
    /// One reader that stalls among 1,000 streams of assistant-service: memory, and the others' times.
    StalledReader,
    /// What redaction, and what the guard of answers, take for a KiB of text.
    Redaction,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if let Ok(listen) = std::env::var(relay::LISTEN) {
        return relay::serve(&listen).await;
    }
    let args = Args::parse();
    let time = std::time::Duration::from_secs(args.seconds);
    let table = match args.scenario {
        Scenario::LoginTimes => login_times::run(time).await?,
        Scenario::Argon2Slots => argon2_slots::run(time).await?,
        Scenario::Feed => feed::run(time).await?,
        Scenario::Assistant => assistant::run(time).await?,
        Scenario::Gateway => gateway::run(time).await?,
        Scenario::Replies => replies::run(time).await?,
        Scenario::StalledReader => stalled_reader::run(time).await?,
        Scenario::Redaction => tokio::task::spawn_blocking(move || redaction::run(time)).await??,
    };
    println!("{table}");
    Ok(())
}
