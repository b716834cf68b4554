//! Whether a model is worth asking: one that keeps failing, or is gone for a while, is left alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::failure::{Failure, Kind, Phase, Window};

/// How long a model that the provider does not offer is left alone.
const GONE: Duration = Duration::from_mins(5);
/// How long a model is left alone whose daily limit is used up, where the provider does not say.
const USED_UP: Duration = Duration::from_mins(10);
/// When to look again while somebody tries whether a model is well.
const TRIED: Duration = Duration::from_secs(1);

/// What a failure says of the model it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// The model answers.
    Well,
    /// It is down, maybe.
    Down,
    /// It cannot be used for so long.
    Gone(Duration),
    /// Nothing.
    Nothing,
}

fn meaning(failure: &Failure) -> Meaning {
    match failure.kind {
        Kind::ModelUnavailable => Meaning::Gone(GONE),
        Kind::RateLimited(Window::Day) => Meaning::Gone(failure.retry_after.unwrap_or(USED_UP)),
        // How long we had to wait was the caller's choice, and limits of a minute are the gate's affair.
        Kind::TimedOut(Phase::Deadline) | Kind::RateLimited(Window::Minute) | Kind::OverAllowance | Kind::OneCall => {
            Meaning::Nothing
        }
        Kind::Unreachable
        | Kind::Broken
        | Kind::TimedOut(_)
        | Kind::Protocol(_)
        | Kind::Overloaded
        | Kind::TierFull => Meaning::Down,
        Kind::TooLarge
        | Kind::InvalidOutput
        | Kind::SpendCapReached
        | Kind::Unauthenticated
        | Kind::Rejected
        | Kind::Abandoned
        | Kind::Truncated
        | Kind::ContentFiltered
        | Kind::Empty => Meaning::Well,
    }
}

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// After so many failures in a row; 0 for never.
    pub failures: u32,
    /// Until one call tries again.
    pub cool_down: Duration,
}

/// Watches one model.
#[derive(Debug)]
pub struct Breaker {
    rule: Rule,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Failures in a row.
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    until: Instant,
    /// What opened it.
    why: Failure,
    /// Whether somebody tries.
    tried: bool,
}

