//! Replies in PostgreSQL, and the ledger of what they cost.

use std::time::Duration;

use sqlx::postgres::types::PgInterval;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::fence::{self, Seen};
use super::reply::{End, Failure, Mode, Reply, State, Usage};
use super::runner::Call;
use crate::db::tx::retrying;
use crate::db::word;
use crate::error::{Error, Result};
use crate::tickets::store::{self as tickets, Locked, Post};
use crate::tickets::ticket::{AuthorKind, Message, Visibility};

/// How long after its beginning a run is given up by others: the limit of an attempt, and time to keep its end.
const LEASE: Duration = Duration::from_secs(90);

/// A run's claim: every write of it requires that all this still holds.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) reply_id: Uuid,
    pub(super) ticket_id: Uuid,
    pub(super) mode: Mode,
    pub(super) attempt: i32,
    pub(super) answers_seq: i32,
    pub(super) owner: Uuid,
}

/// A reply that stands in the way of a new one.
pub(super) struct Standing {
    pub(super) reply_id: Uuid,
    pub(super) answers_seq: i32,
}

/// The live run of a ticket, or the good reply to its newest customer message.
pub(super) async fn standing_in_tx(tx: &mut PgConnection, ticket: &Locked, mode: Mode) -> Result<Option<Standing>> {
    let row = sqlx::query!(
        "SELECT id, answers_seq FROM replies
         WHERE ticket_id = $1 AND mode = $2
           AND (state = 'RUNNING' OR (answers_seq = $3 AND state IN ('COMPLETED', 'DRAFTED')))
         ORDER BY state = 'RUNNING' DESC, id DESC LIMIT 1",
        ticket.id,
        <&str>::from(mode),
        ticket.last_customer_seq,
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| Standing {
        reply_id: row.id,
        answers_seq: row.answers_seq,
    }))
}

/// The state of a reply.
pub(super) async fn state_in_tx(tx: &mut PgConnection, reply_id: Uuid) -> Result<State> {
    let state = sqlx::query_scalar!("SELECT state FROM replies WHERE id = $1", reply_id)
        .fetch_one(tx)
        .await?;
    word(&state)
}

