//! What tests and people can do to a running simulator; the `/_sim` endpoints do the same over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::answer::Language;
use crate::books::Books;
use crate::journal::{Call, Outcome, Received};
use crate::models::{self, Availability};
use crate::quota::Used;
use crate::scenario::script::Script;
use crate::scenario::{Bad, Scenario};
use crate::settings::{Limits, Pace};
use crate::simulator::Simulator;

/// A handle on a simulator; clones are handles on the same one.
#[derive(Clone)]
pub struct Control(Arc<Simulator>);

impl Control {
    pub(crate) fn new(simulator: Arc<Simulator>) -> Self {
        Self(simulator)
    }

    /// The scenario of requests that ask for none.
    pub fn set_scenario(&self, scenario: Scenario) {
        self.0.dials().scenario = scenario;
    }

    /// The scenario of the next `times` requests that ask for none; after those that were queued before. 0 does
    /// nothing. Requests that are refused as invalid do not count.
    pub fn next(&self, times: u32, scenario: Scenario) {
        if times > 0 {
            self.0.dials().next.push_back((scenario, times));
        }
    }

    /// How many queued scenarios have not been played.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.0.dials().next.iter().map(|(_, times)| u64::from(*times)).sum()
    }

    /// The scenario of requests that ask for none, when nothing is queued.
    #[must_use]
    pub fn scenario(&self) -> Scenario {
        self.0.dials().scenario.clone()
    }

    /// The scenario of requests for a model that ask for none, when nothing is queued; `None`: the one for all.
    pub fn set_model_scenario(&self, model: &str, scenario: Option<Scenario>) {
        set(&mut self.0.dials().model_scenarios, model, scenario);
    }

    /// The scenario of requests for the list of models that ask for none; `None`: `ok`.
    pub fn set_list_scenario(&self, scenario: Option<Scenario>) {
        self.0.dials().list_scenario = scenario.unwrap_or_default();
    }

    /// Whether a model of the list can be used, or any other id is said to be decommissioned; `None`: as at start.
    pub fn set_availability(&self, model: &str, availability: Option<Availability>) {
        set(&mut self.0.dials().availability, model, availability);
    }

    /// Keeps a script under a name, for `script of=<name>`.
    ///
    /// # Errors
    /// [`Bad`] if it cannot be played.
    pub fn set_script(&self, name: &str, script: Script) -> Result<(), Bad> {
        script.check()?;
        self.0.dials().scripts.insert(name.to_owned(), Arc::new(script));
        Ok(())
    }

    /// The scripts that can be played.
    #[must_use]
    pub fn scripts(&self) -> BTreeMap<String, Script> {
        let dials = self.0.dials();
        let scripts = dials.scripts.iter();
        scripts
            .map(|(name, script)| (name.clone(), Script::clone(script)))
            .collect()
    }

    /// How much may be asked for, for each model that has no limits of its own.
    pub fn set_limits(&self, limits: Limits) {
        self.0.dials().limits = limits;
    }

    /// How much may be asked for from one model; `None`: as much as from the others.
    pub fn set_model_limits(&self, model: &str, limits: Option<Limits>) {
        set(&mut self.0.dials().model_limits, model, limits);
    }

    /// What holds for a model.
    #[must_use]
    pub fn limits(&self, model: &str) -> Limits {
        self.0.dials().limits_of(model)
    }

    /// What a model has used of its limits, running calls with all that they reserved. `None` for one not in the list.
    #[must_use]
    pub fn used(&self, model: &str) -> Option<Used> {
        let model = models::find(model)?.id;
        Some(self.0.ledger.used(model, self.limits(model)))
    }

    /// Makes so much time pass for quotas and the prompt cache. Pauses on the wire are not shortened.
    pub fn advance(&self, by: Duration) {
        self.0.clock.advance(by);
    }

    /// What all calls since the last reset would cost, as far as they have ended.
    #[must_use]
    pub fn books(&self) -> Books {
        self.0.journal.books()
    }

    /// How fast answers come, where a scenario says nothing else.
    pub fn set_pace(&self, pace: Pace) {
        self.0.dials().pace = pace;
    }

    /// Whether tokens come as fast as Groq says that the model is, where it says so, over [`Pace::token_ms`].
    pub fn set_model_speed(&self, model_speed: bool) {
        self.0.dials().model_speed = model_speed;
    }

    /// Whether tokens come as fast as Groq says that the model is.
    #[must_use]
    pub fn model_speed(&self) -> bool {
        self.0.dials().model_speed
    }

    /// How fast answers come.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.0.dials().pace
    }

    /// Tokens of visible text in an answer; `None`: 60 to 120, decided by the request.
    pub fn set_answer_tokens(&self, tokens: Option<u32>) {
        self.0.dials().habits.tokens = tokens;
    }

    /// Tokens of visible text in an answer.
    #[must_use]
    pub fn answer_tokens(&self) -> Option<u32> {
        self.0.dials().habits.tokens
    }

    /// The language of answers; `None`: English with words of other languages.
    pub fn set_answer_language(&self, language: Option<Language>) {
        self.0.dials().habits.language = language;
    }

    /// The language of answers.
    #[must_use]
    pub fn answer_language(&self) -> Option<Language> {
        self.0.dials().habits.language
    }

    /// As it was at start: everything that was set, the prompt cache, quotas; requests, calls and books are forgotten.
    /// Ids go on counting, and the clock stays where it is.
    pub fn reset(&self) {
        self.0.reset();
    }

    /// The newest requests to `/openai/…`, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.0.journal.received()
    }

    /// The newest chat completion calls, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.0.journal.calls()
    }

    /// Waits until the calls fulfil a condition and answers them; `None` after `limit`.
    pub async fn wait_for_calls(
        &self,
        limit: Duration,
        mut condition: impl FnMut(&[Call]) -> bool,
    ) -> Option<Vec<Call>> {
        let mut changes = self.0.journal.changes();
        let waiting = async {
            loop {
                changes.mark_unchanged();
                let calls = self.calls();
                if condition(&calls) {
                    return Some(calls);
                }
                changes.changed().await.ok()?;
            }
        };
        tokio::time::timeout(limit, waiting).await.ok().flatten()
    }

    /// Waits until at least `count` calls have ended, in whatever way, and answers all calls; `None` after `limit`.
    pub async fn wait_for_ended(&self, count: usize, limit: Duration) -> Option<Vec<Call>> {
        let ended = |calls: &[Call]| calls.iter().filter(|call| call.outcome != Outcome::Running).count();
        self.wait_for_calls(limit, |calls| ended(calls) >= count).await
    }
}

fn set<T>(map: &mut BTreeMap<String, T>, key: &str, value: Option<T>) {
    match value {
        Some(value) => map.insert(key.to_owned(), value),
        None => map.remove(key),
    };
}
