//! The service put together: what is built from what, which layers stand around it, and what is served.

use std::sync::Arc;
use std::time::Duration;

use deskhand_proto::FILE_DESCRIPTOR_SET;
use deskhand_proto::accounts::v1::auth_service_server::{AuthServiceServer, SERVICE_NAME as AUTH};
use deskhand_proto::accounts::v1::user_service_server::{SERVICE_NAME as USERS, UserServiceServer};
use deskhand_proto::feed::v1::feed_service_server::{FeedServiceServer, SERVICE_NAME as FEED};
use deskhand_proto::replies::v1::reply_service_server::{ReplyServiceServer, SERVICE_NAME as REPLIES};
use deskhand_proto::tickets::v1::ticket_service_server::{SERVICE_NAME as TICKETS, TicketServiceServer};
use service_kit::calls::LogCalls;
use service_kit::deadline::Deadlines;
use service_kit::framework::CompleteErrors;
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;
use tonic_health::ServingStatus;

use crate::accounts::authenticate::Authenticate;
use crate::accounts::client::Clients;
use crate::accounts::keys::Keys;
use crate::accounts::password::Passwords;
use crate::accounts::resets::Resets;
use crate::accounts::revocations::Revocations;
use crate::accounts::throttle::Throttle;
use crate::accounts::tokens::Tokens;
use crate::listeners::Listeners;
use crate::ops::{self, Ops};
use crate::secret::Secret;
use crate::settings::Serve;
use crate::{accounts, db, feed, housekeeping, replies, tickets};

/// Serves on `listeners` until `stop` resolves, then lets open calls and running replies end, for a bounded time.
///
/// # Errors
/// Where a setting cannot be used, the database cannot be reached or is older than this program, or the listener fails.
pub async fn serve(
    settings: Serve,
    listeners: Listeners,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let secret = Arc::new(Secret::from_file(&settings.accounts.secret_file)?);
    let tokens = Arc::new(Tokens::new(Keys::from_folder(&settings.accounts.signing_keys_dir)?));
    let pool = db::pool::open(&settings.database)?;
    db::check_schema(&pool).await?;

    let revocations = Arc::new(Revocations::new(pool.clone()));
    let passwords = Arc::new(Passwords::new(&settings.passwords)?);
    let throttle = Arc::new(Throttle::new(pool.clone(), secret.clone(), &settings.throttle));
    let accounts = Arc::new(accounts::Service {
        pool: pool.clone(),
        secret: secret.clone(),
        tokens: tokens.clone(),
        revocations: revocations.clone(),
        passwords: passwords.clone(),
        throttle: throttle.clone(),
    });
    let resets = Arc::new(Resets::new(
        pool.clone(),
        secret.clone(),
        passwords,
        throttle,
        &settings.mail,
    )?);
    let users = Arc::new(accounts::Users::new(pool.clone(), secret.clone(), revocations.clone()));
    let hint = Arc::new(feed::Hint::default());
    let tail = Arc::new(feed::Tail::new(pool.clone(), hint.clone()));
    let feed = Arc::new(feed::Service::new(pool.clone(), secret.clone(), tail.clone()));
    let tickets = Arc::new(tickets::Service::new(pool.clone(), secret.clone(), hint.clone()));
    let replies = Arc::new(replies::Service::new(
        pool.clone(),
        secret,
        hint,
        &settings.assistant,
        settings.budgets,
    )?);
    let mut background = background(&pool, &revocations, &resets, &tokens, tail);
    background.spawn(replies.clone().keep_taking_over());
    let ops = Ops::new(pool.clone(), tokens.clone());

    let (health, health_service) = tonic_health::server::health_reporter();
    let names = [AUTH, USERS, TICKETS, REPLIES, FEED];
    for name in names.iter().chain(&[""]) {
        health.set_service_status(*name, ServingStatus::Serving).await;
    }
    let mut routes = Routes::new(health_service)
        .add_service(AuthServiceServer::new(accounts::Rpc {
            accounts,
            resets,
            clients: Clients::new(&settings.throttle),
        }))
        .add_service(UserServiceServer::new(accounts::UsersRpc(users)))
        .add_service(TicketServiceServer::new(tickets::Rpc(tickets)))
        .add_service(ReplyServiceServer::new(replies::Rpc {
            replies: replies.clone(),
            revocations: revocations.clone(),
        }))
        .add_service(FeedServiceServer::new(feed::Rpc {
            feed: feed.clone(),
            revocations: revocations.clone(),
        }));
    if settings.reflection {
        let (v1, v1alpha) = service_kit::server::reflection(FILE_DESCRIPTOR_SET, &names)?;
        routes = routes.add_service(v1).add_service(v1alpha);
    }
    let server = service_kit::server::builder()
        .layer(LogCalls)
        .layer(CompleteErrors)
        .layer(Deadlines::new(default_deadline))
        .layer(Authenticate::new(tokens, revocations));

    tracing::info!(
        address = %listeners.grpc.local_addr()?,
        ops = %listeners.ops.local_addr()?,
        "ticket-service is listening"
    );
    let answering = AbortOnDropHandle::new(tokio::spawn(ops::serve(listeners.ops, ops.clone())));
    let stopping = replies.clone();
    let served = service_kit::server::serve(server, routes, listeners.grpc, async move {
        stop.await;
        ops.stop();
        for name in names.iter().chain(&[""]) {
            health.set_service_status(*name, ServingStatus::NotServing).await;
        }
        feed.stop();
        stopping.stop();
    })
    .await;
    drop(background);
    replies.drain(service_kit::server::DRAIN).await;
    drop(answering);
    tokio::time::timeout(Duration::from_secs(2), pool.close()).await.ok();
    served
}

/// What goes on beside the calls, until it is dropped.
fn background(
    pool: &PgPool,
    revocations: &Arc<Revocations>,
    resets: &Arc<Resets>,
    tokens: &Arc<Tokens>,
    tail: Arc<feed::Tail>,
) -> JoinSet<()> {
    let (pool, revocations, resets, tokens) = (pool.clone(), revocations.clone(), resets.clone(), tokens.clone());
    let mut tasks = JoinSet::new();
    tasks.spawn(housekeeping::keep(pool));
    tasks.spawn(async move { revocations.keep_reading().await });
    tasks.spawn(async move { resets.deliver().await });
    tasks.spawn(async move { tail.follow().await });
    tasks.spawn(async move { tokens.keep_keys_current().await });
    tasks
}

/// The limit of a call that came with none.
fn default_deadline(path: &str) -> Option<Duration> {
    match path {
        // A run has a limit of its own; this bounds a stream that lost it.
        "/deskhand.replies.v1.ReplyService/StreamReply" | "/deskhand.replies.v1.ReplyService/AttachReply" => {
            Some(Duration::from_secs(300))
        }
        // What waits for a run has as long as that may take, take-overs included.
        "/deskhand.replies.v1.ReplyService/SummarizeTicket"
        | "/deskhand.replies.v1.ReplyService/TriageTicket"
        | "/deskhand.replies.v1.ReplyService/RewriteText" => Some(Duration::from_secs(300)),
        "/deskhand.feed.v1.FeedService/WatchTickets" => Some(feed::LIFE),
        _ => path.starts_with("/deskhand.").then_some(Duration::from_secs(15)),
    }
}
