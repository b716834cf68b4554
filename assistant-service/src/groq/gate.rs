//! Where calls wait until the books of their model have room for them: first come, first served, and not many.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::quota::{Held, Ledger, Standing};

/// How many calls may wait for a model at once.
const MOST_WAITING: usize = 256;
/// The longest wait of a caller that set no limit.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// There is no room before the caller's time is over; there should be after this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full(pub Duration);

/// The books of one model, and the queue before them.
#[derive(Debug)]
pub struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    ledger: Ledger,
    /// The oldest first: a number, and the tokens that are wanted.
    queue: VecDeque<(u64, u64)>,
    last: u64,
}

impl Gate {
    /// A gate that lets through `share` of what the provider allows.
    pub fn new(share: f64) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                ledger: Ledger::new(share, Instant::now()),
                queue: VecDeque::new(),
                last: 0,
            }),
            changed: Notify::new(),
        })
    }

    /// A panic elsewhere does not spoil the books: every change is whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `tokens` are there, and takes them. Whoever drops this no longer waits.
    ///
    /// # Errors
    /// At once where they cannot be there before `ends`, or too many wait; else as soon as that shows.
    pub async fn enter(self: &Arc<Self>, tokens: u64, ends: Option<Instant>) -> Result<Permit, Full> {
        let ends = ends.unwrap_or_else(|| Instant::now() + LONGEST_WAIT);
        let mut place: Option<Place<'_>> = None;
        loop {
            let changed = self.changed.notified();
            let again = match self.look(tokens, ends, &mut place) {
                Look::Through(held) => {
                    return Ok(Permit {
                        gate: Arc::clone(self),
                        held: Some(held),
                    });
                }
                Look::Full(after) => return Err(Full(after)),
                Look::Wait(until) => until.min(ends),
            };
            tokio::select! {
                () = changed => {}
                () = sleep_until(again) => {}
            }
        }
    }

    fn look<'a>(&'a self, tokens: u64, ends: Instant, place: &mut Option<Place<'a>>) -> Look {
        let now = Instant::now();
        let mut state = self.state();
        let number = place.as_ref().map(|place| place.number);
        let before = state.queue.iter().take_while(|(other, _)| Some(*other) != number);
        let (ahead, tokens_ahead) = before.fold((0, 0), |(count, sum), (_, tokens)| (count + 1, sum + tokens));
        if ahead == 0
            && let Ok(held) = state.ledger.hold(tokens, now)
        {
            drop(state);
            // Gives up the place, if there was one, and wakes whoever is next.
            *place = None;
            return Look::Through(held);
        }
        let wait = state.ledger.wait(tokens, ahead, tokens_ahead, now);
        let crowded = number.is_none() && state.queue.len() >= MOST_WAITING;
        if crowded || now + wait.least >= ends {
            return Look::Full(wait.likely);
        }
        if number.is_none() {
            state.last += 1;
            let number = state.last;
            state.queue.push_back((number, tokens));
            *place = Some(Place { gate: self, number });
        }
        Look::Wait(if ahead == 0 { now + wait.likely } else { ends })
    }

    /// The provider refused a call for a limit that comes back after `wait`.
    pub fn close(&self, wait: Duration) {
        self.state().ledger.close(wait, Instant::now());
    }

    /// The provider refused a call because all of `limit` requests a minute were used.
    pub fn used_up_requests(&self, limit: u64) {
        self.state().ledger.used_up_requests(limit, Instant::now());
    }
}

enum Look {
    Through(Held),
    Full(Duration),
    Wait(Instant),
}

/// A place in the queue; given up when dropped.
struct Place<'a> {
    gate: &'a Gate,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.gate.state().queue.retain(|(number, _)| *number != self.number);
        self.gate.changed.notify_waiters();
    }
}

/// What a call may use. Dropped without a word, all of it counts as used.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    held: Option<Held>,
}

impl Permit {
    /// Learns what the provider's answer says of the limits.
    pub fn learn(&self, told: &Standing) {
        if let Some(held) = &self.held {
            self.gate.state().ledger.learn(held, told, Instant::now());
            self.gate.changed.notify_waiters();
        }
    }

