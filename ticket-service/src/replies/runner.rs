//! A run: from the first word asked of the model to the end that is kept. It belongs to this process, not to a call, so it
//! goes on when nobody listens.

use std::time::Duration;

use deskhand_proto::assistant::v1::StreamReplyResponse;
use deskhand_proto::assistant::v1::stream_reply_response::Event;
use sqlx::PgPool;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::assistant::{self, Assistant};
use super::attach::Running;
use super::calls::Calls;
use super::judgement::Tone;
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

/// What a run is about.
pub(super) enum Subject {
    Conversation(Conversation),
    Text { text: String, tone: Tone },
}

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
        outcome = ask(&assistant, &run, subject, &running, &calls) => Some(outcome),
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
        tokio::select! {
            _ = ticks.tick() => {}
            () = calls.further() => {}
        }
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
    if let Err(error) = store::release(pool, run, &calls.all()).await {
        // It is found all the same, once its lease is over.
        tracing::warn!(error = &error as &dyn std::error::Error, reply_id = %run.reply_id, "a run could not be handed on");
    }
}

/// Asks for what the run is to make.
async fn ask(assistant: &Assistant, run: &Run, subject: Subject, running: &Running, calls: &Calls) -> Outcome {
    let tokens = run.tokens_at_most;
    let made = match (run.mode, subject) {
        (Mode::Post | Mode::Draft, Subject::Conversation(conversation)) => {
            return answer(assistant, run, conversation, running, calls).await;
        }
        (Mode::Summary, Subject::Conversation(conversation)) => assistant.summarize(conversation, tokens).await,
        (Mode::Triage, Subject::Conversation(conversation)) => {
            let judged = assistant.triage(conversation, tokens).await;
            judged.map(|(triage, calls)| {
                let text = triage.and_then(|triage| serde_json::to_string(&triage).ok());
                (text.unwrap_or_default(), calls)
            })
        }
        (_, Subject::Text { text, tone }) => assistant.rewrite(text, tone, tokens).await,
        (Mode::Rewrite, Subject::Conversation(_)) => return Outcome::Failed(Failure::Internal),
    };
    match made {
        Ok((text, made)) => {
            calls.made(made);
            calls.are_complete();
            if text.is_empty() {
                return Outcome::Failed(Failure::UpstreamProtocol);
            }
            running.push(&text);
            Outcome::Whole
        }
        Err(status) => {
            if let Some(made) = assistant::calls(&status) {
                calls.made(made);
                calls.are_complete();
            }
            failed(&status)
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
    running: &Running,
    calls: &Calls,
) -> Outcome {
    let asked = assistant.stream_reply(run.mode, conversation, run.tokens_at_most).await;
    let ended = |status: &tonic::Status| {
        // Calls are announced before they are made, so that nothing is hidden where the stream itself has ended.
        if assistant::calls(status).is_some() {
            calls.are_complete();
        }
        failed(status)
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
            Ok(None) => return Outcome::Failed(Failure::UpstreamProtocol),
            Err(status) => return ended(&status),
        };
        match event {
            Some(Event::CallStarted(started)) => calls.started(started),
            Some(Event::Delta(delta)) => running.push(&delta.text),
            Some(Event::CallEnded(ended)) => calls.ended(ended),
            Some(Event::HandOff(told)) => hand_off = Some(told.why),
            Some(Event::Finished(_)) => return hand_off.map_or(Outcome::Whole, Outcome::HandedOff),
            // Something newer than this program; nothing that it must know.
            None => {}
        }
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
