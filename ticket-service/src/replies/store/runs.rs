//! The life of runs: opened, kept alive, stopped, taken over.

use std::time::Duration;

use sqlx::postgres::types::PgInterval;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Run, budgets, ledger};
use crate::db::tx::{begin, retrying};
use crate::db::word;
use crate::error::{Error, Result};
use crate::replies::calls::Calls;
use crate::replies::fence::{self, Seen};
use crate::replies::reply::{Failure, Mode, State};
use crate::settings::Budgets;
use crate::tickets::store::Locked;

/// How long a run is its process's after a sign of life, by PostgreSQL's clock. Others take it over then.
const LEASE: Duration = Duration::from_secs(6);
/// After so many attempts whose process died, a reply has failed.
const MAX_ATTEMPTS: i32 = 3;

/// A reply that stands in the way of a new one.
pub(in crate::replies) struct Standing {
    pub(in crate::replies) reply_id: Uuid,
    pub(in crate::replies) answers_seq: i32,
}

/// The live run of a ticket and mode; where that is an answer, also the good one to its newest customer message.
pub(in crate::replies) async fn standing_in_tx(
    tx: &mut PgConnection,
    ticket: &Locked,
    mode: Mode,
) -> Result<Option<Standing>> {
    let row = sqlx::query!(
        "SELECT id, answers_seq FROM replies
         WHERE ticket_id = $1 AND mode = $2
           AND (state = 'RUNNING' OR ($4 AND answers_seq = $3 AND state IN ('COMPLETED', 'DRAFTED')))
         ORDER BY state = 'RUNNING' DESC, id DESC LIMIT 1",
        ticket.id,
        <&str>::from(mode),
        ticket.last_customer_seq,
        mode.is_answer(),
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| Standing {
        reply_id: row.id,
        answers_seq: row.answers_seq,
    }))
}

/// The state of a reply.
pub(in crate::replies) async fn state_in_tx(tx: &mut PgConnection, reply_id: Uuid) -> Result<State> {
    let state = sqlx::query_scalar!("SELECT state FROM replies WHERE id = $1", reply_id)
        .fetch_one(tx)
        .await?;
    word(&state)
}

/// Opens a run, with the row of its first call and what it may take of the budgets.
///
/// # Errors
/// `BudgetUsedUp`, after which the transaction has to be given up.
pub(in crate::replies) async fn open_in_tx(
    tx: &mut PgConnection,
    run: &Run,
    limits: &Budgets,
    asks: u32,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO replies (id, ticket_id, requested_by, mode, attempt, answers_seq, owner, lease_until, reserved_tokens)
         VALUES ($1, $2, $3, $4, $5, $6, $7, now() + $8, $9)",
        run.reply_id,
        run.ticket_id,
        run.requested_by,
        <&str>::from(run.mode),
        run.attempt,
        run.answers_seq,
        run.owner,
        lease()?,
        run.tokens_at_most,
    )
    .execute(&mut *tx)
    .await?;
    ledger::open_in_tx(tx, run).await?;
    budgets::reserve_in_tx(tx, run.requested_by, run.tokens_at_most, Some(asks), limits).await
}

