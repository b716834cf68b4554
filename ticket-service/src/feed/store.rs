//! Events in PostgreSQL.

use serde::Deserialize;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, PgPool, Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::event::{Actor, Change, Event, NewEvent, Positioned, Scope};
use crate::db::word;
use crate::error::{Error, Result};

/// The advisory lock of whoever gives events their positions: "feed" and a 1, in ASCII. Positions are per database, and so is
/// the lock.
const NUMBERING: i64 = 0x6665_6564_0000_0001;

/// An event's row; also what `row_to_json` makes of one.
#[derive(Debug, Deserialize, FromRow)]
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

/// An event's row with its place in the feed.
#[derive(FromRow)]
struct PositionedRow {
    position: i64,
    #[sqlx(flatten)]
    event: EventRow,
}

/// How the feed stands.
pub(super) struct Standing {
    /// The newest position; 0 where there is none.
    pub(super) newest: i64,
    /// Whether there are committed events without one.
    pub(super) waiting: bool,
}

/// How the feed stands now. Costs a look at a table of one row, and one into an index.
pub(super) async fn standing(pool: &PgPool) -> Result<Standing> {
    let standing = sqlx::query_as!(
        Standing,
        r#"SELECT position AS newest, EXISTS (SELECT FROM ticket_events WHERE position IS NULL) AS "waiting!"
           FROM feed_head"#,
    )
    .fetch_one(pool)
    .await?;
    Ok(standing)
}

/// What one numbering did.
pub(super) struct Numbered {
    pub(super) count: i64,
    /// The newest position, where any was given.
    pub(super) newest: Option<i64>,
}

/// Gives the next positions to at most `limit` committed events, in the order of their ids; `None` where another replica is at
/// it. Everything that was committed before the call is seen.
pub(super) async fn number(pool: &PgPool, limit: i64) -> Result<Option<Numbered>> {
    // Each statement has a snapshot of its own: the second one's is newer than the lock, so it sees the positions that the
    // lock's last holder gave. (A lock is given back after its transaction can be seen.)
    let mut tx = pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    // A holder that is cut off from PostgreSQL loses its lock after 2 s.
    let lock = sqlx::query!(
        r#"SELECT pg_try_advisory_xact_lock($1) AS "taken!", set_config('idle_in_transaction_session_timeout', '2s', true)"#,
        NUMBERING,
    )
    .fetch_one(&mut *tx)
    .await?;
    if !lock.taken {
        tx.rollback().await?;
        return Ok(None);
    }
    let numbered = sqlx::query_as!(
        Numbered,
        r#"WITH waiting AS (
               SELECT id, row_number() OVER (ORDER BY id) AS nth
               FROM (SELECT id FROM ticket_events WHERE position IS NULL ORDER BY id LIMIT $1) oldest
           ), numbered AS (
               UPDATE ticket_events e SET position = feed_head.position + waiting.nth
               FROM waiting, feed_head WHERE e.id = waiting.id
               RETURNING e.position
           ), moved AS (
               UPDATE feed_head SET position = position + (SELECT count(*) FROM waiting)
           )
           SELECT count(*) AS "count!", max(position) AS newest FROM numbered"#,
        limit,
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(numbered))
}

/// The first `limit` events of a scope that stand after one position, up to another, in the feed's order.
pub(super) async fn between(
    pool: &PgPool,
    scope: &Scope,
    after: i64,
    up_to: i64,
    limit: i64,
) -> Result<Vec<Positioned>> {
    const COLUMNS: &str = "position, id, ticket_id, requester_id, kind, actor_kind, actor_id, changes, message_id, reply_id, \
                           internal, create_time";
    let mut query = QueryBuilder::<Postgres>::new("SELECT ");
    query
        .push(COLUMNS)
        .push(" FROM (SELECT * FROM ticket_events WHERE position > ");
    query.push_bind(after).push(" AND position <= ").push_bind(up_to);
    if let Some(requester) = scope.sees_only {
        query.push(" AND NOT internal AND requester_id = ").push_bind(requester);
    }
    if !scope.tickets.is_empty() {
        query.push(" AND ticket_id = ANY(").push_bind(&scope.tickets);
        // A fence: few tickets' events are found and sorted, rather than the feed read until enough of them have come.
        query.push(") OFFSET 0");
    }
    query.push(") e ORDER BY position LIMIT ").push_bind(limit);
    let rows: Vec<PositionedRow> = query.build_query_as().fetch_all(pool).await?;
    rows.into_iter()
        .map(|row| {
            Ok(Positioned {
                position: row.position,
                event: row.event.try_into()?,
            })
        })
        .collect()
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
