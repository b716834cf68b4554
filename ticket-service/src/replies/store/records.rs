//! Replies as they stand, read with their message and what their calls cost.

use sqlx::PgPool;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::ledger::usage;
use super::ratings::RatingRow;
use crate::db::word;
use crate::error::{Error, Result};
use crate::replies::opinion::{Decided, Rating};
use crate::replies::reply::Reply;
use crate::tickets::ticket::Message;

/// A reply's row, with its message and what its calls cost.
struct ReplyRow {
    id: Uuid,
    ticket_id: Option<Uuid>,
    requested_by: Uuid,
    mode: String,
    state: String,
    attempt: i32,
    text: Option<String>,
    failure_reason: Option<String>,
    hand_off_why: Option<String>,
    create_time: OffsetDateTime,
    end_time: Option<OffsetDateTime>,
    answers_message_id: Option<Uuid>,
    message_id: Option<Uuid>,
    message_seq: Option<i32>,
    message_author_id: Option<Uuid>,
    message_author_kind: Option<String>,
    message_body: Option<String>,
    message_visibility: Option<String>,
    message_create_time: Option<OffsetDateTime>,
    message_reply_id: Option<Uuid>,
    model: Option<String>,
    input: Option<i64>,
    cached: Option<i64>,
    output: Option<i64>,
    reasoning: Option<i64>,
    applied: Option<bool>,
    decision: Option<String>,
    decided_by: Option<Uuid>,
    decide_time: Option<OffsetDateTime>,
    edit_distance: Option<i32>,
    ratings: Option<Json<Vec<RatingRow>>>,
}

impl TryFrom<ReplyRow> for Reply {
    type Error = Error;

    fn try_from(row: ReplyRow) -> Result<Self> {
        let message = match (
            row.message_id,
            row.message_seq,
            row.message_author_kind,
            row.message_body,
            row.ticket_id,
        ) {
            (Some(id), Some(seq), Some(kind), Some(body), Some(ticket_id)) => Some(Message {
                id,
                ticket_id,
                seq,
                author_id: row.message_author_id,
                author_kind: word(&kind)?,
                body,
                visibility: word(row.message_visibility.as_deref().unwrap_or_default())?,
                create_time: row.message_create_time.unwrap_or(row.create_time),
                reply_id: row.message_reply_id,
            }),
            _ => None,
        };
        let decision = match (row.decision.as_deref(), row.decided_by, row.decide_time) {
            (Some(decision), Some(user_id), Some(time)) => Some(Decided {
                decision: word(decision)?,
                user_id,
                time,
                edit_distance: row.edit_distance.unwrap_or_default(),
            }),
            _ => None,
        };
        let ratings = row.ratings.map_or_else(Vec::new, |Json(ratings)| ratings);
        Ok(Reply {
            id: row.id,
            ticket_id: row.ticket_id,
            requested_by: row.requested_by,
            mode: word(&row.mode)?,
            state: word(&row.state)?,
            attempt: row.attempt,
            answers_message_id: row.answers_message_id,
            text: row.text,
            failure: row.failure_reason.as_deref().map(word).transpose()?,
            hand_off_why: row.hand_off_why,
            message,
            decision,
            ratings: ratings.into_iter().map(Rating::try_from).collect::<Result<_>>()?,
            applied: row.applied.unwrap_or_default(),
            usage: usage(row.model, row.input, row.cached, row.output, row.reasoning),
            create_time: row.create_time,
            end_time: row.end_time,
        })
    }
}

