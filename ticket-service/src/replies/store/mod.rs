//! Replies in PostgreSQL, and the ledger of what they cost.

mod ledger;
mod records;

use std::time::Duration;

use sqlx::postgres::types::PgInterval;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use ledger::{record_calls_in_tx, usage_in_tx};
pub(super) use records::{get, list};

use super::fence::{self, Seen};
use super::reply::{End, Failure, Mode, State};
use super::runner::Call;
use crate::db::tx::retrying;
use crate::db::word;
use crate::error::{Error, Result};
use crate::tickets::store::{self as tickets, Locked, Post};
use crate::tickets::ticket::{AuthorKind, Visibility};

/// How long a run is its process's after a sign of life, by PostgreSQL's clock. Others take it over then.
pub(super) const LEASE: Duration = Duration::from_secs(6);
/// After so many attempts whose process died, a reply has failed.
const MAX_ATTEMPTS: i32 = 3;

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
        lease()?,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends a live run, whoever owns it, without an answer: as superseded, cancelled or failed. False where it has ended already.
pub(super) async fn stop_in_tx(
    tx: &mut PgConnection,
    reply_id: Uuid,
    state: State,
    failure: Option<Failure>,
) -> Result<bool> {
    let stopped = sqlx::query!(
        "UPDATE replies r SET
             state = $2, failure_reason = $3, end_time = now(),
             text = (SELECT string_agg(text, '' ORDER BY begins) FROM reply_chunks WHERE reply_id = r.id AND attempt = r.attempt)
         WHERE id = $1 AND state = 'RUNNING'",
        reply_id,
        <&str>::from(state),
        failure.map(<&str>::from),
    )
    .execute(&mut *tx)
    .await?;
    forget_chunks_in_tx(tx, reply_id).await?;
    Ok(stopped.rows_affected() == 1)
}

async fn forget_chunks_in_tx(tx: &mut PgConnection, reply_id: Uuid) -> Result<()> {
    sqlx::query!("DELETE FROM reply_chunks WHERE reply_id = $1", reply_id)
        .execute(tx)
        .await?;
    Ok(())
}

/// Keeps a piece of a run's text, where the run is still this process's; else false.
pub(super) async fn keep_chunk(pool: &PgPool, run: &Run, begins: usize, text: &str) -> Result<bool> {
    let kept = sqlx::query!(
        "INSERT INTO reply_chunks (reply_id, attempt, begins, text)
         SELECT id, attempt, $4, $5 FROM replies WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'RUNNING'",
        run.reply_id,
        run.attempt,
        run.owner,
        i32::try_from(begins).map_err(|error| Error::internal("a text is too long", error))?,
        text,
    )
    .execute(pool)
    .await?;
    Ok(kept.rows_affected() == 1)
}

/// Says that a run's process is alive, where the run is still its; else false.
pub(super) async fn renew(pool: &PgPool, run: &Run) -> Result<bool> {
    let renewed = sqlx::query!(
        "UPDATE replies SET lease_until = now() + $4 WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'RUNNING'",
        run.reply_id,
        run.attempt,
        run.owner,
        lease()?,
    )
    .execute(pool)
    .await?;
    Ok(renewed.rows_affected() == 1)
}

/// Leaves a run to whoever takes it next.
pub(super) async fn release(pool: &PgPool, run: &Run, calls: &[Call]) -> Result<()> {
    retrying(|| async {
        let mut tx = pool.begin().await?;
        record_calls_in_tx(&mut tx, run, calls).await?;
        sqlx::query!(
            "UPDATE replies SET lease_until = now() WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'RUNNING'",
            run.reply_id,
            run.attempt,
            run.owner,
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    })
    .await
}

fn lease() -> Result<PgInterval> {
    PgInterval::try_from(LEASE).map_err(|error| Error::internal("a lease cannot be written", error))
}

/// Some runs whose process gave no sign of life for a lease: the reply and its ticket.
pub(super) async fn orphans(pool: &PgPool) -> Result<Vec<(Uuid, Uuid)>> {
    let rows = sqlx::query!(
        "SELECT id, ticket_id FROM replies WHERE state = 'RUNNING' AND lease_until < now() ORDER BY lease_until LIMIT 20"
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.ticket_id)).collect())
}

