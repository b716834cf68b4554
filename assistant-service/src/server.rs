//! The gRPC server: the service, its health, reflection, and what stands around every call.

use std::sync::Arc;
use std::time::Duration;

use deskhand_proto::assistant::v1::assistant_service_server::AssistantServiceServer;
use service_kit::calls::LogCalls;
use service_kit::deadline::Deadlines;
use service_kit::framework::CompleteErrors;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::groq::engine::Engine;
use crate::prompt::store::Store;
use crate::rpc::Rpc;

/// The service's name in reflection and health.
const NAME: &str = "deskhand.assistant.v1.AssistantService";
/// Under this name health tells of the operator's prompts: NOT_SERVING while one is broken. The service goes on with the
/// last good one, so the other names stay SERVING: no replica is taken out for a typing error that all of them see.
const PROMPTS: &str = "deskhand.assistant.v1.Prompts";
/// How often the directory of prompts is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The largest request: a conversation of 1,000 turns, most of them of usual length.
const MAX_REQUEST: usize = 16 * 1024 * 1024;

/// Serves until `shutdown` resolves, then lets open calls end, but not for long.
///
/// # Errors
/// Where the listener fails, or reflection cannot be set up.
pub(crate) async fn run(
    rpc: Rpc,
    prompts: Arc<Store>,
    engine: Engine,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (health, health_service) = tonic_health::server::health_reporter();
    let (reflection, reflection_alpha) = service_kit::server::reflection(deskhand_proto::FILE_DESCRIPTOR_SET, &[NAME])?;
    let routes = Routes::new(AssistantServiceServer::new(rpc).max_decoding_message_size(MAX_REQUEST))
        .add_service(health_service)
        .add_service(reflection)
        .add_service(reflection_alpha);
    let server = service_kit::server::builder()
        .layer(LogCalls)
        .layer(CompleteErrors)
        .layer(Deadlines::new(default_limit));

    health.set_service_status(NAME, ServingStatus::Serving).await;
    tell_of_prompts(&health, &prompts).await;
    let mut watches = vec![watch_key(&engine, health.clone())];
    watches.push(tokio::spawn(async move { engine.watch().await }));
    watches.extend(prompts.can_change().then(|| watch(prompts, health.clone())));
    tracing::info!(address = %listener.local_addr()?, "serving");
    service_kit::server::serve(server, routes, listener, async move {
        shutdown.await;
        for watch in watches {
            watch.abort();
            // However it ends, it no longer sets anything.
            let _ = watch.await;
        }
        health.set_service_status(PROMPTS, ServingStatus::NotServing).await;
        health.set_service_status("", ServingStatus::NotServing).await;
        health.set_service_status(NAME, ServingStatus::NotServing).await;
    })
    .await
}

/// Tells whether we are ready: not while the provider refuses our key, for then every call fails. Ends with its task.
fn watch_key(engine: &Engine, health: HealthReporter) -> JoinHandle<()> {
    let mut accepted = engine.accepted();
    tokio::spawn(async move {
        while accepted.changed().await.is_ok() {
            let status = if *accepted.borrow_and_update() {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            health.set_service_status("", status).await;
            health.set_service_status(NAME, status).await;
        }
    })
}

/// Looks at the prompts until it is aborted.
fn watch(prompts: Arc<Store>, health: HealthReporter) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let before = prompts.is_well();
            let store = Arc::clone(&prompts);
            if let Err(error) = spawn_blocking(move || store.refresh()).await {
                tracing::error!(%error, "the prompts could not be looked at");
            }
            if prompts.is_well() != before {
                tell_of_prompts(&health, &prompts).await;
            }
        }
    })
}

async fn tell_of_prompts(health: &HealthReporter, prompts: &Store) {
    let status = if prompts.is_well() {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    health.set_service_status(PROMPTS, status).await;
}

/// The limit of a call whose caller set none.
fn default_limit(path: &str) -> Option<Duration> {
    match path {
        // Longer than any call to the provider may be set to take.
        "/deskhand.assistant.v1.AssistantService/StreamReply"
        | "/deskhand.assistant.v1.AssistantService/Summarize"
        | "/deskhand.assistant.v1.AssistantService/Triage"
        | "/deskhand.assistant.v1.AssistantService/Rewrite"
        | "/deskhand.assistant.v1.AssistantService/ListModels" => Some(Duration::from_secs(120)),
        // Watches have no end.
        path if path.starts_with("/deskhand.") => Some(Duration::from_secs(10)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::LONGEST_LIMIT;

    #[test]
    fn a_call_without_a_limit_gets_one_that_its_work_fits_in() {
        let limit = |method| default_limit(&format!("/{NAME}/{method}"));
        for method in ["StreamReply", "Summarize", "Triage", "Rewrite", "ListModels"] {
            assert!(limit(method).unwrap() > LONGEST_LIMIT, "{method}");
        }
        assert_eq!(limit("RenderPrompt"), Some(Duration::from_secs(10)));
        assert_eq!(default_limit("/grpc.health.v1.Health/Watch"), None);
    }
}
