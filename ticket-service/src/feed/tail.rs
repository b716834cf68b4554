//! The end of the feed, as this replica follows it: gives committed events their positions where no other replica does, reads
//! new ones once for all who watch here, and fans them out.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Hint;
use super::event::{Positioned, Scope};
use super::store;
use crate::error::{Error, Result};

/// Events kept for watchers that have not read them yet, once for all of them. An event takes half a KiB or so (its longest
/// fields are a ticket's titles and tags, before and after), so this is some 2 MiB a replica, however many watch: a watcher's
/// own part of it is a number, the next event that it wants. One that wants an event that is gone has lagged.
pub(super) const CAPACITY: usize = 4096;

/// How many events get their positions in one transaction.
const NUMBER_BATCH: i64 = 1000;
/// How many are read at once.
const READ_BATCH: i64 = 500;

/// The least time between two looks, so that a burst of commits shares one numbering.
const GAP: Duration = Duration::from_millis(20);
/// How often it looks by itself while someone watches here: how late an event of another replica is, at most.
const WATCHED: Duration = Duration::from_millis(100);
/// How often while nobody does.
const UNWATCHED: Duration = Duration::from_secs(1);
/// How often while the database cannot be used.
const FAILING: Duration = Duration::from_millis(250);

/// How long [`Tail::now`] waits for all that was committed to have its position.
const NOW: Duration = Duration::from_millis(500);
/// How long a watcher waits for the first position that is known at all.
const FIRST: Duration = Duration::from_secs(3);

/// One replica's.
pub(crate) struct Tail {
    pool: PgPool,
    hint: Arc<Hint>,
    /// Someone here waits for a look.
    asked: Notify,
    events: broadcast::Sender<Arc<Positioned>>,
    /// Also the lock under which events are fanned out, so that who subscribes knows where its events begin.
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    /// Every event up to here was fanned out, or came when nobody watched; `None` before the first look.
    position: Option<i64>,
    /// Looks that were begun.
    begun: u64,
    /// The newest look that left nothing of what was committed when it began without a position, or unread.
    complete: u64,
}

/// Events from a position on.
pub(super) struct Subscription {
    pub(super) events: broadcast::Receiver<Arc<Positioned>>,
    /// Every event after this one comes.
    pub(super) after: i64,
}

impl Tail {
    /// Does nothing until [`Self::follow`].
    pub(crate) fn new(pool: PgPool, hint: Arc<Hint>) -> Self {
        Self {
            pool,
            hint,
            asked: Notify::new(),
            events: broadcast::Sender::new(CAPACITY),
            progress: watch::Sender::default(),
        }
    }

    /// Follows the feed until it is dropped. Where the database cannot be used, it goes on where it was once it can.
    pub(crate) async fn follow(&self) {
        let mut failing = false;
        loop {
            let began = Instant::now();
            self.progress.send_modify(|progress| progress.begun += 1);
            let pause = match self.look().await {
                Ok(complete) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!("the feed can be followed again");
                    }
                    if complete {
                        self.progress.send_modify(|progress| progress.complete = progress.begun);
                        self.pause()
                    } else {
                        GAP
                    }
                }
                Err(error) => {
                    // Said once.
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(error = &error as &dyn std::error::Error, "the feed cannot be followed");
                    }
                    FAILING
                }
            };
            sleep(GAP).await;
            tokio::select! {
                () = self.hint.given(), if self.is_watched() => {}
                () = self.asked.notified() => {}
                () = sleep_until(began + pause) => {}
            }
        }
    }

    /// Where the feed stands, with all in it that was committed before the call; where that takes long, the newest position that
    /// is known.
    pub(super) async fn now(&self) -> Result<i64> {
        let mut progress = self.progress.subscribe();
        // The look that is under way may have begun too early.
        let next = progress.borrow().begun + 1;
        self.asked.notify_one();
        // Its only error is that the sender is gone, which `self` holds.
        let _ = timeout(NOW, progress.wait_for(|progress| progress.complete >= next)).await;
        Ok(self.subscribe().await?.after)
    }

    /// Everything after the newest position.
    pub(super) async fn subscribe(&self) -> Result<Subscription> {
        let mut progress = self.progress.subscribe();
        let known = progress.wait_for(|progress| progress.position.is_some());
        let is_first = !self.is_watched();
        let subscription = match timeout(FIRST, known).await {
            // Under the lock of `progress`, so that no event is fanned out between the two.
            Ok(Ok(progress)) => progress.position.map(|after| Subscription {
                events: self.events.subscribe(),
                after,
            }),
            _ => None,
        };
        if is_first {
            // From now on it looks more often.
            self.asked.notify_one();
        }
        subscription.ok_or(Error::DatabaseUnavailable(sqlx::Error::PoolTimedOut))
    }

    fn is_watched(&self) -> bool {
        self.events.receiver_count() > 0
    }

    fn pause(&self) -> Duration {
        if self.is_watched() { WATCHED } else { UNWATCHED }
    }

    /// Numbers what waits for its position, and fans out what has one; false where it must look again.
    async fn look(&self) -> Result<bool> {
        loop {
            let standing = store::standing(&self.pool).await?;
            let numbered = if standing.waiting {
                store::number(&self.pool, NUMBER_BATCH).await
            } else {
                Ok(None)
            };
            // What has a position is told even where no new ones can be given.
            let newest = numbered.as_ref().ok().and_then(Option::as_ref);
            let newest = newest.and_then(|numbered| numbered.newest);
            self.fan_out(newest.unwrap_or(standing.newest)).await?;
            match numbered? {
                Some(numbered) if numbered.count == NUMBER_BATCH => {}
                // Another replica is at it, and may have begun too early to see all.
                None if standing.waiting => return Ok(false),
                _ => return Ok(true),
            }
        }
    }

    /// Fans out everything up to `newest`.
    async fn fan_out(&self, newest: i64) -> Result<()> {
        loop {
            let mut after = None;
            self.progress.send_if_modified(|progress| {
                match progress.position {
                    Some(position) if position >= newest => {}
                    Some(position) if self.is_watched() => after = Some(position),
                    // Nobody watches, so nobody misses what is not read.
                    _ => {
                        progress.position = Some(newest);
                        return true;
                    }
                }
                false
            });
            let Some(after) = after else { return Ok(()) };
            let events = store::between(&self.pool, &Scope::default(), after, newest, READ_BATCH).await?;
            let full = i64::try_from(events.len()).is_ok_and(|count| count == READ_BATCH);
            let last = events.last().map(|event| event.position).filter(|_| full);
            self.progress.send_modify(|progress| {
                progress.position = Some(last.unwrap_or(newest));
                for event in events {
                    // Its only error is that nobody watches any more.
                    let _ = self.events.send(Arc::new(event));
                }
            });
        }
    }
}
