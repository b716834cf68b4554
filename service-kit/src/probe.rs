//! Asking a server whether it is healthy: for container health checks, which have no gRPC client at hand.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// Asks `grpc.health.v1` of the server that listens on `listens_on` about the server as a whole.
///
/// # Errors
/// Where it cannot be reached within 2 s, or does not say SERVING.
pub async fn healthy(listens_on: SocketAddr) -> anyhow::Result<()> {
    let mut address = listens_on;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    let limit = Duration::from_secs(2);
    let channel = Endpoint::new(format!("http://{address}"))?
        .connect_timeout(limit)
        .timeout(limit)
        .connect()
        .await
        .with_context(|| format!("cannot connect to {address}"))?;
    let answer = HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await?
        .into_inner();
    if answer.status() != ServingStatus::Serving {
        bail!("{address} answers {:?}", answer.status());
    }
    Ok(())
}
