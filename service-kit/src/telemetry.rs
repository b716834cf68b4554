//! Logs: one line an event, on standard error.

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// What is logged, and how.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// What is logged: a level, or levels by module (`info,ticket_service=debug`).
    #[arg(long = "log", env = "RUST_LOG", default_value = "info")]
    pub filter: String,
    /// How a log line looks [default: text on a terminal, else json].
    #[arg(long = "log-format", env = "LOG_FORMAT")]
    pub format: Option<Format>,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging; call it once, before anything else.
///
/// # Errors
/// Where the filter cannot be read, or logging was started before.
pub fn init(settings: &Settings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.filter)
        .map_err(|wrong| anyhow::anyhow!("RUST_LOG (--log) cannot be read: {wrong}"))?;
    let terminal = std::io::stderr().is_terminal();
    let format = settings
        .format
        .unwrap_or(if terminal { Format::Text } else { Format::Json });
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match format {
        Format::Text => builder.with_ansi(terminal).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|wrong| anyhow::anyhow!("logging cannot be started: {wrong}"))
}
