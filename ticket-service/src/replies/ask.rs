//! Asking: a run is opened, or the reply that stands is found.

use std::sync::Arc;

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::dialogue::Subject;
use super::judgement::Tone;
use super::reply::{Mode, State};
use super::service::Service;
use super::store::{self, Run};
use crate::accounts::audit::{self, Action};
use crate::caller::{Caller, Role};
use crate::db::idempotency::{self, Key};
use crate::db::tx::{begin, retrying};
use crate::error::{Error, Result};
use crate::tickets::store::{self as tickets, Conversation, Locked};
use crate::tickets::ticket::{Handler, Status};

/// The newest messages that the assistant is given; it cuts them further to what the model takes.
pub(super) const TURNS: i64 = 100;

/// What is asked for.
pub(super) struct Question {
    pub(super) about: About,
    pub(super) mode: Mode,
    pub(super) key: Option<Key>,
}

/// What it is about.
pub(super) enum About {
    Ticket(Uuid),
    Text { text: String, tone: Tone },
}

/// A run that was opened, and what it needs.
pub(super) struct Opened {
    pub(super) run: Run,
    pub(super) subject: Subject,
    /// The run whose place it takes.
    pub(super) superseded: Option<Uuid>,
}

impl Service {
    /// Opens a run and starts it, or finds the reply that stands. In a task of its own: a caller who leaves between the commit and
    /// the run must not leave a run that nobody runs.
    pub(super) async fn ask(self: &Arc<Self>, caller: Caller, question: Question) -> Result<Uuid> {
        let this = self.clone();
        let asking = self.tasks.spawn(async move {
            let (reply_id, run) = retrying(|| async {
                let mut tx = begin(&this.pool).await?;
                let asked = this.ask_in_tx(&mut tx, &caller, &question).await?;
                tx.commit().await?;
                Ok(asked)
            })
            .await?;
            if let Some((run, superseded, conversation)) = run {
                let subject = match (question.about, conversation) {
                    (About::Text { text, tone }, _) => Subject::Text { text, tone },
                    (About::Ticket(_), Some(conversation)) => Subject::Conversation(conversation),
                    (About::Ticket(_), None) => return Err(Error::Internal("a run without its conversation", None)),
                };
                this.start(Opened {
                    run,
                    subject,
                    superseded,
                });
            }
            Ok(reply_id)
        });
        asking
            .await
            .map_err(|error| Error::internal("asking for a reply failed", error))?
    }

    async fn ask_in_tx(
        &self,
        tx: &mut PgConnection,
        caller: &Caller,
        question: &Question,
    ) -> Result<(Uuid, Option<New>)> {
        let key = question.key.as_ref();
        let ticket = match question.about {
            About::Ticket(ticket_id) => Some(tickets::lock_in_tx(tx, caller.sees_only(), ticket_id).await?),
            About::Text { .. } => None,
        };
        if let Some(reply_id) = idempotency::kept_in_tx(tx, key).await? {
            // A repeat whose reply came to nothing is a new question.
            if !matches!(
                store::state_in_tx(tx, reply_id).await?,
                State::Failed | State::Cancelled
            ) {
                return Ok((reply_id, None));
            }
        }
        let asked = match &ticket {
            Some(ticket) => self.open_on_ticket_in_tx(tx, caller, ticket, question.mode).await?,
            None => {
                let run = self.run(caller, question.mode, None);
                self.open_in_tx(tx, caller, &run).await?;
                (run.reply_id, Some((run, None, None)))
            }
        };
        idempotency::keep_in_tx(tx, key, &asked.0).await?;
        Ok(asked)
    }

    async fn open_on_ticket_in_tx(
        &self,
        tx: &mut PgConnection,
        caller: &Caller,
        ticket: &Locked,
        mode: Mode,
    ) -> Result<(Uuid, Option<New>)> {
        if ticket.status == Status::Closed && mode != Mode::Summary {
            return Err(Error::TicketClosed);
        }
        if mode == Mode::Post && ticket.handler == Handler::Human {
            return Err(Error::HandledByHuman);
        }
        let mut superseded = None;
        if let Some(standing) = store::standing_in_tx(tx, ticket, mode).await? {
            if standing.answers_seq == ticket.last_customer_seq {
                return Ok((standing.reply_id, None));
            }
            store::stop_in_tx(tx, standing.reply_id, State::Superseded, None).await?;
            superseded = Some(standing.reply_id);
        }
        let run = self.run(caller, mode, Some(ticket));
        let conversation = tickets::conversation_in_tx(tx, ticket, mode.may_tell_notes(), TURNS).await?;
        if caller.role == Role::Admin && ticket.requester_id != caller.user {
            // What comes of it tells of the ticket.
            let details = json!({ "ticket_id": ticket.id });
            audit::record_in_tx(tx, Action::TicketRead, Some(caller.user), ticket.requester_id, details).await?;
        }
        // The desk's budget is everybody's: it is locked last.
        self.open_in_tx(tx, caller, &run).await?;
        Ok((run.reply_id, Some((run, superseded, Some(conversation)))))
    }

    async fn open_in_tx(&self, tx: &mut PgConnection, caller: &Caller, run: &Run) -> Result<()> {
        let asks = self.budgets.asks_per_hour(caller.role);
        store::open_in_tx(tx, run, &self.budgets, asks).await
    }

    fn run(&self, caller: &Caller, mode: Mode, ticket: Option<&Locked>) -> Run {
        Run {
            reply_id: Uuid::now_v7(),
            ticket_id: ticket.map(|ticket| ticket.id),
            ticket_version: ticket.map_or(0, |ticket| ticket.version),
            requested_by: caller.user,
            mode,
            attempt: 1,
            answers_seq: ticket.map_or(0, |ticket| ticket.last_customer_seq),
            owner: self.owner,
            tokens_at_most: self.budgets.tokens_per_ask,
        }
    }
}

/// A run that is about to be opened, the one whose place it takes, and what it is about where that is a ticket.
type New = (Run, Option<Uuid>, Option<Conversation>);

/// Customers get answers posted, staff get drafts.
pub(super) fn allowed_mode(caller: &Caller, asked: Option<Mode>) -> Result<Mode> {
    let usual = if caller.role.is_staff() {
        Mode::Draft
    } else {
        Mode::Post
    };
    match asked {
        Some(asked) if asked != usual => Err(Error::RoleNotAllowed(
            "Customers ask for posted replies, agents and admins for drafts.",
        )),
        _ => Ok(usual),
    }
}
