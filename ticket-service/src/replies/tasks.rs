//! Whole answers for staff: summaries, judgements, texts written anew. Each is a reply of its own, whose end is waited for.

use std::sync::Arc;

use futures_util::StreamExt as _;
use uuid::Uuid;

use super::ask::{About, Question};
use super::follow::Follow;
use super::judgement::{Tone, Triage};
use super::reply::{End, Event, Failure, Mode};
use super::service::Service;
use crate::caller::Caller;
use crate::db::idempotency::Key;
use crate::error::{Error, Result};
use crate::tickets::store as tickets;
use crate::tickets::ticket::Ticket;

/// A judgement, and what came of it.
pub(super) struct Judged {
    pub(super) reply_id: Uuid,
    pub(super) triage: Triage,
    pub(super) applied: bool,
    pub(super) ticket: Ticket,
}

impl Service {
    /// Sums a ticket up.
    pub(super) async fn summarize(
        self: &Arc<Self>,
        caller: Caller,
        ticket_id: Uuid,
        key: Option<Key>,
    ) -> Result<(Uuid, String)> {
        self.make(caller, About::Ticket(ticket_id), Mode::Summary, key).await
    }

    /// Judges a ticket, and sets it accordingly.
    pub(super) async fn triage(self: &Arc<Self>, caller: Caller, ticket_id: Uuid, key: Option<Key>) -> Result<Judged> {
        let (reply_id, text) = self.make(caller, About::Ticket(ticket_id), Mode::Triage, key).await?;
        let triage =
            serde_json::from_str(&text).map_err(|error| Error::internal("a judgement cannot be read", error))?;
        let reply = self.get(&caller, reply_id).await?;
        Ok(Judged {
            reply_id,
            triage,
            applied: reply.applied,
            ticket: tickets::get(&self.pool, caller.sees_only(), ticket_id).await?,
        })
    }

    /// Writes a text anew.
    pub(super) async fn rewrite(
        self: &Arc<Self>,
        caller: Caller,
        text: String,
        tone: Tone,
        key: Option<Key>,
    ) -> Result<(Uuid, String)> {
        self.make(caller, About::Text { text, tone }, Mode::Rewrite, key).await
    }

    /// Asks, and waits for the end.
    async fn make(
        self: &Arc<Self>,
        caller: Caller,
        about: About,
        mode: Mode,
        key: Option<Key>,
    ) -> Result<(Uuid, String)> {
        let reply_id = self.ask(caller, Question { about, mode, key }).await?;
        let mut events = std::pin::pin!(Follow::whole(self.clone(), caller, reply_id).events());
        let mut text = String::new();
        while let Some(event) = events.next().await {
            match event? {
                Event::Delta { text: piece, .. } => text.push_str(&piece),
                Event::Restarted { .. } => text.clear(),
                Event::Started { .. } => {}
                Event::Ended(End::Drafted { .. }) => return Ok((reply_id, text)),
                Event::Ended(End::Failed { reason, .. }) => return Err(Error::NotMade(reason)),
                Event::Ended(End::Cancelled | End::Superseded) => return Err(Error::GivenUp),
                // Its own word for the end of a stream that is not the reply's.
                Event::Ended(End::Interrupted {
                    reason: "SERVER_STOPPING",
                }) => return Err(Error::ServerStopping),
                Event::Ended(_) => break,
            }
        }
        Err(Error::NotMade(Failure::Internal))
    }
}
