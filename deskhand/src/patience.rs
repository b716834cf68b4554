//! How long to wait before something is tried again, and for how long at all.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::failure::Failure;
use crate::output::Output;

/// Before the first further try; each one after it waits twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// As long as a server may take that is started anew.
const LIMIT: Duration = Duration::from_secs(60);

/// With a server that is away: for a while, and not for ever.
#[derive(Default)]
pub(crate) struct Patience {
    tries: u32,
    since: Option<Instant>,
}

impl Patience {
    /// How long to wait before the next try; `None` where there is to be none.
    pub(crate) fn pause_after(&mut self, failure: &Failure) -> Option<Duration> {
        self.pause_at(Instant::now(), failure)
    }

    fn pause_at(&mut self, now: Instant, failure: &Failure) -> Option<Duration> {
        let waited = now - *self.since.get_or_insert(now);
        let pause = pause(FIRST_PAUSE, LONGEST_PAUSE, self.tries).max(failure.retry_after().unwrap_or_default());
        self.tries = self.tries.saturating_add(1);
        (waited + pause <= LIMIT).then_some(pause)
    }

    /// The server is there.
    pub(crate) fn renew(&mut self) {
        *self = Self::default();
    }
}

/// Makes a change, and makes it again where the server is away. What is asked for must carry the same request id each time.
pub(crate) async fn insist<A>(output: &mut Output, ask: impl AsyncFn() -> Result<A, Failure>) -> Result<A, Failure> {
    let mut patience = Patience::default();
    let mut told = false;
    loop {
        let failure = match ask().await {
            Err(failure) if failure.is_away() => failure,
            answer => return answer,
        };
        let Some(pause) = patience.pause_after(&failure) else {
            return Err(failure);
        };
        if !std::mem::replace(&mut told, true) {
            output.step(&format!("waiting for the server, to ask it again: {failure}"));
        }
        sleep(pause).await;
    }
}

/// After so many breaks; by chance up to half shorter, so that not all clients of a server come back at once.
pub(crate) fn pause(first: Duration, longest: Duration, breaks: u32) -> Duration {
    shortened(first, longest, breaks, Uuid::new_v4().as_bytes()[0])
}

fn shortened(first: Duration, longest: Duration, breaks: u32, chance: u8) -> Duration {
    let full = first.saturating_mul(2_u32.saturating_pow(breaks)).min(longest);
    full / 2 + full / 2 * u32::from(chance) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_bounded() {
        let (first, longest) = (Duration::from_millis(500), Duration::from_secs(30));
        for (breaks, chance, milliseconds) in [
            (0, 255, 500),
            (0, 0, 250),
            (1, 255, 1_000),
            (5, 255, 16_000),
            (6, 255, 30_000),
            (u32::MAX, 255, 30_000),
            (u32::MAX, 0, 15_000),
        ] {
            let pause = shortened(first, longest, breaks, chance);
            assert_eq!(pause, Duration::from_millis(milliseconds), "{breaks}");
        }
    }

    #[test]
    fn it_ends() {
        let mut patience = Patience::default();
        let began = Instant::now();
        let mut now = began;
        while let Some(pause) = patience.pause_at(now, &Failure::TimedOut) {
            assert!(pause <= LONGEST_PAUSE);
            now += pause;
        }
        assert!(now - began > LIMIT - LONGEST_PAUSE && now - began <= LIMIT);
        patience.renew();
        assert!(patience.pause_at(now, &Failure::TimedOut).is_some());
    }
}