    /// The call is over; `tokens` of it count. One that never left is no request either.
    pub fn settle(mut self, tokens: u64, sent: bool) {
        if let Some(held) = self.held.take() {
            self.gate.state().ledger.settle(held, tokens, sent, Instant::now());
            self.gate.changed.notify_waiters();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.gate.state().ledger.give_up(held, Instant::now());
            self.gate.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::groq::quota::Window;

    const SECOND: Duration = Duration::from_secs(1);

    /// A gate for 6,000 tokens a minute: 100 a second.
    async fn gate() -> Arc<Gate> {
        let gate = Gate::new(1.0);
        let permit = gate.enter(1, None).await.unwrap();
        permit.learn(&Standing {
            tokens: Window {
                limit: Some(6_000),
                remaining: Some(6_000),
                reset: None,
            },
            ..Standing::default()
        });
        permit.settle(0, true);
        gate
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_for_what_comes_back_with_time() {
        let gate = gate().await;
        let _first = gate.enter(6_000, None).await.unwrap();
        let began = Instant::now();
        gate.enter(1_000, None).await.unwrap();
        assert!((10 * SECOND..10 * SECOND + Duration::from_millis(5)).contains(&began.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_ends_lets_the_next_in_at_once() {
        let gate = gate().await;
        let first = gate.enter(6_000, None).await.unwrap();
        let mut second = Box::pin(gate.enter(5_000, None));
        assert!(second.as_mut().now_or_never().is_none());
        first.settle(500, true);
        assert!(second.now_or_never().unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn first_come_first_served_and_whoever_leaves_is_not_waited_for() {
        let gate = gate().await;
        let first = gate.enter(6_000, None).await.unwrap();
        let mut large = Box::pin(gate.enter(4_000, None));
        let mut small = Box::pin(gate.enter(1_000, None));
        let mut last = Box::pin(gate.enter(100, None));
        for waiting in [&mut large, &mut small, &mut last] {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        first.settle(3_000, true);
        assert!(
            small.as_mut().now_or_never().is_none(),
            "the small one does not overtake"
        );
        drop(large);
        assert!(last.as_mut().now_or_never().is_none());
        assert!(small.as_mut().now_or_never().unwrap().is_ok());
        assert!(last.now_or_never().unwrap().is_ok());
        assert!(gate.state().queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_cannot_end_in_time_is_not_begun() {
        let gate = gate().await;
        gate.enter(6_000, None).await.unwrap().settle(6_000, true);
        let ends = Some(Instant::now() + 5 * SECOND);
        let refused = gate.enter(1_000, ends).now_or_never().unwrap();
        assert_eq!(refused.err(), Some(Full(10 * SECOND)));
        // Behind another it waits longer.
        let mut other = Box::pin(gate.enter(400, ends));
        assert!(other.as_mut().now_or_never().is_none());
        let refused = gate.enter(200, ends).now_or_never().unwrap();
        assert_eq!(refused.err(), Some(Full(6 * SECOND)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_might_have_ended_in_time_ends_with_the_time() {
        let gate = gate().await;
        let _first = gate.enter(6_000, None).await.unwrap();
        let began = Instant::now();
        let refused = gate.enter(6_000, Some(began + 5 * SECOND)).await.err();
        assert!(refused.unwrap().0 > 50 * SECOND);
        assert!(began.elapsed() <= 5 * SECOND + Duration::from_millis(5));
        assert!(gate.state().queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_is_bounded() {
        let gate = gate().await;
        let _first = gate.enter(6_000, None).await.unwrap();
        let ends = Some(Instant::now() + 3_600 * SECOND);
        let mut waiting: Vec<_> = (0..MOST_WAITING).map(|_| Box::pin(gate.enter(10, ends))).collect();
        assert!(
            waiting
                .iter_mut()
                .all(|waiting| waiting.as_mut().now_or_never().is_none())
        );
        assert!(gate.enter(10, ends).now_or_never().unwrap().is_err());
        for permit in futures_util::future::join_all(waiting).await {
            permit.unwrap().settle(10, true);
        }
        assert!(gate.state().queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_of_the_provider_holds_everybody_back() {
        let gate = gate().await;
        gate.close(3 * SECOND);
        let began = Instant::now();
        gate.enter(1, None).await.unwrap();
        assert!(began.elapsed() >= 3 * SECOND);
    }
}
