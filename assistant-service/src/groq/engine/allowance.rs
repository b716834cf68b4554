//! What one request may still have, however often the provider is asked for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::told::{Ended, Started};
use crate::usage::Source;

/// Tokens, and what its calls have used up of all that helps. Clones are the same allowance.
#[derive(Clone, Debug, Default)]
pub struct Allowance(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What its calls may still take; unset: as much as they like.
    tokens: Option<u64>,
    /// Whether another request makes the next call.
    one_call: bool,
    past: Past,
}

/// How a request stands after its calls so far; what goes to the next request where each makes one call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Past {
    /// How many calls were made.
    #[serde(skip)]
    pub calls: i32,
    /// How often the provider was asked again.
    pub retries: u32,
    /// The model that is gone, or has used up its day, for which the other one is asked.
    pub left: Option<String>,
    /// Whether a service tier was full.
    pub tier_full: bool,
    /// Whether output that was not of the form was asked for anew.
    pub repaired: bool,
    /// Output that is to be mended by the next call.
    pub mend: Option<Mend>,
}

/// Output that is not of the form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mend {
    /// What the model wrote.
    pub answer: String,
    /// What is wrong with it, for the model.
    pub wrong: String,
}

impl Allowance {
    /// What is left after `past`: no more than `tokens` for all calls together, prompts and answers (unset: no such limit), and
    /// with `one_call` a single call.
    pub fn after(past: Past, tokens: Option<u64>, one_call: bool) -> Self {
        Self(Arc::new(Mutex::new(State { tokens, one_call, past })))
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

    /// Whether each request makes one call, so that another one must go on with this.
    pub fn one_call(&self) -> bool {
        self.state().one_call
    }

    /// How it stands.
    pub fn past(&self) -> Past {
        self.state().past.clone()
    }

    /// Whether output that is not of the form may still be asked for anew.
    pub fn may_repair(&self) -> bool {
        !self.state().past.repaired
    }

    /// Takes the one repair, if it is still there.
    pub fn repair(&self) -> bool {
        !std::mem::replace(&mut self.state().past.repaired, true)
    }

    /// The next call is to mend this.
    pub fn to_mend(&self, mend: Mend) {
        self.state().past.mend = Some(mend);
    }

    /// Whether a call was made yet.
    pub(super) fn is_used(&self) -> bool {
        self.state().past.calls > 0
    }

    /// The number of a call that is about to be made, from 1.
    pub(super) fn number(&self) -> i32 {
        let calls = &mut self.state().past.calls;
        *calls = calls.saturating_add(1);
        *calls
    }

    /// How often the provider was asked again.
    pub(super) fn retries(&self) -> u32 {
        self.state().past.retries
    }

    /// It is asked again; on another service tier from now on where `tier_full`.
    pub(super) fn retry(&self, tier_full: bool) {
        let past = &mut self.state().past;
        past.retries += 1;
        past.tier_full |= tier_full;
    }

    /// Whether a service tier was full.
    pub(super) fn tier_full(&self) -> bool {
        self.state().past.tier_full
    }

    /// Leaves a model for the other, if none was left yet.
    pub(super) fn leave(&self, model: &str) -> bool {
        let left = &mut self.state().past.left;
        let may = left.is_none();
        left.get_or_insert_with(|| model.to_owned());
        may
    }

    /// Whether a model was left for the other.
    pub(super) fn has_left(&self, model: &str) -> bool {
        self.state().past.left.as_deref() == Some(model)
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
        let allowance = Allowance::after(Past::default(), Some(1_000), false);
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
        assert!(allowance.leave("m") && !allowance.leave("n"));
        assert!(allowance.has_left("m") && !allowance.has_left("n"));
    }

    #[test]
    fn what_comes_after_stands_where_it_was() {
        let allowance = Allowance::after(Past::default(), Some(1_000), true);
        allowance.number();
        allowance.retry(true);
        allowance.retry(false);
        assert!(allowance.repair() && allowance.leave("m"));
        let mend = Mend {
            answer: "{}".into(),
            wrong: "It is empty.".into(),
        };
        allowance.to_mend(mend.clone());
        let told = serde_json::to_string(&allowance.past()).unwrap();
        let past = Past {
            calls: 1,
            ..serde_json::from_str(&told).unwrap()
        };
        assert_eq!(past, allowance.past());
        let after = Allowance::after(past, allowance.tokens_left(), true);
        assert_eq!((after.retries(), after.tier_full(), after.number()), (2, true, 2));
        assert!(!after.may_repair() && after.has_left("m") && after.one_call());
        assert_eq!((after.past().mend, after.tokens_left()), (Some(mend), Some(1_000)));
    }
}
