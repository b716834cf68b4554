//! The provider's rate limits, kept as books of our own: a call is sent when it fits, and waits or is refused here when it
//! does not, rather than being refused there.
//!
//! Tokens are limited a minute, requests a day; both come back evenly, as the provider's own do. A call reserves its
//! prompt and the most that it may write; when it ends, what it did not use goes back. Tokens that the provider had cached
//! do not count. Nothing is known before the provider's first answer, and then nothing is held back.

use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::Instant;

use super::retry_after::go_duration;

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);
/// Parts of a token or request that are counted.
const PARTS: i128 = 1_000_000;

/// What the headers of an answer say of one limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// How much there is in all.
    pub limit: Option<u64>,
    /// How much is left.
    pub remaining: Option<u64>,
    /// When all of it is there again.
    pub reset: Option<Duration>,
}

/// What the headers of an answer say of the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Of a minute.
    pub tokens: Window,
    /// Of a day.
    pub requests: Window,
}

impl Standing {
    /// What `headers` say.
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.trim());
        let count = |name| text(name)?.parse().ok();
        let reset = |name| go_duration(text(name)?);
        Self {
            tokens: Window {
                limit: count("x-ratelimit-limit-tokens"),
                remaining: count("x-ratelimit-remaining-tokens"),
                reset: reset("x-ratelimit-reset-tokens"),
            },
            requests: Window {
                limit: count("x-ratelimit-limit-requests"),
                remaining: count("x-ratelimit-remaining-requests"),
                reset: reset("x-ratelimit-reset-requests"),
            },
        }
    }
}

/// One limit: fills evenly, is emptied by calls. Amounts are in [`PARTS`].
#[derive(Debug)]
struct Bucket {
    period: Duration,
    /// The provider's limit, whole.
    limit: Option<u64>,
    /// Our share of it.
    capacity: i128,
    /// What is left now; below zero where calls took more than they reserved.
    level: i128,
    filled: Instant,
    /// What was filled in, beyond whole parts.
    fraction: i128,
    /// What calls that have not ended hold.
    held: i128,
    /// All that was ever reserved.
    reserved: i128,
    /// When the provider says that all is back, and what is to be taken off then.
    full: Option<(Instant, i128)>,
}

/// What a call holds of a bucket.
#[derive(Clone, Copy, Debug)]
struct Hold {
    amount: i128,
    /// [`Bucket::reserved`] when this was.
    until: i128,
}

