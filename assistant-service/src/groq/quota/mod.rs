//! The provider's rate limits, kept as books of our own: a call is sent when it fits, and waits or is refused here when it
//! does not, rather than being refused there.
//!
//! Tokens are limited a minute, requests a day; both come back evenly, as the provider's own do. A call reserves its
//! prompt and the most that it may write; when it ends, what it did not use goes back. Tokens that the provider had cached
//! do not count. Nothing is known before the provider's first answer, and then nothing is held back.
//!
//! Requests are limited a minute too, and no header tells of it: only the words of a refusal do. So the first such refusal
//! teaches the limit, and from then on it is kept like the others; an hour after the last one it is forgotten, for the
//! plan may be another by then.

mod bucket;
mod standing;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

use bucket::{Bucket, Hold, PARTS};
pub use standing::{Standing, Window};

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);
/// How long a limit is believed that only a refusal told.
const BELIEVED: Duration = Duration::from_hours(1);

/// The books of one model. Pure: the time is told.
#[derive(Debug)]
pub struct Ledger {
    share: f64,
    tokens: Bucket,
    requests: Bucket,
    requests_a_minute: Bucket,
    /// How long the limit of requests a minute is believed.
    believed: Option<Instant>,
    /// Nothing is sent before this.
    closed: Option<Instant>,
}

/// What a call holds.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    tokens: Hold,
    requests: Hold,
    requests_a_minute: Hold,
}

/// How long a call has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// If calls that are open use all that they reserved.
    pub likely: Duration,
    /// If they use nothing, and end now.
    pub least: Duration,
}

impl Ledger {
    /// Books of which nothing is known yet; we may use `share` of what there is.
    pub fn new(share: f64, now: Instant) -> Self {
        Self {
            share,
            tokens: Bucket::new(MINUTE, now),
            requests: Bucket::new(DAY, now),
            requests_a_minute: Bucket::new(MINUTE, now),
            believed: None,
            closed: None,
        }
    }

    fn fill(&mut self, now: Instant) {
        self.tokens.fill(now);
        self.requests.fill(now);
        self.requests_a_minute.fill(now);
        if self.believed.is_some_and(|until| now >= until) {
            self.believed = None;
            self.requests_a_minute.forget();
        }
    }

    /// How long a call of `tokens` waits that comes after `ahead` calls of `tokens_ahead` altogether.
    pub fn wait(&mut self, tokens: u64, ahead: u64, tokens_ahead: u64, now: Instant) -> Wait {
        self.fill(now);
        let parts = |count: u64| i128::from(count) * PARTS;
        let of_tokens = self.tokens.needed(tokens) + parts(tokens_ahead);
        let of_requests = self.requests.needed(1) + parts(ahead);
        let of_the_minute = self.requests_a_minute.needed(1) + parts(ahead);
        let closed = self
            .closed
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let wait = |bonus| {
            let requests = self.requests.wait(of_requests, 0);
            let requests = requests.max(self.requests_a_minute.wait(of_the_minute, 0));
            self.tokens.wait(of_tokens, bonus).max(requests).max(closed)
        };
        Wait {
            likely: wait(0),
            least: wait(self.tokens.held),
        }
    }

    /// Takes what a call needs, if it fits now.
    ///
    /// # Errors
    /// How long it does not.
    pub fn hold(&mut self, tokens: u64, now: Instant) -> Result<Held, Wait> {
        let wait = self.wait(tokens, 0, 0, now);
        if !wait.likely.is_zero() {
            return Err(wait);
        }
        Ok(Held {
            tokens: self.tokens.hold(tokens),
            requests: self.requests.hold(1),
            requests_a_minute: self.requests_a_minute.hold(1),
        })
    }

    /// Learns what the provider's answer to a call says.
    pub fn learn(&mut self, held: &Held, told: &Standing, now: Instant) {
        self.fill(now);
        self.tokens.learn(told.tokens, held.tokens, self.share, now);
        self.requests.learn(told.requests, held.requests, self.share, now);
    }

    /// A call is over; `tokens` counted. One that never left is no request either.
    pub fn settle(&mut self, held: Held, tokens: u64, sent: bool, now: Instant) {
        self.fill(now);
        self.tokens.settle(held.tokens, i128::from(tokens) * PARTS);
        for (bucket, hold) in [
            (&mut self.requests, held.requests),
            (&mut self.requests_a_minute, held.requests_a_minute),
        ] {
            bucket.settle(hold, if sent { hold.amount } else { 0 });
        }
    }

    /// A call was given up: what it reserved counts as used.
    pub fn give_up(&mut self, held: Held, now: Instant) {
        self.fill(now);
        self.tokens.settle(held.tokens, held.tokens.amount);
        self.requests.settle(held.requests, held.requests.amount);
        self.requests_a_minute
            .settle(held.requests_a_minute, held.requests_a_minute.amount);
    }

    /// The provider refused a call because all of `limit` requests a minute were used.
    pub fn used_up_requests(&mut self, limit: u64, now: Instant) {
        self.fill(now);
        self.requests_a_minute.use_up(limit, self.share);
        self.believed = now.checked_add(BELIEVED);
    }

    /// The provider refused a call for a limit that comes back after `wait`.
    pub fn close(&mut self, wait: Duration, now: Instant) {
        self.closed = self.closed.max(now.checked_add(wait));
    }
}
