//! What can be done with tickets.

use std::sync::Arc;

use sqlx::PgPool;
use uuid::Uuid;

use super::page;
use super::policy;
use super::request::{NewMessage, NewTicket};
use super::store::{self, Post};
use super::ticket::{Message, Status, Ticket};
use crate::caller::Caller;
use crate::db::idempotency::{self, Key};
use crate::db::tx::retrying;
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::violations;

/// How many messages come with a ticket.
const NEWEST: i64 = 20;

/// Tickets.
pub(crate) struct Service {
    pool: PgPool,
    pub(super) secret: Arc<Secret>,
}

/// One page of a list.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next_page_token: String,
}

impl Service {
    /// With what it needs.
    pub(crate) fn new(pool: PgPool, secret: Arc<Secret>) -> Self {
        Self { pool, secret }
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
            Ok(ticket)
        })
        .await
    }

    /// A ticket and its newest messages.
    pub(super) async fn get(&self, caller: &Caller, ticket_id: Uuid) -> Result<(Ticket, Vec<Message>)> {
        store::with_newest_messages(&self.pool, caller.sees_only(), ticket_id, NEWEST).await
    }

    /// Tickets that the caller may see, newest first.
    pub(super) async fn list(&self, caller: &Caller, size: i64, token: &str) -> Result<Page<Ticket>> {
        let tokens = page::Tokens::new(&self.secret, caller, &[b"tickets"]);
        let before = tokens.open(token)?.map(Uuid::from_bytes);
        let rows = store::list(&self.pool, caller.sees_only(), before, size + 1).await?;
        let (items, more) = page::cut(rows, size);
        let last = items
            .last()
            .filter(|_| more)
            .map(|last| tokens.seal(last.id.as_bytes()));
        Ok(Page {
            items,
            next_page_token: last.transpose()?.unwrap_or_default(),
        })
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
        let rows = store::list_messages(&self.pool, caller.sees_only(), ticket_id, before, size + 1).await?;
        let (items, more) = page::cut(rows, size);
        let last = items
            .last()
            .filter(|_| more)
            .map(|last| tokens.seal(&last.seq.to_be_bytes()));
        Ok(Page {
            items,
            next_page_token: last.transpose()?.unwrap_or_default(),
        })
    }
}
