//! What people make of replies: drafts are accepted or discarded, replies rated.

use uuid::Uuid;

use super::opinion::{Decision, Verdict};
use super::reply::{Reply, State};
use super::service::Service;
use super::store;
use crate::caller::Caller;
use crate::db::idempotency::{self, Key};
use crate::db::tx::{begin, retrying};
use crate::error::{Error, Result};
use crate::tickets::store::{self as tickets, Post};
use crate::tickets::ticket::{AuthorKind, Status, Visibility};

impl Service {
    /// Posts a draft, as it is or as `body`.
    pub(super) async fn accept(
        &self,
        caller: &Caller,
        reply_id: Uuid,
        body: Option<String>,
        key: Option<Key>,
    ) -> Result<Reply> {
        let ticket_id = store::ticket_of(&self.pool, caller.sees_only(), reply_id).await?;
        let ticket_id = ticket_id.ok_or(Error::NotADraft)?;
        let draft = store::draft_text(&self.pool, reply_id).await?;
        let body = body.unwrap_or_else(|| draft.clone());
        let (body, distance) = measured(draft, body).await?;
        retrying(|| async {
            let mut tx = begin(&self.pool).await?;
            let ticket = tickets::lock_in_tx(&mut tx, None, ticket_id).await?;
            if idempotency::kept_in_tx::<Uuid>(&mut tx, key.as_ref()).await?.is_some() {
                return Ok(());
            }
            let draft = store::draft_in_tx(&mut tx, reply_id).await?;
            match (draft.decision, draft.posted) {
                (None, _) => {}
                (Some(Decision::Accepted), Some(posted)) if posted == body => return Ok(()),
                _ => return Err(Error::DraftDecided),
            }
            if ticket.status == Status::Closed {
                return Err(Error::TicketClosed);
            }
            let post = Post {
                author_id: Some(caller.user),
                author_kind: AuthorKind::Agent,
                body: &body,
                visibility: Visibility::Public,
                // That there was a draft is not for the requester to know.
                reply_id: None,
            };
            let message = tickets::post_in_tx(&mut tx, &ticket, post).await?;
            store::accept_in_tx(&mut tx, reply_id, caller.user, message.id, distance).await?;
            idempotency::keep_in_tx(&mut tx, key.as_ref(), &reply_id).await?;
            tx.commit().await?;
            self.feed.give();
            Ok(())
        })
        .await?;
        self.get(caller, reply_id).await
    }

    /// Puts a draft away.
    pub(super) async fn discard(&self, caller: &Caller, reply_id: Uuid, key: Option<Key>) -> Result<Reply> {
        let ticket_id = store::ticket_of(&self.pool, caller.sees_only(), reply_id).await?;
        let ticket_id = ticket_id.ok_or(Error::NotADraft)?;
        retrying(|| async {
            let mut tx = begin(&self.pool).await?;
            tickets::lock_in_tx(&mut tx, None, ticket_id).await?;
            if idempotency::kept_in_tx::<Uuid>(&mut tx, key.as_ref()).await?.is_some() {
                return Ok(());
            }
            match store::draft_in_tx(&mut tx, reply_id).await?.decision {
                None => store::discard_in_tx(&mut tx, reply_id, caller.user).await?,
                Some(Decision::Discarded) => {}
                Some(Decision::Accepted) => return Err(Error::DraftDecided),
            }
            idempotency::keep_in_tx(&mut tx, key.as_ref(), &reply_id).await?;
            tx.commit().await?;
            Ok(())
        })
        .await?;
        self.get(caller, reply_id).await
    }

    /// Keeps what someone thought of a reply.
    pub(super) async fn rate(
        &self,
        caller: &Caller,
        reply_id: Uuid,
        verdict: Verdict,
        comment: &str,
        key: Option<Key>,
    ) -> Result<Reply> {
        store::ticket_of(&self.pool, caller.sees_only(), reply_id).await?;
        retrying(|| async {
            let mut tx = begin(&self.pool).await?;
            if idempotency::kept_in_tx::<Uuid>(&mut tx, key.as_ref()).await?.is_some() {
                return Ok(());
            }
            let state = store::state_in_tx(&mut tx, reply_id).await?;
            if !matches!(state, State::Completed | State::Drafted | State::HandedOff) {
                return Err(Error::NotAnswered);
            }
            store::rate_in_tx(&mut tx, reply_id, caller.user, verdict, comment).await?;
            idempotency::keep_in_tx(&mut tx, key.as_ref(), &reply_id).await?;
            tx.commit().await?;
            Ok(())
        })
        .await?;
        self.get(caller, reply_id).await
    }
}

/// The text, and how far it is from the draft. Long texts take long: off the threads that serve calls.
async fn measured(draft: String, body: String) -> Result<(String, i32)> {
    let measuring = tokio::task::spawn_blocking(move || {
        let distance = if draft == body {
            0
        } else {
            strsim::levenshtein(&draft, &body)
        };
        (body, i32::try_from(distance).unwrap_or(i32::MAX))
    });
    measuring
        .await
        .map_err(|error| Error::internal("a distance was not measured", error))
}
