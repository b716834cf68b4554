//! One bucket: filled by use, leaking with time.

use std::time::Duration;

/// Seconds.
pub(super) const MINUTE: u64 = 60;
/// Seconds.
pub(super) const DAY: u64 = 86_400;

#[derive(Clone, Copy, Default)]
pub(super) struct Bucket {
    used: f64,
    at: Duration,
}

impl Bucket {
    /// Lets what has leaked since the last time go; a limit of 0 is no limit, and such a bucket leaks as one of 1 does.
    pub(super) fn leak(&mut self, limit: u64, period: u64, now: Duration) {
        let seconds = now.saturating_sub(self.at).as_secs_f64();
        self.used = (self.used - seconds * limit.max(1) as f64 / period as f64).max(0.0);
        self.at = now;
    }

    pub(super) fn add(&mut self, amount: f64) {
        self.used = (self.used + amount).max(0.0);
    }

    /// Rounded up, but for the error of a sum.
    pub(super) fn used(&self) -> u64 {
        (self.used - 1e-6).max(0.0).ceil() as u64
    }
}

/// How long `excess` takes to leak, to a tenth of a millisecond, rounded up.
pub(super) fn wait(excess: u64, limit: u64, period: u64) -> Duration {
    let ticks = (u128::from(excess) * u128::from(period) * 10_000).div_ceil(u128::from(limit.max(1)));
    Duration::from_micros(u64::try_from(ticks * 100).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_those_of_groq_s_own_messages() {
        for (excess, limit, period, micros) in [
            (7739 + 1108 - 8000, 8000, MINUTE, 6_352_500),
            (77, 8000, MINUTE, 577_500),
            (199_700 + 2692 - 200_000, 200_000, DAY, 1_033_344_000),
            (1, 30, MINUTE, 2_000_000),
            (1, 7000, MINUTE, 8_600),
        ] {
            assert_eq!(wait(excess, limit, period), Duration::from_micros(micros));
        }
    }

    #[test]
    fn a_bucket_leaks_and_is_never_less_than_empty() {
        let mut bucket = Bucket::default();
        bucket.add(8000.0);
        bucket.leak(8000, MINUTE, Duration::from_secs(30));
        assert_eq!(bucket.used(), 4000);
        bucket.add(-5000.0);
        assert_eq!(bucket.used(), 0);
        bucket.add(1.5);
        assert_eq!(bucket.used(), 2);
    }
}