/// Opens a run.
pub(super) async fn open_in_tx(tx: &mut PgConnection, run: &Run, requested_by: Uuid) -> Result<()> {
    sqlx::query!(
        "INSERT INTO replies (id, ticket_id, requested_by, mode, attempt, answers_seq, owner, lease_until)
         VALUES ($1, $2, $3, $4, $5, $6, $7, now() + $8)",
        run.reply_id,
        run.ticket_id,
        requested_by,
        <&str>::from(run.mode),
        run.attempt,
        run.answers_seq,
        run.owner,
        PgInterval::try_from(LEASE).map_err(|error| Error::internal("a lease cannot be written", error))?,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends a live run, whoever owns it, because of something newer.
pub(super) async fn supersede_in_tx(tx: &mut PgConnection, reply_id: Uuid) -> Result<()> {
    sqlx::query!(
        "UPDATE replies SET state = 'SUPERSEDED', end_time = now() WHERE id = $1 AND state = 'RUNNING'",
        reply_id
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// How a run ended, before anything is kept.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// The answer is whole.
    Whole,
    /// It is not.
    Failed(Failure),
    /// Something newer took its place.
    Superseded,
}

/// Keeps a run's end, its message and its calls in one transaction, where the run is still this process's.
pub(super) async fn close(pool: &PgPool, run: &Run, outcome: Outcome, text: &str, calls: &[Call]) -> Result<End> {
    retrying(|| async {
        let mut tx = pool.begin().await?;
        let end = close_in_tx(&mut tx, run, outcome, text, calls).await?;
        tx.commit().await?;
        Ok(end)
    })
    .await
}

async fn close_in_tx(tx: &mut PgConnection, run: &Run, outcome: Outcome, text: &str, calls: &[Call]) -> Result<End> {
    let ticket = tickets::lock_in_tx(tx, None, run.ticket_id).await?;
    record_calls_in_tx(tx, run, calls).await?;
    let usage = usage_in_tx(tx, run.reply_id).await?;
    let seen = Seen {
        status: ticket.status,
        handler: ticket.handler,
        last_customer_seq: ticket.last_customer_seq,
    };
    let (state, failure) = match (outcome, run.mode) {
        (Outcome::Whole, Mode::Draft) => (State::Drafted, None),
        (Outcome::Whole, Mode::Post) if fence::may_post(run.answers_seq, seen) => (State::Completed, None),
        (Outcome::Whole, Mode::Post) | (Outcome::Superseded, _) => (State::Superseded, None),
        (Outcome::Failed(failure), _) => (State::Failed, Some(failure)),
    };
    if !end_in_tx(tx, run, state, text, failure).await? {
        return Ok(match state_in_tx(tx, run.reply_id).await? {
            State::Cancelled => End::Cancelled,
            State::Superseded => End::Superseded,
            // It was given up, and what became of it since is not this run's to tell.
            _ => End::Interrupted { reason: "LEASE_LOST" },
        });
    }
    Ok(match (state, failure) {
        (State::Completed, _) => {
            let post = Post {
                author_id: None,
                author_kind: AuthorKind::Assistant,
                body: text,
                visibility: Visibility::Public,
                reply_id: Some(run.reply_id),
            };
            let message = Box::new(tickets::post_in_tx(tx, &ticket, post).await?);
            End::Completed { message, usage }
        }
        (State::Drafted, _) => End::Drafted { usage },
        (_, Some(reason)) => End::Failed {
            reason,
            partial_text: text.to_owned(),
        },
        _ => End::Superseded,
    })
}

/// Ends a run where it is still this process's; else false.
async fn end_in_tx(
    tx: &mut PgConnection,
    run: &Run,
    state: State,
    text: &str,
    failure: Option<Failure>,
) -> Result<bool> {
    // A posted answer's text is its message.
    let text = Some(text).filter(|text| state != State::Completed && !text.is_empty());
    let ended = sqlx::query!(
        "UPDATE replies SET state = $4, text = $5, failure_reason = $6, end_time = now()
         WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'RUNNING'",
        run.reply_id,
        run.attempt,
        run.owner,
        <&str>::from(state),
        text,
        failure.map(<&str>::from),
    )
    .execute(tx)
    .await?;
    Ok(ended.rows_affected() == 1)
}

async fn record_calls_in_tx(tx: &mut PgConnection, run: &Run, calls: &[Call]) -> Result<()> {
    for call in calls {
        let ended = call.ended.as_ref();
        let usage = ended.and_then(|ended| ended.usage);
        let milliseconds = |duration: Option<prost_types::Duration>| {
            duration.and_then(|d| i32::try_from(d.seconds * 1000 + i64::from(d.nanos / 1_000_000)).ok())
        };
        sqlx::query!(
            "INSERT INTO model_calls (reply_id, attempt, call_no, model, prompt_id, prompt_version, outcome, input_tokens,
                 cached_input_tokens, output_tokens, reasoning_tokens, upstream_id, time_to_first_token_ms, duration_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
             ON CONFLICT DO NOTHING",
            run.reply_id,
            run.attempt,
            call.started.call_no,
            call.started.model,
            call.started.prompt_id,
            call.started.prompt_version,
            call.outcome(),
            usage.map(|usage| usage.input_tokens),
            usage.map(|usage| usage.cached_input_tokens),
            usage.map(|usage| usage.output_tokens),
            usage.map(|usage| usage.reasoning_tokens),
            ended.map(|ended| ended.upstream_id.as_str()).filter(|id| !id.is_empty()),
            milliseconds(ended.and_then(|ended| ended.time_to_first_token)),
            milliseconds(ended.and_then(|ended| ended.duration)),
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// What a reply cost so far, over all its calls that the provider reported; `None` where it reported none.
async fn usage_in_tx(tx: &mut PgConnection, reply_id: Uuid) -> Result<Option<Usage>> {
    let row = sqlx::query!(
        r#"SELECT (array_agg(model ORDER BY attempt DESC, call_no DESC))[1] AS model,
                  sum(input_tokens)::bigint AS input, sum(cached_input_tokens)::bigint AS cached,
                  sum(output_tokens)::bigint AS output, sum(reasoning_tokens)::bigint AS reasoning
           FROM model_calls WHERE reply_id = $1 AND input_tokens IS NOT NULL"#,
        reply_id
    )
    .fetch_one(tx)
    .await?;
    Ok(usage(row.model, row.input, row.cached, row.output, row.reasoning))
}

fn usage(
    model: Option<String>,
    input: Option<i64>,
    cached: Option<i64>,
    output: Option<i64>,
    reasoning: Option<i64>,
) -> Option<Usage> {
    Some(Usage {
        model: model?,
        input_tokens: input?,
        cached_input_tokens: cached.unwrap_or(0),
        output_tokens: output.unwrap_or(0),
        reasoning_tokens: reasoning.unwrap_or(0),
    })
}

/// A reply. Drafts are staff's: to others they do not exist.
pub(super) async fn get(pool: &PgPool, sees_only: Option<Uuid>, reply_id: Uuid) -> Result<Reply> {
    let row = sqlx::query!(
        r#"SELECT r.id, r.ticket_id, r.requested_by, r.mode, r.state, r.attempt, r.text, r.failure_reason, r.create_time,
                  r.end_time,
                  (SELECT id FROM messages WHERE ticket_id = r.ticket_id AND seq = r.answers_seq) AS answers_message_id,
                  m.id AS "message_id?", m.seq AS "message_seq?", m.author_id AS message_author_id,
                  m.author_kind AS "message_author_kind?", m.body AS "message_body?",
                  m.visibility AS "message_visibility?", m.create_time AS "message_create_time?",
                  u.model, u.input, u.cached, u.output, u.reasoning
           FROM replies r
           JOIN tickets t ON t.id = r.ticket_id
           LEFT JOIN messages m ON m.reply_id = r.id
           CROSS JOIN LATERAL (
               SELECT (array_agg(model ORDER BY attempt DESC, call_no DESC))[1] AS model,
                      sum(input_tokens)::bigint AS input, sum(cached_input_tokens)::bigint AS cached,
                      sum(output_tokens)::bigint AS output, sum(reasoning_tokens)::bigint AS reasoning
               FROM model_calls WHERE reply_id = r.id AND input_tokens IS NOT NULL
           ) u
           WHERE r.id = $1 AND ($2::uuid IS NULL OR (t.requester_id = $2 AND r.mode = 'POST'))"#,
        reply_id,
        sees_only,
    )
    .fetch_optional(pool)
    .await?
    .ok_or(Error::ReplyNotFound)?;
    let message = match (
        row.message_id,
        row.message_seq,
        row.message_author_kind,
        row.message_body,
    ) {
        (Some(id), Some(seq), Some(kind), Some(body)) => Some(Message {
            id,
            ticket_id: row.ticket_id,
            seq,
            author_id: row.message_author_id,
            author_kind: word(&kind)?,
            body,
            visibility: word(row.message_visibility.as_deref().unwrap_or_default())?,
            create_time: row.message_create_time.unwrap_or(row.create_time),
            reply_id: Some(row.id),
        }),
        _ => None,
    };
    Ok(Reply {
        id: row.id,
        ticket_id: row.ticket_id,
        requested_by: row.requested_by,
        mode: word(&row.mode)?,
        state: word(&row.state)?,
        attempt: row.attempt,
        answers_message_id: row.answers_message_id,
        text: row.text,
        failure: row.failure_reason.as_deref().map(word).transpose()?,
        message,
        usage: usage(row.model, row.input, row.cached, row.output, row.reasoning),
        create_time: row.create_time,
        end_time: row.end_time,
    })
}

/// Closes the runs whose process died: their lease is over, and they ended in no other way.
pub(crate) async fn close_abandoned(pool: &PgPool) -> Result<u64> {
    let closed = sqlx::query!(
        "UPDATE replies SET state = 'FAILED', failure_reason = 'ABANDONED', end_time = now()
         WHERE state = 'RUNNING' AND lease_until < now()"
    )
    .execute(pool)
    .await?;
    Ok(closed.rows_affected())
}
