//! Repeats of a request get the first response. A key is (user, request_id); it is claimed and answered in the transaction
//! of the change, so that there is either both or neither, and it lives 24 h.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Names a request of a user.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    user: Uuid,
    request_id: Uuid,
    fingerprint: Vec<u8>,
}

impl Key {
    /// The key of a request that came with a `request_id`; `request` is the message without anything that may differ in a
    /// repeat.
    pub(crate) fn new(
        secret: &Secret,
        caller: &Caller,
        request_id: Option<Uuid>,
        method: &str,
        request: &impl prost::Message,
    ) -> Option<Self> {
        let fingerprint = || secret.fingerprint(&[method.as_bytes(), &request.encode_to_vec()]);
        request_id.map(|request_id| Self {
            user: caller.user,
            request_id,
            fingerprint: fingerprint(),
        })
    }
}

/// The first response to this key, where there is one; else the key is claimed, and [`keep_in_tx`] must follow in the same
/// transaction. Waits while another is at work on the key. Without a key there is nothing.
pub(crate) async fn kept_in_tx<T: DeserializeOwned>(tx: &mut PgConnection, key: Option<&Key>) -> Result<Option<T>> {
    let Some(key) = key else {
        return Ok(None);
    };
    let kept = claim(tx, key).await?.map(serde_json::from_value).transpose();
    kept.map_err(|error| Error::internal("a kept response cannot be read", error))
}

/// Keeps the response to a claimed key, in the place of an older one.
pub(crate) async fn keep_in_tx(tx: &mut PgConnection, key: Option<&Key>, response: &impl Serialize) -> Result<()> {
    let Some(key) = key else {
        return Ok(());
    };
    let response =
        serde_json::to_value(response).map_err(|error| Error::internal("a response cannot be kept", error))?;
    let kept = sqlx::query!(
        "UPDATE idempotency_keys SET response = $3 WHERE user_id = $1 AND request_id = $2",
        key.user,
        key.request_id,
        response,
    )
    .execute(tx)
    .await?;
    if kept.rows_affected() == 1 {
        Ok(())
    } else {
        Err(Error::Internal("a claimed request_id is gone", None))
    }
}

/// Claims a key; else the response of whoever claimed it first. Waits while that one is at work.
async fn claim(tx: &mut PgConnection, key: &Key) -> Result<Option<serde_json::Value>> {
    let claimed = sqlx::query!(
        "INSERT INTO idempotency_keys AS keys (user_id, request_id, fingerprint) VALUES ($1, $2, $3)
         ON CONFLICT (user_id, request_id) DO UPDATE
         SET fingerprint = excluded.fingerprint, response = NULL, create_time = now()
         WHERE keys.create_time < now() - interval '24 hours'",
        key.user,
        key.request_id,
        key.fingerprint,
    )
    .execute(&mut *tx)
    .await?;
    if claimed.rows_affected() == 1 {
        return Ok(None);
    }
    let kept = sqlx::query!(
        "SELECT fingerprint, response FROM idempotency_keys WHERE user_id = $1 AND request_id = $2",
        key.user,
        key.request_id,
    )
    .fetch_optional(tx)
    .await?;
    match kept {
        Some(kept) if kept.fingerprint != key.fingerprint => Err(Error::RequestIdReused),
        Some(kept) if kept.response.is_some() => Ok(kept.response),
        _ => Err(Error::Internal("a kept response is gone", None)),
    }
}

/// Removes a bounded number of keys that are over; true where there may be more. They go an hour late, so that none goes
/// between a repeat's two statements.
pub(crate) async fn sweep(pool: &PgPool) -> Result<bool> {
    const BATCH: i64 = 1000;
    let removed = sqlx::query!(
        "DELETE FROM idempotency_keys WHERE (user_id, request_id) IN (
             SELECT user_id, request_id FROM idempotency_keys
             WHERE create_time < now() - interval '25 hours' ORDER BY create_time LIMIT $1)",
        BATCH,
    )
    .execute(pool)
    .await?;
    Ok(i64::try_from(removed.rows_affected()).is_ok_and(|removed| removed == BATCH))
}