/// Ends a live run, whoever owns it, without an answer: as superseded, cancelled or failed. False where it has ended already.
pub(in crate::replies) async fn stop_in_tx(
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

pub(super) async fn forget_chunks_in_tx(tx: &mut PgConnection, reply_id: Uuid) -> Result<()> {
    sqlx::query!("DELETE FROM reply_chunks WHERE reply_id = $1", reply_id)
        .execute(tx)
        .await?;
    Ok(())
}

/// Keeps a piece of a run's text, where the run is still this process's; else false.
pub(in crate::replies) async fn keep_chunk(pool: &PgPool, run: &Run, begins: usize, text: &str) -> Result<bool> {
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
pub(in crate::replies) async fn renew(pool: &PgPool, run: &Run) -> Result<bool> {
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
pub(in crate::replies) async fn release(pool: &PgPool, run: &Run, calls: &Calls) -> Result<()> {
    retrying(|| async {
        let mut tx = begin(pool).await?;
        ledger::close_in_tx(&mut tx, run, calls).await?;
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

/// Some runs whose process gave no sign of life for a lease, or some that have ended since then without it: the reply and its
/// ticket.
pub(in crate::replies) async fn orphans(pool: &PgPool) -> Result<Vec<(Uuid, Option<Uuid>)>> {
    let rows = sqlx::query!(
        "SELECT id, ticket_id FROM replies
         WHERE lease_until < now() AND (state = 'RUNNING' OR reserved_tokens > 0) ORDER BY lease_until LIMIT 20"
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.ticket_id)).collect())
}

/// What became of a run whose process died.
pub(in crate::replies) enum Taken {
    /// It is `owner`'s now, in a new attempt.
    Over(Run),
    /// It has ended, for there is nothing more to try, or to answer.
    Ended,
    /// It had ended; its calls and budgets are in the books now.
    Settled,
    /// Someone else was faster.
    Elsewhere,
}

/// Takes a run over, under its ticket's lock if it has one, and settles the attempt that died.
pub(in crate::replies) async fn take_over_in_tx(
    tx: &mut PgConnection,
    ticket: Option<&Locked>,
    reply_id: Uuid,
    owner: Uuid,
    limits: &Budgets,
) -> Result<Taken> {
    let orphan = sqlx::query!(
        "SELECT mode, state, attempt, answers_seq, requested_by FROM replies
         WHERE id = $1 AND lease_until < now() AND (state = 'RUNNING' OR reserved_tokens > 0) FOR UPDATE SKIP LOCKED",
        reply_id
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(orphan) = orphan else {
        return Ok(Taken::Elsewhere);
    };
    ledger::lose_in_tx(tx, reply_id).await?;
    let mode: Mode = word(&orphan.mode)?;
    let running = word::<State>(&orphan.state)? == State::Running;
    let stopped = match ticket {
        _ if !running => None,
        Some(ticket) if mode == Mode::Post && !fence::may_post(orphan.answers_seq, seen(ticket)) => {
            Some((State::Superseded, None))
        }
        Some(_) if orphan.attempt < MAX_ATTEMPTS => None,
        // What has no ticket is not kept, so that it could not be begun again.
        _ => Some((State::Failed, Some(Failure::Abandoned))),
    };
    if let Some((state, failure)) = stopped {
        stop_in_tx(tx, reply_id, state, failure).await?;
    }
    let (Some(ticket), true, None) = (ticket, running, stopped) else {
        budgets::settle_in_tx(tx, reply_id, orphan.attempt).await?;
        return Ok(if running { Taken::Ended } else { Taken::Settled });
    };
    let run = Run {
        reply_id,
        ticket_id: Some(ticket.id),
        ticket_version: ticket.version,
        requested_by: orphan.requested_by,
        mode,
        attempt: orphan.attempt + 1,
        answers_seq: orphan.answers_seq,
        owner,
        tokens_at_most: limits.tokens_per_ask,
    };
    begin_again_in_tx(tx, &run, limits).await
}

/// The next attempt of a run, if there is budget for it.
async fn begin_again_in_tx(tx: &mut PgConnection, run: &Run, limits: &Budgets) -> Result<Taken> {
    let died = run.attempt - 1;
    forget_chunks_in_tx(tx, run.reply_id).await?;
    budgets::settle_in_tx(tx, run.reply_id, died).await?;
    match budgets::try_reserve_in_tx(tx, run.requested_by, run.tokens_at_most, limits).await {
        Ok(()) => {}
        Err(Error::BudgetUsedUp(_)) => {
            stop_in_tx(tx, run.reply_id, State::Failed, Some(Failure::BudgetUsedUp)).await?;
            return Ok(Taken::Ended);
        }
        Err(error) => return Err(error),
    }
    sqlx::query!(
        "UPDATE replies SET attempt = $2, owner = $3, lease_until = now() + $4, reserved_tokens = $5, reserve_time = now()
         WHERE id = $1",
        run.reply_id,
        run.attempt,
        run.owner,
        lease()?,
        run.tokens_at_most,
    )
    .execute(&mut *tx)
    .await?;
    ledger::open_in_tx(tx, run).await?;
    Ok(Taken::Over(run.clone()))
}

pub(super) fn seen(ticket: &Locked) -> Seen {
    Seen {
        status: ticket.status,
        handler: ticket.handler,
        last_customer_seq: ticket.last_customer_seq,
    }
}

/// The kept text of a live run's attempt after so many bytes.
pub(in crate::replies) async fn kept_text(
    pool: &PgPool,
    reply_id: Uuid,
    attempt: i32,
    after: usize,
) -> Result<Vec<u8>> {
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

/// The ticket of a reply that the caller may see; none for a text written anew.
pub(in crate::replies) async fn ticket_of(
    pool: &PgPool,
    sees_only: Option<Uuid>,
    reply_id: Uuid,
) -> Result<Option<Uuid>> {
    sqlx::query_scalar!(
        "SELECT r.ticket_id FROM replies r LEFT JOIN tickets t ON t.id = r.ticket_id
         WHERE r.id = $1 AND ($2::uuid IS NULL OR (t.requester_id = $2 AND r.mode = 'POST'))",
        reply_id,
        sees_only,
    )
    .fetch_optional(pool)
    .await?
    .ok_or(Error::ReplyNotFound)
}
