//! What can be done with replies.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::assistant::Assistant;
use super::attach::{self, Runs};
use super::reply::{Event, Mode, Reply, State};
use super::runner;
use super::store::{self, Run};
use crate::caller::Caller;
use crate::db::idempotency::{self, Key};
use crate::db::tx::retrying;
use crate::error::{Error, Result};
use crate::feed::Hint;
use crate::secret::Secret;
use crate::settings;
use crate::tickets::store::{self as tickets, Conversation, Locked};
use crate::tickets::ticket::{Handler, Status};

/// The newest messages that the assistant is given; it cuts them further to what the model takes.
const TURNS: i64 = 100;

/// How often a reply that runs elsewhere is asked for.
const POLL: Duration = Duration::from_millis(250);

/// How long running replies may go on after the server was told to stop.
const GRACE: Duration = Duration::from_secs(8);

/// Replies.
pub(crate) struct Service {
    pool: PgPool,
    feed: Arc<Hint>,
    pub(super) secret: Arc<Secret>,
    assistant: Assistant,
    runs: Runs,
    tasks: TaskTracker,
    stopping: CancellationToken,
    /// This process, as the owner of its runs.
    owner: Uuid,
}

/// A request for a reply.
pub(super) struct Question {
    pub(super) ticket_id: Uuid,
    /// `None` for what is usual for who asks.
    pub(super) mode: Option<Mode>,
    pub(super) key: Option<Key>,
}

/// A run that was opened, and what it needs.
struct Opened {
    run: Run,
    conversation: Conversation,
    /// The run whose place it takes.
    superseded: Option<Uuid>,
}

impl Service {
    /// With what it needs.
    pub(crate) fn new(
        pool: PgPool,
        secret: Arc<Secret>,
        feed: Arc<Hint>,
        assistant: &settings::Assistant,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            pool,
            feed,
            secret,
            assistant: Assistant::new(assistant)?,
            runs: Runs::default(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            owner: Uuid::new_v4(),
        })
    }

    /// Asks for a reply to a ticket, or finds the one that stands, and tells everything of it from its beginning.
    pub(super) async fn stream(
        self: &Arc<Self>,
        caller: Caller,
        question: Question,
    ) -> Result<BoxStream<'static, Result<Event>>> {
        // In a task of its own: a caller who leaves between the commit and the run must not leave a run that nobody runs.
        let this = self.clone();
        let asking = self.tasks.spawn(async move { this.ask(&caller, &question).await });
        let reply_id = asking
            .await
            .map_err(|error| Error::internal("asking for a reply failed", error))??;
        Ok(self.follow(caller, reply_id))
    }

    /// A reply as it stands.
    pub(super) async fn get(&self, caller: &Caller, reply_id: Uuid) -> Result<Reply> {
        store::get(&self.pool, caller.sees_only(), reply_id).await
    }

    /// Lets running replies end by themselves for a while, then ends them.
    pub(crate) fn stop(&self) {
        self.tasks.close();
        let stopping = self.stopping.clone();
        tokio::spawn(async move {
            tokio::time::sleep(GRACE).await;
            stopping.cancel();
        });
    }

    /// Waits until no reply runs, at most `limit`.
    pub(crate) async fn drain(&self, limit: Duration) {
        self.stopping.cancel();
        if tokio::time::timeout(limit, self.tasks.wait()).await.is_err() {
            tracing::warn!("replies were still running when the time to drain was over");
        }
    }

    /// Opens a run and starts it, or finds the reply that stands.
    async fn ask(&self, caller: &Caller, question: &Question) -> Result<Uuid> {
        let mode = allowed_mode(caller, question.mode)?;
        let (reply_id, opened) = retrying(|| async {
            let mut tx = self.pool.begin().await?;
            let asked = self.ask_in_tx(&mut tx, caller, question, mode).await?;
            tx.commit().await?;
            Ok(asked)
        })
        .await?;

        if let Some(Opened {
            run,
            conversation,
            superseded,
        }) = opened
        {
            if let Some(superseded) = superseded {
                self.runs.supersede(superseded);
            }
            let running = self.runs.enter(run.reply_id, run.attempt);
            let (pool, assistant, stopping) = (self.pool.clone(), self.assistant.clone(), self.stopping.clone());
            let feed = self.feed.clone();
            self.tasks.spawn(async move {
                runner::run(pool, assistant, run, conversation, running, stopping).await;
                feed.give();
            });
        }
        Ok(reply_id)
    }

    async fn ask_in_tx(
        &self,
        tx: &mut PgConnection,
        caller: &Caller,
        question: &Question,
        mode: Mode,
    ) -> Result<(Uuid, Option<Opened>)> {
        let key = question.key.as_ref();
        let ticket = tickets::lock_in_tx(tx, caller.sees_only(), question.ticket_id).await?;
        if let Some(reply_id) = idempotency::kept_in_tx(tx, key).await? {
            // A repeat whose reply came to nothing is a new question.
            if !matches!(
                store::state_in_tx(tx, reply_id).await?,
                State::Failed | State::Cancelled
            ) {
                return Ok((reply_id, None));
            }
        }
        let asked = self.open_in_tx(tx, caller, &ticket, mode).await?;
        idempotency::keep_in_tx(tx, key, &asked.0).await?;
        Ok(asked)
    }

    async fn open_in_tx(
        &self,
        tx: &mut PgConnection,
        caller: &Caller,
        ticket: &Locked,
        mode: Mode,
    ) -> Result<(Uuid, Option<Opened>)> {
        if ticket.status == Status::Closed {
            return Err(Error::TicketClosed);
        }
        if mode == Mode::Post && ticket.handler == Handler::Human {
            return Err(Error::HandledByHuman);
        }
        let standing = store::standing_in_tx(tx, ticket, mode).await?;
        let mut superseded = None;
        if let Some(standing) = standing {
            if standing.answers_seq == ticket.last_customer_seq {
                return Ok((standing.reply_id, None));
            }
            store::supersede_in_tx(tx, standing.reply_id).await?;
            superseded = Some(standing.reply_id);
        }
        let run = Run {
            reply_id: Uuid::now_v7(),
            ticket_id: ticket.id,
            mode,
            attempt: 1,
            answers_seq: ticket.last_customer_seq,
            owner: self.owner,
        };
        store::open_in_tx(tx, &run, caller.user).await?;
        let conversation = tickets::conversation_in_tx(tx, ticket, TURNS).await?;
        Ok((
            run.reply_id,
            Some(Opened {
                run,
                conversation,
                superseded,
            }),
        ))
    }

    /// Everything of a reply, from its beginning to its end: live where it runs here, else once it is over.
    fn follow(self: &Arc<Self>, caller: Caller, reply_id: Uuid) -> BoxStream<'static, Result<Event>> {
        let this = self.clone();
        stream::once(async move { this.find(caller, reply_id).await })
            .try_flatten()
            .boxed()
    }

    async fn find(&self, caller: Caller, reply_id: Uuid) -> Result<BoxStream<'static, Result<Event>>> {
        loop {
            if let Some(live) = self.runs.follow(reply_id) {
                return Ok(live.map(Ok).boxed());
            }
            let reply = self.get(&caller, reply_id).await?;
            let attempt = reply.attempt;
            if let Some((text, end)) = reply.end() {
                return Ok(stream::iter(attach::replay(reply_id, attempt, text, end))
                    .map(Ok)
                    .boxed());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Customers get answers posted, staff get drafts.
fn allowed_mode(caller: &Caller, asked: Option<Mode>) -> Result<Mode> {
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
