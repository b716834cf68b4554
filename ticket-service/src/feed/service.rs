//! Watching.

use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use service_kit::deadline::Deadline;
use service_kit::refusal::Refusal;
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::event::Scope;
use super::tail::Tail;
use super::watch::{Limits, Told, Watcher};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// How long a stream lives, whatever its caller's deadline: a session that ended by its age is noticed when the stream is taken
/// up again, and replicas that came later get their share of the watchers.
pub(crate) const LIFE: Duration = Duration::from_secs(3600);
/// How long before its end a stream says so, at most.
const FAREWELL: Duration = Duration::from_millis(50);

/// The feed, as this replica tells it.
pub(crate) struct Service {
    pool: PgPool,
    pub(super) secret: Arc<Secret>,
    tail: Arc<Tail>,
    stopping: CancellationToken,
}

impl Service {
    /// With what it needs.
    pub(crate) fn new(pool: PgPool, secret: Arc<Secret>, tail: Arc<Tail>) -> Self {
        Self {
            pool,
            secret,
            tail,
            stopping: CancellationToken::new(),
        }
    }

    /// Ends all streams, so that their callers go elsewhere.
    pub(crate) fn stop(&self) {
        self.stopping.cancel();
    }

    /// Every event in `scope` after a position, or (`None`) after now, until the deadline.
    pub(super) async fn watch(
        &self,
        scope: Scope,
        after: Option<i64>,
        deadline: Option<Deadline>,
    ) -> Result<impl Stream<Item = Result<Told, Refusal>> + Send + 'static + use<>> {
        if self.stopping.is_cancelled() {
            return Err(Error::ServerStopping);
        }
        let after = match after {
            Some(after) => after,
            None => self.tail.now().await?,
        };
        let left = deadline.map_or(LIFE, Deadline::remaining).min(LIFE);
        let limits = Limits {
            ends: Instant::now() + (left - FAREWELL.min(left / 10)),
            stopping: self.stopping.clone(),
        };
        Ok(Watcher::new(self.pool.clone(), self.tail.clone(), scope, after).stream(limits))
    }
}
