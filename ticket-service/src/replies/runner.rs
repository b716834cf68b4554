//! A run: from the first word asked of the model to the end that is kept. It belongs to this process, not to a call, so it
//! goes on when nobody listens.

use std::time::Duration;

use deskhand_proto::assistant::v1::stream_reply_response::{CallEnded, CallStarted, Event};
use deskhand_proto::assistant::v1::{CallOutcome, StreamReplyResponse};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::assistant::{self, Assistant};
use super::attach::Running;
use super::reply::{End, Failure};
use super::store::{self, Outcome, Run};
use crate::error::Error;
use crate::tickets::store::Conversation;

/// Tries to keep an end, while the database cannot be used.
const TRIES: u32 = 6;

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
        () = running.superseded.cancelled() => Outcome::Superseded,
        () = stopping.cancelled() => Outcome::Failed(Failure::Abandoned),
        () = tokio::time::sleep(assistant::ATTEMPT) => Outcome::Failed(Failure::TimedOut),
        outcome = answer(&assistant, conversation, &running, &mut calls) => outcome,
    };
    let end = keep(&pool, &run, outcome, running.text(), &calls).await;
    running.end(end);
}

/// Asks the model and passes on what it says.
async fn answer(
    assistant: &Assistant,
    conversation: Conversation,
    running: &Running,
    calls: &mut Vec<Call>,
) -> Outcome {
    let failed = |status: tonic::Status| {
        let failure = assistant::failure(&status);
        tracing::warn!(?failure, code = ?status.code(), message = status.message(), "no answer from assistant-service");
        Outcome::Failed(failure)
    };
    let mut stream = match assistant.stream_reply(conversation).await {
        Ok(stream) => stream,
        Err(status) => return failed(status),
    };
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
            // TODO of the next commits: what a hand-off does to a ticket.
            Some(Event::HandOff(_)) => return Outcome::Failed(Failure::EmptyAnswer),
            Some(Event::Finished(_)) => return Outcome::Whole,
            // Something newer than this program; nothing that it must know.
            None => {}
        }
    }
}

/// Keeps the end. Where the database stays away, nothing is claimed: the run is closed by whoever finds it.
async fn keep(pool: &PgPool, run: &Run, outcome: Outcome, text: String, calls: &[Call]) -> End {
    for tried in 1..=TRIES {
        match store::close(pool, run, outcome, &text, calls).await {
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
    End::Interrupted {
        reason: "STORAGE_UNAVAILABLE",
    }
}

impl Call {
    /// What the ledger calls its end.
    pub(super) fn outcome(&self) -> &'static str {
        match self.ended.as_ref().map(CallEnded::outcome) {
            Some(CallOutcome::Completed) => "COMPLETED",
            Some(CallOutcome::Failed | CallOutcome::Unspecified) => "FAILED",
            Some(CallOutcome::CutShort) | None => "CUT_SHORT",
        }
    }
}