/// What became of a run whose process died.
pub(super) enum Taken {
    /// It is `owner`'s now, in a new attempt.
    Over(Run),
    /// It has ended, for there is nothing more to try, or to answer.
    Ended,
    /// Someone else was faster.
    Elsewhere,
}

/// Takes a run over, under its ticket's lock.
pub(super) async fn take_over_in_tx(
    tx: &mut PgConnection,
    ticket: &Locked,
    reply_id: Uuid,
    owner: Uuid,
) -> Result<Taken> {
    let orphan = sqlx::query!(
        "SELECT mode, attempt, answers_seq FROM replies
         WHERE id = $1 AND state = 'RUNNING' AND lease_until < now() FOR UPDATE SKIP LOCKED",
        reply_id
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(orphan) = orphan else {
        return Ok(Taken::Elsewhere);
    };
    let mode: Mode = word(&orphan.mode)?;
    let seen = seen(ticket);
    let stopped = if orphan.attempt >= MAX_ATTEMPTS {
        Some((State::Failed, Some(Failure::Abandoned)))
    } else if mode == Mode::Post && !fence::may_post(orphan.answers_seq, seen) {
        Some((State::Superseded, None))
    } else {
        None
    };
    if let Some((state, failure)) = stopped {
        stop_in_tx(tx, reply_id, state, failure).await?;
        return Ok(Taken::Ended);
    }
    forget_chunks_in_tx(tx, reply_id).await?;
    let attempt = sqlx::query_scalar!(
        "UPDATE replies SET attempt = attempt + 1, owner = $2, lease_until = now() + $3 WHERE id = $1 RETURNING attempt",
        reply_id,
        owner,
        lease()?,
    )
    .fetch_one(tx)
    .await?;
    Ok(Taken::Over(Run {
        reply_id,
        ticket_id: ticket.id,
        mode,
        attempt,
        answers_seq: orphan.answers_seq,
        owner,
    }))
}

fn seen(ticket: &Locked) -> Seen {
    Seen {
        status: ticket.status,
        handler: ticket.handler,
        last_customer_seq: ticket.last_customer_seq,
    }
}

/// The kept text of a live run's attempt after so many bytes.
pub(super) async fn kept_text(pool: &PgPool, reply_id: Uuid, attempt: i32, after: usize) -> Result<Vec<u8>> {
    let after = i32::try_from(after).unwrap_or(i32::MAX);
    let rows = sqlx::query!(
        "SELECT begins, text FROM reply_chunks
         WHERE reply_id = $1 AND attempt = $2 AND begins >= coalesce(
             (SELECT max(begins) FROM reply_chunks WHERE reply_id = $1 AND attempt = $2 AND begins <= $3), 0)
         ORDER BY begins",
        reply_id,
        attempt,
        after,
    )
    .fetch_all(pool)
    .await?;
    let mut text = Vec::new();
    let mut at = after;
    for row in rows {
        // A piece may begin before what is asked for.
        let skipped = usize::try_from(at - row.begins).unwrap_or_default();
        let fresh = row.text.as_bytes().get(skipped..).unwrap_or_default();
        text.extend_from_slice(fresh);
        at += i32::try_from(fresh.len()).unwrap_or_default();
    }
    Ok(text)
}

/// The ticket of a reply that the caller may see.
pub(super) async fn ticket_of(pool: &PgPool, sees_only: Option<Uuid>, reply_id: Uuid) -> Result<Uuid> {
    sqlx::query_scalar!(
        "SELECT r.ticket_id FROM replies r JOIN tickets t ON t.id = r.ticket_id
         WHERE r.id = $1 AND ($2::uuid IS NULL OR (t.requester_id = $2 AND r.mode = 'POST'))",
        reply_id,
        sees_only,
    )
    .fetch_optional(pool)
    .await?
    .ok_or(Error::ReplyNotFound)
}

/// How a run ended, before anything is kept.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// The answer is whole.
    Whole,
    /// It is not.
    Failed(Failure),
    /// The assistant wants a person to answer, and why.
    HandedOff(String),
    /// Someone ended it: the row says how.
    Stopped,
}

