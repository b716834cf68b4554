//! What a replica knows of sessions that ended and users that changed, so that a call needs no round trip to PostgreSQL.
//!
//! Each replica reads, every [`PERIOD`], what was revoked or changed within [`WINDOW`], which is longer than an access token
//! lives: what is older has no live token. Where its last reading began over [`FRESH`] ago, it asks PostgreSQL about the call
//! in question. So whatever was committed is in force everywhere within a second, and at once where it was done, for there
//! the reading is done anew after the commit. What was read beats what the token claims.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::sessions::{self, Changes};
use crate::caller::Caller;
use crate::error::{Error, Result};

const PERIOD: Duration = Duration::from_millis(300);
const FRESH: Duration = Duration::from_secs(1);
/// An access token lives 10 minutes; a minute more for clocks and long transactions.
const WINDOW_MINUTES: i32 = 11;

/// What was read.
#[derive(Debug, Default)]
struct Known {
    /// When the reading began; `None` before the first.
    began: Option<Instant>,
    changes: Changes,
}

/// Who may still call.
pub(crate) struct Revocations {
    pool: PgPool,
    known: RwLock<Arc<Known>>,
    /// One reading at a time.
    reading: Mutex<()>,
    changes: watch::Sender<()>,
}

impl Revocations {
    /// Knows nothing yet, and so asks PostgreSQL.
    pub(crate) fn new(pool: PgPool) -> Self {
        Self {
            pool,
            known: RwLock::default(),
            reading: Mutex::new(()),
            changes: watch::Sender::new(()),
        }
    }

    /// The caller with the role that they have now.
    ///
    /// # Errors
    /// [`Error::SessionEnded`] where their session has ended or their account is disabled.
    pub(crate) async fn check(&self, caller: Caller) -> Result<Caller> {
        let known = self.known();
        if known.began.is_some_and(|began| began.elapsed() <= FRESH) {
            return known.check(caller);
        }
        self.ask(caller).await
    }

    /// Resolves when the caller may no longer call, or no longer as who they were.
    pub(crate) async fn ended(&self, caller: Caller) {
        let mut changes = self.changes.subscribe();
        loop {
            match self.check(caller).await {
                Ok(now) if now == caller => {}
                Ok(_) | Err(Error::SessionEnded) => return,
                // Where PostgreSQL cannot be asked, nothing is known of an end.
                Err(_) => {}
            }
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Reads every [`PERIOD`], until it is dropped.
    pub(crate) async fn keep_reading(&self) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            ticks.tick().await;
            match self.read().await {
                Ok(()) => failing = false,
                // Said once; calls ask for themselves meanwhile.
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(error = &error as &dyn std::error::Error, "revocations cannot be read");
                }
                Err(_) => {}
            }
        }
    }

    /// Reads now: what was committed before this call is known after it.
    pub(crate) async fn read(&self) -> Result<()> {
        let _turn = self.reading.lock().await;
        let began = Instant::now();
        let changes = sessions::changes(&self.pool, WINDOW_MINUTES).await?;
        let known = Known {
            began: Some(began),
            changes,
        };
        let before = std::mem::replace(
            &mut *self.known.write().unwrap_or_else(PoisonError::into_inner),
            Arc::new(known),
        );
        // Open streams wake only where something changed, not at every reading.
        if self.known().changes != before.changes {
            self.changes.send_replace(());
        }
        Ok(())
    }

    fn known(&self) -> Arc<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn ask(&self, caller: Caller) -> Result<Caller> {
        let role = sessions::role_of_live(&self.pool, &caller).await?;
        let role = role.ok_or(Error::SessionEnded)?;
        Ok(Caller { role, ..caller })
    }
}

impl Known {
    fn check(&self, caller: Caller) -> Result<Caller> {
        if self.changes.ended_sessions.contains(&caller.session) {
            return Err(Error::SessionEnded);
        }
        match self.changes.changed_users.get(&caller.user) {
            None => Ok(caller),
            Some(Some(role)) => Ok(Caller { role: *role, ..caller }),
            Some(None) => Err(Error::SessionEnded),
        }
    }
}
