//! assistant-service: prompts, and calls to the model's provider.

use anyhow::Context as _;
use assistant_service::settings::{Cli, Command};
use clap::Parser as _;
use service_kit::{probe, signal, telemetry};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli {
        command,
        settings,
        telemetry,
    } = Cli::parse();
    let address = settings.listen.address;
    match command {
        Some(Command::Health) => return probe::healthy(address).await,
        None => telemetry::init(&telemetry)?,
    }
    settings.check()?;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("ASSISTANT_SERVICE_ADDR: cannot listen on {address}"))?;
    assistant_service::serve(settings, listener, async {
        if let Err(error) = signal::stop().await {
            tracing::error!(%error, "signals cannot be listened to; stopping");
        }
    })
    .await
}
