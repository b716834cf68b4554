//! The listener for machines that look after the service, over plain HTTP: whether it lives, whether it is ready, and the
//! keys that verify its tokens. It is not for the open network.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use sqlx::PgPool;
use tokio::net::TcpListener;

use crate::accounts::keys::jwks;
use crate::accounts::tokens::Tokens;
use crate::db;

/// How long the database may take to answer.
const DATABASE_WITHIN: Duration = Duration::from_secs(1);
/// How long verifiers may keep the keys: far shorter than a key is published before it signs.
const KEEP_KEYS: &str = "public, max-age=300";

/// What the listener tells of. A clone tells of the same.
#[derive(Clone)]
pub(crate) struct Ops {
    pool: PgPool,
    tokens: Arc<Tokens>,
    stopping: Arc<AtomicBool>,
    /// What was answered last, so that only changes are logged.
    was_ready: Arc<AtomicBool>,
}

impl Ops {
    /// Of a service that is ready as far as itself is concerned.
    pub(crate) fn new(pool: PgPool, tokens: Arc<Tokens>) -> Self {
        let flag = |value| Arc::new(AtomicBool::new(value));
        Self {
            pool,
            tokens,
            stopping: flag(false),
            was_ready: flag(true),
        }
    }

    /// From now on the service is not ready, though it answers until its open calls have ended.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    async fn ready(&self) -> Result<(), String> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err("the service is stopping".to_owned());
        }
        match tokio::time::timeout(DATABASE_WITHIN, db::check_schema(&self.pool)).await {
            Ok(Ok(())) => Ok(()),
            Err(_) => Err("the database does not answer within 1 s".to_owned()),
            // What it says exactly is for the log.
            Ok(Err(error)) if error.chain().any(|cause| cause.is::<sqlx::Error>()) => {
                tracing::debug!(error = format!("{error:#}"), "not ready");
                Err("the database cannot be used".to_owned())
            }
            Ok(Err(error)) => Err(error.to_string()),
        }
    }
}

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, ops: Ops) {
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/.well-known/jwks.json", get(keys))
        .with_state(ops);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the listener for machines failed");
    }
}

async fn readyz(State(ops): State<Ops>) -> (StatusCode, String) {
    let ready = ops.ready().await;
    if ops.was_ready.swap(ready.is_ok(), Ordering::Relaxed) != ready.is_ok() {
        match &ready {
            Ok(()) => tracing::info!("ready again"),
            Err(reason) => tracing::warn!(reason, "not ready"),
        }
    }
    match ready {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

async fn keys(State(ops): State<Ops>) -> impl IntoResponse {
    ([(CACHE_CONTROL, KEEP_KEYS)], Json(jwks::json(&ops.tokens.jwks())))
}
