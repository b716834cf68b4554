//! What becomes of drafts.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::db::word;
use crate::error::{Error, Result};
use crate::replies::opinion::Decision;
use crate::replies::reply::{Mode, State};

/// A finished draft, locked.
pub(in crate::replies) struct Draft {
    /// Nothing yet, or what was decided.
    pub(in crate::replies) decision: Option<Decision>,
    /// What was posted, where it was accepted.
    pub(in crate::replies) posted: Option<String>,
}

/// The text of a finished draft.
///
/// # Errors
/// `NotADraft` where the reply is something else, or not finished.
pub(in crate::replies) async fn draft_text(pool: &PgPool, reply_id: Uuid) -> Result<String> {
    let row = sqlx::query!("SELECT mode, state, text FROM replies WHERE id = $1", reply_id)
        .fetch_optional(pool)
        .await?
        .ok_or(Error::ReplyNotFound)?;
    check(&row.mode, &row.state)?;
    Ok(row.text.unwrap_or_default())
}

/// Locks a finished draft, whose ticket is locked.
///
/// # Errors
/// `NotADraft` where the reply is something else, or not finished.
pub(in crate::replies) async fn draft_in_tx(tx: &mut PgConnection, reply_id: Uuid) -> Result<Draft> {
    let row = sqlx::query!(
        r#"SELECT r.mode, r.state, r.decision, (SELECT body FROM messages WHERE id = r.accepted_message_id) AS posted
           FROM replies r WHERE r.id = $1 FOR UPDATE"#,
        reply_id
    )
    .fetch_optional(tx)
    .await?
    .ok_or(Error::ReplyNotFound)?;
    check(&row.mode, &row.state)?;
    Ok(Draft {
        decision: row.decision.as_deref().map(word).transpose()?,
        posted: row.posted,
    })
}

fn check(mode: &str, state: &str) -> Result<()> {
    if word::<Mode>(mode)? == Mode::Draft && word::<State>(state)? == State::Drafted {
        Ok(())
    } else {
        Err(Error::NotADraft)
    }
}

/// Keeps that a draft was posted as this message.
pub(in crate::replies) async fn accept_in_tx(
    tx: &mut PgConnection,
    reply_id: Uuid,
    user: Uuid,
    message_id: Uuid,
    edit_distance: i32,
) -> Result<()> {
    sqlx::query!(
        "UPDATE replies SET decision = 'ACCEPTED', decided_by = $2, decide_time = now(), accepted_message_id = $3,
             edit_distance = $4
         WHERE id = $1",
        reply_id,
        user,
        message_id,
        edit_distance,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Keeps that a draft was put away.
pub(in crate::replies) async fn discard_in_tx(tx: &mut PgConnection, reply_id: Uuid, user: Uuid) -> Result<()> {
    sqlx::query!(
        "UPDATE replies SET decision = 'DISCARDED', decided_by = $2, decide_time = now() WHERE id = $1",
        reply_id,
        user,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes a bounded number of rewritten texts that no repeat can ask for any more; true where there may be more.
pub(crate) async fn sweep_rewritten(pool: &PgPool) -> Result<bool> {
    const BATCH: i64 = 1000;
    let removed = sqlx::query!(
        "UPDATE replies SET text = NULL WHERE id IN (
             SELECT id FROM replies WHERE mode = 'REWRITE' AND text IS NOT NULL AND end_time < now() - interval '25 hours'
             ORDER BY end_time LIMIT $1)",
        BATCH,
    )
    .execute(pool)
    .await?;
    Ok(i64::try_from(removed.rows_affected()).is_ok_and(|removed| removed == BATCH))
}
