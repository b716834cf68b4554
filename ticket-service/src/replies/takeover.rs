//! Runs whose process died: found by their lease, taken over or ended, and settled.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::ask::{Opened, TURNS};
use super::dialogue::Subject;
use super::service::Service;
use super::store::{self, Taken};
use crate::db::tx::{begin, retrying};
use crate::error::{Error, Result};
use crate::tickets::store as tickets;

/// How often they are looked for.
const LOOK: Duration = Duration::from_millis(500);

impl Service {
    /// Takes over runs whose process died, until it is dropped.
    pub(crate) async fn keep_taking_over(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        while !self.tasks.is_closed() {
            ticks.tick().await;
            match self.take_over().await {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for dead runs");
                }
                Err(_) => {}
            }
        }
    }

    async fn take_over(self: &Arc<Self>) -> Result<()> {
        let mut failed = Ok(());
        for (reply_id, ticket_id) in store::orphans(&self.pool).await? {
            // In a task of its own: whoever stops this between the commit and the run leaves no run that nobody runs.
            let this = self.clone();
            let taking = self
                .tasks
                .spawn(async move { this.take_over_one(reply_id, ticket_id).await });
            let taken = taking
                .await
                .map_err(|error| Error::internal("taking a run over failed", error));
            // One that cannot be taken over does not stand in the way of the others.
            if let Err(error) = taken.and_then(|taken| taken) {
                failed = Err(error);
            }
        }
        failed
    }

    async fn take_over_one(&self, reply_id: Uuid, ticket_id: Option<Uuid>) -> Result<()> {
        let opened = retrying(|| async {
            let mut tx = begin(&self.pool).await?;
            let ticket = match ticket_id {
                Some(ticket_id) => Some(tickets::lock_in_tx(&mut tx, None, ticket_id).await?),
                None => None,
            };
            let taken = store::take_over_in_tx(&mut tx, ticket.as_ref(), reply_id, self.owner, &self.budgets).await?;
            let opened = match (taken, &ticket) {
                (Taken::Over(run), Some(ticket)) => {
                    let notes = run.mode.may_tell_notes();
                    let conversation = tickets::conversation_in_tx(&mut tx, ticket, notes, TURNS).await?;
                    Some(Opened {
                        run,
                        subject: Subject::Conversation(conversation),
                        superseded: None,
                    })
                }
                (Taken::Ended, _) => {
                    tracing::warn!(%reply_id, "a run whose process died has ended");
                    None
                }
                (Taken::Settled, _) => {
                    tracing::warn!(%reply_id, "a run whose process died before it was in the books is in them now");
                    None
                }
                _ => None,
            };
            tx.commit().await?;
            Ok(opened)
        })
        .await?;
        if let Some(opened) = opened {
            tracing::warn!(%reply_id, attempt = opened.run.attempt, "took over a run whose process died");
            self.start(opened);
        }
        Ok(())
    }
}
