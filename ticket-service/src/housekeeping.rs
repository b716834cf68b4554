//! What a replica does by itself, now and then. All of it is safe to do on several at once.

use std::time::Duration;

use sqlx::PgPool;

use crate::db::idempotency;
use crate::replies;

/// How often dead runs are looked for.
const RUNS: Duration = Duration::from_secs(5);
/// How often keys that are over are removed.
const KEYS: Duration = Duration::from_secs(600);

/// Goes on until it is dropped.
pub(crate) async fn keep(pool: PgPool) {
    let mut runs = tokio::time::interval(RUNS);
    let mut keys = tokio::time::interval(KEYS);
    loop {
        tokio::select! {
            _ = runs.tick() => match replies::store::close_abandoned(&pool).await {
                Ok(0) => {}
                Ok(closed) => tracing::warn!(closed, "closed replies whose process died"),
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for dead runs"),
            },
            _ = keys.tick() => loop {
                match idempotency::sweep(&pool).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "cannot remove old request ids");
                        break;
                    }
                }
            },
        }
    }
}
