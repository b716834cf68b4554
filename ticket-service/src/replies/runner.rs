//! A run: from the first word asked of the model to the end that is kept. It belongs to this process, not to a call, so it
//! goes on when nobody listens.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::assistant::{self, Assistant};
use super::attach::Running;
use super::calls::Calls;
use super::dialogue::{self, Subject};
use super::reply::{End, Failure};
use super::store::{self, Outcome, Run};
use crate::error::Error;

/// Tries to keep an end, while the database cannot be used.
const TRIES: u32 = 6;
/// How often fresh text is kept.
const KEEP: Duration = Duration::from_millis(100);
/// How often a run says that its process is alive; three times within a lease.
const RENEW: Duration = Duration::from_secs(2);

/// Runs to the end, and keeps it.
pub(super) async fn run(
    pool: PgPool,
    assistant: Assistant,
    run: Run,
    subject: Subject,
    running: Running,
    stopping: CancellationToken,
) {
    let calls = Calls::default();
    let outcome = tokio::select! {
        biased;
        () = running.stopped.cancelled() => Some(Outcome::Stopped),
        () = stopping.cancelled() => None,
        () = stay_alive(&pool, &run, &running, &calls) => Some(Outcome::Stopped),
        () = tokio::time::sleep(assistant::ATTEMPT) => Some(Outcome::Failed(Failure::TimedOut)),
        outcome = dialogue::hold(&pool, &assistant, &run, subject, &running, &calls) => Some(outcome),
    };
    let end = match outcome {
        Some(outcome) => keep(&pool, &run, outcome, running.text(), &calls).await,
        None => {
            hand_on(&pool, &run, &calls).await;
            None
        }
    };
    // Without an end of its own the run is dropped, and who listens is led to where it goes on.
    if let Some(end) = end {
        running.end(end);
    }
}

/// Keeps the text as it comes, the calls, and the lease; returns when the run is this process's no more.
async fn stay_alive(pool: &PgPool, run: &Run, running: &Running, calls: &Calls) {
    let mut ticks = tokio::time::interval(KEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut kept, mut renewed) = (0, Instant::now());
    let mut failing = false;
    loop {
        ticks.tick().await;
        let text = running.unkept(kept);
        let renewing = renewed.elapsed() >= RENEW;
        let fresh = calls.take_fresh();
        let mine = async {
            let mut mine = true;
            if !fresh.is_empty() {
                store::enter(pool, run, &fresh).await?;
            }
            if !text.is_empty() {
                mine = store::keep_chunk(pool, run, kept, &text).await?;
                kept += text.len();
            }
            if mine && renewing {
                mine = store::renew(pool, run).await?;
                renewed = Instant::now();
            }
            Ok::<_, Error>(mine)
        };
        match mine.await {
            Ok(true) => failing = false,
            Ok(false) => return,
            // Said once. Whether the run is still this process's shows when the database is there again; its calls are entered
            // when it ends, at the latest.
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(error = &error as &dyn std::error::Error, reply_id = %run.reply_id, "a run cannot be kept alive");
            }
            Err(_) => {}
        }
    }
}

/// Leaves the run to another replica, or to this one's next start.
async fn hand_on(pool: &PgPool, run: &Run, calls: &Calls) {
    if let Err(error) = store::release(pool, run, calls).await {
        // It is found all the same, once its lease is over.
        tracing::warn!(error = &error as &dyn std::error::Error, reply_id = %run.reply_id, "a run could not be handed on");
    }
}

/// Keeps the end. Where the database stays away, nothing is claimed: the run is taken over by whoever finds it.
async fn keep(pool: &PgPool, run: &Run, outcome: Outcome, text: String, calls: &Calls) -> Option<End> {
    for tried in 1..=TRIES {
        match store::close(pool, run, &outcome, &text, calls).await {
            Ok(end) => return end,
            Err(error @ Error::DatabaseUnavailable(_)) if tried < TRIES => {
                tracing::warn!(tried, error = &error as &dyn std::error::Error, reply_id = %run.reply_id, "cannot keep a reply yet");
                tokio::time::sleep(Duration::from_millis(100 << tried)).await;
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, reply_id = %run.reply_id, "a reply could not be kept");
                break;
            }
        }
    }
    None
}
