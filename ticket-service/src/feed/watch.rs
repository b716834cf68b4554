//! One watcher: what PostgreSQL has, read at the watcher's own pace, then what the tail fans out.
//!
//! A watcher whose client does not read is not polled, as tonic asks for the next event only when HTTP/2 has room for it. It
//! holds no connection then and no snapshot: at most [`BATCH`] events of a replay, or else a number in the tail's channel.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, stream};
use service_kit::refusal::Refusal;
use sqlx::PgPool;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::event::{Event, Positioned, Scope};
use super::store;
use super::tail::Tail;
use crate::error::{self, Error, Result};

/// How many events a replay reads at once.
const BATCH: i64 = 200;
/// How long a stream may be silent; then comes a bookmark, so that the cursor does not lag behind events that are not for this
/// watcher, and proxies do not take the stream for dead.
const SILENCE: Duration = Duration::from_secs(15);
/// Who lost events of the tail is slow if they did not ask for one for so long. Whoever is faster than that was overrun, and
/// finds what was lost in PostgreSQL.
const SLOW: Duration = Duration::from_secs(1);

/// What a watcher is told.
pub(super) enum Told {
    /// Nothing happened; go on from here.
    Bookmark(i64),
    /// This happened.
    Event(i64, Event),
    /// The stream ends; go on from here elsewhere.
    Interrupted(i64, &'static str),
}

/// What ends every stream sometime.
pub(super) struct Limits {
    pub(super) ends: Instant,
    pub(super) stopping: CancellationToken,
}

pub(super) struct Watcher {
    pool: PgPool,
    tail: Arc<Tail>,
    scope: Scope,
    /// Everything up to here was told, or is not for this watcher.
    at: i64,
    /// Read from PostgreSQL, and yet to be told.
    batch: std::vec::IntoIter<Positioned>,
    /// Where [`Self::at`] is when the batch is told.
    batch_end: i64,
    /// Up to where PostgreSQL is to be read before the tail is listened to.
    up_to: i64,
    live: Option<Receiver<Arc<Positioned>>>,
    /// Whether the tail was heard since the last replay.
    caught_up: bool,
    bookmarked: bool,
    told: Instant,
}

impl Watcher {
    /// Tells what is in `scope` after the position `after`.
    pub(super) fn new(pool: PgPool, tail: Arc<Tail>, scope: Scope, after: i64) -> Self {
        Self {
            pool,
            tail,
            scope,
            at: after,
            batch: Vec::new().into_iter(),
            batch_end: after,
            up_to: after,
            live: None,
            caught_up: false,
            bookmarked: false,
            told: Instant::now(),
        }
    }

    /// All that is told: a bookmark, events, and at the end `Interrupted` and why.
    pub(super) fn stream(self, limits: Limits) -> impl Stream<Item = Result<Told, Refusal>> + Send {
        stream::unfold(Ok(Box::new((self, limits))), |state| async move {
            let mut watching = match state {
                Ok(watching) => watching,
                Err(None) => return None,
                Err(Some(refusal)) => return Some((Err(refusal), Err(None))),
            };
            let (watcher, limits) = &mut *watching;
            let next = tokio::select! {
                biased;
                () = limits.stopping.cancelled() => Err(Error::ServerStopping),
                () = sleep_until(limits.ends) => Err(Error::DeadlineExceeded),
                next = watcher.next() => next,
            };
            match next {
                Ok(told) => Some((Ok(told), Ok(watching))),
                Err(error) => {
                    let refusal = error::refusal(error);
                    let told = Told::Interrupted(watcher.at, refusal.reason());
                    Some((Ok(told), Err(Some(refusal))))
                }
            }
        })
    }

    async fn next(&mut self) -> Result<Told> {
        let slow = self.told.elapsed() > SLOW;
        let told = if self.bookmarked {
            self.next_event(slow).await?
        } else {
            self.bookmarked = true;
            Told::Bookmark(self.at)
        };
        self.told = Instant::now();
        Ok(told)
    }

    async fn next_event(&mut self, slow: bool) -> Result<Told> {
        let silent = sleep_until(Instant::now() + SILENCE);
        tokio::pin!(silent);
        loop {
            if let Some(Positioned { position, event }) = self.batch.next() {
                self.at = position;
                return Ok(Told::Event(position, event));
            }
            self.at = self.at.max(self.batch_end);
            if self.at < self.up_to {
                self.read().await?;
                continue;
            }
            let Some(live) = &mut self.live else {
                let subscription = self.tail.subscribe().await?;
                self.live = Some(subscription.events);
                self.up_to = subscription.after;
                self.caught_up = false;
                continue;
            };
            let heard = tokio::select! {
                biased;
                heard = live.recv() => heard,
                () = &mut silent => return Ok(Told::Bookmark(self.at)),
            };
            match heard {
                Ok(heard) => {
                    self.caught_up = true;
                    if heard.position <= self.at {
                        continue;
                    }
                    self.at = heard.position;
                    if self.scope.holds(&heard.event) {
                        return Ok(Told::Event(heard.position, heard.event.clone()));
                    }
                }
                Err(RecvError::Lagged(_)) if slow && self.caught_up => return Err(Error::WatcherTooSlow),
                // The tail went on during a replay, or faster than this task could follow.
                Err(RecvError::Lagged(_)) => self.live = None,
                Err(RecvError::Closed) => return Err(Error::ServerStopping),
            }
        }
    }

    async fn read(&mut self) -> Result<()> {
        let events = store::between(&self.pool, &self.scope, self.at, self.up_to, BATCH).await?;
        let full = i64::try_from(events.len()).is_ok_and(|count| count == BATCH);
        let last = events.last().map(|event| event.position).filter(|_| full);
        self.batch_end = last.unwrap_or(self.up_to);
        self.batch = events.into_iter();
        Ok(())
    }
}
