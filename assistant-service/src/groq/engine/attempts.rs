//! Calls one after the other, until one brings an answer or nothing more helps.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::Shared;
use super::ask::Ask;
use super::attempt::Attempt;
use super::model::Model;
use super::told::{Progress, Started};
use crate::groq::breaker::Pass;
use crate::groq::failure::{Failure, Kind, Phase, Window};
use crate::groq::gate::Full;
use crate::groq::retry::{Remedy, delay, remedy};
use crate::groq::wire::ChatRequest;

/// How much earlier than the caller's deadline a streamed call is cut off, so that its end can still be told.
const LAST_WORDS: Duration = Duration::from_millis(25);
/// The same where nobody sees the answer grow: the calls are told by one status, and lost with it.
const LAST_WORDS_OF_WHOLE: Duration = Duration::from_millis(100);
/// A call that would have less time than this is not made: no provider answers so fast.
const LEAST: Duration = Duration::from_millis(25);
/// The service tier that is asked where another was full.
const OTHER_TIER: &str = "on_demand";

/// A call that may be made.
struct Chosen<'a> {
    model: &'a Model,
    pass: Pass,
    request: ChatRequest<'a>,
    started: Started,
}

impl Shared {
    pub(super) async fn run<T, F>(&self, ask: &Ask, shown_at_once: bool, tell: &T) -> Result<(), Failure>
    where
        T: Fn(Progress) -> F,
        F: Future<Output = ()>,
    {
        let Some(deadline) = ask.deadline else {
            return self.run_until(None, ask, shown_at_once, tell).await;
        };
        let last_words = if shown_at_once { LAST_WORDS } else { LAST_WORDS_OF_WHOLE };
        let head_start = last_words.min(deadline.remaining() / 10);
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
        let allowance = &ask.allowance;
        if !allowance.is_used() {
            self.budget.earn();
        }
        loop {
            let chosen = self.choose(ask, allowance.tier_full().then_some(OTHER_TIER))?;
            let reserved = u64::from(ask.estimated_prompt_tokens) + chosen.started.output_tokens_at_most;
            let permit = chosen.model.gate.enter(reserved, ends).await.map_err(over_quota)?;
            let model = chosen.model;
            let attempt = Attempt {
                model,
                started: Started {
                    call_no: allowance.number(),
                    ..chosen.started
                },
                estimated_prompt: ask.estimated_prompt_tokens.into(),
                call: self.client.call(&chosen.request, ends),
                allowance,
                offer: &self.offer,
                open: Some((chosen.pass, permit)),
            };
            let (result, shown) = attempt.make(tell).await;
            let Err(failure) = result else {
                return Ok(());
            };
            if shown && shown_at_once {
                return Err(failure);
            }
            let remedy = remedy(failure.kind);
            let others_are_well = || self.models.iter().any(|model| !model.breaker.is_open());
            let wait = match remedy {
                Remedy::None => return Err(failure),
                Remedy::Again if !(model.breaker.is_open() && others_are_well()) => {
                    delay(&failure, allowance.retries())
                }
                Remedy::Again | Remedy::Once | Remedy::OtherModel => Duration::ZERO,
            };
            let late = ends.is_some_and(|ends| Instant::now() + wait + LEAST >= ends);
            if late || !self.affords(ask) {
                return Err(failure);
            }
            if remedy == Remedy::OtherModel {
                // As it is not down, nothing is spent.
                if self.models.len() < 2 || !allowance.leave(&model.name) {
                    return Err(failure);
                }
            } else {
                let mended = remedy != Remedy::Once || allowance.may_repair();
                if !mended || allowance.retries() >= self.retries || !self.budget.spend() {
                    return Err(failure);
                }
                if remedy == Remedy::Once {
                    allowance.repair();
                }
                allowance.retry(failure.kind == Kind::TierFull);
                tracing::info!(kind = ?failure.kind, ms = wait.as_millis(), "the provider is asked again");
                sleep(wait).await;
            }
            if allowance.one_call() {
                return Err(Failure::new(Kind::OneCall));
            }
        }
    }

    /// Whether there is a model of which another call may be made.
    pub(super) fn affords(&self, ask: &Ask) -> bool {
        ask.allowance.tokens_left().is_none()
            || self.models.iter().any(|model| {
                let request = model.request(ask, self.reasoning_tokens, None);
                ask.allowance.fits(model.started(&request).at_most())
            })
    }

    /// The first model that may be asked.
    fn choose<'a>(&'a self, ask: &'a Ask, tier: Option<&'static str>) -> Result<Chosen<'a>, Failure> {
        let mut refused: Option<Failure> = None;
        let mut too_much = false;
        for model in &self.models {
            let request = model.request(ask, self.reasoning_tokens, tier);
            let started = model.started(&request);
            if !ask.allowance.fits(started.at_most()) {
                too_much = true;
                continue;
            }
            if ask.allowance.has_left(&model.name) {
                refused = Some(refused.unwrap_or(Failure::new(Kind::ModelUnavailable)));
                continue;
            }
            match model.breaker.pass() {
                Ok(pass) => {
                    return Ok(Chosen {
                        model,
                        pass,
                        request,
                        started,
                    });
                }
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
        let nothing = if too_much {
            Kind::OverAllowance
        } else {
            Kind::ModelUnavailable
        };
        Err(refused.unwrap_or(Failure::new(nothing)))
    }
}

fn over_quota(Full(after): Full) -> Failure {
    Failure {
        retry_after: Some(after),
        ..Failure::new(Kind::RateLimited(Window::Minute))
    }
}
