//! What a replica does by itself, now and then. All of it is safe to do on several at once.

use std::time::Duration;

use sqlx::PgPool;

use crate::accounts::{resets, sessions, throttle};
use crate::db::idempotency;
use crate::error::Result;
use crate::replies;

/// How often dead runs are looked for.
const RUNS: Duration = Duration::from_secs(5);
/// How often what is over is removed.
const OLD: Duration = Duration::from_secs(600);

/// Goes on until it is dropped.
pub(crate) async fn keep(pool: PgPool) {
    let mut runs = tokio::time::interval(RUNS);
    let mut old = tokio::time::interval(OLD);
    loop {
        tokio::select! {
            _ = runs.tick() => match replies::store::close_abandoned(&pool).await {
                Ok(0) => {}
                Ok(closed) => tracing::warn!(closed, "closed replies whose process died"),
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for dead runs"),
            },
            _ = old.tick() => {
                report("request ids", sweep(|| idempotency::sweep(&pool)).await);
                report("sessions", sweep(|| sessions::sweep(&pool)).await);
                report("throttled tries", sweep(|| throttle::sweep(&pool)).await);
                report("password resets", sweep(|| resets::sweep(&pool)).await);
            }
        }
    }
}

/// Removes a batch after another until none is left.
async fn sweep<F: Future<Output = Result<bool>>>(batch: impl Fn() -> F) -> Result<()> {
    while batch().await? {}
    Ok(())
}

fn report(what: &str, swept: Result<()>) {
    if let Err(error) = swept {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot remove old {what}");
    }
}