/// A reply. Drafts are staff's: to others they do not exist.
pub(in crate::replies) async fn get(pool: &PgPool, sees_only: Option<Uuid>, reply_id: Uuid) -> Result<Reply> {
    sqlx::query_as!(
        ReplyRow,
        r#"SELECT r.id, r.ticket_id, r.requested_by, r.mode, r.state, r.attempt, r.text, r.failure_reason, r.hand_off_why, r.create_time,
                  r.end_time, r.applied, r.decision, r.decided_by, r.decide_time, r.edit_distance,
                  (SELECT json_agg(row_to_json(rated)) FROM (
                       SELECT user_id, verdict, comment, update_time FROM reply_ratings
                       WHERE reply_id = r.id AND ($2::uuid IS NULL OR user_id = $2) ORDER BY update_time
                   ) rated) AS "ratings: Json<Vec<RatingRow>>",
                  (SELECT id FROM messages WHERE ticket_id = r.ticket_id AND seq = r.answers_seq) AS answers_message_id,
                  m.id AS "message_id?", m.seq AS "message_seq?", m.author_id AS message_author_id,
                  m.author_kind AS "message_author_kind?", m.body AS "message_body?",
                  m.visibility AS "message_visibility?", m.create_time AS "message_create_time?", m.reply_id AS message_reply_id,
                  u.model, u.input, u.cached, u.output, u.reasoning
           FROM replies r
           LEFT JOIN tickets t ON t.id = r.ticket_id
           LEFT JOIN messages m ON m.id = coalesce(
               r.accepted_message_id, (SELECT id FROM messages WHERE reply_id = r.id))
           CROSS JOIN LATERAL (
               SELECT (array_agg(model ORDER BY attempt DESC, call_no DESC))[1] AS model,
                      sum(input_tokens)::bigint AS input, sum(cached_input_tokens)::bigint AS cached,
                      sum(output_tokens)::bigint AS output, sum(reasoning_tokens)::bigint AS reasoning
               FROM model_calls WHERE reply_id = r.id AND usage_source = 'REPORTED' AND input_tokens > 0
           ) u
           WHERE r.id = $1 AND ($2::uuid IS NULL OR (t.requester_id = $2 AND r.mode = 'POST'))"#,
        reply_id,
        sees_only,
    )
    .fetch_optional(pool)
    .await?
    .ok_or(Error::ReplyNotFound)?
    .try_into()
}

/// The replies of a ticket that the caller may see, newest first, from the one before `before`.
pub(in crate::replies) async fn list(
    pool: &PgPool,
    sees_only: Option<Uuid>,
    ticket_id: Uuid,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Reply>> {
    let rows = sqlx::query_as!(
        ReplyRow,
        r#"SELECT r.id, r.ticket_id, r.requested_by, r.mode, r.state, r.attempt, r.text, r.failure_reason, r.hand_off_why, r.create_time,
                  r.end_time, r.applied, r.decision, r.decided_by, r.decide_time, r.edit_distance,
                  (SELECT json_agg(row_to_json(rated)) FROM (
                       SELECT user_id, verdict, comment, update_time FROM reply_ratings
                       WHERE reply_id = r.id AND ($2::uuid IS NULL OR user_id = $2) ORDER BY update_time
                   ) rated) AS "ratings: Json<Vec<RatingRow>>",
                  (SELECT id FROM messages WHERE ticket_id = r.ticket_id AND seq = r.answers_seq) AS answers_message_id,
                  m.id AS "message_id?", m.seq AS "message_seq?", m.author_id AS message_author_id,
                  m.author_kind AS "message_author_kind?", m.body AS "message_body?",
                  m.visibility AS "message_visibility?", m.create_time AS "message_create_time?", m.reply_id AS message_reply_id,
                  u.model, u.input, u.cached, u.output, u.reasoning
           FROM replies r
           LEFT JOIN tickets t ON t.id = r.ticket_id
           LEFT JOIN messages m ON m.id = coalesce(
               r.accepted_message_id, (SELECT id FROM messages WHERE reply_id = r.id))
           CROSS JOIN LATERAL (
               SELECT (array_agg(model ORDER BY attempt DESC, call_no DESC))[1] AS model,
                      sum(input_tokens)::bigint AS input, sum(cached_input_tokens)::bigint AS cached,
                      sum(output_tokens)::bigint AS output, sum(reasoning_tokens)::bigint AS reasoning
               FROM model_calls WHERE reply_id = r.id AND usage_source = 'REPORTED' AND input_tokens > 0
           ) u
           WHERE r.ticket_id = $1 AND r.id < $3 AND ($2::uuid IS NULL OR (t.requester_id = $2 AND r.mode = 'POST'))
           ORDER BY r.id DESC LIMIT $4"#,
        ticket_id,
        sees_only,
        before.unwrap_or(Uuid::max()),
        limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Reply::try_from).collect()
}
