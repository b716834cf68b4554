//! The simulator as a process: settings, one line that says where it listens, serve, stop on SIGTERM or SIGINT.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;

use clap::Parser;
use groq_sim::Settings;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A server that speaks Groq's wire protocol, faults included. Answers are made up.
#[derive(Debug, Parser)]
#[command(name = "groq-sim", version)]
struct Arguments {
    /// Where to listen. Port 0 takes a free one; the log line says which.
    #[arg(
        long = "addr",
        env = "GROQ_SIM_ADDR",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:50055"
    )]
    address: SocketAddr,

    #[command(flatten)]
    settings: Settings,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")))
        .init();

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };

    let listener = TcpListener::bind(arguments.address).await?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "groq-sim is listening");
    groq_sim::serve(arguments.settings, listener, shutdown).await
}
