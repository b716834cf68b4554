//! Calls one after the other, until one brings an answer or nothing more helps.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::Shared;
use super::ask::Ask;
use super::attempt::Attempt;
use super::model::Model;
use super::told::Progress;
use crate::groq::breaker::Pass;
use crate::groq::failure::{Failure, Kind, Phase, Window};
use crate::groq::gate::Full;
use crate::groq::retry::{Remedy, delay, remedy};

/// How much earlier than the caller's deadline a call is cut off, so that its end can still be told.
const LAST_WORDS: Duration = Duration::from_millis(25);

impl Shared {
    pub(super) async fn run<T, F>(&self, ask: &Ask, shown_at_once: bool, tell: &T) -> Result<(), Failure>
    where
        T: Fn(Progress) -> F,
        F: Future<Output = ()>,
    {
        let Some(deadline) = ask.deadline else {
            return self.run_until(None, ask, shown_at_once, tell).await;
        };
        let head_start = LAST_WORDS.min(deadline.remaining() / 10);
        let ends = deadline.0.checked_sub(head_start);
        // The outer limit is for callers that take no word, not even the last.
        match timeout_at(deadline.0, self.run_until(ends, ask, shown_at_once, tell)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(Kind::TimedOut(Phase::Deadline))),
        }
    }

    async fn run_until<T, F>(
        &self,
        ends: Option<Instant>,
        ask: &Ask,
        shown_at_once: bool,
        tell: &T,
    ) -> Result<(), Failure>
    where
        T: Fn(Progress) -> F,
        F: Future<Output = ()>,
    {
        self.budget.earn();
        let mut call_no = 0;
        let mut retries = 0;
        let mut moved = false;
        let mut repaired = false;
        loop {
            let (model, pass) = self.choose()?;
            let request = model.request(ask, self.reasoning_tokens);
            let reserved = u64::from(ask.estimated_prompt_tokens) + u64::from(request.max_completion_tokens);
            let permit = model.gate.enter(reserved, ends).await.map_err(over_quota)?;
            call_no += 1;
            let attempt = Attempt {
                model,
                started: model.started(ask, &request, call_no),
                estimated_prompt: ask.estimated_prompt_tokens.into(),
                call: self.client.call(&request, ends),
                open: Some((pass, permit)),
            };
            let (result, shown) = attempt.make(tell).await;
            let Err(failure) = result else {
                return Ok(());
            };
            if shown && shown_at_once {
                return Err(failure);
            }
            match remedy(failure.kind) {
                Remedy::None => return Err(failure),
                Remedy::OtherModel if moved || self.models.len() < 2 => return Err(failure),
                Remedy::OtherModel => {
                    // Its breaker is open now, so that it is not asked again; and as it is not down, nothing is spent.
                    moved = true;
                    continue;
                }
                Remedy::Once if repaired => return Err(failure),
                Remedy::Once | Remedy::Again => {}
            }
            repaired |= failure.kind == Kind::InvalidOutput;
            let others_are_well = || self.models.iter().any(|model| !model.breaker.is_open());
            let wait = if failure.kind == Kind::InvalidOutput || (model.breaker.is_open() && others_are_well()) {
                Duration::ZERO
            } else {
                delay(&failure, retries)
            };
            let late = ends.is_some_and(|ends| Instant::now() + wait >= ends);
            if late || retries >= self.retries || !self.budget.spend() {
                return Err(failure);
            }
            retries += 1;
            tracing::info!(kind = ?failure.kind, ms = wait.as_millis(), "the provider is asked again");
            sleep(wait).await;
        }
    }

    /// The first model that may be asked.
    fn choose(&self) -> Result<(&Model, Pass), Failure> {
        let mut refused: Option<Failure> = None;
        for model in &self.models {
            match model.breaker.pass() {
                Ok(pass) => return Ok((model, pass)),
                Err(failure)
                    if refused
                        .as_ref()
                        .is_none_or(|other| failure.retry_after < other.retry_after) =>
                {
                    refused = Some(failure);
                }
                Err(_) => {}
            }
        }
        Err(refused.unwrap_or(Failure::new(Kind::ModelUnavailable)))
    }
}

fn over_quota(Full(after): Full) -> Failure {
    Failure {
        retry_after: Some(after),
        ..Failure::new(Kind::RateLimited(Window::Minute))
    }
}
