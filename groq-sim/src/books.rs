//! The simulator's own books: what it would bill, summed up over all calls that have ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::journal::{Call, Outcome};
use crate::models;
use crate::wire::Usage;

/// Sums over calls that have ended. Unlike the list of calls they forget nothing, but for a reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// All models together.
    pub total: Tally,
    /// Each model that was asked for, known or not.
    pub models: BTreeMap<String, Tally>,
}

/// One row of [`Books`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Calls that have ended.
    pub calls: u64,
    /// Of them: everything was sent.
    pub finished: u64,
    /// Of them: an error status was sent.
    pub refused: u64,
    /// Of them: a scenario broke the connection.
    pub cut: u64,
    /// Of them: the client left first.
    pub client_closed: u64,
    /// Of them: something was billed.
    pub billed: u64,
    /// Tokens of prompts, cached ones included.
    pub prompt_tokens: u64,
    /// Tokens of prompts that were found in the cache.
    pub cached_tokens: u64,
    /// Tokens generated, reasoning included.
    pub completion_tokens: u64,
    /// Tokens of reasoning.
    pub reasoning_tokens: u64,
    /// In millionths of a millionth of a dollar.
    pub cost_picodollars: u64,
}

impl Books {
    pub(crate) fn enter(&mut self, call: &Call) {
        self.total.enter(call);
        self.models.entry(call.model.clone()).or_default().enter(call);
    }
}

impl Tally {
    fn enter(&mut self, call: &Call) {
        self.calls += 1;
        match call.outcome {
            Outcome::Running => {}
            Outcome::Finished => self.finished += 1,
            Outcome::Refused => self.refused += 1,
            Outcome::Cut => self.cut += 1,
            Outcome::ClientClosed => self.client_closed += 1,
        }
        let Some(usage) = &call.billed else { return };
        self.billed += 1;
        self.prompt_tokens += u64::from(usage.prompt_tokens);
        self.cached_tokens += u64::from(usage.cached_tokens());
        self.completion_tokens += u64::from(usage.completion_tokens);
        self.reasoning_tokens += u64::from(usage.reasoning_tokens());
        self.cost_picodollars += call.cost_picodollars;
    }
}

/// Cached tokens cost half.
pub(crate) fn cost(model: &str, usage: &Usage) -> u64 {
    let Some(model) = models::find(model) else { return 0 };
    let cached = u64::from(usage.cached_tokens());
    let fresh = u64::from(usage.prompt_tokens) - cached;
    fresh * model.prompt_picodollars
        + cached * model.prompt_picodollars / 2
        + u64::from(usage.completion_tokens) * model.completion_picodollars
}
