//! What `deskhand run` can be told.

use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

/// Groq's own API: where assistant-service turns to when no other base URL is set.
const GROQ: &str = "https://api.groq.com";

/// Settings of `deskhand run`; an empty variable counts as not set. What else the services can be told they read from
/// the environment themselves: see their `--help`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder of everything that the system keeps.
    #[arg(long, env = "DESKHAND_HOME", value_name = "FOLDER", default_value = ".deskhand")]
    pub(crate) home: PathBuf,

    /// Where ticket-service listens. Here and below, port 0 takes a free one.
    #[arg(
        long,
        env = "TICKET_SERVICE_ADDR",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:50051"
    )]
    pub(crate) ticket_service_addr: SocketAddr,

    /// Where ticket-service listens for machines that look after it.
    #[arg(
        long,
        env = "TICKET_OPS_ADDR",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9101"
    )]
    pub(crate) ticket_ops_addr: SocketAddr,

    /// Where assistant-service listens.
    #[arg(
        long,
        env = "ASSISTANT_SERVICE_ADDR",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:50052"
    )]
    pub(crate) assistant_service_addr: SocketAddr,

    /// Where the simulator of the model's provider listens, if it is needed.
    #[arg(
        long,
        env = "GROQ_SIM_ADDR",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:50055"
    )]
    pub(crate) groq_sim_addr: SocketAddr,

    /// Start the gateway too: HTTP/JSON and the pages to look at and try it.
    #[arg(long)]
    pub(crate) gateway: bool,

    /// Where the gateway listens, if it is asked for.
    #[arg(long, env = "GATEWAY_ADDR", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) gateway_addr: SocketAddr,

    /// A PostgreSQL database to use; not set: a private one, started here.
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<SecretString>,

    /// A provider with an API like Groq's. With neither this nor GROQ_API_KEY set, a simulator answers.
    #[arg(long, env = "GROQ_BASE_URL", value_name = "URL")]
    groq_base_url: Option<String>,

    /// Show what the services log, as it comes.
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

impl Args {
    /// The database that was asked for.
    pub(crate) fn database_url(&self) -> Option<&SecretString> {
        self.database_url.as_ref().filter(|url| !url.expose_secret().is_empty())
    }

    /// Where the real provider is; `None`: the simulator is wanted.
    pub(crate) fn provider(&self) -> Option<&str> {
        let base_url = self.groq_base_url.as_deref().filter(|url| !url.is_empty());
        // A variable only: flags can be read by every user of the machine. assistant-service reads it by itself.
        let has_key = env::var_os("GROQ_API_KEY").is_some_and(|key| !key.is_empty());
        base_url.or(has_key.then_some(GROQ))
    }
}