impl Breaker {
    /// A breaker that is closed.
    pub fn new(rule: Rule) -> Arc<Self> {
        Arc::new(Self {
            rule,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks whether a call may be made. Of an open breaker whose time is over one call passes, to try.
    ///
    /// # Errors
    /// What opened it, and how long it stays so.
    pub fn pass(self: &Arc<Self>) -> Result<Pass, Failure> {
        let mut state = self.state();
        let now = Instant::now();
        let tries = match &mut state.open {
            None => false,
            Some(open) if now < open.until || open.tried => {
                let left = open.until.saturating_duration_since(now);
                return Err(Failure {
                    retry_after: Some(if open.tried { TRIED } else { left }),
                    ..open.why.clone()
                });
            }
            Some(open) => {
                open.tried = true;
                true
            }
        };
        drop(state);
        Ok(Pass {
            breaker: Arc::clone(self),
            tries,
        })
    }

    /// Whether calls are refused now.
    pub fn is_open(&self) -> bool {
        let now = Instant::now();
        let state = self.state();
        state.open.as_ref().is_some_and(|open| now < open.until || open.tried)
    }

    /// The provider's list has the model again: the next call tries it.
    pub fn try_again(&self) {
        if let Some(open) = &mut self.state().open {
            open.until = Instant::now();
        }
    }

    fn open(&self, state: &mut State, why: &Failure, pause: Duration) {
        let Some(until) = Instant::now().checked_add(pause) else {
            return;
        };
        // One that is open for longer stays so.
        if state.open.as_ref().is_some_and(|open| open.until > until) {
            return;
        }
        if state.open.is_none() {
            tracing::warn!(kind = ?why.kind, seconds = pause.as_secs(), "a model is left alone for a while");
        }
        state.open = Some(Open {
            until,
            why: Failure {
                detail: super::failure::Detail::default(),
                ..why.clone()
            },
            tried: false,
        });
    }
}

/// Leave to make one call. Dropped without a report, it says nothing of the model.
#[derive(Debug)]
pub struct Pass {
    breaker: Arc<Breaker>,
    tries: bool,
}

impl Pass {
    /// How the call failed, if it did.
    pub fn report(mut self, failure: Option<&Failure>) {
        let tries = std::mem::take(&mut self.tries);
        let mut state = self.breaker.state();
        match (failure, failure.map_or(Meaning::Well, meaning)) {
            (_, Meaning::Well) => {
                state.failures = 0;
                // Calls that began before it opened prove nothing.
                if tries {
                    state.open = None;
                    tracing::info!("a model that was left alone is well again");
                }
            }
            (Some(failure), Meaning::Gone(pause)) => self.breaker.open(&mut state, failure, pause),
            (Some(failure), Meaning::Down) => {
                state.failures = state.failures.saturating_add(1);
                let rule = self.breaker.rule;
                let enough = rule.failures > 0 && state.failures >= rule.failures;
                if tries || (enough && state.open.is_none()) {
                    self.breaker.open(&mut state, failure, rule.cool_down);
                }
            }
            (_, Meaning::Nothing) | (None, _) => {
                if tries && let Some(open) = &mut state.open {
                    open.tried = false;
                }
            }
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.tries
            && let Some(open) = &mut self.breaker.state().open
        {
            open.tried = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const RULE: Rule = Rule {
        failures: 3,
        cool_down: Duration::from_secs(10),
    };

    fn failing(breaker: &Arc<Breaker>, kind: Kind, times: u32) {
        for _ in 0..times {
            breaker.pass().unwrap().report(Some(&Failure::new(kind)));
        }
    }

    fn refused(breaker: &Arc<Breaker>) -> Failure {
        breaker.pass().unwrap_err()
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_one_call_tries_again() {
        let breaker = Breaker::new(RULE);
        failing(&breaker, Kind::Overloaded, 2);
        breaker.pass().unwrap().report(None);
        failing(&breaker, Kind::Broken, 3);
        let failure = refused(&breaker);
        assert_eq!(
            (failure.kind, failure.retry_after),
            (Kind::Broken, Some(RULE.cool_down))
        );

        advance(RULE.cool_down).await;
        assert!(!breaker.is_open());
        let probe = breaker.pass().unwrap();
        assert!(breaker.is_open(), "only one");
        assert_eq!(refused(&breaker).retry_after, Some(TRIED));
        probe.report(Some(&Failure::new(Kind::Overloaded)));
        assert_eq!(refused(&breaker).retry_after, Some(RULE.cool_down));

        advance(RULE.cool_down).await;
        // One that goes away leaves the trial to the next.
        drop(breaker.pass().unwrap());
        breaker.pass().unwrap().report(None);
        failing(&breaker, Kind::Overloaded, 2);
        assert!(!breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn a_day_s_limit_and_a_model_that_is_gone_open_it_at_once() {
        let breaker = Breaker::new(RULE);
        let running = breaker.pass().unwrap();
        let limit = Failure {
            retry_after: Some(Duration::from_secs(1_034)),
            ..Failure::new(Kind::RateLimited(Window::Day))
        };
        breaker.pass().unwrap().report(Some(&limit));
        running.report(None);
        assert_eq!(refused(&breaker), limit, "a call from before proves nothing");
        advance(Duration::from_secs(1_033)).await;
        assert!(breaker.is_open());
        advance(Duration::from_secs(1)).await;
        breaker.pass().unwrap().report(None);
        failing(&breaker, Kind::ModelUnavailable, 1);
        assert_eq!(refused(&breaker).retry_after, Some(GONE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_model_that_is_gone_comes_back_with_the_provider_s_list() {
        let breaker = Breaker::new(RULE);
        breaker.try_again();
        assert!(!breaker.is_open(), "what is closed stays so");
        failing(&breaker, Kind::ModelUnavailable, 1);
        advance(GONE / 2).await;
        assert_eq!(refused(&breaker).retry_after, Some(GONE / 2));
        breaker.try_again();
        let trial = breaker.pass().unwrap();
        assert!(breaker.is_open(), "one call tries");
        trial.report(None);
        assert!(!breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn what_says_nothing_of_the_model_does_not_open_it() {
        let breaker = Breaker::new(RULE);
        for kind in [
            Kind::Rejected,
            Kind::Unauthenticated,
            Kind::TooLarge,
            Kind::Truncated,
            Kind::Empty,
            Kind::RateLimited(Window::Minute),
            Kind::TimedOut(Phase::Deadline),
        ] {
            failing(&breaker, kind, 10);
        }
        let never = Breaker::new(Rule { failures: 0, ..RULE });
        failing(&never, Kind::Overloaded, 100);
    }
}
