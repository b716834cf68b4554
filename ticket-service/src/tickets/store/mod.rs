//! Tickets and messages in PostgreSQL. Whose tickets may be seen is an argument of every query.

mod conversation;
pub(super) mod lists;
#[cfg(test)]
mod plans;
pub(super) mod search;

pub(crate) use conversation::{Conversation, Turn, conversation_in_tx};
use serde::Deserialize;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::request::NewTicket;
use super::status;
use super::ticket::{AuthorKind, Handler, Message, Status, Ticket, Visibility};
use crate::db::word;
use crate::error::{Error, Result};
use crate::feed::event::{Actor, Changes, Kind, NewEvent};
use crate::feed::store as feed;

/// A ticket's row.
#[derive(sqlx::FromRow)]
pub(super) struct TicketRow {
    id: Uuid,
    number: i64,
    title: String,
    description: String,
    status: String,
    priority: String,
    category: String,
    tags: Vec<String>,
    requester_id: Uuid,
    assignee_id: Option<Uuid>,
    handler: String,
    language: String,
    version: i32,
    create_time: OffsetDateTime,
    update_time: OffsetDateTime,
    first_response_time: Option<OffsetDateTime>,
    resolve_time: Option<OffsetDateTime>,
}

impl TryFrom<TicketRow> for Ticket {
    type Error = Error;

    fn try_from(row: TicketRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            number: row.number,
            title: row.title,
            description: row.description,
            status: word(&row.status)?,
            priority: word(&row.priority)?,
            category: word(&row.category)?,
            tags: row.tags,
            requester_id: row.requester_id,
            assignee_id: row.assignee_id,
            handler: word(&row.handler)?,
            language: row.language,
            version: row.version,
            create_time: row.create_time,
            update_time: row.update_time,
            first_response_time: row.first_response_time,
            resolve_time: row.resolve_time,
        })
    }
}

/// A message's row; also what `row_to_json` makes of one.
#[derive(Debug, Deserialize)]
struct MessageRow {
    id: Uuid,
    ticket_id: Uuid,
    seq: i32,
    author_id: Option<Uuid>,
    author_kind: String,
    body: String,
    visibility: String,
    #[serde(with = "time::serde::rfc3339")]
    create_time: OffsetDateTime,
    reply_id: Option<Uuid>,
}

impl TryFrom<MessageRow> for Message {
    type Error = Error;

    fn try_from(row: MessageRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            ticket_id: row.ticket_id,
            seq: row.seq,
            author_id: row.author_id,
            author_kind: word(&row.author_kind)?,
            body: row.body,
            visibility: word(&row.visibility)?,
            create_time: row.create_time,
            reply_id: row.reply_id,
        })
    }
}

/// Keeps a new ticket.
pub(super) async fn create_in_tx(tx: &mut PgConnection, requester: Uuid, new: &NewTicket) -> Result<Ticket> {
    let row = sqlx::query_as!(
        TicketRow,
        "INSERT INTO tickets (id, requester_id, title, description, priority, category, tags)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         RETURNING id, number, title, description, status, priority, category, tags, requester_id, assignee_id, handler,
                   language, version, create_time, update_time, first_response_time, resolve_time",
        Uuid::now_v7(),
        requester,
        new.title,
        new.description,
        <&str>::from(new.priority),
        <&str>::from(new.category),
        &new.tags,
    )
    .fetch_one(&mut *tx)
    .await?;
    let event = NewEvent {
        ticket_id: row.id,
        requester_id: requester,
        kind: Kind::Created,
        actor: Actor::Customer(requester),
        changes: Vec::new(),
        message_id: None,
        reply_id: None,
        internal: false,
    };
    feed::append_in_tx(&mut *tx, &event).await?;
    search::create_in_tx(tx, row.id, &row.title, &row.description).await?;
    row.try_into()
}

/// A ticket and its newest messages, in one round trip.
pub(super) async fn with_newest_messages(
    pool: &PgPool,
    sees_only: Option<Uuid>,
    ticket_id: Uuid,
    limit: i64,
) -> Result<(Ticket, Vec<Message>)> {
    let found = sqlx::query!(
        r#"SELECT t.id, t.number, t.title, t.description, t.status, t.priority, t.category, t.tags, t.requester_id,
                  t.assignee_id, t.handler, t.language, t.version, t.create_time, t.update_time, t.first_response_time, t.resolve_time,
                  (SELECT json_agg(row_to_json(newest)) FROM (
                       SELECT m.id, m.ticket_id, m.seq, m.author_id, m.author_kind, m.body, m.visibility, m.create_time,
                              m.reply_id
                       FROM messages m
                       WHERE m.ticket_id = t.id AND ($2::uuid IS NULL OR m.visibility = 'PUBLIC')
                       ORDER BY m.seq DESC LIMIT $3
                   ) newest) AS "messages: Json<Vec<MessageRow>>"
           FROM tickets t
           WHERE t.id = $1 AND ($2::uuid IS NULL OR t.requester_id = $2)"#,
        ticket_id,
        sees_only,
        limit,
    )
    .fetch_optional(pool)
    .await?
    .ok_or(Error::TicketNotFound)?;
    let messages = found.messages.map_or_else(Vec::new, |Json(messages)| messages);
    let row = TicketRow {
        id: found.id,
        number: found.number,
        title: found.title,
        description: found.description,
        status: found.status,
        priority: found.priority,
        category: found.category,
        tags: found.tags,
        requester_id: found.requester_id,
        assignee_id: found.assignee_id,
        handler: found.handler,
        language: found.language,
        version: found.version,
        create_time: found.create_time,
        update_time: found.update_time,
        first_response_time: found.first_response_time,
        resolve_time: found.resolve_time,
    };
    Ok((
        row.try_into()?,
        messages.into_iter().map(Message::try_from).collect::<Result<_>>()?,
    ))
}

