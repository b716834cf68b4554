//! What people thought of replies.

use serde::Deserialize;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::word;
use crate::error::{Error, Result};
use crate::replies::opinion::{Rating, Verdict};

/// Keeps a person's rating, in the place of an older one of theirs.
pub(in crate::replies) async fn rate_in_tx(
    tx: &mut PgConnection,
    reply_id: Uuid,
    user: Uuid,
    verdict: Verdict,
    comment: &str,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO reply_ratings (reply_id, user_id, verdict, comment) VALUES ($1, $2, $3, $4)
         ON CONFLICT (reply_id, user_id) DO UPDATE
             SET verdict = excluded.verdict, comment = excluded.comment, update_time = now()",
        reply_id,
        user,
        <&str>::from(verdict),
        comment,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A rating, as `row_to_json` makes it.
#[derive(Debug, Deserialize)]
pub(super) struct RatingRow {
    user_id: Uuid,
    verdict: String,
    comment: String,
    #[serde(with = "time::serde::rfc3339")]
    update_time: OffsetDateTime,
}

impl TryFrom<RatingRow> for Rating {
    type Error = Error;

    fn try_from(row: RatingRow) -> Result<Self> {
        Ok(Self {
            user_id: row.user_id,
            verdict: word(&row.verdict)?,
            comment: row.comment,
            update_time: row.update_time,
        })
    }
}