/// Keeps a run's end, its message and its calls in one transaction, where the run is still this process's; `None` where it goes
/// on elsewhere.
pub(super) async fn close(
    pool: &PgPool,
    run: &Run,
    outcome: &Outcome,
    text: &str,
    calls: &[Call],
) -> Result<Option<End>> {
    retrying(|| async {
        let mut tx = pool.begin().await?;
        let end = close_in_tx(&mut tx, run, outcome, text, calls).await?;
        tx.commit().await?;
        Ok(end)
    })
    .await
}

async fn close_in_tx(
    tx: &mut PgConnection,
    run: &Run,
    outcome: &Outcome,
    text: &str,
    calls: &[Call],
) -> Result<Option<End>> {
    let ticket = tickets::lock_in_tx(tx, None, run.ticket_id).await?;
    record_calls_in_tx(tx, run, calls).await?;
    let usage = usage_in_tx(tx, run.reply_id).await?;
    let may_post = run.mode == Mode::Draft || fence::may_post(run.answers_seq, seen(&ticket));
    let (state, failure, why) = match (outcome, run.mode) {
        (Outcome::Failed(failure), _) => (State::Failed, Some(*failure), None),
        (Outcome::Stopped, _) => (State::Superseded, None, None),
        _ if !may_post => (State::Superseded, None, None),
        (Outcome::Whole, Mode::Draft) => (State::Drafted, None, None),
        (Outcome::Whole, Mode::Post) => (State::Completed, None, None),
        (Outcome::HandedOff(why), _) => (State::HandedOff, None, Some(why.as_str())),
    };
    if !end_in_tx(tx, run, state, text, failure, why).await? {
        return Ok(match state_in_tx(tx, run.reply_id).await? {
            State::Cancelled => Some(End::Cancelled),
            State::Superseded => Some(End::Superseded),
            // It was taken over, and what became of it since is not this run's to tell.
            _ => None,
        });
    }
    Ok(Some(match (state, failure) {
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
        (State::HandedOff, _) => {
            tickets::hand_off_in_tx(tx, &ticket, run.reply_id).await?;
            End::HandedOff {
                why: why.unwrap_or_default().to_owned(),
            }
        }
        (_, Some(reason)) => End::Failed {
            reason,
            partial_text: text.to_owned(),
        },
        _ => End::Superseded,
    }))
}

/// Ends a run where it is still this process's; else false.
async fn end_in_tx(
    tx: &mut PgConnection,
    run: &Run,
    state: State,
    text: &str,
    failure: Option<Failure>,
    why: Option<&str>,
) -> Result<bool> {
    // A posted answer's text is its message.
    let text = Some(text).filter(|text| state != State::Completed && !text.is_empty());
    let ended = sqlx::query!(
        "UPDATE replies SET state = $4, text = $5, failure_reason = $6, hand_off_why = $7, end_time = now()
         WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'RUNNING'",
        run.reply_id,
        run.attempt,
        run.owner,
        <&str>::from(state),
        text,
        failure.map(<&str>::from),
        why,
    )
    .execute(&mut *tx)
    .await?;
    let ended = ended.rows_affected() == 1;
    if ended {
        forget_chunks_in_tx(tx, run.reply_id).await?;
    }
    Ok(ended)
}
