//! Where the service listens.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::TcpListener;

use crate::settings::Serve;

/// The sockets of one service.
#[derive(Debug)]
pub struct Listeners {
    /// For gRPC.
    pub grpc: TcpListener,
    /// For machines that look after the service; see `ops`.
    pub ops: TcpListener,
}

impl Listeners {
    /// Takes the addresses of the settings.
    ///
    /// # Errors
    /// Where one cannot be had; the error names its variable.
    pub async fn bind(settings: &Serve) -> anyhow::Result<Self> {
        Ok(Self {
            grpc: bind(settings.listen, "TICKET_SERVICE_ADDR").await?,
            ops: bind(settings.ops.listen, "TICKET_OPS_ADDR").await?,
        })
    }
}

async fn bind(address: SocketAddr, variable: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} ({variable})"))
}
