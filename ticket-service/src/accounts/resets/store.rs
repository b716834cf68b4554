//! Requests, tokens and mail in PostgreSQL.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::error::Result;

/// A mail that is to be sent, locked until its transaction ends.
pub(super) struct Due {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) sealed_secret: String,
    pub(super) tries: i32,
}

/// Keeps a request.
pub(super) async fn ask(pool: &PgPool, id: Uuid, sealed_email: &str) -> Result<()> {
    sqlx::query!(
        "INSERT INTO password_reset_requests (id, sealed_email) VALUES ($1, $2)",
        id,
        sealed_email
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Takes the oldest request that nobody else is at.
pub(super) async fn take_request_in_tx(tx: &mut PgConnection) -> Result<Option<(Uuid, String)>> {
    let taken = sqlx::query!(
        "DELETE FROM password_reset_requests WHERE id = (
             SELECT id FROM password_reset_requests ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING id, sealed_email",
    )
    .fetch_optional(tx)
    .await?;
    Ok(taken.map(|taken| (taken.id, taken.sealed_email)))
}

/// Makes a token the one that is good for the account of this address, and has it mailed. Nothing where there is no account, or
/// a disabled one.
pub(super) async fn grant_in_tx(
    tx: &mut PgConnection,
    email: &str,
    hash: &[u8],
    mail: Uuid,
    sealed_token: &str,
) -> Result<()> {
    sqlx::query!(
        "WITH holder AS (
             SELECT id FROM users WHERE email = $1 AND disable_time IS NULL
         ), granted AS (
             INSERT INTO password_resets (user_id, hash, expire_time)
             SELECT id, $2, now() + interval '30 minutes' FROM holder
             ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, expire_time = excluded.expire_time
         )
         INSERT INTO outbox (id, kind, user_id, sealed_secret) SELECT $3, 'PASSWORD_RESET', id, $4 FROM holder",
        email,
        hash,
        mail,
        sealed_token,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Whose token has this hash, and their address; `None` where it is not good.
pub(super) async fn holder(pool: &PgPool, hash: &[u8]) -> Result<Option<(Uuid, String)>> {
    let found = sqlx::query!(
        "SELECT u.id, u.email FROM password_resets r JOIN users u ON u.id = r.user_id
         WHERE r.hash = $1 AND r.expire_time > now() AND u.disable_time IS NULL",
        hash,
    )
    .fetch_optional(pool)
    .await?;
    Ok(found.map(|found| (found.id, found.email)))
}

/// Uses a token up; false where it is no longer good.
pub(super) async fn consume_in_tx(tx: &mut PgConnection, user: Uuid, hash: &[u8]) -> Result<bool> {
    let used = sqlx::query!(
        "DELETE FROM password_resets WHERE user_id = $1 AND hash = $2 AND expire_time > now()",
        user,
        hash,
    )
    .execute(tx)
    .await?;
    Ok(used.rows_affected() == 1)
}

/// A mail that is due and that nobody else is sending.
pub(super) async fn lock_due_mail_in_tx(tx: &mut PgConnection) -> Result<Option<Due>> {
    let due = sqlx::query_as!(
        Due,
        "SELECT o.id, u.display_name AS name, u.email, o.sealed_secret, o.tries
         FROM outbox o JOIN users u ON u.id = o.user_id
         WHERE o.next_time <= now() ORDER BY o.next_time LIMIT 1 FOR UPDATE OF o SKIP LOCKED",
    )
    .fetch_optional(tx)
    .await?;
    Ok(due)
}

/// Removes a mail that was sent or given up.
pub(super) async fn remove_mail_in_tx(tx: &mut PgConnection, id: Uuid) -> Result<()> {
    sqlx::query!("DELETE FROM outbox WHERE id = $1", id).execute(tx).await?;
    Ok(())
}

/// Has a mail tried again after `seconds`.
pub(super) async fn put_off_in_tx(tx: &mut PgConnection, id: Uuid, seconds: f64) -> Result<()> {
    sqlx::query!(
        "UPDATE outbox SET tries = tries + 1, next_time = now() + make_interval(secs => $2) WHERE id = $1",
        id,
        seconds,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes a bounded number of tokens whose time is over; true where there may be more.
pub(crate) async fn sweep(pool: &PgPool) -> Result<bool> {
    const BATCH: i64 = 1000;
    let removed = sqlx::query!(
        "DELETE FROM password_resets WHERE user_id IN (
             SELECT user_id FROM password_resets WHERE expire_time < now() ORDER BY expire_time LIMIT $1
             FOR UPDATE SKIP LOCKED)",
        BATCH,
    )
    .execute(pool)
    .await?;
    Ok(i64::try_from(removed.rows_affected()).is_ok_and(|removed| removed == BATCH))
}