/// A ticket.
pub(crate) async fn get(pool: &PgPool, sees_only: Option<Uuid>, ticket_id: Uuid) -> Result<Ticket> {
    Ok(with_newest_messages(pool, sees_only, ticket_id, 0).await?.0)
}

/// The requester of a ticket, and its messages, newest first, from the one before `before`.
pub(super) async fn list_messages(
    pool: &PgPool,
    sees_only: Option<Uuid>,
    ticket_id: Uuid,
    before: Option<i32>,
    limit: i64,
) -> Result<(Uuid, Vec<Message>)> {
    // The ticket stands in the query, so that none is told from one without messages.
    let found = sqlx::query!(
        r#"SELECT t.requester_id, (SELECT json_agg(row_to_json(page)) FROM (
                       SELECT m.id, m.ticket_id, m.seq, m.author_id, m.author_kind, m.body, m.visibility, m.create_time,
                              m.reply_id
                       FROM messages m
                       WHERE m.ticket_id = t.id AND m.seq < $3 AND ($2::uuid IS NULL OR m.visibility = 'PUBLIC')
                       ORDER BY m.seq DESC LIMIT $4
                   ) page) AS "messages: Json<Vec<MessageRow>>"
           FROM tickets t
           WHERE t.id = $1 AND ($2::uuid IS NULL OR t.requester_id = $2)"#,
        ticket_id,
        sees_only,
        before.unwrap_or(i32::MAX),
        limit,
    )
    .fetch_optional(pool)
    .await?
    .ok_or(Error::TicketNotFound)?;
    let messages = found.messages.map_or_else(Vec::new, |Json(messages)| messages);
    let messages = messages.into_iter().map(Message::try_from).collect::<Result<_>>()?;
    Ok((found.requester_id, messages))
}

/// Fails where there is no such ticket that may be seen.
pub(crate) async fn check_seen(pool: &PgPool, sees_only: Option<Uuid>, ticket_id: Uuid) -> Result<()> {
    sqlx::query_scalar!(
        "SELECT 1 AS seen FROM tickets WHERE id = $1 AND ($2::uuid IS NULL OR requester_id = $2)",
        ticket_id,
        sees_only,
    )
    .fetch_optional(pool)
    .await?
    .map(drop)
    .ok_or(Error::TicketNotFound)
}

/// A ticket that stays as it is until the transaction ends.
pub(crate) struct Locked {
    pub(crate) id: Uuid,
    pub(crate) requester_id: Uuid,
    pub(crate) status: Status,
    pub(crate) handler: Handler,
    pub(crate) version: i32,
    pub(crate) last_customer_seq: i32,
    last_seq: i32,
}

/// Locks a ticket's row. Every change to a ticket, its messages and its replies begins with this.
pub(crate) async fn lock_in_tx(tx: &mut PgConnection, sees_only: Option<Uuid>, ticket_id: Uuid) -> Result<Locked> {
    let row = sqlx::query!(
        "SELECT id, requester_id, status, handler, version, last_seq, last_customer_seq FROM tickets
         WHERE id = $1 AND ($2::uuid IS NULL OR requester_id = $2) FOR UPDATE",
        ticket_id,
        sees_only,
    )
    .fetch_optional(tx)
    .await?
    .ok_or(Error::TicketNotFound)?;
    Ok(Locked {
        id: row.id,
        requester_id: row.requester_id,
        status: word(&row.status)?,
        handler: word(&row.handler)?,
        version: row.version,
        last_customer_seq: row.last_customer_seq,
        last_seq: row.last_seq,
    })
}

/// Locks a ticket's row, and reads all of it.
pub(super) async fn lock_whole_in_tx(
    tx: &mut PgConnection,
    sees_only: Option<Uuid>,
    ticket_id: Uuid,
) -> Result<Ticket> {
    sqlx::query_as!(
        TicketRow,
        "SELECT id, number, title, description, status, priority, category, tags, requester_id, assignee_id, handler,
                language, version, create_time, update_time, first_response_time, resolve_time
         FROM tickets WHERE id = $1 AND ($2::uuid IS NULL OR requester_id = $2) FOR UPDATE",
        ticket_id,
        sees_only,
    )
    .fetch_optional(tx)
    .await?
    .ok_or(Error::TicketNotFound)?
    .try_into()
}

