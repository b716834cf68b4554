//! The ledger: what calls to the model cost, in PostgreSQL.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Run;
use crate::error::Result;
use crate::replies::reply::Usage;
use crate::replies::runner::Call;

/// Enters a run's calls.
pub(super) async fn record_calls_in_tx(tx: &mut PgConnection, run: &Run, calls: &[Call]) -> Result<()> {
    for call in calls {
        let ended = call.ended.as_ref();
        let usage = call.usage();
        let milliseconds = |duration: Option<prost_types::Duration>| {
            duration.and_then(|d| i32::try_from(d.seconds * 1000 + i64::from(d.nanos / 1_000_000)).ok())
        };
        sqlx::query!(
            "INSERT INTO model_calls (reply_id, attempt, call_no, model, prompt_id, prompt_version, outcome, input_tokens,
                 cached_input_tokens, output_tokens, reasoning_tokens, upstream_id, time_to_first_token_ms, duration_ms,
                 usage_source, cost_micro_usd)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
             ON CONFLICT DO NOTHING",
            run.reply_id,
            run.attempt,
            call.started.call_no,
            call.started.model,
            call.started.prompt_id,
            call.started.prompt_version,
            call.outcome(),
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
