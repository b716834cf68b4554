//! What every server of Deskhand is built on: limits of a connection, reflection, and a drain that ends.

use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_reflection::server::v1::ServerReflectionServer;
use tonic_reflection::server::{Builder, v1alpha};

/// How long open calls may go on after a server was told to stop.
pub const DRAIN: Duration = Duration::from_secs(10);

/// A server with the limits that all of ours have.
pub fn builder() -> Server {
    Server::builder()
        .max_concurrent_streams(1024)
        .http2_max_pending_accept_reset_streams(Some(200))
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .http2_max_header_list_size(16 * 1024)
}

/// Serves `routes` until `stop` resolves, then lets open calls end for at most [`DRAIN`].
///
/// # Errors
/// Where the listener fails.
pub async fn serve<L>(
    server: Server<L>,
    routes: Routes,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()>
where
    L: tower::Layer<Routes> + Clone + Send + 'static,
    L::Service: tower::Service<http::Request<tonic::body::Body>, Response = http::Response<tonic::body::Body>>
        + Clone
        + Send
        + 'static,
    <L::Service as tower::Service<http::Request<tonic::body::Body>>>::Future: Send + 'static,
    <L::Service as tower::Service<http::Request<tonic::body::Body>>>::Error:
        Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
    let (stopping, mut stopped) = watch::channel(false);
    let mut server = server;
    let serving = server
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, async move {
            stop.await;
            stopping.send_replace(true);
        });
    let drained_out = async {
        // An error means that serving has ended and dropped the sender; then the other branch is ready.
        if stopped.wait_for(|stopped| *stopped).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        ended = serving => ended.context("serving failed"),
        () = drained_out => {
            tracing::warn!("calls were still open when the time to drain was over");
            Ok(())
        }
    }
}

/// Both versions of server reflection, for the services named.
///
/// # Errors
/// Where the descriptor set cannot be read or lacks a service.
pub fn reflection(
    descriptors: &'static [u8],
    services: &[&str],
) -> anyhow::Result<(
    ServerReflectionServer<impl tonic_reflection::server::v1::ServerReflection>,
    v1alpha::ServerReflectionServer<impl v1alpha::ServerReflection>,
)> {
    let build = || {
        let mut builder = Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("grpc.health.v1.Health");
        for service in services {
            builder = builder.with_service_name(*service);
        }
        builder
    };
    Ok((build().build_v1()?, build().build_v1alpha()?))
}
