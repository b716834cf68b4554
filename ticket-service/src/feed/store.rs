//! Events in PostgreSQL.

use serde::Deserialize;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::event::{Actor, Change, Event, NewEvent};
use crate::db::word;
use crate::error::{Error, Result};

/// An event's row; also what `row_to_json` makes of one.
#[derive(Debug, Deserialize)]
pub(super) struct EventRow {
    id: i64,
    ticket_id: Uuid,
    requester_id: Uuid,
    kind: String,
    actor_kind: String,
    actor_id: Option<Uuid>,
    changes: Json<Vec<Change>>,
    message_id: Option<Uuid>,
    reply_id: Option<Uuid>,
    internal: bool,
    #[serde(with = "time::serde::rfc3339")]
    create_time: OffsetDateTime,
}

impl TryFrom<EventRow> for Event {
    type Error = Error;

    fn try_from(row: EventRow) -> Result<Self> {
        let actor = Actor::stored(&row.actor_kind, row.actor_id);
        Ok(Self {
            id: row.id,
            ticket_id: row.ticket_id,
            requester_id: row.requester_id,
            kind: word(&row.kind)?,
            actor: actor.ok_or(Error::Internal("a stored actor is unknown", None))?,
            changes: row.changes.0,
            message_id: row.message_id,
            reply_id: row.reply_id,
            internal: row.internal,
            create_time: row.create_time,
        })
    }
}

/// Keeps what the transaction does to a ticket, whose row it holds locked or has just made.
pub(crate) async fn append_in_tx(tx: &mut PgConnection, event: &NewEvent) -> Result<()> {
    sqlx::query!(
        "INSERT INTO ticket_events (ticket_id, requester_id, kind, actor_kind, actor_id, changes, message_id, reply_id, internal)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        event.ticket_id,
        event.requester_id,
        <&str>::from(event.kind),
        event.actor.kind(),
        event.actor.id(),
        Json(&event.changes) as _,
        event.message_id,
        event.reply_id,
        event.internal,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The requester of a ticket, and what happened to it, oldest first, from the event after `after`.
pub(crate) async fn list_of_ticket(
    pool: &PgPool,
    sees_only: Option<Uuid>,
    ticket_id: Uuid,
    after: Option<i64>,
    limit: i64,
) -> Result<(Uuid, Vec<Event>)> {
    // The ticket stands in the query, so that none is told from one without events.
    let found = sqlx::query!(
        r#"SELECT t.requester_id, (SELECT json_agg(row_to_json(page)) FROM (
                       SELECT e.id, e.ticket_id, e.requester_id, e.kind, e.actor_kind, e.actor_id, e.changes, e.message_id,
                              e.reply_id, e.internal, e.create_time
                       FROM ticket_events e
                       WHERE e.ticket_id = t.id AND e.id > $3 AND ($2::uuid IS NULL OR NOT e.internal)
                       ORDER BY e.id LIMIT $4
                   ) page) AS "events: Json<Vec<EventRow>>"
           FROM tickets t
           WHERE t.id = $1 AND ($2::uuid IS NULL OR t.requester_id = $2)"#,
        ticket_id,
        sees_only,
        after.unwrap_or(0),
        limit,
    )
    .fetch_optional(pool)
    .await?
    .ok_or(Error::TicketNotFound)?;
    let events = found.events.map_or_else(Vec::new, |Json(events)| events);
    let events = events.into_iter().map(Event::try_from).collect::<Result<_>>()?;
    Ok((found.requester_id, events))
}
