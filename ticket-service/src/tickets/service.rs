//! What can be done with tickets.

use std::sync::Arc;

use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::filter::Filter;
use super::lists::{self, Found, Position};
use super::policy;
use super::request::{NewMessage, NewTicket};
use super::search;
use super::store::{self, Post};
use super::ticket::{Message, Status, Ticket};
use crate::accounts::audit::{self, Action};
use crate::caller::{Caller, Role};
use crate::db::idempotency::{self, Key};
use crate::db::tx::retrying;
use crate::error::{Error, Result};
use crate::feed::Hint;
use crate::page::{self, Page};
use crate::secret::Secret;
use crate::violations;

/// How many messages come with a ticket.
const NEWEST: i64 = 20;

/// Tickets.
pub(crate) struct Service {
    pool: PgPool,
    feed: Arc<Hint>,
    pub(super) secret: Arc<Secret>,
}

impl Service {
    /// With what it needs.
    pub(crate) fn new(pool: PgPool, secret: Arc<Secret>, feed: Arc<Hint>) -> Self {
        Self { pool, feed, secret }
    }

    /// Opens a ticket.
    pub(super) async fn create(&self, caller: &Caller, new: NewTicket, key: Option<Key>) -> Result<Ticket> {
        if !policy::may_open_with(caller.role, new.priority) {
            return violations::only("priority", Err("is for the desk to set; leave it out"));
        }
        retrying(|| async {
            let mut tx = self.pool.begin().await?;
            if let Some(kept) = idempotency::kept_in_tx(&mut tx, key.as_ref()).await? {
                return Ok(kept);
            }
            let ticket = store::create_in_tx(&mut tx, caller.user, &new).await?;
            idempotency::keep_in_tx(&mut tx, key.as_ref(), &ticket).await?;
            tx.commit().await?;
            self.feed.give();
            Ok(ticket)
        })
        .await
    }

    /// A ticket and its newest messages.
    pub(super) async fn get(&self, caller: &Caller, ticket_id: Uuid) -> Result<(Ticket, Vec<Message>)> {
        let found = store::with_newest_messages(&self.pool, caller.sees_only(), ticket_id, NEWEST).await?;
        self.record_reading(caller, found.0.requester_id, ticket_id).await?;
        Ok(found)
    }

    /// Tickets that the caller may see and that fit the filter, in its order.
    pub(super) async fn list(&self, caller: &Caller, filter: &Filter, token: &str) -> Result<Page<Found>> {
        let tokens = page::Tokens::new(&self.secret, caller, &[b"tickets", &filter.fingerprint]);
        let after = tokens.open(token)?.map(Position::from_bytes);
        if let Some(query) = &filter.query
            && !search::is_searchable(&self.pool, query).await?
        {
            return violations::only("query", Err("must have a word to look for"));
        }
        let size = filter.page_size;
        let rows = lists::list(&self.pool, caller.sees_only(), filter, after, size + 1).await?;
        let page = tokens.cut(rows, size, |found| found.position.to_bytes())?;
        if caller.role == Role::Admin {
            let details = json!({ "count": page.items.len() });
            self.record(caller, Action::TicketsListed, caller.user, details).await?;
        }
        Ok(page)
    }

    /// Adds a message to a ticket.
    pub(super) async fn post(&self, caller: &Caller, new: NewMessage, key: Option<Key>) -> Result<Message> {
        retrying(|| async {
            let mut tx = self.pool.begin().await?;
            let ticket = store::lock_in_tx(&mut tx, caller.sees_only(), new.ticket_id).await?;
            if !policy::may_write(caller.role, new.visibility) {
                return Err(Error::RoleNotAllowed("Internal notes are for agents and admins."));
            }
            if let Some(kept) = idempotency::kept_in_tx(&mut tx, key.as_ref()).await? {
                return Ok(kept);
            }
            if ticket.status == Status::Closed {
                return Err(Error::TicketClosed);
            }
            let post = Post {
                author_id: Some(caller.user),
                author_kind: policy::author_kind(ticket.requester_id == caller.user),
                body: &new.body,
                visibility: new.visibility,
                reply_id: None,
            };
            let message = store::post_in_tx(&mut tx, &ticket, post).await?;
            idempotency::keep_in_tx(&mut tx, key.as_ref(), &message).await?;
            tx.commit().await?;
            self.feed.give();
            Ok(message)
        })
        .await
    }

    /// The messages of a ticket that the caller may see, newest first.
    pub(super) async fn list_messages(
        &self,
        caller: &Caller,
        ticket_id: Uuid,
        size: i64,
        token: &str,
    ) -> Result<Page<Message>> {
        let tokens = page::Tokens::new(&self.secret, caller, &[b"messages", ticket_id.as_bytes()]);
        let before = tokens.open(token)?.map(i32::from_be_bytes);
        let (requester_id, rows) =
            store::list_messages(&self.pool, caller.sees_only(), ticket_id, before, size + 1).await?;
        self.record_reading(caller, requester_id, ticket_id).await?;
        tokens.cut(rows, size, |message| message.seq.to_be_bytes())
    }

    /// An admin's reading of another's ticket is on record before it is answered.
    async fn record_reading(&self, caller: &Caller, requester: Uuid, ticket_id: Uuid) -> Result<()> {
        if caller.role != Role::Admin || requester == caller.user {
            return Ok(());
        }
        self.record(caller, Action::TicketRead, requester, json!({ "ticket_id": ticket_id }))
            .await
    }

    async fn record(&self, caller: &Caller, action: Action, user: Uuid, details: serde_json::Value) -> Result<()> {
        let mut connection = self.pool.acquire().await?;
        audit::record_in_tx(&mut connection, action, Some(caller.user), user, details).await
    }
}
