//! What the assistant cost.

use sqlx::PgPool;
use time::{Date, OffsetDateTime};

use crate::error::Result;

/// What rows are told apart by.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::replies) struct Keys {
    pub(in crate::replies) day: bool,
    pub(in crate::replies) model: bool,
    pub(in crate::replies) user: bool,
    pub(in crate::replies) outcome: bool,
    pub(in crate::replies) mode: bool,
}

/// What some calls cost. Keys that were not asked for are `None`.
pub(in crate::replies) struct Row {
    pub(in crate::replies) day: Option<Date>,
    pub(in crate::replies) model: Option<String>,
    pub(in crate::replies) user_id: Option<uuid::Uuid>,
    pub(in crate::replies) outcome: Option<String>,
    pub(in crate::replies) mode: Option<String>,
    pub(in crate::replies) calls: i64,
    pub(in crate::replies) estimated: i64,
    pub(in crate::replies) input: i64,
    pub(in crate::replies) cached: i64,
    pub(in crate::replies) output: i64,
    pub(in crate::replies) reasoning: i64,
    pub(in crate::replies) cost_micro_usd: i64,
}

/// The rows from `skip` on of what calls that began from `from` until before `before` cost, in the order of their keys. The sums
/// have to be made anew for each page, so that nothing is gained by a keyset.
pub(in crate::replies) async fn report(
    pool: &PgPool,
    from: OffsetDateTime,
    before: OffsetDateTime,
    keys: Keys,
    skip: i64,
    limit: i64,
) -> Result<Vec<Row>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT CASE WHEN $3 THEN (c.create_time AT TIME ZONE 'UTC')::date END AS day,
                  CASE WHEN $4 THEN c.model END AS model,
                  CASE WHEN $5 THEN r.requested_by END AS user_id,
                  CASE WHEN $6 THEN c.outcome END AS outcome,
                  CASE WHEN $7 THEN r.mode END AS mode,
                  count(*) AS "calls!",
                  count(*) FILTER (WHERE c.usage_source = 'ESTIMATED') AS "estimated!",
                  coalesce(sum(c.input_tokens), 0)::bigint AS "input!",
                  coalesce(sum(c.cached_input_tokens), 0)::bigint AS "cached!",
                  coalesce(sum(c.output_tokens), 0)::bigint AS "output!",
                  coalesce(sum(c.reasoning_tokens), 0)::bigint AS "reasoning!",
                  coalesce(sum(c.cost_micro_usd), 0)::bigint AS "cost_micro_usd!"
           FROM model_calls c JOIN replies r ON r.id = c.reply_id
           WHERE c.create_time >= $1 AND c.create_time < $2
           GROUP BY 1, 2, 3, 4, 5
           ORDER BY 1, 2, 3, 4, 5
           OFFSET $8 LIMIT $9"#,
        from,
        before,
        keys.day,
        keys.model,
        keys.user,
        keys.outcome,
        keys.mode,
        skip,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}
