//! Whether to ask again after a failure, and when.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::failure::{Failure, Kind, Phase, Window};

/// The first delay where the provider names none; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(500);
/// The longest of them.
const LONGEST: Duration = Duration::from_secs(8);
/// Tenths of a retry that are there at the start.
const START: u32 = 30;
/// Tenths of a retry that can be saved up.
const MOST: u32 = 100;

/// What can be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Asking again, later.
    Again,
    /// Asking again, once: the model may do better.
    Once,
    /// Asking another model.
    OtherModel,
    /// Nothing that we can do.
    None,
}

/// What helps, by kind: the provider's table, no more. A model that was silent too long or broke its protocol is not asked
/// again, for it may have been paid already.
pub fn remedy(kind: Kind) -> Remedy {
    match kind {
        Kind::Unreachable
        | Kind::Broken
        | Kind::TimedOut(Phase::Connecting)
        | Kind::Overloaded
        | Kind::TierFull
        | Kind::RateLimited(Window::Minute) => Remedy::Again,
        Kind::InvalidOutput => Remedy::Once,
        Kind::ModelUnavailable | Kind::RateLimited(Window::Day) => Remedy::OtherModel,
        Kind::TimedOut(_)
        | Kind::Protocol(_)
        | Kind::TooLarge
        | Kind::SpendCapReached
        | Kind::Unauthenticated
        | Kind::Rejected
        | Kind::Abandoned
        | Kind::Truncated
        | Kind::ContentFiltered
        | Kind::Empty
        | Kind::OverAllowance
        | Kind::OneCall => Remedy::None,
    }
}

/// How long to wait before the retry of number `retry`, from 0: what the provider says, or twice as long each time; and a
/// little more or less, so that those who failed together do not come back together. Never less than the provider says.
pub fn delay(failure: &Failure, retry: u32) -> Duration {
    delay_at(failure.retry_after, retry, random())
}

fn delay_at(told: Option<Duration>, retry: u32, random: f64) -> Duration {
    match told {
        Some(wait) => wait + (wait / 10).min(FIRST).mul_f64(random),
        None => {
            let longest = FIRST.saturating_mul(1 << retry.min(10)).min(LONGEST);
            longest.mul_f64(0.5 + random / 2.0)
        }
    }
}

/// From 0 to 1. Need not be unpredictable.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

/// Bounds what retries add while the provider is down: each request earns a tenth of one. With 3 at the start, never more
/// than 1.1 calls a request and 3; at most 10 are saved up.
#[derive(Debug)]
pub struct Budget(AtomicU32);

impl Budget {
    /// A budget with what it starts with.
    pub fn new() -> Self {
        Self(AtomicU32::new(START))
    }

    /// A request has come.
    pub fn earn(&self) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tenths| {
            Some((tenths + 1).min(MOST))
        });
    }

    /// Takes a retry, if there is one.
    pub fn spend(&self) -> bool {
        let spent = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tenths| tenths.checked_sub(10));
        spent.is_ok()
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_kind_has_the_remedy_of_the_provider_s_table() {
        use Remedy::{Again, None, Once, OtherModel};
        for (kind, expected) in [
            (Kind::Unreachable, Again),
            (Kind::Broken, Again),
            (Kind::TimedOut(Phase::Connecting), Again),
            (Kind::TimedOut(Phase::FirstToken), None),
            (Kind::TimedOut(Phase::NextChunk), None),
            (Kind::TimedOut(Phase::Total), None),
            (Kind::TimedOut(Phase::Deadline), None),
            (Kind::Protocol("x"), None),
            (Kind::Overloaded, Again),
            (Kind::TierFull, Again),
            (Kind::RateLimited(Window::Minute), Again),
            (Kind::RateLimited(Window::Day), OtherModel),
            (Kind::TooLarge, None),
            (Kind::ModelUnavailable, OtherModel),
            (Kind::InvalidOutput, Once),
            (Kind::SpendCapReached, None),
            (Kind::Unauthenticated, None),
            (Kind::Rejected, None),
            (Kind::Abandoned, None),
            (Kind::Truncated, None),
            (Kind::ContentFiltered, None),
            (Kind::Empty, None),
            (Kind::OverAllowance, None),
            (Kind::OneCall, None),
        ] {
            assert_eq!(remedy(kind), expected, "{kind:?}");
        }
    }

    #[test]
    fn delays_double_up_to_a_bound() {
        let longest: Vec<_> = (0..6).map(|retry| delay_at(None, retry, 1.0).as_millis()).collect();
        assert_eq!(longest, [500, 1_000, 2_000, 4_000, 8_000, 8_000]);
        assert_eq!(delay_at(None, 0, 0.0).as_millis(), 250);
    }

    proptest! {
        #[test]
        fn never_earlier_than_the_provider_says_and_not_much_later(wait in 0_u64..2_000_000, random in 0.0_f64..1.0) {
            let wait = Duration::from_millis(wait);
            let delay = delay_at(Some(wait), 0, random);
            prop_assert!(delay >= wait && delay <= wait + FIRST);
        }

        #[test]
        fn chance_is_from_0_to_1(_ in 0..64) {
            prop_assert!((0.0..1.0).contains(&random()));
        }

        #[test]
        fn retries_are_at_most_a_tenth_of_requests_and_three(requests in prop::collection::vec(0_u32..5, 0..400)) {
            let budget = Budget::new();
            let mut retries = 0_usize;
            for (before, wanted) in requests.iter().enumerate() {
                budget.earn();
                retries += (0..*wanted).filter(|_| budget.spend()).count();
                prop_assert!(10 * retries <= before + 1 + 30);
            }
        }

        #[test]
        fn from_any_moment_on_they_are_bounded_too(quiet in 0_usize..1_000, requests in 1_usize..200) {
            let budget = Budget::new();
            (0..quiet).for_each(|_| budget.earn());
            let mut retries = 0;
            for _ in 0..requests {
                budget.earn();
                while budget.spend() {
                    retries += 1;
                }
            }
            prop_assert!(10 * retries <= requests + 100);
        }
    }
}
