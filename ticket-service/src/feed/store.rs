//! Events in PostgreSQL.

use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::event::{Actor, Change, Event, NewEvent};
use crate::db::word;
use crate::error::{Error, Result};

/// An event's row.
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
