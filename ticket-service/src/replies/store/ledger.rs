//! The ledger: every call to the model, from before it is made, in PostgreSQL.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Run;
use crate::error::Result;
use crate::replies::calls::{Call, Calls};
use crate::replies::reply::Usage;

/// The outcome of a call that is under way.
const OPEN: &str = "OPEN";
/// The outcome of a call that its run did not wait for.
const CUT_SHORT: &str = "CUT_SHORT";

/// Enters a run's first call before it is made, with the most that the run may take.
pub(super) async fn open_in_tx(tx: &mut PgConnection, run: &Run) -> Result<()> {
    sqlx::query!(
        "INSERT INTO model_calls (reply_id, attempt, call_no, model, prompt_id, prompt_version, outcome, usage_source,
             input_tokens, output_tokens)
         VALUES ($1, $2, 1, '', '', '', 'OPEN', 'ESTIMATED', $3, 0)",
        run.reply_id,
        run.attempt,
        run.tokens_at_most,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Enters a run's next call before it is made, after all that is known of those before; false where the run is this process's no
/// more.
pub(in crate::replies) async fn open_next(
    pool: &PgPool,
    run: &Run,
    before: &[Call],
    call_no: i32,
    tokens_at_most: i64,
) -> Result<bool> {
    let mut connection = pool.acquire().await?;
    enter_in_tx(&mut connection, run, before, OPEN).await?;
    // Locked, for whoever takes the run over enters the ends of the calls that are there.
    let opened = sqlx::query!(
        "INSERT INTO model_calls AS known (reply_id, attempt, call_no, model, prompt_id, prompt_version, outcome, usage_source,
             input_tokens, output_tokens)
         SELECT id, attempt, $4, '', '', '', 'OPEN', 'ESTIMATED', $5, 0 FROM replies
         WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'RUNNING' FOR UPDATE
         ON CONFLICT (reply_id, attempt, call_no) DO UPDATE SET input_tokens = excluded.input_tokens WHERE known.outcome = 'OPEN'",
        run.reply_id,
        run.attempt,
        run.owner,
        call_no,
        tokens_at_most,
    )
    .execute(&mut *connection)
    .await?;
    Ok(opened.rows_affected() == 1)
}

/// Enters what is known of a live run's calls, each by itself: the run may end meanwhile, and whoever waits here is dropped then.
pub(in crate::replies) async fn enter(pool: &PgPool, run: &Run, calls: &[Call]) -> Result<()> {
    let mut connection = pool.acquire().await?;
    enter_in_tx(&mut connection, run, calls, OPEN).await
}

/// Enters what is known of a run's calls; those whose end is not get `unended`. What stands there as ended stays.
async fn enter_in_tx(tx: &mut PgConnection, run: &Run, calls: &[Call], unended: &str) -> Result<()> {
    for call in calls {
        let ended = call.ended.as_ref();
        let usage = call.usage();
        let milliseconds = |duration: Option<prost_types::Duration>| {
            duration.and_then(|d| i32::try_from(d.seconds * 1000 + i64::from(d.nanos / 1_000_000)).ok())
        };
        sqlx::query!(
            "INSERT INTO model_calls AS known (reply_id, attempt, call_no, model, prompt_id, prompt_version, outcome, input_tokens,
                 cached_input_tokens, output_tokens, reasoning_tokens, upstream_id, time_to_first_token_ms, duration_ms,
                 usage_source, cost_micro_usd)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
             ON CONFLICT (reply_id, attempt, call_no) DO UPDATE SET
                 model = excluded.model, prompt_id = excluded.prompt_id, prompt_version = excluded.prompt_version,
                 outcome = excluded.outcome, input_tokens = excluded.input_tokens,
                 cached_input_tokens = excluded.cached_input_tokens, output_tokens = excluded.output_tokens,
                 reasoning_tokens = excluded.reasoning_tokens, upstream_id = excluded.upstream_id,
                 time_to_first_token_ms = excluded.time_to_first_token_ms, duration_ms = excluded.duration_ms,
                 usage_source = excluded.usage_source, cost_micro_usd = excluded.cost_micro_usd
             WHERE known.outcome = 'OPEN'",
            run.reply_id,
            run.attempt,
            call.started.call_no,
            call.started.model,
            call.started.prompt_id,
            call.started.prompt_version,
            call.outcome().unwrap_or(unended),
            usage.input_tokens,
            usage.cached_input_tokens,
            usage.output_tokens,
            usage.reasoning_tokens,
            ended.map(|ended| ended.upstream_id.as_str()).filter(|id| !id.is_empty()),
            milliseconds(ended.and_then(|ended| ended.time_to_first_token)),
            milliseconds(ended.and_then(|ended| ended.duration)),
            if call.is_reported() { "REPORTED" } else { "ESTIMATED" },
            ended.map(|ended| ended.cost_micro_usd),
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Enters the calls of a run that ends. One that was never made is struck out; one of which nothing was heard is lost.
pub(super) async fn close_in_tx(tx: &mut PgConnection, run: &Run, calls: &Calls) -> Result<()> {
    enter_in_tx(tx, run, &calls.all(), CUT_SHORT).await?;
    if calls.are_complete() {
        sqlx::query!(
            "DELETE FROM model_calls WHERE reply_id = $1 AND attempt = $2 AND outcome = 'OPEN'",
            run.reply_id,
            run.attempt,
        )
        .execute(tx)
        .await?;
    } else {
        sqlx::query!(
            "UPDATE model_calls SET outcome = 'LOST' WHERE reply_id = $1 AND attempt = $2 AND outcome = 'OPEN'",
            run.reply_id,
            run.attempt,
        )
        .execute(tx)
        .await?;
    }
    Ok(())
}

/// Enters the end of whatever calls a dead process made: they took all that was left to their attempt, for all that is known.
pub(super) async fn lose_in_tx(tx: &mut PgConnection, reply_id: Uuid) -> Result<()> {
    sqlx::query!(
        "UPDATE model_calls AS lost SET
             outcome = 'LOST',
             input_tokens = greatest(lost.input_tokens, r.reserved_tokens - lost.output_tokens - (
                 SELECT coalesce(sum(input_tokens + output_tokens), 0) FROM model_calls other
                 WHERE other.reply_id = lost.reply_id AND other.attempt = lost.attempt AND other.call_no <> lost.call_no))
         FROM replies r
         WHERE r.id = $1 AND lost.reply_id = r.id AND lost.attempt = r.attempt AND lost.outcome = 'OPEN'",
        reply_id,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// What a reply cost so far, over all its calls that the provider reported; `None` where it reported none.
pub(super) async fn usage_in_tx(tx: &mut PgConnection, reply_id: Uuid) -> Result<Option<Usage>> {
    let row = sqlx::query!(
        r#"SELECT (array_agg(model ORDER BY attempt DESC, call_no DESC))[1] AS model,
                  sum(input_tokens)::bigint AS input, sum(cached_input_tokens)::bigint AS cached,
                  sum(output_tokens)::bigint AS output, sum(reasoning_tokens)::bigint AS reasoning
           FROM model_calls WHERE reply_id = $1 AND usage_source = 'REPORTED' AND input_tokens > 0"#,
        reply_id
    )
    .fetch_one(tx)
    .await?;
    Ok(usage(row.model, row.input, row.cached, row.output, row.reasoning))
}

/// As its columns have it; `None` without a model.
pub(super) fn usage(
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
