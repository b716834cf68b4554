//! A run: from the first word asked of the model to the end that is kept. It belongs to this process, not to a call, so it
//! goes on when nobody listens.

use std::time::Duration;

use deskhand_proto::assistant::v1::stream_reply_response::{CallEnded, CallStarted, Event};
use deskhand_proto::assistant::v1::{CallOutcome, StreamReplyResponse, TokenUsage, UsageSource};
use sqlx::PgPool;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::assistant::{self, Assistant};
use super::attach::Running;
use super::reply::{End, Failure, Mode};
use super::store::{self, Outcome, Run};
use crate::error::Error;
use crate::tickets::store::Conversation;

/// Tries to keep an end, while the database cannot be used.
const TRIES: u32 = 6;
/// How often fresh text is kept.
const KEEP: Duration = Duration::from_millis(100);
/// How often a run says that its process is alive; three times within a lease.
const RENEW: Duration = Duration::from_secs(2);

/// One call to the model, as the ledger keeps it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) started: CallStarted,
    /// `None` where the run ended first.
    pub(super) ended: Option<CallEnded>,
}

/// Runs to the end, and keeps it.
pub(super) async fn run(
    pool: PgPool,
    assistant: Assistant,
    run: Run,
    conversation: Conversation,
    running: Running,
    stopping: CancellationToken,
) {
    let mut calls = Vec::new();
    let outcome = tokio::select! {
        biased;
        () = running.stopped.cancelled() => Some(Outcome::Stopped),
        () = stopping.cancelled() => None,
        () = stay_alive(&pool, &run, &running) => Some(Outcome::Stopped),
        () = tokio::time::sleep(assistant::ATTEMPT) => Some(Outcome::Failed(Failure::TimedOut)),
        outcome = answer(&assistant, run.mode, conversation, &running, &mut calls) => Some(outcome),
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

/// Keeps the text as it comes, and the lease; returns when the run is this process's no more.
async fn stay_alive(pool: &PgPool, run: &Run, running: &Running) {
    let mut ticks = tokio::time::interval(KEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut kept, mut renewed) = (0, Instant::now());
    let mut failing = false;
    loop {
        ticks.tick().await;
        let text = running.unkept(kept);
        let renewing = renewed.elapsed() >= RENEW;
        let mine = async {
            let mut mine = true;
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
            // Said once. Whether the run is still this process's shows when the database is there again.
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(error = &error as &dyn std::error::Error, reply_id = %run.reply_id, "a run cannot be kept alive");
            }
            Err(_) => {}
        }
    }
}

/// Leaves the run to another replica, or to this one's next start.
async fn hand_on(pool: &PgPool, run: &Run, calls: &[Call]) {
    if let Err(error) = store::release(pool, run, calls).await {
        // It is found all the same, once its lease is over.
        tracing::warn!(error = &error as &dyn std::error::Error, reply_id = %run.reply_id, "a run could not be handed on");
    }
}

/// Asks the model and passes on what it says.
async fn answer(
    assistant: &Assistant,
    mode: Mode,
    conversation: Conversation,
    running: &Running,
    calls: &mut Vec<Call>,
) -> Outcome {
    let failed = |status: tonic::Status| {
        let failure = assistant::failure(&status);
        tracing::warn!(?failure, code = ?status.code(), message = status.message(), "no answer from assistant-service");
        Outcome::Failed(failure)
    };
    let mut stream = match assistant.stream_reply(mode, conversation).await {
        Ok(stream) => stream,
        Err(status) => return failed(status),
    };
    let mut hand_off = None;
    loop {
        let event = match stream.message().await {
            Ok(Some(StreamReplyResponse { event })) => event,
            // Without `finished` there is no answer, whatever came.
            Ok(None) => return Outcome::Failed(Failure::UpstreamProtocol),
            Err(status) => return failed(status),
        };
        match event {
            Some(Event::CallStarted(started)) => calls.push(Call { started, ended: None }),
            Some(Event::Delta(delta)) => running.push(&delta.text),
            Some(Event::CallEnded(ended)) => {
                let call = calls.iter_mut().find(|call| call.started.call_no == ended.call_no);
                if let Some(call) = call {
                    call.ended = Some(ended);
                }
            }
            Some(Event::HandOff(told)) => hand_off = Some(told.why),
            Some(Event::Finished(_)) => return hand_off.map_or(Outcome::Whole, Outcome::HandedOff),
            // Something newer than this program; nothing that it must know.
            None => {}
        }
    }
}

/// Keeps the end. Where the database stays away, nothing is claimed: the run is taken over by whoever finds it.
async fn keep(pool: &PgPool, run: &Run, outcome: Outcome, text: String, calls: &[Call]) -> Option<End> {
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

impl Call {
    /// What it took: at most, where its end is not known.
    pub(super) fn usage(&self) -> TokenUsage {
        let at_most = || TokenUsage {
            input_tokens: self.started.input_tokens_at_most,
            output_tokens: self.started.output_tokens_at_most,
            ..TokenUsage::default()
        };
        self.ended
            .as_ref()
            .and_then(|ended| ended.usage)
            .unwrap_or_else(at_most)
    }

    /// Whether the provider said what it took.
    pub(super) fn is_reported(&self) -> bool {
        let source = self.ended.as_ref().map(CallEnded::usage_source);
        source == Some(UsageSource::Reported)
    }

    /// What the ledger calls its end.
    pub(super) fn outcome(&self) -> &'static str {
        match self.ended.as_ref().map(CallEnded::outcome) {
            Some(CallOutcome::Completed) => "COMPLETED",
            Some(CallOutcome::Failed | CallOutcome::Unspecified) => "FAILED",
            Some(CallOutcome::CutShort) | None => "CUT_SHORT",
        }
    }
}
