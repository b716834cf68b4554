//! The time that quotas and the prompt cache go by. Tests move it on; delays on the wire keep to real time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(crate) struct Clock {
    started: Instant,
    ahead_ms: AtomicU64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            ahead_ms: AtomicU64::new(0),
        }
    }

    /// Time since the start, with every [`Clock::advance`] added.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed() + Duration::from_millis(self.ahead_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4);
        self.ahead_ms.fetch_add(by, Ordering::Relaxed);
    }
}