/// Keeps all of a locked ticket that can be changed by hand or by triage.
pub(super) async fn update_in_tx(tx: &mut PgConnection, ticket: &Ticket) -> Result<Ticket> {
    sqlx::query_as!(
        TicketRow,
        "UPDATE tickets SET
             title = $2, description = $3, status = $4, priority = $5, category = $6, tags = $7, assignee_id = $8,
             handler = $9, language = $10,
             resolve_time = CASE $4 WHEN 'RESOLVED' THEN coalesce(resolve_time, now()) WHEN 'CLOSED' THEN resolve_time END,
             update_time = now(),
             version = version + 1
         WHERE id = $1
         RETURNING id, number, title, description, status, priority, category, tags, requester_id, assignee_id, handler,
                   language, version, create_time, update_time, first_response_time, resolve_time",
        ticket.id,
        ticket.title,
        ticket.description,
        <&str>::from(ticket.status),
        <&str>::from(ticket.priority),
        <&str>::from(ticket.category),
        &ticket.tags,
        ticket.assignee_id,
        <&str>::from(ticket.handler),
        ticket.language,
    )
    .fetch_one(tx)
    .await?
    .try_into()
}

/// A message to be added.
pub(crate) struct Post<'a> {
    pub(crate) author_id: Option<Uuid>,
    pub(crate) author_kind: AuthorKind,
    pub(crate) body: &'a str,
    pub(crate) visibility: Visibility,
    pub(crate) reply_id: Option<Uuid>,
}

/// Adds a message to a locked ticket, and changes the ticket by what it means (see [`status::after_message`]).
pub(crate) async fn post_in_tx(tx: &mut PgConnection, ticket: &Locked, post: Post<'_>) -> Result<Message> {
    let seq = ticket.last_seq + 1;
    let effect = status::after_message(ticket.status, ticket.handler, post.author_kind, post.visibility);
    let row = sqlx::query_as!(
        MessageRow,
        "INSERT INTO messages (id, ticket_id, seq, author_id, author_kind, body, visibility, reply_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         RETURNING id, ticket_id, seq, author_id, author_kind, body, visibility, create_time, reply_id",
        Uuid::now_v7(),
        ticket.id,
        seq,
        post.author_id,
        <&str>::from(post.author_kind),
        post.body,
        <&str>::from(post.visibility),
        post.reply_id,
    )
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE tickets SET
             last_seq = $2,
             last_customer_seq = CASE WHEN $3 THEN $2 ELSE last_customer_seq END,
             status = $4,
             resolve_time = CASE WHEN $4 = 'OPEN' THEN NULL ELSE resolve_time END,
             handler = $5,
             first_response_time = CASE WHEN $6 THEN coalesce(first_response_time, now()) ELSE first_response_time END,
             update_time = now(),
             version = version + 1
         WHERE id = $1",
        ticket.id,
        seq,
        post.author_kind == AuthorKind::Customer,
        <&str>::from(effect.status),
        <&str>::from(effect.handler),
        effect.responds,
    )
    .execute(&mut *tx)
    .await?;

    let mut changes = Changes::default();
    changes.note("status", ticket.status.spelled(), effect.status.spelled());
    changes.note("handler", ticket.handler.spelled(), effect.handler.spelled());
    let event = NewEvent {
        ticket_id: ticket.id,
        requester_id: ticket.requester_id,
        kind: Kind::MessagePosted,
        actor: actor(post.author_kind, post.author_id)?,
        changes: changes.0,
        message_id: Some(row.id),
        reply_id: post.reply_id,
        internal: post.visibility == Visibility::Internal,
    };
    feed::append_in_tx(&mut *tx, &event).await?;
    search::append_in_tx(tx, ticket.id, post.body, post.visibility).await?;
    row.try_into()
}

/// Makes a locked ticket a person's, because the assistant asks for one; `reply_id` is the reply that tells why, where the
/// requester may see it.
pub(crate) async fn hand_off_in_tx(tx: &mut PgConnection, ticket: &Locked, reply_id: Option<Uuid>) -> Result<()> {
    sqlx::query!(
        "UPDATE tickets SET handler = 'HUMAN', update_time = now(), version = version + 1 WHERE id = $1",
        ticket.id
    )
    .execute(&mut *tx)
    .await?;
    let mut changes = Changes::default();
    changes.note("handler", ticket.handler.spelled(), Handler::Human.spelled());
    let event = NewEvent {
        ticket_id: ticket.id,
        requester_id: ticket.requester_id,
        kind: Kind::HandedOff,
        actor: Actor::Assistant,
        changes: changes.0,
        message_id: None,
        reply_id,
        internal: false,
    };
    feed::append_in_tx(tx, &event).await
}

/// Whose deed a message is.
fn actor(kind: AuthorKind, id: Option<Uuid>) -> Result<Actor> {
    match (kind, id) {
        (AuthorKind::Customer, Some(id)) => Ok(Actor::Customer(id)),
        (AuthorKind::Agent, Some(id)) => Ok(Actor::Agent(id)),
        (AuthorKind::Assistant, None) => Ok(Actor::Assistant),
        (AuthorKind::System, None) => Ok(Actor::System),
        _ => Err(Error::Internal("a message without its author", None)),
    }
}
