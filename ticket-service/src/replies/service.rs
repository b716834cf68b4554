//! What can be done with replies.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _};
use sqlx::{PgConnection, PgPool};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::assistant::Assistant;
use super::attach::{Live, Runs};
use super::follow::{Follow, Place};
use super::reply::{End, Event, Mode, Reply, State};
use super::runner;
use super::store::{self, Run, Taken};
use crate::caller::Caller;
use crate::db::idempotency::{self, Key};
use crate::db::tx::retrying;
use crate::error::{Error, Result};
use crate::feed::Hint;
use crate::page::{self, Page};
use crate::secret::Secret;
use crate::settings;
use crate::tickets::store::{self as tickets, Conversation, Locked};
use crate::tickets::ticket::{Handler, Status};

/// The newest messages that the assistant is given; it cuts them further to what the model takes.
const TURNS: i64 = 100;

/// How often runs whose process died are looked for.
const LOOK: Duration = Duration::from_millis(500);

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
        Ok(Follow::whole(self.clone(), caller, reply_id).events().boxed())
    }

    /// Everything of a reply after so many bytes of an attempt's text; from the beginning where `attempt` is 0.
    pub(super) async fn attach(
        self: &Arc<Self>,
        caller: Caller,
        reply_id: Uuid,
        attempt: i32,
        offset: usize,
    ) -> Result<BoxStream<'static, Result<Event>>> {
        let follow = if attempt == 0 {
            // Whether there is such a reply, before the first event.
            self.get(&caller, reply_id).await?;
            Follow::whole(self.clone(), caller, reply_id)
        } else {
            Follow::after(self.clone(), caller, reply_id, attempt, offset).await?
        };
        Ok(follow.events().boxed())
    }

    /// The replies of a ticket that the caller may see, newest first.
    pub(super) async fn list(&self, caller: &Caller, ticket_id: Uuid, size: i64, token: &str) -> Result<Page<Reply>> {
        let tokens = page::Tokens::new(&self.secret, caller, &[b"replies", ticket_id.as_bytes()]);
        let before = tokens.open(token)?.map(Uuid::from_bytes);
        tickets::check_seen(&self.pool, caller.sees_only(), ticket_id).await?;
        let rows = store::list(&self.pool, caller.sees_only(), ticket_id, before, size + 1).await?;
        tokens.cut(rows, size, |reply| *reply.id.as_bytes())
    }

    /// Stops a reply that is being written.
    pub(super) async fn cancel(&self, caller: &Caller, reply_id: Uuid, key: Option<Key>) -> Result<Reply> {
        let ticket_id = store::ticket_of(&self.pool, caller.sees_only(), reply_id).await?;
        retrying(|| async {
            let mut tx = self.pool.begin().await?;
            tickets::lock_in_tx(&mut tx, caller.sees_only(), ticket_id).await?;
            if idempotency::kept_in_tx::<Uuid>(&mut tx, key.as_ref()).await?.is_some() {
                return Ok(());
            }
            if !store::stop_in_tx(&mut tx, reply_id, State::Cancelled, None).await?
                && store::state_in_tx(&mut tx, reply_id).await? != State::Cancelled
            {
                return Err(Error::ReplyEnded);
            }
            idempotency::keep_in_tx(&mut tx, key.as_ref(), &reply_id).await?;
            tx.commit().await?;
            Ok(())
        })
        .await?;
        self.runs.stop(reply_id);
        self.get(caller, reply_id).await
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

    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The run of a reply, where it is one of this process.
    pub(super) fn live(&self, reply_id: Uuid) -> Option<Live> {
        self.runs.live(reply_id)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Resolves when the server stops.
    pub(super) async fn stopping(&self) {
        self.stopping.cancelled().await;
    }

    /// The newest attempt of a reply, its text so far, and what that is.
    pub(super) async fn text(&self, caller: &Caller, reply_id: Uuid) -> Result<(i32, Vec<u8>, Place)> {
        let reply = self.get(caller, reply_id).await?;
        if let Some(live) = self.live(reply_id) {
            return Ok((live.attempt, live.text().into_bytes(), Place::Written));
        }
        let attempt = reply.attempt;
        match reply.end() {
            Some((text, End::Completed { .. } | End::Drafted { .. })) => {
                Ok((attempt, text.into_bytes(), Place::Answered))
            }
            Some((text, _)) => Ok((attempt, text.into_bytes(), Place::Void)),
            None => Ok((
                attempt,
                store::kept_text(&self.pool, reply_id, attempt, 0).await?,
                Place::Written,
            )),
        }
    }

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
        for (reply_id, ticket_id) in store::orphans(&self.pool).await? {
            // In a task of its own: whoever stops this between the commit and the run leaves no run that nobody runs.
            let this = self.clone();
            let taking = self
                .tasks
                .spawn(async move { this.take_over_one(reply_id, ticket_id).await });
            taking
                .await
                .map_err(|error| Error::internal("taking a run over failed", error))??;
        }
        Ok(())
    }

    async fn take_over_one(&self, reply_id: Uuid, ticket_id: Uuid) -> Result<()> {
        let opened = retrying(|| async {
            let mut tx = self.pool.begin().await?;
            let ticket = tickets::lock_in_tx(&mut tx, None, ticket_id).await?;
            let opened = match store::take_over_in_tx(&mut tx, &ticket, reply_id, self.owner).await? {
                Taken::Elsewhere => None,
                Taken::Ended => {
                    tracing::warn!(%reply_id, "a run whose process died has ended");
                    None
                }
                Taken::Over(run) => Some(Opened {
                    conversation: tickets::conversation_in_tx(&mut tx, &ticket, TURNS).await?,
                    run,
                    superseded: None,
                }),
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

    /// Runs what was opened.
    fn start(&self, opened: Opened) {
        let Opened {
            run,
            conversation,
            superseded,
        } = opened;
        if let Some(superseded) = superseded {
            self.runs.stop(superseded);
        }
        let running = self.runs.enter(run.reply_id, run.attempt);
        let (pool, assistant, stopping) = (self.pool.clone(), self.assistant.clone(), self.stopping.clone());
        let feed = self.feed.clone();
        self.tasks.spawn(async move {
            runner::run(pool, assistant, run, conversation, running, stopping).await;
            feed.give();
        });
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

        if let Some(opened) = opened {
            self.start(opened);
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
            store::stop_in_tx(tx, standing.reply_id, State::Superseded, None).await?;
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
