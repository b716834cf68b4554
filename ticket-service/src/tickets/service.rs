//! What can be done with tickets.

use std::sync::Arc;

use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::change::change_in_tx;
use super::filter::Filter;
use super::policy;
use super::policy::Party;
use super::request::{Assignment, NewMessage, NewTicket, Update};
use super::store::lists::{self, CommonTags, Found, Position};
use super::store::{self, Post, search};
use super::ticket::{Handler, Message, Status, Ticket};
use crate::accounts;
use crate::accounts::audit::{self, Action};
use crate::caller::{Caller, Role};
use crate::db::idempotency::{self, Key};
use crate::db::tx::{begin, retrying};
use crate::error::{Error, Result};
use crate::feed::event::{self, Actor, Event};
use crate::feed::{self, Hint};
use crate::page::{self, Page};
use crate::secret::Secret;
use crate::violations;

/// How many messages come with a ticket.
const NEWEST: i64 = 20;

/// Tickets.
pub(crate) struct Service {
    pool: PgPool,
    feed: Arc<Hint>,
    tags: CommonTags,
    pub(super) secret: Arc<Secret>,
}

impl Service {
    /// With what it needs.
    pub(crate) fn new(pool: PgPool, secret: Arc<Secret>, feed: Arc<Hint>) -> Self {
        Self {
            pool,
            feed,
            tags: CommonTags::default(),
            secret,
        }
    }

    /// Opens a ticket.
    pub(super) async fn create(&self, caller: &Caller, new: NewTicket, key: Option<Key>) -> Result<Ticket> {
        if !policy::may_open_with(caller.role, new.priority) {
            return violations::only("priority", Err("is for the desk to set; leave it out"));
        }
        retrying(|| async {
            let mut tx = begin(&self.pool).await?;
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
        let size = filter.page_size;
        let few = self.tags.few_fit(&self.pool, filter).await?;
        let rows = lists::list(&self.pool, caller.sees_only(), filter, few, after, size + 1).await?;
        // Nothing is found by a query without a word to look for; the reason is asked for only then.
        if let Some(query) = filter.query.as_ref().filter(|_| rows.is_empty())
            && !search::is_searchable(&self.pool, query).await?
        {
            return violations::only("query", Err("must have a word to look for"));
        }
        let page = tokens.cut(rows, size, |found| found.position.to_bytes())?;
        if caller.role == Role::Admin {
            let details = json!({ "count": page.items.len() });
            self.record(caller, Action::TicketsListed, caller.user, details).await?;
        }
        Ok(page)
    }

    /// Changes fields of a ticket.
    pub(super) async fn update(&self, caller: &Caller, update: Update, key: Option<Key>) -> Result<Ticket> {
        retrying(|| async {
            let mut tx = begin(&self.pool).await?;
            let before = store::lock_whole_in_tx(&mut tx, caller.sees_only(), update.ticket_id).await?;
            let party = Party {
                requester: before.requester_id == caller.user,
                staff: caller.role.is_staff(),
            };
            for field in update.patch.fields() {
                policy::may_change(field, party).map_err(Error::RoleNotAllowed)?;
            }
            if let Some(kept) = idempotency::kept_in_tx(&mut tx, key.as_ref()).await? {
                return Ok(kept);
            }
            check_unchanged(&before, &update.etag)?;
            if let Some(next) = update.patch.status.filter(|next| *next != before.status) {
                let allowed = policy::next_statuses(before.status, party);
                if !allowed.contains(&next) {
                    let allowed: Vec<_> = allowed.iter().map(|status| status.spelled()).collect();
                    return Err(Error::StatusNotAllowed {
                        allowed: allowed.join(","),
                    });
                }
            }
            let after = update.patch.applied_to(&before);
            let ticket = change_in_tx(&mut tx, actor(caller, &before), event::Kind::Updated, before, after).await?;
            idempotency::keep_in_tx(&mut tx, key.as_ref(), &ticket).await?;
            tx.commit().await?;
            self.feed.give();
            Ok(ticket)
        })
        .await
    }

    /// Gives a ticket to someone of the desk, or takes it from them.
    pub(super) async fn assign(&self, caller: &Caller, assignment: Assignment, key: Option<Key>) -> Result<Ticket> {
        retrying(|| async {
            let mut tx = begin(&self.pool).await?;
            let before = store::lock_whole_in_tx(&mut tx, caller.sees_only(), assignment.ticket_id).await?;
            if let Some(kept) = idempotency::kept_in_tx(&mut tx, key.as_ref()).await? {
                return Ok(kept);
            }
            check_unchanged(&before, &assignment.etag)?;
            if let Some(assignee) = assignment.assignee_id
                && !accounts::store::is_enabled_staff_in_tx(&mut tx, assignee).await?
            {
                return violations::only("assignee_id", Err("is not an enabled agent or admin"));
            }
            let after = Ticket {
                assignee_id: assignment.assignee_id,
                handler: assignment.assignee_id.map_or(before.handler, |_| Handler::Human),
                ..before.clone()
            };
            let ticket = change_in_tx(&mut tx, actor(caller, &before), event::Kind::Assigned, before, after).await?;
            idempotency::keep_in_tx(&mut tx, key.as_ref(), &ticket).await?;
            tx.commit().await?;
            self.feed.give();
            Ok(ticket)
        })
        .await
    }

    /// What happened to a ticket, as far as the caller may know, oldest first.
    pub(super) async fn list_events(
        &self,
        caller: &Caller,
        ticket_id: Uuid,
        size: i64,
        token: &str,
    ) -> Result<Page<Event>> {
        let tokens = page::Tokens::new(&self.secret, caller, &[b"events", ticket_id.as_bytes()]);
        let after = tokens.open(token)?.map(i64::from_be_bytes);
        let (requester_id, rows) =
            feed::store::list_of_ticket(&self.pool, caller.sees_only(), ticket_id, after, size + 1).await?;
        self.record_reading(caller, requester_id, ticket_id).await?;
        tokens.cut(rows, size, |event| event.id.to_be_bytes())
    }

    /// Adds a message to a ticket.
    pub(super) async fn post(&self, caller: &Caller, new: NewMessage, key: Option<Key>) -> Result<Message> {
        retrying(|| async {
            let mut tx = begin(&self.pool).await?;
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

/// Refuses where the ticket is closed, or not as the caller last saw it.
fn check_unchanged(ticket: &Ticket, etag: &str) -> Result<()> {
    if !etag.is_empty() && etag != ticket.etag() {
        return Err(Error::EtagMismatch);
    }
    if ticket.status == Status::Closed {
        return Err(Error::TicketClosed);
    }
    Ok(())
}

/// Whose deed a change by `caller` is.
fn actor(caller: &Caller, ticket: &Ticket) -> Actor {
    if ticket.requester_id == caller.user {
        Actor::Customer(caller.user)
    } else {
        Actor::Agent(caller.user)
    }
}
