//! What can be done with replies.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::ask::{Opened, Question};
use super::assistant::Assistant;
use super::attach::{Live, Runs};
use super::follow::{Follow, Place};
use super::reply::{End, Event, Reply, State};
use super::{runner, store};
use crate::caller::Caller;
use crate::db::idempotency::{self, Key};
use crate::db::tx::{begin, retrying};
use crate::error::{Error, Result};
use crate::feed::Hint;
use crate::page::{self, Page};
use crate::secret::Secret;
use crate::settings;
use crate::tickets::store as tickets;

/// How long running replies may go on after the server was told to stop.
const GRACE: Duration = Duration::from_secs(8);

/// Replies.
pub(crate) struct Service {
    pub(super) pool: PgPool,
    pub(super) feed: Arc<Hint>,
    pub(super) secret: Arc<Secret>,
    pub(super) budgets: settings::Budgets,
    assistant: Assistant,
    runs: Runs,
    pub(super) tasks: TaskTracker,
    stopping: CancellationToken,
    /// This process, as the owner of its runs.
    pub(super) owner: Uuid,
}

impl Service {
    /// With what it needs.
    pub(crate) fn new(
        pool: PgPool,
        secret: Arc<Secret>,
        feed: Arc<Hint>,
        assistant: &settings::Assistant,
        budgets: settings::Budgets,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            pool,
            feed,
            secret,
            budgets,
            assistant: Assistant::new(assistant)?,
            runs: Runs::default(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            owner: Uuid::new_v4(),
        })
    }

    /// Asks for an answer to a ticket, or finds the one that stands, and tells everything of it from its beginning.
    pub(super) async fn stream(
        self: &Arc<Self>,
        caller: Caller,
        question: Question,
    ) -> Result<BoxStream<'static, Result<Event>>> {
        let reply_id = self.ask(caller, question).await?;
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
            let mut tx = begin(&self.pool).await?;
            if let Some(ticket_id) = ticket_id {
                tickets::lock_in_tx(&mut tx, caller.sees_only(), ticket_id).await?;
            }
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

    /// Runs what was opened.
    pub(super) fn start(&self, opened: Opened) {
        let Opened {
            run,
            subject,
            superseded,
        } = opened;
        if let Some(superseded) = superseded {
            self.runs.stop(superseded);
        }
        let running = self.runs.enter(run.reply_id, run.attempt);
        let (pool, assistant, stopping) = (self.pool.clone(), self.assistant.clone(), self.stopping.clone());
        let feed = self.feed.clone();
        self.tasks.spawn(async move {
            runner::run(pool, assistant, run, subject, running, stopping).await;
            feed.give();
        });
    }
}
