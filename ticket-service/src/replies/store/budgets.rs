//! Budgets: what may be asked and spent in an hour and in a day, reserved before and settled after.
//!
//! Rows are locked in one order: the user's day, the user's hour, the desk's day.

use std::time::Duration;

use sqlx::{Acquire as _, PgConnection, PgPool};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::settings::Budgets;

/// Who pays for all.
const DESK: Uuid = Uuid::nil();

/// Takes `tokens` out of the budgets of a user and of the desk, and where it is an ask of its own, one of the user's `asks` of
/// the hour.
///
/// # Errors
/// `BudgetUsedUp` where a budget has not so much left; then the transaction, or its savepoint, has to be given up.
pub(super) async fn reserve_in_tx(
    tx: &mut PgConnection,
    user: Uuid,
    tokens: i64,
    asks: Option<u32>,
    limits: &Budgets,
) -> Result<()> {
    let taken = sqlx::query!(
        r#"INSERT INTO budgets AS known (payer, period, begins, asks, tokens)
           VALUES ($1, 'DAY', date_trunc('day', now(), 'UTC'), $4, $3),
                  ($1, 'HOUR', date_trunc('hour', now(), 'UTC'), $4, $3),
                  ($2, 'DAY', date_trunc('day', now(), 'UTC'), $4, $3)
           ON CONFLICT (payer, period, begins) DO UPDATE
               SET asks = known.asks + excluded.asks, tokens = known.tokens + excluded.tokens
           RETURNING payer, period, asks, tokens,
               extract(epoch FROM begins + CASE period WHEN 'HOUR' THEN interval '1 hour' ELSE interval '1 day' END - now())::float8
                   AS "left!""#,
        user,
        DESK,
        tokens,
        i64::from(asks.is_some()),
    )
    .fetch_all(tx)
    .await?;
    for row in taken {
        let (used, limit) = match (row.payer == DESK, row.period == "HOUR") {
            (true, _) => (row.tokens, limits.desk_tokens_per_day),
            (false, false) => (row.tokens, limits.user_tokens_per_day),
            (false, true) => (row.asks, asks.unwrap_or(0).into()),
        };
        if limit != 0 && used > limit {
            let left = Duration::try_from_secs_f64(row.left.ceil()).unwrap_or_default();
            return Err(Error::BudgetUsedUp(left));
        }
    }
    Ok(())
}

/// The same without an ask, and with nothing taken where it fails.
pub(super) async fn try_reserve_in_tx(tx: &mut PgConnection, user: Uuid, tokens: i64, limits: &Budgets) -> Result<()> {
    let mut inner = tx.begin().await?;
    reserve_in_tx(&mut inner, user, tokens, None, limits).await?;
    inner.commit().await?;
    Ok(())
}

/// Puts in the place of what was reserved for an attempt what its calls took, once. An ask that took nothing was none.
pub(super) async fn settle_in_tx(tx: &mut PgConnection, reply_id: Uuid, attempt: i32) -> Result<()> {
    let reserved = sqlx::query!(
        r#"WITH old AS (
               SELECT id, attempt, reserved_tokens, reserve_time, requested_by FROM replies
               WHERE id = $1 AND attempt = $2 AND reserved_tokens > 0 FOR UPDATE
           ), settled AS (
               UPDATE replies SET reserved_tokens = 0 FROM old WHERE replies.id = old.id
           )
           SELECT reserved_tokens, reserve_time, requested_by,
                  (SELECT coalesce(sum(input_tokens + output_tokens), 0)::bigint FROM model_calls c
                   WHERE c.reply_id = old.id AND c.attempt = old.attempt) AS "spent!"
           FROM old"#,
        reply_id,
        attempt,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(reserved) = reserved else {
        return Ok(());
    };
    let asks = i64::from(reserved.spent == 0 && attempt == 1);
    sqlx::query!(
        "WITH mine AS (
             SELECT payer, period, begins FROM budgets
             WHERE (payer, period, begins) IN (
                 ($1, 'DAY', date_trunc('day', $3::timestamptz, 'UTC')), ($1, 'HOUR', date_trunc('hour', $3, 'UTC')),
                 ($2, 'DAY', date_trunc('day', $3, 'UTC')))
             ORDER BY payer = $2, period FOR UPDATE
         )
         UPDATE budgets b SET tokens = b.tokens + $4, asks = b.asks - $5
         FROM mine WHERE (b.payer, b.period, b.begins) = (mine.payer, mine.period, mine.begins)",
        reserved.requested_by,
        DESK,
        reserved.reserve_time,
        reserved.spent - reserved.reserved_tokens,
        asks,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes a bounded number of periods that are long over; true where there may be more.
pub(crate) async fn sweep(pool: &PgPool) -> Result<bool> {
    const BATCH: i64 = 1000;
    let removed = sqlx::query!(
        "DELETE FROM budgets WHERE (payer, period, begins) IN (
             SELECT payer, period, begins FROM budgets WHERE begins < now() - interval '3 days' ORDER BY begins LIMIT $1)",
        BATCH,
    )
    .execute(pool)
    .await?;
    Ok(i64::try_from(removed.rows_affected()).is_ok_and(|removed| removed == BATCH))
}
