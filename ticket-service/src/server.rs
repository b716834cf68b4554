//! The service put together: what is built from what, which layers stand around it, and what is served.

use std::sync::Arc;
use std::time::Duration;

use deskhand_proto::FILE_DESCRIPTOR_SET;
use deskhand_proto::accounts::v1::auth_service_server::{AuthServiceServer, SERVICE_NAME as AUTH};
use deskhand_proto::replies::v1::reply_service_server::{ReplyServiceServer, SERVICE_NAME as REPLIES};
use deskhand_proto::tickets::v1::ticket_service_server::{SERVICE_NAME as TICKETS, TicketServiceServer};
use service_kit::calls::LogCalls;
use service_kit::deadline::Deadlines;
use service_kit::framework::CompleteErrors;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic_health::ServingStatus;

use crate::accounts::authenticate::Authenticate;
use crate::accounts::keys::Keys;
use crate::accounts::tokens::Tokens;
use crate::secret::Secret;
use crate::settings::Serve;
use crate::{accounts, db, housekeeping, replies, tickets};

/// Serves on `listener` until `stop` resolves, then lets open calls and running replies end, for a bounded time.
///
/// # Errors
/// Where a setting cannot be used, the database cannot be reached or is older than this program, or the listener fails.
pub async fn serve(
    settings: Serve,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let secret = Arc::new(Secret::from_file(&settings.accounts.secret_file)?);
    let tokens = Arc::new(Tokens::new(Keys::from_folder(&settings.accounts.signing_keys_dir)?));
    let pool = db::pool::open(&settings.database)?;
    db::check_schema(&pool).await?;

    let accounts = accounts::Service::new(pool.clone(), tokens.clone(), settings.accounts.argon2_slots)?;
    let tickets = tickets::Service::new(pool.clone(), secret.clone());
    let replies = Arc::new(replies::Service::new(pool.clone(), secret, &settings.assistant)?);
    let housekeeping = tokio::spawn(housekeeping::keep(pool.clone()));

    let (health, health_service) = tonic_health::server::health_reporter();
    let names = [AUTH, TICKETS, REPLIES];
    for name in names.iter().chain(&[""]) {
        health.set_service_status(*name, ServingStatus::Serving).await;
    }
    let mut routes = Routes::new(health_service)
        .add_service(AuthServiceServer::new(accounts::Rpc(Arc::new(accounts))))
        .add_service(TicketServiceServer::new(tickets::Rpc(Arc::new(tickets))))
        .add_service(ReplyServiceServer::new(replies::Rpc(replies.clone())));
    if settings.reflection {
        let (v1, v1alpha) = service_kit::server::reflection(FILE_DESCRIPTOR_SET, &names)?;
        routes = routes.add_service(v1).add_service(v1alpha);
    }
    let server = service_kit::server::builder()
        .layer(LogCalls)
        .layer(CompleteErrors)
        .layer(Deadlines::new(default_deadline))
        .layer(Authenticate::new(tokens));

    tracing::info!(address = %listener.local_addr()?, "ticket-service is listening");
    let stopping = replies.clone();
    let served = service_kit::server::serve(server, routes, listener, async move {
        stop.await;
        for name in names.iter().chain(&[""]) {
            health.set_service_status(*name, ServingStatus::NotServing).await;
        }
        stopping.stop();
    })
    .await;
    housekeeping.abort();
    replies.drain(service_kit::server::DRAIN).await;
    tokio::time::timeout(Duration::from_secs(2), pool.close()).await.ok();
    served
}

/// The limit of a call that came with none.
fn default_deadline(path: &str) -> Option<Duration> {
    if path == "/deskhand.replies.v1.ReplyService/StreamReply" {
        // A run has a limit of its own; this bounds a stream that lost it.
        return Some(Duration::from_secs(300));
    }
    path.starts_with("/deskhand.").then_some(Duration::from_secs(15))
}
