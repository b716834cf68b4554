//! One limit of the provider's, as a bucket of our own.

use std::time::Duration;

use tokio::time::Instant;

use super::standing::Window;

/// Parts of a token or request that are counted.
pub(super) const PARTS: i128 = 1_000_000;

/// One limit: fills evenly, is emptied by calls. Amounts are in [`PARTS`].
#[derive(Debug)]
pub(super) struct Bucket {
    period: Duration,
    /// The provider's limit, whole.
    limit: Option<u64>,
    /// Our share of it.
    pub(super) capacity: i128,
    /// What is left now; below zero where calls took more than they reserved.
    pub(super) level: i128,
    filled: Instant,
    /// What was filled in, beyond whole parts.
    fraction: i128,
    /// What calls that have not ended hold.
    pub(super) held: i128,
    /// All that was ever reserved.
    reserved: i128,
    /// When the provider says that all is back, and what is to be taken off then.
    full: Option<(Instant, i128)>,
}

/// What a call holds of a bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    pub(super) amount: i128,
    /// [`Bucket::reserved`] when this was.
    until: i128,
}

impl Bucket {
    pub(super) fn new(period: Duration, now: Instant) -> Self {
        Self {
            period,
            limit: None,
            capacity: 0,
            level: 0,
            filled: now,
            fraction: 0,
            held: 0,
            reserved: 0,
            full: None,
        }
    }

    pub(super) fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled);
        self.filled = self.filled.max(now);
        if self.limit.is_none() {
            return;
        }
        let micros = i128::try_from(passed.min(self.period).as_micros()).unwrap_or_default();
        let period = i128::try_from(self.period.as_micros()).unwrap_or(1).max(1);
        let filled = self.capacity * micros + self.fraction;
        self.level += filled / period;
        self.fraction = filled % period;
        if let Some((at, reserved)) = self.full
            && now >= at
        {
            self.full = None;
            self.level = self.level.max(self.capacity - (self.reserved - reserved));
        }
        self.level = self.level.min(self.capacity);
    }

    /// What a call of `amount` must find here. One that is more than our share waits for all of it; one that is more than
    /// the provider's limit is the provider's to refuse, at once.
    pub(super) fn needed(&self, amount: u64) -> i128 {
        match self.limit {
            Some(limit) if amount <= limit => (i128::from(amount) * PARTS).min(self.capacity),
            _ => i128::MIN / 4,
        }
    }

    /// How long it takes until `amount` is there, if nobody takes or gives back any; as if `bonus` were there already.
    pub(super) fn wait(&self, amount: i128, bonus: i128) -> Duration {
        let missing = amount - self.level - bonus;
        if missing <= 0 || self.limit.is_none() {
            return Duration::ZERO;
        }
        let period = i128::try_from(self.period.as_micros()).unwrap_or(i128::MAX);
        let micros = (missing * period + self.capacity - 1) / self.capacity.max(1);
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    pub(super) fn hold(&mut self, amount: u64) -> Hold {
        let mut amount = i128::from(amount) * PARTS;
        if self.limit.is_some() {
            amount = amount.min(self.capacity);
        }
        self.level -= amount;
        self.held += amount;
        self.reserved += amount;
        Hold {
            amount,
            until: self.reserved,
        }
    }

    /// `used` may be more than was held.
    pub(super) fn settle(&mut self, hold: Hold, used: i128) {
        self.held -= hold.amount;
        self.level += hold.amount - used;
        if self.limit.is_some() {
            self.level = self.level.min(self.capacity);
        }
    }

    /// Learns that the provider's limit is used up, and that calls which are open are among what used it.
    pub(super) fn use_up(&mut self, limit: u64, share: f64) {
        self.limit = Some(limit);
        self.capacity = share_of(limit, share);
        self.level = 0;
        self.fraction = 0;
    }

    /// From here on nothing is known of a limit.
    pub(super) fn forget(&mut self) {
        self.limit = None;
    }

    /// Learns what the answer to the call that holds `hold` said.
    pub(super) fn learn(&mut self, told: Window, hold: Hold, share: f64, now: Instant) {
        let Some(limit) = told.limit.or(self.limit) else {
            return;
        };
        if self.limit != Some(limit) {
            let known = self.limit.is_some();
            self.limit = Some(limit);
            self.capacity = share_of(limit, share);
            self.level = if known {
                self.level.min(self.capacity)
            } else {
                self.capacity - self.held
            };
        }
        // Calls that were sent later may not have been counted when this was said.
        let later = self.reserved - hold.until;
        if let Some(remaining) = told.remaining {
            // Other replicas see the same rest, and take their share of it.
            let ours = (remaining.min(1 << 50) as f64 * share * PARTS as f64) as i128;
            self.level = self.level.min(ours - later);
        }
        // What is held now may be counted when it is used.
        self.full = told
            .reset
            .and_then(|reset| now.checked_add(reset))
            .map(|at| (at, self.reserved - later - self.held));
    }
}

/// Rounded down, but never nothing; nothing that a provider says comes near what this cannot hold.
fn share_of(limit: u64, share: f64) -> i128 {
    ((limit.min(1 << 50) as f64 * share) as i128).max(1) * PARTS
}
