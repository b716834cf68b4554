//! What a run asks of assistant-service: one call to the model at a time, each in the ledger before it is made.

use std::time::Duration;

use deskhand_proto::assistant::v1::stream_reply_response::Event;
use deskhand_proto::assistant::v1::{Continuation, StreamReplyResponse};
use sqlx::PgPool;
use tokio::time::Instant;

use super::assistant::{self, ATTEMPT, Assistant, Made, Terms};
use super::attach::Running;
use super::calls::Calls;
use super::judgement::Tone;
use super::reply::{Failure, Mode};
use super::store::{self, Outcome, Run};
use crate::tickets::store::Conversation;

/// What a run is about.
#[derive(Clone)]
pub(super) enum Subject {
    Conversation(Conversation),
    Text { text: String, tone: Tone },
}

/// What came of one call.
enum Asked {
    Ended(Outcome),
    /// Another call would help.
    GoesOn(Continuation),
}

/// Asks for what the run is to make, until there is nothing more to ask.
pub(super) async fn hold(
    pool: &PgPool,
    assistant: &Assistant,
    run: &Run,
    subject: Subject,
    running: &Running,
    calls: &Calls,
) -> Outcome {
    let mut terms = Terms {
        tokens_at_most: run.tokens_at_most,
        continuation: None,
        until: Instant::now() + ATTEMPT,
    };
    loop {
        calls.asking();
        match ask(assistant, run, subject.clone(), terms.clone(), running, calls).await {
            Asked::Ended(outcome) => return outcome,
            Asked::GoesOn(continuation) => {
                if !enter_next(pool, run, calls, &continuation).await {
                    return Outcome::Stopped;
                }
                terms.tokens_at_most = continuation.tokens_left;
                terms.continuation = Some(continuation);
            }
        }
    }
}

/// Enters the call that is made next; false where the run is this process's no more. Tries as long as the run has time: without
/// its row no call is made.
async fn enter_next(pool: &PgPool, run: &Run, calls: &Calls, next: &Continuation) -> bool {
    for tried in 0.. {
        match store::open_next(pool, run, &calls.all(), next.call_no, next.tokens_left).await {
            Ok(mine) => return mine,
            Err(error) => {
                tracing::warn!(tried, error = &error as &dyn std::error::Error, reply_id = %run.reply_id, "cannot enter a call yet");
                tokio::time::sleep(Duration::from_millis(100 << tried.min(5))).await;
            }
        }
    }
    false
}

async fn ask(
    assistant: &Assistant,
    run: &Run,
    subject: Subject,
    terms: Terms,
    running: &Running,
    calls: &Calls,
) -> Asked {
    let made = match (run.mode, subject) {
        (Mode::Post | Mode::Draft, Subject::Conversation(conversation)) => {
            return answer(assistant, run, conversation, terms, running, calls).await;
        }
        (Mode::Summary, Subject::Conversation(conversation)) => assistant.summarize(conversation, terms).await,
        (Mode::Triage, Subject::Conversation(conversation)) => assistant.triage(conversation, terms).await,
        (_, Subject::Text { text, tone }) => assistant.rewrite(text, tone, terms).await,
        (Mode::Rewrite, Subject::Conversation(_)) => return Asked::Ended(Outcome::Failed(Failure::Internal)),
    };
    match made {
        Ok(Made {
            text,
            calls: made,
            continuation,
        }) => {
            calls.made(made);
            calls.asked();
            if let Some(continuation) = continuation {
                return Asked::GoesOn(continuation);
            }
            if text.is_empty() {
                return Asked::Ended(Outcome::Failed(Failure::UpstreamProtocol));
            }
            running.push(&text);
            Asked::Ended(Outcome::Whole)
        }
        Err(status) => {
            if let Some(made) = assistant::calls(&status) {
                calls.made(made);
                calls.asked();
            }
            Asked::Ended(failed(&status))
        }
    }
}

fn failed(status: &tonic::Status) -> Outcome {
    let failure = assistant::failure(status);
    tracing::warn!(?failure, code = ?status.code(), message = status.message(), "no answer from assistant-service");
    Outcome::Failed(failure)
}

/// Asks for an answer and passes on what the model says.
async fn answer(
    assistant: &Assistant,
    run: &Run,
    conversation: Conversation,
    terms: Terms,
    running: &Running,
    calls: &Calls,
) -> Asked {
    let asked = assistant.stream_reply(run.mode, conversation, terms).await;
    let ended = |status: &tonic::Status| {
        // A call is announced before it is made, so that nothing is hidden where the stream itself has ended.
        if assistant::calls(status).is_some() {
            calls.asked();
        }
        Asked::Ended(failed(status))
    };
    let mut stream = match asked {
        Ok(stream) => stream,
        Err(status) => return ended(&status),
    };
    let mut hand_off = None;
    loop {
        let event = match stream.message().await {
            Ok(Some(StreamReplyResponse { event })) => event,
            // Without `finished` there is no answer, whatever came.
            Ok(None) => return Asked::Ended(Outcome::Failed(Failure::UpstreamProtocol)),
            Err(status) => return ended(&status),
        };
        match event {
            Some(Event::CallStarted(started)) => calls.started(started),
            Some(Event::Delta(delta)) => running.push(&delta.text),
            Some(Event::CallEnded(ended)) => calls.ended(ended),
            Some(Event::HandOff(told)) => hand_off = Some(told.why),
            Some(Event::Finished(_)) => return Asked::Ended(hand_off.map_or(Outcome::Whole, Outcome::HandedOff)),
            Some(Event::Continuation(continuation)) => {
                calls.asked();
                return Asked::GoesOn(continuation);
            }
            // Something newer than this program; nothing that it must know.
            None => {}
        }
    }
}
