//! What one request may still have, however often the provider is asked for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::told::{Ended, Started};
use crate::usage::Source;

/// Tokens, one repair, and the numbers of its calls. Clones are the same allowance.
#[derive(Clone, Debug, Default)]
pub struct Allowance(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What its calls may still take; unset: as much as they like.
    tokens: Option<u64>,
    repaired: bool,
    calls: i32,
}

impl Allowance {
    /// All calls together take no more than `tokens`, prompts and answers; unset: no such limit.
    pub fn of(tokens: Option<u64>) -> Self {
        let state = State {
            tokens,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Every change is a single step.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is left; unset: no limit.
    pub fn tokens_left(&self) -> Option<u64> {
        self.state().tokens
    }

    /// Whether a call that takes `at_most` tokens may be made.
    pub fn fits(&self, at_most: u64) -> bool {
        self.tokens_left().is_none_or(|left| at_most <= left)
    }

    /// Whether output that is not of the form may still be asked for anew.
    pub fn may_repair(&self) -> bool {
        !self.state().repaired
    }

    /// Takes the one repair, if it is still there.
    pub fn repair(&self) -> bool {
        !std::mem::replace(&mut self.state().repaired, true)
    }

    /// Whether a call was made yet.
    pub(super) fn is_used(&self) -> bool {
        self.state().calls > 0
    }

    /// The number of a call that is about to be made, from 1.
    pub(super) fn number(&self) -> i32 {
        let mut state = self.state();
        state.calls = state.calls.saturating_add(1);
        state.calls
    }

    /// A call is over. One of which the provider said nothing is taken for all that was announced.
    pub(super) fn settle(&self, started: &Started, ended: &Ended) {
        let taken = match ended.source {
            Source::Reported => ended.usage.input.saturating_add(ended.usage.output),
            Source::Estimated => started.at_most(),
        };
        let mut state = self.state();
        state.tokens = state.tokens.map(|left| left.saturating_sub(taken));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::groq::engine::Outcome;
    use crate::usage::Tokens;

    fn call(source: Source, input: u64, output: u64) -> (Started, Ended) {
        let started = Started {
            call_no: 1,
            model: "m".into(),
            input_tokens_at_most: 300,
            output_tokens_at_most: 100,
        };
        let ended = Ended {
            call_no: 1,
            model: "m".into(),
            outcome: Outcome::Failed,
            usage: Tokens {
                input,
                output,
                ..Tokens::default()
            },
            source,
            cost_micro_usd: 0,
            upstream_id: String::new(),
            time_to_first_text: None,
            duration: Duration::ZERO,
        };
        (started, ended)
    }

    #[test]
    fn what_was_reported_is_taken_and_else_all_that_was_announced() {
        let allowance = Allowance::of(Some(1_000));
        let (started, ended) = call(Source::Reported, 200, 50);
        allowance.clone().settle(&started, &ended);
        assert_eq!(allowance.tokens_left(), Some(750));
        let (started, ended) = call(Source::Estimated, 300, 7);
        allowance.settle(&started, &ended);
        assert_eq!(allowance.tokens_left(), Some(350));
        assert!(allowance.fits(350) && !allowance.fits(351));
        allowance.settle(&started, &ended);
        assert!(allowance.fits(0) && !allowance.fits(1));
    }

    #[test]
    fn without_a_limit_everything_fits_but_a_second_repair() {
        let allowance = Allowance::default();
        let (started, ended) = call(Source::Estimated, 300, 100);
        allowance.settle(&started, &ended);
        assert!(allowance.fits(u64::MAX) && !allowance.is_used());
        assert_eq!((allowance.number(), allowance.number()), (1, 2));
        assert!(allowance.is_used() && allowance.may_repair());
        assert!(allowance.repair() && !allowance.repair() && !allowance.may_repair());
    }
}
