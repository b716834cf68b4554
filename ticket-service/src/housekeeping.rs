//! What a replica does by itself, now and then. All of it is safe to do on several at once.

use std::time::Duration;

use sqlx::PgPool;

use crate::accounts::{resets, sessions, throttle};
use crate::db::idempotency;
use crate::error::Result;
use crate::replies::store as replies;

/// How often what is over is removed.
const OLD: Duration = Duration::from_secs(600);

/// Goes on until it is dropped.
pub(crate) async fn keep(pool: PgPool) {
    let mut old = tokio::time::interval(OLD);
    loop {
        old.tick().await;
        report("request ids", sweep(|| idempotency::sweep(&pool)).await);
        report("sessions", sweep(|| sessions::sweep(&pool)).await);
        report("throttled tries", sweep(|| throttle::sweep(&pool)).await);
        report("password resets", sweep(|| resets::sweep(&pool)).await);
        report("budgets", sweep(|| replies::sweep_budgets(&pool)).await);
        report("rewritten texts", sweep(|| replies::sweep_rewritten(&pool)).await);
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