impl Bucket {
    fn new(period: Duration, now: Instant) -> Self {
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

    fn fill(&mut self, now: Instant) {
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
    fn needed(&self, amount: u64) -> i128 {
        match self.limit {
            Some(limit) if amount <= limit => (i128::from(amount) * PARTS).min(self.capacity),
            _ => i128::MIN / 4,
        }
    }

    /// How long it takes until `amount` is there, if nobody takes or gives back any; as if `bonus` were there already.
    fn wait(&self, amount: i128, bonus: i128) -> Duration {
        let missing = amount - self.level - bonus;
        if missing <= 0 || self.limit.is_none() {
            return Duration::ZERO;
        }
        let period = i128::try_from(self.period.as_micros()).unwrap_or(i128::MAX);
        let micros = (missing * period + self.capacity - 1) / self.capacity.max(1);
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn hold(&mut self, amount: u64) -> Hold {
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
    fn settle(&mut self, hold: Hold, used: i128) {
        self.held -= hold.amount;
        self.level += hold.amount - used;
        if self.limit.is_some() {
            self.level = self.level.min(self.capacity);
        }
    }

    /// Learns what the answer to the call that holds `hold` said.
    fn learn(&mut self, told: Window, hold: Hold, share: f64, now: Instant) {
        let Some(limit) = told.limit.or(self.limit) else {
            return;
        };
        if self.limit != Some(limit) {
            let known = self.limit.is_some();
            self.limit = Some(limit);
            // Rounded down; nothing that a provider says comes near what this cannot hold.
            self.capacity = ((limit.min(1 << 50) as f64 * share) as i128).max(1) * PARTS;
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

/// The books of one model. Pure: the time is told.
#[derive(Debug)]
pub struct Ledger {
    share: f64,
    tokens: Bucket,
    requests: Bucket,
    /// Nothing is sent before this.
    closed: Option<Instant>,
}

/// What a call holds.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    tokens: Hold,
    requests: Hold,
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
            closed: None,
        }
    }

    /// How long a call of `tokens` waits that comes after `ahead` calls of `tokens_ahead` altogether.
    pub fn wait(&mut self, tokens: u64, ahead: u64, tokens_ahead: u64, now: Instant) -> Wait {
        self.tokens.fill(now);
        self.requests.fill(now);
        let parts = |count: u64| i128::from(count) * PARTS;
        let of_tokens = self.tokens.needed(tokens) + parts(tokens_ahead);
        let of_requests = self.requests.needed(1) + parts(ahead);
        let closed = self
            .closed
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let wait = |bonus| {
            let tokens = self.tokens.wait(of_tokens, bonus);
            tokens.max(self.requests.wait(of_requests, 0)).max(closed)
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
        })
    }

    /// Learns what the provider's answer to a call says.
    pub fn learn(&mut self, held: &Held, told: &Standing, now: Instant) {
        self.tokens.fill(now);
        self.requests.fill(now);
        self.tokens.learn(told.tokens, held.tokens, self.share, now);
        self.requests.learn(told.requests, held.requests, self.share, now);
    }

    /// A call is over; `tokens` counted. One that never left is no request either.
    pub fn settle(&mut self, held: Held, tokens: u64, sent: bool, now: Instant) {
        self.tokens.fill(now);
        self.requests.fill(now);
        self.tokens.settle(held.tokens, i128::from(tokens) * PARTS);
        self.requests
            .settle(held.requests, if sent { held.requests.amount } else { 0 });
    }

    /// A call was given up: what it reserved counts as used.
    pub fn give_up(&mut self, held: Held, now: Instant) {
        self.tokens.fill(now);
        self.requests.fill(now);
        self.tokens.settle(held.tokens, held.tokens.amount);
        self.requests.settle(held.requests, held.requests.amount);
    }

    /// The provider refused a call for a limit that comes back after `wait`.
    pub fn close(&mut self, wait: Duration, now: Instant) {
        self.closed = self.closed.max(now.checked_add(wait));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(limit: u64, remaining: u64) -> Standing {
        Standing {
            tokens: Window {
                limit: Some(limit),
                remaining: Some(remaining),
                reset: None,
            },
            ..Standing::default()
        }
    }

    /// Books that know a limit, all of which is left.
    fn knowing(limit: u64, share: f64, now: Instant) -> Ledger {
        let mut ledger = Ledger::new(share, now);
        let held = ledger.hold(1, now).unwrap();
        ledger.learn(&held, &told(limit, limit), now);
        ledger.settle(held, 0, true, now);
        ledger
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn headers_of_the_provider() {
        let headers = [
            ("x-ratelimit-limit-requests", "14400"),
            ("x-ratelimit-limit-tokens", "8000"),
            ("x-ratelimit-remaining-requests", "14370"),
            ("x-ratelimit-remaining-tokens", "7997"),
            ("x-ratelimit-reset-requests", "2m59.56s"),
            ("x-ratelimit-reset-tokens", "22.5ms"),
        ];
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let standing = Standing::of(&headers);
        assert_eq!(standing.tokens.limit, Some(8_000));
        assert_eq!(standing.tokens.remaining, Some(7_997));
        assert_eq!(standing.tokens.reset, Some(ms(23)));
        assert_eq!(standing.requests.limit, Some(14_400));
        assert_eq!(standing.requests.reset, Some(ms(179_560)));
        assert_eq!(Standing::of(&HeaderMap::new()), Standing::default());
    }

    #[test]
    fn without_known_limits_nothing_is_held_back() {
        let now = Instant::now();
        let mut ledger = Ledger::new(1.0, now);
        for _ in 0..1_000 {
            ledger.hold(1_000_000, now).unwrap();
        }
    }

    #[test]
    fn what_was_sent_before_the_limit_was_known_counts() {
        let now = Instant::now();
        let mut ledger = Ledger::new(1.0, now);
        let first = ledger.hold(3_000, now).unwrap();
        let _second = ledger.hold(3_000, now).unwrap();
        ledger.learn(&first, &told(8_000, 8_000), now);
        assert_eq!(ledger.hold(3_000, now).unwrap_err().likely, ms(7_500));
        ledger.hold(2_000, now).unwrap();
    }

    #[test]
    fn a_call_waits_until_enough_has_come_back() {
        let now = Instant::now();
        let mut ledger = knowing(8_000, 1.0, now);
        let held = ledger.hold(6_000, now).unwrap();
        let wait = ledger.hold(4_000, now).unwrap_err();
        assert_eq!((wait.likely, wait.least), (ms(15_000), Duration::ZERO));
        assert!(ledger.hold(4_000, now + ms(14_999)).is_err());
        ledger.settle(held, 1_000, true, now);
        ledger.hold(4_000, now + ms(15_000)).unwrap();
    }

    #[test]
    fn what_was_not_used_goes_back_and_what_was_used_beyond_is_taken() {
        let now = Instant::now();
        let mut ledger = knowing(8_000, 1.0, now);
        let held = ledger.hold(6_000, now).unwrap();
        ledger.settle(held, 500, true, now);
        let held = ledger.hold(7_500, now).unwrap();
        assert!(ledger.hold(1, now).is_err());
        ledger.settle(held, 8_500, true, now);
        assert_eq!(ledger.hold(1_000, now).unwrap_err().likely, ms(15_000));
    }

    #[test]
    fn a_share_is_ours_and_the_rest_is_not() {
        let now = Instant::now();
        let mut ledger = knowing(8_000, 0.25, now);
        ledger.hold(2_000, now).unwrap();
        assert!(ledger.hold(1, now).is_err());
        // More than the share, not more than the limit: waits for all of the share.
        let mut ledger = knowing(8_000, 0.25, now);
        ledger.hold(1_000, now).unwrap();
        assert_eq!(ledger.hold(5_000, now).unwrap_err().likely, Duration::from_secs(30));
        // More than the limit: the provider's to refuse, at once.
        ledger.hold(8_001, now).unwrap();
    }

    #[test]
    fn never_more_than_the_provider_says_is_left() {
        let now = Instant::now();
        let mut ledger = knowing(8_000, 1.0, now);
        let held = ledger.hold(1_000, now).unwrap();
        let later = ledger.hold(500, now).unwrap();
        // Somebody else has used 4,000; the later call may not be counted yet.
        ledger.learn(&held, &told(8_000, 3_000), now);
        assert!(ledger.hold(2_501, now).is_err());
        ledger.learn(&later, &told(8_000, 2_500), now);
        ledger.hold(2_500, now).unwrap();
    }

    #[test]
    fn what_is_left_is_shared_too() {
        let now = Instant::now();
        let mut ledger = knowing(8_000, 0.5, now);
        let held = ledger.hold(1_000, now).unwrap();
        ledger.learn(&held, &told(8_000, 3_000), now);
        assert!(ledger.hold(1_501, now).is_err());
        ledger.hold(1_500, now).unwrap();
    }

    #[test]
    fn requests_of_a_day_are_counted_too() {
        let now = Instant::now();
        let mut ledger = Ledger::new(1.0, now);
        let held = ledger.hold(1, now).unwrap();
        let requests = Window {
            limit: Some(1_000),
            remaining: Some(1),
            reset: None,
        };
        let standing = Standing {
            requests,
            ..Standing::default()
        };
        ledger.learn(&held, &standing, now);
        ledger.settle(held, 1, true, now);
        let last = ledger.hold(1, now).unwrap();
        assert_eq!(ledger.hold(1, now).unwrap_err().likely, ms(86_400));
        // It never left: no request.
        ledger.settle(last, 0, false, now);
        ledger.hold(1, now).unwrap();
    }

    #[test]
    fn the_reset_mends_what_was_counted_too_high() {
        let now = Instant::now();
        let mut ledger = knowing(8_000, 1.0, now);
        let held = ledger.hold(2_000, now).unwrap();
        let mut standing = told(8_000, 10);
        standing.tokens.reset = Some(ms(2_000));
        ledger.learn(&held, &standing, now);
        ledger.settle(held, 2_000, true, now);
        assert!(ledger.hold(6_000, now + ms(1_999)).is_err());
        ledger.hold(6_000, now + ms(2_000)).unwrap();
        assert!(ledger.hold(6_000, now + ms(2_000)).is_err());
    }

    #[test]
    fn after_a_refusal_nothing_is_sent_before_its_time() {
        let now = Instant::now();
        let mut ledger = Ledger::new(1.0, now);
        ledger.close(ms(500), now);
        ledger.close(ms(100), now);
        assert_eq!(ledger.hold(1, now).unwrap_err().likely, ms(500));
        ledger.hold(1, now + ms(500)).unwrap();
    }

    #[derive(Clone, Debug)]
    enum Deed {
        Hold(u64),
        Settle(prop::sample::Index, u64),
        GiveUp(prop::sample::Index),
        Pass(u64),
    }

    fn deeds() -> impl Strategy<Value = Vec<Deed>> {
        let deed = prop_oneof![
            3 => (1_u64..6_000).prop_map(Deed::Hold),
            2 => (any::<prop::sample::Index>(), 0_u64..101).prop_map(|(which, used)| Deed::Settle(which, used)),
            1 => any::<prop::sample::Index>().prop_map(Deed::GiveUp),
            1 => (0_u64..20_000).prop_map(Deed::Pass),
        ];
        prop::collection::vec(deed, 0..60)
    }

    proptest! {
        #[test]
        fn no_more_is_used_than_there_is_and_nothing_is_lost(deeds in deeds(), limit in 6_000_u64..20_000) {
            let began = Instant::now();
            let mut now = began;
            let mut ledger = knowing(limit, 1.0, now);
            let mut open: Vec<(Held, u64)> = Vec::new();
            let mut used = 0_u64;
            for deed in deeds {
                match deed {
                    Deed::Hold(tokens) => if let Ok(held) = ledger.hold(tokens, now) {
                        open.push((held, tokens));
                    },
                    Deed::Settle(which, percent) if !open.is_empty() => {
                        let (held, tokens) = open.swap_remove(which.index(open.len()));
                        let counted = tokens * percent / 100;
                        used += counted;
                        ledger.settle(held, counted, true, now);
                    }
                    Deed::GiveUp(which) if !open.is_empty() => {
                        let (held, tokens) = open.swap_remove(which.index(open.len()));
                        used += tokens;
                        ledger.give_up(held, now);
                    }
                    Deed::Pass(milliseconds) => now += ms(milliseconds),
                    _ => {}
                }
                // All that was used and all that may yet be is within the limit and what has come back since.
                let held: u64 = open.iter().map(|(_, tokens)| tokens).sum();
                let allowed = limit as f64 * (1.0 + (now - began).as_secs_f64() / 60.0);
                prop_assert!((used + held) as f64 <= allowed + 1.0, "{used} + {held} of {allowed}");
                prop_assert_eq!(ledger.tokens.held, i128::from(held) * PARTS);
                prop_assert!(ledger.tokens.level >= 0 && ledger.tokens.level <= ledger.tokens.capacity);
            }
            // Settled as unused, all of it is back but what was used; a minute later all of it.
            ledger.wait(0, 0, 0, now);
            let before = ledger.tokens.level;
            let held: i128 = open.iter().map(|(held, _)| held.tokens.amount).sum();
            for (held, _) in open {
                ledger.settle(held, 0, true, now);
            }
            prop_assert_eq!(ledger.tokens.level.min(ledger.tokens.capacity), (before + held).min(ledger.tokens.capacity));
            prop_assert_eq!(ledger.tokens.held, 0);
            prop_assert!(ledger.hold(limit, now + MINUTE + ms(1)).is_ok());
        }

        #[test]
        fn a_call_that_waited_as_long_as_it_was_told_fits(first in 1_u64..8_000, second in 1_u64..8_000, share in 0.05_f64..1.0) {
            let now = Instant::now();
            let mut ledger = knowing(8_000, share, now);
            let _ = ledger.hold(first, now);
            if let Err(wait) = ledger.hold(second, now) {
                prop_assert!(wait.least <= wait.likely);
                let just_before = wait.likely.saturating_sub(ms(1));
                if !just_before.is_zero() {
                    prop_assert!(ledger.hold(second, now + just_before).is_err());
                }
                prop_assert!(ledger.hold(second, now + wait.likely).is_ok());
            }
        }
    }
}
