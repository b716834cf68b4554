//! Changing a ticket, by whomever: the change, the words to search by, and the event, in one transaction.

use sqlx::PgConnection;
use uuid::Uuid;

use super::patch::differences;
use super::policy::{self, Field, Party};
use super::store::{self, search};
use super::ticket::{Category, Priority, Status, Ticket};
use crate::error::Result;
use crate::feed::event::{Actor, Kind, NewEvent};
use crate::feed::store as feed;

/// What the assistant makes of a ticket that it judged.
#[derive(Debug)]
pub(crate) struct Judgement<'a> {
    pub(crate) category: Category,
    pub(crate) priority: Priority,
    pub(crate) language: &'a str,
}

/// Sets a ticket as the assistant judged it when it was of this version; false where it is not any more. What someone of the
/// desk may not change now, the assistant may not either.
pub(crate) async fn judge_in_tx(
    tx: &mut PgConnection,
    ticket_id: Uuid,
    version: i32,
    judgement: &Judgement<'_>,
) -> Result<bool> {
    const DESK: Party = Party {
        requester: false,
        staff: true,
    };
    let before = store::lock_whole_in_tx(tx, None, ticket_id).await?;
    let may = [Field::Category, Field::Priority]
        .iter()
        .all(|field| policy::may_change(*field, DESK).is_ok());
    if before.version != version || before.status == Status::Closed || !may {
        return Ok(false);
    }
    let after = Ticket {
        category: judgement.category,
        priority: judgement.priority,
        language: judgement.language.to_owned(),
        ..before.clone()
    };
    change_in_tx(tx, Actor::Assistant, Kind::Updated, before, after).await?;
    Ok(true)
}

/// Makes of a locked ticket what it is to be, with the event that tells of it; nothing where it is that already.
pub(super) async fn change_in_tx(
    tx: &mut PgConnection,
    actor: Actor,
    kind: Kind,
    before: Ticket,
    after: Ticket,
) -> Result<Ticket> {
    let changes = differences(&before, &after);
    if changes.is_empty() {
        return Ok(before);
    }
    let ticket = store::update_in_tx(tx, &after).await?;
    if changes
        .iter()
        .any(|change| matches!(&*change.field, "title" | "description"))
    {
        search::rebuild_in_tx(tx, ticket.id).await?;
    }
    let event = NewEvent {
        ticket_id: ticket.id,
        requester_id: ticket.requester_id,
        kind,
        actor,
        changes,
        message_id: None,
        reply_id: None,
        internal: false,
    };
    feed::append_in_tx(tx, &event).await?;
    Ok(ticket)
}
