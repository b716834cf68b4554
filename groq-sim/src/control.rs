//! What tests and people can do to a running simulator; the `/_sim` endpoints do the same over HTTP.

use std::sync::Arc;
use std::time::Duration;

use crate::journal::{Call, Outcome, Received};
use crate::scenario::Scenario;
use crate::settings::Pace;
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

    /// How fast answers come, where a scenario says nothing else.
    pub fn set_pace(&self, pace: Pace) {
        self.0.dials().pace = pace;
    }

    /// How fast answers come.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.0.dials().pace
    }

    /// Tokens of visible text in an answer; `None`: 60 to 120, decided by the request.
    pub fn set_answer_tokens(&self, tokens: Option<u32>) {
        self.0.dials().answer_tokens = tokens;
    }

    /// Tokens of visible text in an answer.
    #[must_use]
    pub fn answer_tokens(&self) -> Option<u32> {
        self.0.dials().answer_tokens
    }

    /// As it was at start: scenario, queue, pace, prompt cache; requests and calls are forgotten. Ids go on counting.
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
